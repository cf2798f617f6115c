"""Any order of claims, ends, deaths, cancels, retries and clock jumps: no job is lost, and each has one result."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.jobs import who
from server.jobs.table import Table, WrongState
from server.jobs.task import ENDED, TRIES, Job

DEAD = who.me().rpartition(":")[0] + ":1"
ELSEWHERE = "another:00000000-1:77:5"
HOW = st.sampled_from(["finish", "fail", "again", "later", "give_back", "cancelled", "beat", "log"])


class Jobs(RuleBasedStateMachine):
    """Two processes at one table; `held` are claims, the living's and the dead's alike."""

    def __init__(self) -> None:
        super().__init__()
        self.wall, self.ticks = 1e9, 0.0
        self.home = tempfile.TemporaryDirectory()
        folder = Path(self.home.name)
        clocks: dict[str, Any] = {"clock": lambda: self.wall, "ticks": lambda: self.ticks}
        self.tables = [Table(folder / "jobs.sqlite", folder / "jobs", backoff_s=0.0, **clocks) for _ in range(2)]
        self.jobs: list[str] = []
        self.held: list[Job] = []
        self.results: dict[str, Any] = {}

    @rule(n=st.integers(0, 1), team=st.sampled_from("ab"))
    def submit(self, n: int, team: str) -> None:
        job = self.tables[0].submit(team, "k", {"n": n})
        if job not in self.jobs:
            self.jobs.append(job)

    @rule(which=st.integers(0, 1), worker=st.sampled_from(["", DEAD, ELSEWHERE]))
    def claim(self, which: int, worker: str) -> None:
        found = self.tables[which].claim(worker)
        if found is not None:
            assert (found.id, found.attempt) not in {(j.id, j.attempt) for j in self.held}  # each number once
            self.held.append(found)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1), how=HOW, data=st.data())
    def write(self, which: int, how: str, data: st.DataObject) -> None:
        table, job = self.tables[which], data.draw(st.sampled_from(self.held))
        before = table.state(job.id)
        holds = before.state == "running" and before.attempt == job.attempt
        if how == "finish":
            assert table.finish(job, {"attempt": job.attempt}) == holds
        elif how in ("fail", "again"):
            assert table.fail(job, "x", again=how == "again") == holds
        elif how == "later":
            assert table.later(job, 100.0, "away") == holds
        elif how == "beat":
            assert (table.beat(job, "rows", 1) == "lost") == (not holds)
        elif how == "log":
            table.log(job, ["hello"])
        else:
            assert getattr(table, how)(job) == holds
        if not holds:
            assert table.state(job.id) == before

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), retry=st.booleans())
    def ask(self, data: st.DataObject, retry: bool) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        before = self.tables[1].state(job)
        try:
            (self.tables[1].retry if retry else self.tables[1].cancel)(job)
        except WrongState:
            assert before.state not in (("failed", "parked", "cancelled") if retry else ("queued", "running"))

    @rule(which=st.integers(0, 1))
    def reclaim(self, which: int) -> None:
        taken = self.tables[which].reclaim()
        assert len(taken) == len(set(taken))

    @rule(seconds=st.sampled_from([1.0, 25.0, 30.0]), jump=st.sampled_from([0.0, 0.0, 1e5, -1e5]))
    def wait(self, seconds: float, jump: float) -> None:
        self.ticks += seconds
        self.wall += seconds + jump

    @invariant()
    def results_stay_and_tries_are_counted(self) -> None:
        there = self.tables[0].listed()
        workers = [row.worker for row in self.tables[0].running()]
        assert len(workers) == len(set(workers))
        for job in there:
            assert 0 <= job.tries <= TRIES
            assert (job.result is not None) == (job.state == "done")
            assert job.state != "parked" or job.tries == TRIES
            assert (job.ended is not None) == (job.state in ENDED)
            if job.state == "done":
                assert self.results.setdefault(job.id, job.result) == job.result
        assert {job.id for job in there} == set(self.jobs)

    def teardown(self) -> None:
        table = self.tables[0]
        for _ in range(3):  # all that was left behind is taken back, and done
            for _ in range(15):
                table.reclaim()
                self.ticks += 5.0
            self.wall += 4000.0
            while (job := table.claim()) is not None:
                assert table.finish(job, {"attempt": job.attempt})
            for row in table.running():  # the living's, who never came back
                table.give_back(Job(row.id, "", "", {}, row.attempt, table.folder))
        assert all(state.state in ENDED for state in table.listed())
        for one in self.tables:
            one.close()
        self.home.cleanup()


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=12, stateful_step_count=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
