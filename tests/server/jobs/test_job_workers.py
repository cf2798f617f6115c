"""Workers as processes, killed in every way: each result once, none lost, poison parked, the innocent done."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from server.jobs import who
from server.jobs.child import Workers, _Child, _kill
from server.jobs.table import Table
from server.jobs.task import Job

CHILD = Path(__file__).with_name("job_child.py")
BACKOFF_S = 0.05
STEPS = 2000  # far more than are done before a test has killed or stopped what does them


@pytest.fixture
def table(where: str, tmp_path: Path) -> Iterator[Table]:
    opened = Table(where, tmp_path / "jobs", backoff_s=BACKOFF_S)
    yield opened
    opened.close()


@pytest.fixture
def file_table(tmp_path: Path) -> Iterator[Table]:
    opened = Table(tmp_path / "jobs.sqlite", tmp_path / "jobs", backoff_s=BACKOFF_S)
    yield opened
    opened.close()


@pytest.fixture
def at_work() -> Iterator[Callable[..., Workers]]:
    """Starts workers of a table."""
    there: list[Workers] = []

    def start(table: Table, where: object, n: int = 1, **more: Any) -> Workers:
        there.append(Workers(table, command(table, where), n, **more))
        there[-1].start()
        return there[-1]

    yield start
    for one in there:
        one.close()


def command(table: Table, where: object) -> list[str]:
    return [sys.executable, str(CHILD), str(where), str(table.folder)]


def until(wanted: Callable[[], object], seconds: float = 180.0, every: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, "it did not come"
        time.sleep(every)


def state(table: Table, job: str) -> str:
    return table.state(job).state


def steps_of(table: Table, job: str) -> int:
    kept = table.folder / job / "work" / "steps"
    return len(kept.read_text(encoding="utf-8").split()) if kept.exists() else 0


def hurry(table: Table, job: str) -> None:
    """Nothing waits for the job's steps any more."""
    (table.folder / job / "work" / "hurry").touch()


def pids(workers: Workers) -> list[int]:
    """Process ids of the workers that are ready."""
    ready = [child.process for child in workers._children if child.process and child.ready]
    return [process.pid for process in ready if process.returncode is None]


def ready_pid(workers: Workers) -> int:
    """The process id of the one worker; it may have been at work before its parent heard that it is ready."""
    until(lambda: pids(workers))
    return pids(workers)[0]


def stopped(pid: int) -> bool:
    """Stop a worker, and wait until it stands still; False where it has died."""
    try:
        os.kill(pid, signal.SIGSTOP)
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED  # type: ignore[union-attr]
    except (ProcessLookupError, ChildProcessError):  # its parent has buried it already
        return False


def kill_one(table: Table, workers: Workers, draw: random.Random, poison: str) -> bool:
    """Kill a worker wherever it is, unless it works on the poison, which kills by itself, or on a job that has lost two
    tries: the third would rightly park it. It is stopped first, so that it is still where it was looked at."""
    if not (there := pids(workers)) or not stopped(victim := draw.choice(there)):
        return False
    name = who.name(victim)
    spared = any(row.worker == name and (row.tries >= 3 or row.id == poison) for row in table.running())
    os.kill(victim, signal.SIGCONT if spared else signal.SIGKILL)
    return not spared


def test_every_job_has_its_result_once_though_workers_are_killed(
    table: Table, where: str, at_work: Callable[..., Workers]
) -> None:
    draw = random.Random(5)
    poison = table.submit("team 0", "poison", {})
    small = 60 if table.path else 25
    ids = [table.submit(f"team {n % 2}", "add", {"n": n}) for n in range(small)]
    workers = at_work(table, where, 2)
    results: dict[str, Any] = {}
    killed, next_kill = 0, 3

    def over() -> bool:
        nonlocal killed, next_kill
        for done in table.listed(states=["done"], most=1000):  # a result never changes
            assert results.setdefault(done.id, done.result) == done.result
        if len(results) >= next_kill and kill_one(table, workers, draw, poison):
            killed, next_kill = killed + 1, len(results) + draw.randint(8, 16)
        if len(results) == len(ids) and killed < 2:  # they were quicker than who kills them
            ids.extend([table.submit("team 0", "add", {"n": n}) for n in range(len(ids), len(ids) + 10)])
        return len(results) == len(ids) and state(table, poison) == "parked"

    until(over, 600, 0.1)
    assert [table.state(job).result for job in ids] == [{"twice": 2 * n} for n in range(len(ids))]
    assert table.state(poison).tries == 3
    assert [line.text for line in table.logs(poison)].count("about to die") == 3
    assert table.counts() == {"done": len(ids), "parked": 1}


def test_a_job_goes_on_where_its_worker_was_killed_and_its_worker_s_end_in_order_is_not_counted(
    file_table: Table, at_work: Callable[..., Workers]
) -> None:
    table = file_table
    job = table.submit("a", "steps", {"n": STEPS})
    workers = at_work(table, table.path)
    until(lambda: steps_of(table, job) >= 5)
    os.kill(ready_pid(workers), signal.SIGKILL)
    until(lambda: table.state(job).attempt == 2 and steps_of(table, job) >= 15)
    workers.close()
    found = table.state(job)
    assert (found.state, found.tries) == ("queued", 1)
    assert pids(workers) == []
    hurry(table, job)
    at_work(table, table.path)
    until(lambda: state(table, job) == "done")
    result = table.state(job).result
    assert result == {"steps": [str(n) for n in range(STEPS)], "attempt": 3}
    assert table.state(job).tries == 2


def test_workers_end_when_their_parent_is_killed_and_another_goes_on(
    file_table: Table, at_work: Callable[..., Workers], tmp_path: Path
) -> None:
    table = file_table
    job, deaf = table.submit("a", "steps", {"n": STEPS}), table.submit("b", "deaf", {})
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from server.jobs.child import Workers\nfrom server.jobs.table import Table\n"
        "Workers(Table(sys.argv[1], Path(sys.argv[2])), sys.argv[3:], 2).run()\n",
        encoding="utf-8",
    )
    arguments = [str(table.path), str(table.folder), *command(table, table.path)]
    parent = subprocess.Popen([sys.executable, str(script), *arguments])
    try:
        until(lambda: steps_of(table, job) >= 5 and (table.folder / deaf / "work" / "began").exists())
        workers = [row.worker for row in table.running()]
    finally:
        parent.kill()
        parent.wait()
    until(lambda: all(map(who.gone, workers)))
    assert len(workers) == 2
    for one in (job, deaf):  # they had the time to give them back, also the one that hears nothing
        found = table.state(one)
        assert (found.state, found.tries) == ("queued", 0)
    table.cancel(deaf)
    hurry(table, job)
    at_work(table, table.path)
    until(lambda: state(table, job) == "done")
    assert steps_of(table, job) == STEPS


def test_a_job_that_hears_nothing_is_ended_when_it_is_cancelled_or_takes_too_long_or_its_worker_stops(
    file_table: Table, at_work: Callable[..., Workers]
) -> None:
    table = file_table
    cancelled = table.submit("a", "deaf", {"n": 1})
    workers = at_work(table, table.path, grace_s=0.3)
    until(lambda: (table.folder / cancelled / "work" / "began").exists())
    table.cancel(cancelled)
    until(lambda: state(table, cancelled) == "cancelled")
    workers.longest_s = 0.5
    long = table.submit("a", "deaf", {"n": 2})
    until(lambda: state(table, long) == "failed")
    assert "longer than" in table.state(long).error
    workers.longest_s = 60.0
    innocent = table.submit("a", "deaf", {"n": 3})
    until(lambda: (table.folder / innocent / "work" / "began").exists())
    workers.close()
    found = table.state(innocent)
    assert (found.state, found.tries) == ("queued", 0)


def test_a_worker_that_hangs_loses_its_job_and_cannot_finish_it(
    file_table: Table, at_work: Callable[..., Workers]
) -> None:
    """Stopped, not killed: it lives, and says nothing."""
    table = file_table
    assert table.path
    job = table.submit("a", "steps", {"n": STEPS})
    workers = at_work(table, table.path)
    until(lambda: steps_of(table, job) >= 3)
    worker = ready_pid(workers)

    def hangs() -> bool:
        """Where it writes to the table, nobody else could."""
        assert stopped(worker)
        with closing(sqlite3.connect(str(table.path), timeout=0.0)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(worker, signal.SIGCONT)
                return False
        return True

    until(hangs)
    hurry(table, job)
    with closing(Table(table.path, table.folder, lease_s=1.0)) as other:
        until(lambda: other.reclaim() == [job])  # not its parent: it must not keep its place and the job's folder
    until(lambda: state(table, job) == "done")
    found = table.state(job)
    assert found.result == {"steps": [str(n) for n in range(STEPS)], "attempt": found.attempt}
    assert found.tries == 2
    assert not table.finish(Job(job, "steps", "a", {}, 1, table.folder), {"from": "the dead"})


def test_workers_that_do_not_start_are_not_started_over_and_over(file_table: Table, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = f"open({str(begun)!r}, 'a').write('x'); raise SystemExit(2)"
    workers, start = Workers(file_table, [sys.executable, "-S", "-c", script]), time.monotonic()
    workers.start()
    try:
        until(lambda: begun.exists() and len(begun.read_text(encoding="utf-8")) == 3)
        assert time.monotonic() - start >= 1 + 2  # longer each time
    finally:
        workers.close()


def placed(table: Table, code: str) -> tuple[Workers, _Child]:
    """Workers with one child that works on a job, as the table says, and runs some code."""
    process = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
    child = _Child(process, who.name(process.pid), ready=True)
    workers = Workers(table, [])
    workers._children.append(child)
    return workers, child


def test_a_worker_that_ended_in_order_and_could_not_say_so_costs_no_try(file_table: Table) -> None:
    job = file_table.submit("a", "deaf", {})
    for code, tries in (("", 0), ("raise SystemExit(1)", 1)):
        workers, child = placed(file_table, code)
        assert file_table.claim(child.name, job)
        assert child.process
        child.process.wait()
        workers._end()
        file_table.reclaim()
        found = file_table.state(job)
        assert (found.state, found.tries) == ("queued", tries)


def test_a_worker_that_has_gone_on_is_not_ended_for_what_it_had(
    file_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims between the look and what is done about it."""
    table = file_table
    workers, child = placed(table, "import time; time.sleep(600)")
    try:
        assert child.process
        last, next_ = (table.submit("a", "deaf", {"n": n}) for n in range(2))
        held = table.claim(child.name, last)
        assert held
        seen = table.running()
        assert table.finish(held, {})
        assert table.claim(child.name, next_)
        running = table.running
        with monkeypatch.context() as patched:
            patched.setattr(table, "running", lambda: seen)
            workers.longest_s = -1.0
            workers._look(0.0)
        assert child.process.poll() is None
        assert [row.id for row in running()] == [next_]
        workers._look(0.0)
        assert child.process.poll() == -signal.SIGKILL
        assert "longer than" in table.state(next_).error
    finally:
        _kill(child)
