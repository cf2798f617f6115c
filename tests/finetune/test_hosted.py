"""Hosted fine-tuning against a local server that speaks the protocol: faults, failures, and clients that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="hosted fine-tuning is an extra: pip install 'querywright[hosted]'")

from querywright.engines.host import OPENAI, Host, HostError, key_for
from querywright.errors import QuerywrightError
from querywright.finetune.chat_rows import read_rows
from querywright.finetune.hosted import DONE, STATE, Order, run
from querywright.protected import VARIABLE, digest
from tests.protocol import Fault, Reply, Service, serve
from tests.protocol.jobs import Jobs


def chat_file(path: Path, n: int = 12, word: str = "gene") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"messages": [
            {"role": "system", "content": "Write the mygene call."},
            {"role": "user", "content": f"find {word} {i}"},
            {"role": "assistant", "content": f"/v3/gene/{i}"},
        ]}
        for i in range(n)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture
def room() -> Jobs:
    return Jobs()


@pytest.fixture
def server(room: Jobs) -> Iterator[Service]:
    with serve(room) as service:
        yield service
        room.gate.set()
        room.held.clear()


@pytest.fixture
def order(tmp_path: Path, server: Service) -> Order:
    train, valid = chat_file(tmp_path / "train.chat.jsonl"), chat_file(tmp_path / "valid.jsonl", 3, "v")
    return Order(train, "small-1", tmp_path / "out", valid, server.url, n_epochs=2, suffix="qw", seed=5)


class Clock:
    """Waits that take no time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_from_files_to_a_model(order: Order, room: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(order, wait=Clock())
    assert made["model"] == "ft:small-1:org:qw:1"
    assert made == json.loads((order.out / DONE).read_text(encoding="utf-8"))
    assert (made["files"]["train"]["rows"], made["files"]["valid"]["rows"]) == (12, 3)
    assert made["trained_tokens"] == 4321
    asked = room.created[0]["asked"]
    assert asked["method"]["supervised"]["hyperparameters"] == {"n_epochs": 2}
    assert (asked["seed"], asked["suffix"], asked["training_file"], asked["validation_file"]) == (
        5,
        "qw",
        "file-1",
        "file-2",
    )
    assert [u["purpose"] for u in room.uploads] == ["fine-tune", "fine-tune"]
    assert room.bodies["file-1"] == order.train.read_bytes()
    said = capsys.readouterr().err
    for words in ("12 rows", "tokens", "Created fine-tuning job", "step 20/40, loss 0.500", "successfully completed"):
        assert said.count(words) >= 1
    assert said.count("Step 20/40") == 1


def test_what_is_done_is_not_done_again(order: Order, room: Jobs, server: Service) -> None:
    made = run(order, wait=Clock())
    n = len(server.requests)
    assert run(order, wait=Clock()) == made
    assert len(server.requests) == n
    (order.out / DONE).unlink()
    (order.out / STATE).unlink()
    assert run(order, wait=Clock())["model"] == made["model"]  # found again by its content
    assert (len(room.uploads), len(room.created)) == (2, 1)


FAULTS = [
    Fault(429, retry_after="7"), Fault(500), Fault(503), Fault(drop="before"), Fault(drop="after"),
    Fault(body="<html>"),
    Fault(400, body={"error": {"message": "File 'file-1' is still being processed and is not ready"}}),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.status or f.drop or 'html'}")
@pytest.mark.parametrize("at", range(3))
def test_a_fault_at_any_step_is_got_over(fault: Fault, at: int, order: Order, room: Jobs, server: Service) -> None:
    """An upload that worked although its answer was lost is found, not sent again; so is a job."""
    server.faults = [None] * at + [fault]
    clock = Clock()
    assert run(order, wait=clock)["model"]
    assert (len(room.uploads), len(room.created)) == (2, 1)
    if fault.retry_after:
        assert 7.0 in clock.waits


@pytest.mark.parametrize("fault", FAULTS[:6], ids=lambda f: f"{f.status or f.drop or 'html'}")
def test_faults_of_looks_are_got_over(fault: Fault, order: Order, room: Jobs, server: Service) -> None:
    server.faulty = ("GET",)
    server.faults = [fault, None, fault, fault, None, None, fault, fault, None]
    assert run(order, wait=Clock())["model"]
    assert (len(room.uploads), len(room.created)) == (2, 1)


def test_a_server_without_lists_will_do(order: Order, room: Jobs) -> None:
    room.lists = False
    assert run(order, wait=Clock())["model"]


def test_a_server_that_stays_away(order: Order, room: Jobs, server: Service) -> None:
    server.faults = [None, None, None, *[Fault(500)] * 100]
    server.faulty = ("GET", "POST")
    clock = Clock()
    with pytest.raises(QuerywrightError, match="does not answer") as error:
        run(order, wait=clock)
    assert error.value.retryable
    assert "goes on" in error.value.hint
    assert sum(clock.waits) > 60
    server.faults = []
    assert run(order, wait=Clock())["model"]
    assert (len(room.uploads), len(room.created)) == (2, 1)


def test_no_waiting_helps_without_money_or_key(order: Order, room: Jobs, server: Service) -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server.faults = [Fault(429, body=body)]
    clock = Clock()
    with pytest.raises(QuerywrightError, match="exceeded your current quota"):
        run(order, wait=clock)
    assert not clock.waits
    room.key = "secret"
    with pytest.raises(QuerywrightError, match="Incorrect API key") as error:
        run(order, wait=clock)
    assert "QUERYWRIGHT_SERVER_KEY" in error.value.hint


def test_keys_stay_with_their_hosts(monkeypatch: pytest.MonkeyPatch, order: Order, server: Service) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.delenv("QUERYWRIGHT_SERVER_KEY", raising=False)
    assert key_for(OPENAI) == "sk-openai"
    run(order, wait=Clock())
    assert not any("sk-openai" in str(r.headers) for r in server.requests)
    monkeypatch.setenv("QUERYWRIGHT_SERVER_KEY", "own")
    assert key_for(server.url) == "own"
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("QUERYWRIGHT_SERVER_KEY")
    with pytest.raises(QuerywrightError, match="no key"):
        key_for(OPENAI)
    for wrong in ("localhost:1", "file:///etc", ""):
        with pytest.raises(QuerywrightError, match="no address"):
            run(Order(order.train, "m", order.out / "x", base_url=wrong))


@pytest.mark.parametrize(
    ("end", "words"), [("failed", "too short.*invalid_n_examples"), ("cancelled", "cancelled"), ("expired", "expired")]
)
def test_a_job_that_ends_badly(end: str, words: str, order: Order, room: Jobs) -> None:
    room.steps = ("validating_files", "running", end)
    with pytest.raises(QuerywrightError, match=words):
        run(order, wait=Clock())
    assert not (order.out / DONE).exists()
    room.steps = ("validating_files", "running", "succeeded")
    assert run(order, wait=Clock())["job"] == "ftjob-2"  # a new job, with the same files
    assert len(room.uploads) == 2


def test_words_of_the_server_are_no_orders_to_a_terminal(order: Order, room: Jobs) -> None:
    room.steps = ("validating_files", "failed")
    room.error = {"message": "\x1b[2Jbad\nrows", "code": "x", "param": None}
    with pytest.raises(QuerywrightError) as error:
        run(order, wait=Clock())
    assert "\x1b" not in str(error.value)
    assert "bad rows" in str(error.value)


def test_files_and_jobs_that_are_gone(order: Order, room: Jobs) -> None:
    room.steps = ("validating_files", "failed")
    with pytest.raises(QuerywrightError):
        run(order, wait=Clock())
    room.uploads.clear()  # they have expired
    room.created.clear()
    room.steps = ("validating_files", "running", "succeeded")
    assert run(order, wait=Clock())["model"]
    assert (len(room.uploads), len(room.created)) == (2, 1)


def test_other_rows_do_not_take_over_a_running_job(order: Order, room: Jobs, server: Service) -> None:
    room.held.set()

    def stop(_: float) -> None:
        if room.looks > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(order, wait=stop)
    chat_file(order.train, 13)
    with pytest.raises(QuerywrightError, match="ftjob-1 with other rows"):
        run(order, wait=Clock())
    assert len(room.created) == 1


def test_ctrl_c_leaves_the_job_and_cancel_stops_it(
    order: Order, room: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    room.held.set()

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(order, wait=stop)
    assert "ftjob-1 goes on" in capsys.readouterr().err
    assert room.created[0]["status"] != "cancelled"
    assert run(order, wait=Clock(), cancel=True) == {"job": "ftjob-1", "status": "cancelled"}
    assert room.created[0]["status"] == "cancelled"


def test_rows_are_checked_before_anything_is_sent(
    order: Order, server: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h.txt").write_text(digest("find gene 3") + "\n", encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "h.txt"))
    with pytest.raises(QuerywrightError, match="1 row with a protected sentence"):
        run(order, wait=Clock())
    monkeypatch.delenv(VARIABLE)
    order.train.write_text('{"prompt": "x"}\n', encoding="utf-8")
    with pytest.raises(QuerywrightError, match="not a chat row"):
        run(order, wait=Clock())
    assert not server.requests


def command(order: Order) -> list[str]:
    return [
        sys.executable, "-m", "querywright", "finetune", "hosted", str(order.train), "--base-model", order.base_model,
        "--out", str(order.out), "--base-url", order.base_url, "--poll-s", "0.05", "--valid", str(order.valid),
    ]  # fmt: skip


def until(true: Callable[[], Any], child: subprocess.Popen[Any], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert child.poll() is None, "the client ended too early"
        assert time.monotonic() < end, "the client never came so far"
        time.sleep(0.02)


@pytest.mark.parametrize("when", ["uploading", "between", "creating", "polling"])
def test_a_killed_client_goes_on(when: str, order: Order, room: Jobs, server: Service) -> None:
    """Killed -9 after the server's work and before its own note, or in the middle of waiting."""
    room.gated = {"uploading": ("upload",), "creating": ("create",)}.get(when, ())
    if when == "between":
        server.faults = [None, None, Fault(503, slow=20)]  # both files are there, the job isn't and will not be
    room.held.set()
    reached = {
        "uploading": lambda: room.uploads,
        "between": lambda: len(server.of("/fine_tuning/jobs")) == 1,
        "creating": lambda: room.created,
        "polling": lambda: room.looks > 6,
    }[when]
    with open(os.devnull, "w") as nowhere:
        child = subprocess.Popen(command(order), stdout=nowhere, stderr=nowhere)
        until(reached, child)
        child.send_signal(signal.SIGKILL)
        child.wait()
    room.gated, server.faults = (), []
    room.gate.set()
    room.held.clear()
    done = subprocess.run(command(order), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ft:small-1:org::1"
    assert (len(room.uploads), len(room.created)) == (2, 1)
    assert when != "polling" or "Created fine-tuning job" not in done.stderr  # each event once


def test_ctrl_c_at_the_keyboard(order: Order, room: Jobs) -> None:
    room.held.set()
    child = subprocess.Popen(command(order), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: room.looks > 4, child)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 130
    assert "goes on" in said
    assert "Traceback" not in said


def test_a_key_that_a_server_repeats_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERYWRIGHT_SERVER_KEY", "sk-very-secret")
    said = {"error": {"message": "x" * 390 + "sk-very-secret is no key"}}
    with serve(lambda request: Reply(401, said)) as service:
        host = Host(service.url)
        with pytest.raises(HostError) as failed:
            host.ask("list", lambda: host.client.files.list())
    assert "***" in str(failed.value)
    assert "sk-very" not in str(failed.value)


@pytest.mark.parametrize("url", ["http://[::", "http://a:99999999/v1", "ftp://a/v1", "a", "http://"])
def test_an_address_that_is_none_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(QuerywrightError, match="no address"):
        Host(url)


@pytest.mark.parametrize("line", [bytes(range(128, 256)), b"[" * 100_000])
def test_rows_that_are_no_text_are_said(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line)
    with pytest.raises(QuerywrightError, match=":1: not a chat row"):
        read_rows(path)


def test_rows_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    path.write_bytes(b"\xef\xbb\xbf" + row + b"\r\n")
    assert len(read_rows(path)) == 1
