"""Workers as processes, killed in every way: each result once, none lost, poison parked, the innocent done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from server.jobs import who
from server.jobs.child import Workers, _Child, _kill
from server.jobs.table import Table
from server.jobs.task import Job

CHILD = Path(__file__).with_name("job_child.py")
QUICK: dict[str, Any] = {"backoff_s": 0.05, "lease_s": 3.0}


@pytest.fixture
def table(where: str, tmp_path: Path) -> Iterator[Table]:
    opened = Table(where, tmp_path / "jobs", **QUICK)
    yield opened
    opened.close()


@pytest.fixture
def file_table(tmp_path: Path) -> Iterator[Table]:
    opened = Table(tmp_path / "jobs.sqlite", tmp_path / "jobs", **QUICK)
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


def until(wanted: Callable[[], object], seconds: float = 60.0, every: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, "it did not come"
        time.sleep(every)


def state(table: Table, job: str) -> str:
    return table.state(job).state


def steps_of(table: Table, job: str) -> int:
    kept = table.folder / job / "work" / "steps"
    return len(kept.read_text(encoding="utf-8").split()) if kept.exists() else 0


def pids(workers: Workers) -> list[int]:
    """Process ids of the workers that are ready."""
    ready = [child.process for child in workers._children if child.process and child.ready]
    return [process.pid for process in ready if process.returncode is None]


def kill_one(table: Table, workers: Workers, draw: random.Random) -> bool:
    """Kill a worker wherever it is, unless it works on a job that has lost two tries: the third would rightly park it.
    It is stopped first, so that it is still where it was looked at."""
    if not (there := pids(workers)):
        return False
    victim = draw.choice(there)
    os.kill(victim, signal.SIGSTOP)
    name = who.name(victim)
    third = any(row.worker == name and row.tries >= 3 for row in table.running())
    os.kill(victim, signal.SIGCONT if third else signal.SIGKILL)
    return not third


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
        if len(results) >= next_kill and kill_one(table, workers, draw):
            killed, next_kill = killed + 1, len(results) + draw.randint(8, 16)
        if len(results) == len(ids) and killed < 2:  # they were quicker than who kills them
            ids.extend([table.submit("team 0", "add", {"n": n}) for n in range(len(ids), len(ids) + 10)])
        return len(results) == len(ids) and state(table, poison) == "parked"

    until(over, 120, 0.1)
    assert [table.state(job).result for job in ids] == [{"twice": 2 * n} for n in range(len(ids))]
    assert table.state(poison).tries == 3
    assert [line.text for line in table.logs(poison)].count("about to die") == 3
    assert table.counts() == {"done": len(ids), "parked": 1}


def test_a_job_goes_on_where_its_worker_was_killed_and_its_worker_s_end_in_order_is_not_counted(
    file_table: Table, at_work: Callable[..., Workers]
) -> None:
    table = file_table
    job = table.submit("a", "steps", {"n": 60})
    workers = at_work(table, table.path)
    until(lambda: steps_of(table, job) >= 5)
    os.kill(pids(workers)[0], signal.SIGKILL)
    until(lambda: table.state(job).attempt == 2 and steps_of(table, job) >= 15)
    workers.close()
    found = table.state(job)
    assert (found.state, found.tries) == ("queued", 1)
    assert pids(workers) == []
    at_work(table, table.path)
    until(lambda: state(table, job) == "done")
    result = table.state(job).result
    assert result == {"steps": [str(n) for n in range(60)], "attempt": 3}
    assert table.state(job).tries == 2


def test_workers_end_when_their_parent_is_killed_and_another_goes_on(
    file_table: Table, at_work: Callable[..., Workers], tmp_path: Path
) -> None:
    table = file_table
    job, deaf = table.submit("a", "steps", {"n": 60}), table.submit("b", "deaf", {})
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
    at_work(table, table.path)
    until(lambda: state(table, job) == "done")
    assert steps_of(table, job) == 60


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
    job = table.submit("a", "steps", {"n": 30})
    workers = at_work(table, table.path)
    until(lambda: steps_of(table, job) >= 3)
    os.kill(pids(workers)[0], signal.SIGSTOP)
    other = Table(table.path, table.folder, lease_s=1.0)  # type: ignore[arg-type]
    until(lambda: other.reclaim() == [job])  # not its parent: it must not keep its place and the job's folder
    other.close()
    until(lambda: state(table, job) == "done")
    found = table.state(job)
    assert found.result == {"steps": [str(n) for n in range(30)], "attempt": found.attempt}
    assert found.tries == 2
    assert not table.finish(Job(job, "steps", "a", {}, 1, table.folder), {"from": "the dead"})


def test_workers_that_do_not_start_are_not_started_over_and_over(file_table: Table, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = f"open({str(begun)!r}, 'a').write('x'); raise SystemExit(2)"
    workers = Workers(file_table, [sys.executable, "-S", "-c", script])
    workers.start()
    time.sleep(2.5)
    workers.close()
    assert 1 <= len(begun.read_text(encoding="utf-8")) <= 3


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
