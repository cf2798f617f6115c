"""The table of jobs: whoever claims, dies, comes back or sets the clock, a job has one end."""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from querywright.errors import QuerywrightError
from server.jobs import logs, who
from server.jobs.prune import prune
from server.jobs.table import ARGS_MOST, RESULT_MOST, KeyTaken, NoJob, Table, TooMany, WrongState
from server.jobs.task import LATER_MOST_S, Job

DEAD = who.me().rpartition(":")[0] + ":1"  # this process's number, started at another time
ELSEWHERE = "another:00000000-1:77:5"
NUMBERS = itertools.count(1)


def submit(table: Table, n: int = 0, team: str = "a", **more: Any) -> str:
    return table.submit(team, "add", {"n": n}, **more)


def claimed(table: Table, worker: str = "", job: str | None = None) -> Job:
    found = table.claim(worker or f"worker {next(NUMBERS)}", job)  # each its own: a worker has one job
    assert found is not None
    return found


def texts(table: Table, job: str) -> list[str]:
    return [line.text for line in table.logs(job, most=5000)]


def test_a_job_goes_from_queued_to_done_and_says_so(table: Table) -> None:
    job = table.submit("a", "add", {"n": 1, "text": "é \ud800 \x00 \U0001f9ec"})
    assert table.state(job).state == "queued"
    held = claimed(table)
    assert (held.id, held.kind, held.team, held.attempt) == (job, "add", "a", 1)
    assert held.args == {"n": 1, "text": "é \ud800 \x00 \U0001f9ec"}
    assert held.folder.parent == table.folder / job
    assert table.claim() is None
    assert table.beat(held, "rows", 3, 10) == "on"
    state = table.state(job)
    assert (state.state, state.what, state.done, state.total, state.tries) == ("running", "rows", 3, 10, 1)
    assert table.finish(held, {"score": 0.5})
    assert table.state(job).result == {"score": 0.5}
    assert not table.finish(held, {"score": 1.0})  # once
    shown = table.state(job).plain()
    assert shown["result"] == {"score": 0.5}
    assert shown["ended"].startswith("1970-01-12T13:46:40")
    assert "team" not in shown
    assert texts(table, job)[-1] == "done"


def test_the_same_request_is_the_same_job(table: Table) -> None:
    first = submit(table)
    assert submit(table) == first
    assert submit(table, team="b") != first
    assert submit(table, key="k") != first
    assert submit(table, key="k") == submit(table, key="k")
    with pytest.raises(KeyTaken):
        submit(table, 2, key="k")
    table.finish(claimed(table, job=first), {})
    assert submit(table) == first  # also when it is done


def test_a_team_has_its_most(table: Table) -> None:
    first = submit(table, 1, most=2)
    submit(table, 2, most=2)
    with pytest.raises(TooMany):
        submit(table, 3, most=2)
    assert submit(table, 1, most=2) == first  # the same is no new one
    submit(table, 3, team="b", most=2)
    table.finish(claimed(table, job=first), {})
    submit(table, 3, most=2)
    table.submit("a", "other", {})
    with pytest.raises(TooMany):
        submit(table, 4, most=3)
    last = submit(table, 4, most=3, free=["other"])
    table.cancel(last)
    with pytest.raises(TooMany):
        table.retry(last, most=3)
    assert table.retry(last, most=3, free=["other"]).state == "queued"


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {"x": object()}, [1], {"x": "y" * ARGS_MOST}])
def test_arguments_that_no_table_holds_are_refused(table: Table, bad: Any) -> None:
    with pytest.raises(QuerywrightError, match="arguments"):
        table.submit("a", "add", bad)
    assert table.counts() == {}


def test_a_result_has_a_largest_size_and_is_json(table: Table) -> None:
    submit(table)
    held = claimed(table)
    for bad in ({"x": "y" * RESULT_MOST}, {"x": float("inf")}, None):
        with pytest.raises(QuerywrightError, match="result"):
            table.finish(held, bad)  # type: ignore[arg-type]
    assert table.finish(held, {})


def test_teams_take_turns(table: Table) -> None:
    for n in range(5):
        submit(table, n)
    late = [submit(table, n, team="b") for n in range(2)]
    first, second, third = (claimed(table) for _ in range(3))
    assert (first.team, second.team, second.id) == ("a", "b", late[0])
    assert third.team == "a"  # both have one: who waits longest
    assert [claimed(table).team for _ in range(4)] == ["b", "a", "a", "a"]


def test_nobody_sees_another_teams_job(table: Table) -> None:
    job = submit(table)
    for look in (table.state, table.logs, table.cancel, table.retry):
        with pytest.raises(NoJob):
            look(job, "b")  # type: ignore[operator]
        with pytest.raises(NoJob):
            look("0" * 16, "a")  # type: ignore[operator]
    assert table.listed("b") == []
    assert table.counts("b") == {}
    assert table.state(job, "a").state == "queued"


def test_lists_are_cut_and_go_on(table: Table) -> None:
    ids = [submit(table, n) for n in range(5)]
    table.finish(claimed(table, job=ids[2]), {})
    assert [s.id for s in table.listed("a")] == ids[::-1]
    assert [s.id for s in table.listed("a", most=2, before=ids[3])] == [ids[2], ids[1]]
    assert [s.id for s in table.listed("a", states=["done"])] == [ids[2]]
    assert table.listed("a", kind="other") == []
    assert table.counts("a") == {"queued": 4, "done": 1}


def test_who_lost_a_job_changes_nothing_any_more(table: Table) -> None:
    job = submit(table)
    old = claimed(table, DEAD)
    assert table.reclaim() == [job]
    new = claimed(table)
    assert (new.id, new.attempt) == (job, 2)
    before = table.state(job), texts(table, job)
    assert table.beat(old, "rows", 1, 2) == "lost"
    table.log(old, ["from the dead"])
    for write in (
        lambda: table.finish(old, {"from": "the dead"}), lambda: table.fail(old, "x"), lambda: table.give_back(old),
        lambda: table.fail(old, "x", again=True), lambda: table.later(old, 5, "x"), lambda: table.cancelled(old),
    ):  # fmt: skip
        assert not write()
    assert (table.state(job), texts(table, job)) == before
    assert table.finish(new, {"from": "the living"})


def test_a_job_that_kills_its_workers_is_parked_after_three_tries(table: Table, clocks: Any) -> None:
    poison, innocent = submit(table, 1), submit(table, 2)
    for n in range(3):
        assert claimed(table, DEAD, poison).attempt == n + 1
        assert table.reclaim() == [poison]
        clocks.both(60)
    state = table.state(poison)
    assert (state.state, state.tries) == ("parked", 3)
    assert "died" in state.error
    assert table.claim(job=poison) is None
    assert claimed(table).id == innocent
    with pytest.raises(WrongState):
        table.cancel(poison)
    again = table.retry(poison)
    assert (again.tries, again.error, again.hint) == (0, "", "")
    assert claimed(table, job=poison).attempt == 4


def test_a_message_that_comes_again_takes_the_job_from_the_dead(table: Table) -> None:
    job = submit(table)
    claimed(table, DEAD)
    assert claimed(table, job=job).attempt == 2  # no reclaim in between
    assert table.claim(job=job) is None  # and a third message finds it at work
    assert table.claim(job="0" * 16) is None


def test_what_is_given_back_is_not_counted(table: Table) -> None:
    job = submit(table)
    for n in range(10):
        held = claimed(table)
        assert held.attempt == n + 1
        assert table.give_back(held)
    assert table.state(job).tries == 0


def test_errors_count_and_wait_longer_each_time(table: Table, clocks: Any) -> None:
    job = submit(table)
    for wait in (2.0, 8.0):
        table.fail(claimed(table), "out of luck", again=True)
        clocks.both(wait - 0.1)
        assert table.claim() is None
        clocks.both(0.2)
    table.fail(claimed(table), "out of luck", again=True)
    assert table.state(job).state == "parked"
    other = submit(table, 2)
    table.fail(claimed(table), "no such model", "choose another")
    state = table.state(other)
    assert (state.state, state.error, state.hint, state.tries) == ("failed", "no such model", "choose another", 1)


def test_later_is_not_counted_and_has_an_end(table: Table, clocks: Any) -> None:
    job = submit(table)
    for _ in range(20):
        table.later(claimed(table), 30.0, "MLflow is away")
        assert table.claim() is None
        clocks.both(31)
    assert table.state(job).tries == 0
    assert table.state(job).error == "MLflow is away"
    assert [text.partition(":")[0] for text in texts(table, job)] == ["try 1 began", "put off, tried again every 30 s"]
    worked = claimed(table)
    clocks.both(LATER_MOST_S)
    table.later(worked, 30.0, "MLflow is away")  # it worked for hours, and waits anew
    assert table.state(job).state == "queued"
    clocks.both(LATER_MOST_S + 1)
    table.later(claimed(table), 30.0, "MLflow is away")
    assert table.state(job).state == "failed"
    assert "6 hours" in table.state(job).error
    table.retry(job)
    table.later(claimed(table), 30.0, "MLflow is away")  # counts from the first of these
    assert table.state(job).state == "queued"


def test_who_is_silent_for_a_lease_is_dead_whatever_the_clock_on_the_wall_says(table: Table, clocks: Any) -> None:
    job = submit(table)
    held = claimed(table, ELSEWHERE)
    for jump in (86400.0, -172800.0, 0.0, 3.2e9, -3.2e9):
        clocks.wall += jump
        assert not silent(table, clocks, table.lease_s - 5)
        table.beat(held)
        assert table.reclaim() == []
    assert not silent(table, clocks, table.lease_s)
    clocks.ticks += 2
    assert table.reclaim() == [job]
    assert table.state(job).state == "queued"


def silent(table: Table, clocks: Any, seconds: float) -> list[str]:
    """What is taken back while nobody beats for some seconds, and the table is looked at every five."""
    taken = []
    for _ in range(int(seconds / 5)):
        clocks.ticks += 5.0
        taken += table.reclaim()
    return taken


def test_time_in_which_nobody_could_look_is_no_silence(table: Table, clocks: Any) -> None:
    job = submit(table)
    held = claimed(table, ELSEWHERE)
    assert table.reclaim() == []
    clocks.ticks += 10 * table.lease_s  # the database was away
    assert table.reclaim() == []
    table.beat(held)
    assert not silent(table, clocks, table.lease_s - 5)
    assert table.state(job).state == "running"


@pytest.mark.parametrize("how", ["refused", "late"])
def test_time_in_which_nobody_could_write_is_no_silence(
    table: Table, clocks: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A full disk, a lock that another program holds: what runs can be read, and no beat be written."""
    job = submit(table)
    held = claimed(table, ELSEWHERE)
    assert not silent(table, clocks, table.lease_s)
    clocks.ticks += 6
    write = table._door.write

    def away(work: Any, *more: Any) -> Any:
        if how == "refused":
            raise QuerywrightError("the disk is full", retryable=True)
        clocks.ticks += 20  # it was locked so long, and the take-back is the first to write
        return write(work, *more)

    monkeypatch.setattr(table._door, "write", away)
    if how == "refused":
        with pytest.raises(QuerywrightError, match="full"):
            table.reclaim()
    else:
        assert table.reclaim() == []
    monkeypatch.undo()
    assert table.reclaim() == []
    assert table.beat(held) == "on"
    assert table.state(job).tries == 1
    assert not silent(table, clocks, table.lease_s)
    clocks.ticks += 6
    assert table.reclaim() == [job]  # who stays silent is dead


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A worker's, as far as can be seen: it lives."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as one:
        yield one
        one.kill()


def test_who_claims_has_lost_what_it_had(table: Table, clocks: Any, process: subprocess.Popen[bytes]) -> None:
    """An end that could not be written, a claim whose answer did not come: that costs no job a try, and no other."""
    worker = who.name(process.pid)
    lost, next_, unwanted = (submit(table, n) for n in range(3))
    old = claimed(table, worker, lost)
    claimed(table, worker, unwanted)
    table.cancel(unwanted)
    held = claimed(table, worker, next_)
    assert [row.id for row in table.running()] == [next_]
    assert (table.state(lost).state, table.state(lost).tries) == ("queued", 0)
    assert table.state(unwanted).state == "cancelled"
    assert not table.finish(old, {})
    for _ in range(30):
        clocks.ticks += 5
        assert table.beat(held) == "on"
        assert table.reclaim() == []
    assert process.poll() is None
    assert table.finish(held, {})
    assert table.state(next_).tries == 1


def test_a_claim_whose_answer_is_lost_is_not_held_twice(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the connection ends between the commit and its answer: the door tries again."""
    first, second = submit(table, 1), submit(table, 2)
    write = table._door.write

    def twice(work: Any, *more: Any) -> Any:
        write(work, *more)
        return write(work, *more)

    monkeypatch.setattr(table._door, "write", twice)
    held = claimed(table, job=first)
    monkeypatch.undo()
    assert (held.id, held.attempt) == (first, 2)
    assert [row.id for row in table.running()] == [first]
    assert (table.state(first).tries, table.state(second).state) == (1, "queued")


def test_who_goes_on_with_another_job_is_not_ended_for_its_last(
    table: Table, clocks: Any, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims between the look and what is done about it."""
    worker = who.name(process.pid)
    lost, next_ = submit(table, 1), submit(table, 2)
    claimed(table, worker, lost)
    assert not silent(table, clocks, table.lease_s)
    clocks.ticks += 6
    (seen,) = table.running()
    held = claimed(table, worker, next_)
    monkeypatch.setattr(table, "running", lambda: [seen])
    assert table.reclaim() == []
    assert not table.end_worker(seen, "it took too long", "")
    assert process.poll() is None
    assert table.finish(held, {})


def test_a_worker_that_hangs_is_ended_before_it_can_claim(
    table: Table, opened: Callable[..., Table], clocks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = submit(table), opened()
    claimed(table, ELSEWHERE)
    assert not silent(table, clocks, table.lease_s)
    clocks.ticks += 6
    then: list[str] = []
    monkeypatch.setattr(who, "end", lambda worker: then.append(f"{worker} {other.state(job).state}"))
    assert table.reclaim() == [job]
    assert then == [f"{ELSEWHERE} running"]  # nobody has seen yet that it was taken


def test_a_clock_that_is_set_back_makes_nobody_wait(table: Table, clocks: Any) -> None:
    job = submit(table)
    table.later(claimed(table), 60.0, "away")
    clocks.wall -= 30 * 86400.0
    assert table.unsent() == [job]
    assert claimed(table).id == job


def test_cancelling(table: Table, clocks: Any) -> None:
    waits, runs, hangs = (submit(table, n) for n in range(3))
    assert table.cancel(waits).state == "cancelled"
    assert table.cancel(waits).state == "cancelled"
    held = claimed(table, job=runs)
    assert table.cancel(runs).cancelling
    assert table.beat(held) == "cancel"
    assert table.overdue(10) == []
    clocks.ticks += 11
    assert table.overdue(10) == [runs]
    assert table.cancelled(held)
    assert table.overdue(10) == []
    claimed(table, DEAD, hangs)
    table.cancel(hangs)
    table.reclaim()  # its worker was killed
    assert table.counts() == {"cancelled": 3}
    for job in (waits, runs, hangs):
        assert table.retry(job).state == "queued"
        assert not table.state(job).cancelling
        table.finish(claimed(table, job=job), {})
        with pytest.raises(WrongState):
            table.cancel(job)
        with pytest.raises(WrongState):
            table.retry(job)


def test_what_is_wanted_cancelled_is_not_tried_again(table: Table) -> None:
    ends: list[Callable[[Job], object]] = [
        lambda held: table.fail(held, "x", again=True), table.give_back, lambda held: table.later(held, 1, "x"),
    ]  # fmt: skip
    for n, end in enumerate(ends):
        job = submit(table, n)
        held = claimed(table)
        table.cancel(job)
        end(held)
        assert table.state(job).state == "cancelled"


def test_a_log_keeps_its_newest_lines_and_no_line_is_long_or_moves_a_terminal(table: Table) -> None:
    job = submit(table)
    held = claimed(table)
    table.log(held, ["\x1b[31mred\x07", "x" * 5000, "two\nlines", "é\ud800\x00"])
    shown = texts(table, job)[1:]
    assert shown[0] == " [31mred"
    assert len(shown[1]) == logs.LINE_MOST
    assert all(text.isprintable() for text in shown)
    for n in range(30):
        table.log(held, [f"line {n}.{i}" for i in range(100)])
    kept = table.logs(job, most=10_000)
    assert logs.LINES_MOST <= len(kept) < logs.LINES_MOST + 100
    assert kept[-1].text == "line 29.99"
    assert [line.n for line in kept] == list(range(kept[0].n, kept[-1].n + 1))
    assert [line.n for line in table.logs(job, after=kept[-3].n)] == [kept[-2].n, kept[-1].n]
    table.log(held, [f"all {i}" for i in range(logs.LINES_MOST * 3)])
    assert len(table.logs(job, most=10_000)) == logs.LINES_MOST


def test_messages_are_sent_again_less_and_less_often(table: Table, clocks: Any) -> None:
    job, other = submit(table, 1), submit(table, 2)
    assert table.unsent() == [job, other]
    table.sent(job)
    assert table.unsent() == [other]
    waits = []
    for _ in range(8):
        start = clocks.wall
        while job not in table.unsent():
            clocks.both(60)
        waits.append(clocks.wall - start)
        table.sent(job)
    assert waits == [60, 120, 240, 480, 960, 1920, 1920, 1920]
    table.give_back(claimed(table, job=job))
    assert job in table.unsent()
    table.later(claimed(table, job=job), 50, "away")
    assert job not in table.unsent()


def test_old_jobs_go_with_their_folders(table: Table, clocks: Any) -> None:
    old, runs = submit(table, 1), submit(table, 2)
    for job in (old, runs):
        claimed(table, job=job).folder.mkdir(parents=True)
    table.finish(Job(old, "", "", {}, 1, table.folder), {})
    lost = table.folder / ("0" * 16)
    lost.mkdir()
    os.utime(lost, (0, 0))
    (table.folder / "somebody's").mkdir()
    assert prune(table, 3600) == 0
    clocks.both(3601)
    new = submit(table, 3)
    table.cancel(new)
    assert prune(table, 3600) == 1
    assert sorted(p.name for p in table.folder.iterdir()) == sorted([runs, "somebody's"])
    assert {state.id for state in table.listed()} == {runs, new}
    assert submit(table, 1) != old


def test_many_threads_claim_each_job_once(opened: Callable[..., Table]) -> None:
    table = opened()
    ids = {submit(table, n, team=f"team {n % 3}") for n in range(60)}
    found: list[str] = []

    def go_on() -> None:
        mine, name = opened(), threading.current_thread().name
        while (job := mine.claim(name)) is not None:
            found.append(job.id)
            assert mine.finish(job, {"n": job.args["n"]})

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(ids)
    assert table.counts() == {"done": 60}


def test_who_is_dead() -> None:
    assert not who.gone(who.me())
    assert not who.gone(ELSEWHERE)
    assert not who.gone("nonsense")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = who.name(process.pid)
    assert not who.gone(name)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    assert who.gone(name)
    process.communicate()
    assert who.gone(name)
    if Path("/proc/self/stat").exists():
        assert who.gone(DEAD)


def test_a_process_that_is_hidden_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd's ProtectProc hides those of other users."""

    def hidden(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    worker = who.me()
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not who.gone(worker)


def test_a_forked_process_has_connections_of_its_own(table: Table) -> None:
    job = submit(table)
    held = claimed(table)
    child = os.fork()
    if child == 0:
        done = False
        try:
            done = table.finish(held, {"by": "the child"})
        finally:
            os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert table.state(job).result == {"by": "the child"}
    assert submit(table, 2) != job


def test_a_file_of_a_newer_version_is_refused_and_ours_is_its_owners(tmp_path: Path) -> None:
    Table(tmp_path / "jobs.sqlite", tmp_path / "jobs").close()
    assert stat.S_IMODE((tmp_path / "jobs.sqlite").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "jobs").stat().st_mode) == 0o700
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(QuerywrightError, match="newer Querywright"):
        Table(tmp_path / "jobs.sqlite", tmp_path / "jobs")
    (tmp_path / "other").write_text("no database", encoding="utf-8")
    with pytest.raises(QuerywrightError, match="other"):
        Table(tmp_path / "other", tmp_path / "jobs")


def test_a_file_that_is_deleted_or_something_elses_is_no_table(tmp_path: Path) -> None:
    """What were written into a deleted file would be gone with the process."""
    file = tmp_path / "jobs.sqlite"
    with closing(Table(file, tmp_path / "jobs")) as table:
        job = submit(table, 1)
        file.rename(tmp_path / "away")
        for ask in (lambda: submit(table, 2), lambda: table.state(job)):
            with pytest.raises(QuerywrightError, match="deleted or replaced") as error:
                ask()
            assert error.value.retryable
        (tmp_path / "away").rename(file)
        assert table.state(job).state == "queued"
    with closing(sqlite3.connect(tmp_path / "theirs")) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(QuerywrightError, match="something else wrote it"):
        Table(tmp_path / "theirs", tmp_path / "jobs")
