"""One job in this process: what its task says, raises and hears, and what the table says of it then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from querywright.artefacts import alone
from querywright.errors import QuerywrightError
from querywright.progress import say, track
from server.jobs import queue
from server.jobs import work as job_work
from server.jobs.queue import look
from server.jobs.table import RESULT_MOST, Table
from server.jobs.task import Halt, Job, Later
from server.jobs.work import work
from server.jobs.worker import run

BEAT_S = 0.05


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    opened = Table(tmp_path / "jobs.sqlite", tmp_path / "jobs", backoff_s=0.0)
    yield opened
    opened.close()


def worked(table: Table, task: Callable[[Job], Any], stop: threading.Event | None = None) -> Any:
    """The state of a job after one try."""
    job = table.submit("a", "it", {"n": time.monotonic_ns()})
    held = table.claim(job=job)
    assert held is not None
    work(table, {"it": task}, held, stop, BEAT_S)
    return table.state(job)


def until(wanted: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def raising(error: BaseException) -> Callable[[Job], dict[str, Any]]:
    def task(job: Job) -> dict[str, Any]:
        raise error

    return task


def test_what_a_task_says_is_its_log_and_its_progress(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    def task(job: Job) -> dict[str, Any]:
        say("first\nsecond")
        for _ in track(range(3), "rows"):
            time.sleep(BEAT_S * 2)
        say("last")
        return {"folder": job.folder.is_dir()}

    state = worked(table, task)
    assert state.result == {"folder": True}
    assert (state.what, state.done, state.total) == ("rows", 3, 3)
    assert [line.text for line in table.logs(state.id)][1:] == ["first", "second", "last", "done"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "state", "tries"),
    [
        (QuerywrightError("no such model", hint="another"), "failed", 1),
        (QuerywrightError("busy", retryable=True), "queued", 1),
        (Later(60, "MLflow is away"), "queued", 0),
        (RuntimeError("out of luck"), "queued", 1),
        (MemoryError(), "queued", 1),
        (SystemExit(130), "queued", 1),
        (Halt("lost"), "running", 1),
    ],
)
def test_what_a_task_raises_decides(table: Table, error: BaseException, state: str, tries: int) -> None:
    found = worked(table, raising(error))
    assert (found.state, found.tries) == (state, tries)
    assert state == "running" or str(error) in table.logs(found.id)[-1].text


def test_an_interrupt_gives_the_job_back(table: Table) -> None:
    with pytest.raises(KeyboardInterrupt):
        worked(table, raising(KeyboardInterrupt()))
    assert [(s.state, s.tries) for s in table.listed()] == [("queued", 0)]


@pytest.mark.parametrize("result", [None, [1], {"x": {1, 2}}, {"x": "y" * RESULT_MOST}, {"x": float("nan")}])
def test_a_result_that_is_none_fails_the_job(table: Table, result: Any) -> None:
    state = worked(table, lambda job: result)
    assert state.state == "failed"
    assert "result" in state.error


def test_a_task_that_nobody_knows_fails_the_job(table: Table) -> None:
    table.submit("a", "other", {})
    held = table.claim()
    assert held is not None
    work(table, {}, held)
    assert "'other'" in table.state(held.id).error


def test_a_job_that_is_cancelled_ends_where_it_speaks_next(table: Table) -> None:
    seen = []

    def task(job: Job) -> dict[str, Any]:
        table.cancel(job.id)
        for n in track(range(1000), "rows"):
            try:
                time.sleep(0.01)
                seen.append(n)
            except Exception:  # a stage that goes on after what goes wrong in a row
                continue
        return {}

    assert worked(table, task).state == "cancelled"
    assert len(seen) < 1000


def test_a_worker_that_stops_gives_its_job_back(table: Table) -> None:
    stop = threading.Event()

    def task(job: Job) -> dict[str, Any]:
        stop.set()
        say("hello")
        return {}

    state = worked(table, task, stop)
    assert (state.state, state.tries) == ("queued", 0)
    assert worked(table, task, stop).tries == 0  # one that was claimed as the worker stopped does not begin


def test_a_job_that_was_taken_away_ends_and_its_result_is_dropped(table: Table) -> None:
    def taken(job: Job) -> dict[str, Any]:
        table.give_back(job)
        assert table.claim("another:0:1:1", job.id) is not None
        for _ in track(range(1000), "rows"):
            time.sleep(0.01)
        return {}

    assert worked(table, taken).state == "running"

    def deaf(job: Job) -> dict[str, Any]:
        table.give_back(job)
        assert table.claim("another:0:1:1", job.id) is not None
        return {"from": "the dead"}

    state = worked(table, deaf)
    assert (state.state, state.result) == ("running", None)


def test_a_job_whose_old_worker_is_still_in_its_folder_waits_uncounted(table: Table) -> None:
    job, start = table.submit("a", "it", {}), time.time()
    with alone(table.folder / job):
        held = table.claim()
        assert held is not None
        work(table, {"it": lambda job: {}}, held)
    state = table.state(job)
    assert (state.state, state.tries) == ("queued", 0)
    assert state.ready > start + 5
    assert str(table.folder) not in state.error  # teams read it


def test_a_table_that_is_away_for_a_moment_costs_neither_result_nor_lines(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = {"finish": 2, "beat": 3, "log": 2}
    for name in away:

        def flaky(*args: Any, name: str = name, real: Any = getattr(table, name)) -> Any:
            if name == "log" and not args[1]:
                return None
            if away[name]:
                away[name] -= 1
                raise QuerywrightError("the table is away", retryable=True)
            return real(*args)

        monkeypatch.setattr(table, name, flaky)
    monkeypatch.setattr("server.jobs.work._INSIST_S", (0.0, 0.0, 0.0))

    def task(job: Job) -> dict[str, Any]:
        for n in range(5):
            say(f"line {n}")
            time.sleep(BEAT_S * 2)
        until(lambda: not away["beat"] and not away["log"])
        return {"ok": 1}

    state = worked(table, task)
    assert state.result == {"ok": 1}
    assert [line.text for line in table.logs(state.id)][1:-1] == [f"line {n}" for n in range(5)]
    assert away == {"finish": 0, "beat": 0, "log": 0}


def test_an_end_is_written_however_long_the_table_is_away_and_tried_once_where_the_worker_ends(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.work._INSIST_S", (0.0,))
    finish, left = table.finish, iter(range(50))

    def away(*args: Any) -> bool:
        if next(left, None) is not None:
            raise QuerywrightError("the table is away", retryable=True)
        return finish(*args)

    monkeypatch.setattr(table, "finish", away)
    assert worked(table, lambda job: {"ok": 1}).result == {"ok": 1}
    left, stop = iter(range(50)), threading.Event()

    def ends(job: Job) -> dict[str, Any]:
        stop.set()
        return {}

    with pytest.raises(QuerywrightError, match="away"):
        worked(table, ends, stop)
    assert next(left) == 1
    table.let_go()  # as its parent does for it
    assert table.counts() == {"done": 1, "queued": 1}


@pytest.mark.parametrize("lost", ["claim", "end"])
def test_what_a_worker_could_not_write_or_hear_costs_no_try(
    table: Table, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr("server.jobs.worker.AWAY_S", 0.0)
    ids = [table.submit("a", "it", {"n": n}) for n in range(2)]
    claim, insist, first, ran = table.claim, job_work.insist, iter([True]), list[str]()

    def away(*args: Any) -> Any:
        if next(first, False):
            if lost == "claim":
                claim()  # it has a job, and does not hear of it
            raise QuerywrightError("the table is away")
        return claim() if lost == "claim" else insist(*args)

    def it(job: Job) -> dict[str, Any]:
        ran.append(job.id)
        assert [row.id for row in table.running()] == [job.id]
        return {"n": job.args["n"]}

    monkeypatch.setattr(*((table, "claim") if lost == "claim" else (job_work, "insist")), away)
    assert run(table, {"it": it}, threading.Event(), most=2) == 2
    assert [(state.result, state.tries) for state in map(table.state, ids)] == [({"n": 0}, 1), ({"n": 1}, 1)]
    assert ran == (ids if lost == "claim" else [ids[0], *ids])


def test_the_loop_works_until_it_is_told_to_stop(table: Table) -> None:
    ids = [table.submit("a", "it", {"n": n}) for n in range(5)]
    assert run(table, {"it": lambda job: {"n": job.args["n"]}}, threading.Event(), most=3) == 3
    stop = threading.Event()

    def tell() -> None:
        until(lambda: table.counts() == {"done": 5})
        stop.set()

    threading.Thread(target=tell).start()
    assert run(table, {"it": lambda job: {"n": job.args["n"]}}, stop) == 2
    assert [table.state(job).result for job in ids] == [{"n": n} for n in range(5)]


class Broker:
    """Loses the first messages, and is away for a while."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.revoked: list[str] = []
        self.away = True

    def send(self, job: str) -> None:
        if self.away:
            raise ConnectionError("the broker is away")
        self.sent.append(job)

    def revoke(self, job: str) -> None:
        self.revoked.append(job)

    def close(self) -> None: ...


def test_what_is_queued_is_sent_when_the_broker_is_back(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "GRACE_S", 0.0)
    broker = Broker()
    ids = [table.submit("a", "it", {"n": n}) for n in range(3)]
    assert table.claim(job=ids[2]) is not None
    table.cancel(ids[2])
    look(table, broker)
    assert (broker.sent, broker.revoked) == ([], [ids[2]])
    broker.away = False
    look(table, broker)
    look(table, broker)
    assert broker.sent == ids[:2]


def test_lines_that_two_threads_write_stay_in_their_order(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.submit("a", "it", {})
    job = table.claim()
    assert job is not None
    written, stalled, on = [], threading.Event(), threading.Event()

    def slow(job: Job, lines: list[str]) -> None:
        if "first" in lines:
            stalled.set()
            on.wait(60)
        written.extend(lines)

    monkeypatch.setattr(table, "log", slow)
    hearing = job_work.Hearing(table, job, threading.Event())
    hearing._flushed = time.monotonic() + 3600  # said, and written by whom the test has write
    hearing.said("first")
    threads = [threading.Thread(target=hearing._flush) for _ in range(2)]
    threads[0].start()
    assert stalled.wait(60)
    hearing._flushed = time.monotonic() + 3600
    hearing.said("second")
    threads[1].start()
    threads[1].join(0.3)  # with nothing in its way it would be done
    on.set()
    for thread in threads:
        thread.join()
    assert written == ["first", "second"]
