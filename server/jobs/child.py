"""The workers' parent: starts them, replaces those that die, and ends those that have to be ended.

Each is a process of its own with a session of its own, so that what it started ends with it. One that dies is
replaced at once, and its job given to others; only one that dies before it is ready is waited for, longer each time.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from querywright.errors import QuerywrightError
from server.jobs import who
from server.jobs.prune import KEEP_S, Pruning
from server.jobs.queue import GRACE_S
from server.jobs.table import Table
from server.jobs.worker import READY

log = logging.getLogger("querywright.jobs")

TICK_S = 0.1
LOOK_S = 1.0
LONGEST_S = 12 * 3600.0
"""Seconds that a job may take."""
READY_S = 180.0
"""Seconds that a worker may take to be ready."""
_WAIT_MOST_S = 30.0


@dataclass
class _Child:
    """A place for a worker. `until`: when the next one may be started, or this one has to be ready."""

    process: subprocess.Popen[bytes] | None = None
    name: str = ""
    ready: bool = False
    failures: int = 0
    until: float = 0.0


@dataclass
class Workers:
    """Keeps `n` workers of a table at work.

    Args:
        command: starts one; it ends in `worker.child_main`.
        environment: theirs; None is this process's.
        grace_s: seconds that a worker has to end by itself, and a job that was cancelled.
        longest_s: seconds that a job may take.
        keep_s: seconds that jobs which have ended are kept, with their folders.
    """

    table: Table
    command: Sequence[str]
    n: int = 1
    environment: Mapping[str, str] | None = None
    grace_s: float = GRACE_S
    longest_s: float = LONGEST_S
    keep_s: float = KEEP_S
    _children: list[_Child] = field(init=False, default_factory=list)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)
    _looked: float = field(init=False, default=0.0)
    _since: dict[tuple[str, int], float] = field(init=False, default_factory=dict)  # job, attempt: when first seen

    def start(self) -> None:
        """Keep them at work in a thread, until `close`."""
        self._thread = threading.Thread(target=self.run, name="workers", daemon=True)
        self._thread.start()

    def __post_init__(self) -> None:
        self._pruning = Pruning(self.table, self.keep_s)

    def run(self) -> None:
        """Keep them at work until `stop` is called by a signal's handler or another thread."""
        self._children = [_Child() for _ in range(self.n)]
        try:
            while not self._stop.wait(TICK_S):
                try:
                    self._tick()
                except Exception as error:  # the table is away, no process could be started: goes on when it can
                    log.warning("workers: %s", error)
                    self._stop.wait(LOOK_S)
        finally:
            self._end()

    def stop(self) -> None:
        """Let `run` end: it ends the workers first."""
        self._stop.set()

    def close(self) -> None:
        """End the workers and wait for it: their jobs are given back. Idempotent."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        now = time.monotonic()
        died = False
        for child in self._children:
            if child.process is None:
                if now >= child.until:
                    self._spawn(child, now)
            elif child.process.poll() is not None:
                died = True
                self._buried(child, now)
            elif not child.ready:
                self._hear(child, now)
        if died or now - self._looked >= LOOK_S:
            self._looked = now
            self._look(now)
            self._pruning.look()

    def _spawn(self, child: _Child, now: float) -> None:
        child.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env=None if self.environment is None else dict(self.environment),
        )  # fmt: skip
        assert child.process.stdout
        os.set_blocking(child.process.stdout.fileno(), False)
        child.name, child.ready, child.until = who.name(child.process.pid), False, now + READY_S

    def _hear(self, child: _Child, now: float) -> None:
        assert child.process
        assert child.process.stdout
        if READY in (child.process.stdout.read(len(READY)) or b""):
            child.ready, child.failures = True, 0
        elif now > child.until:
            log.warning("a worker was not ready after %.0f s", READY_S)
            _kill(child)

    def _buried(self, child: _Child, now: float) -> None:
        """A worker has ended: what it started ends too, and another takes its place."""
        process = child.process
        assert process
        if not child.ready:
            self._hear(child, now)
        if not child.ready:
            child.failures += 1
        _kill(child)
        wait = min(_WAIT_MOST_S, 0.5 * 2**child.failures) if child.failures else 0.0
        again = f"another is started in {wait:.0f} s" if wait else "another takes its place"
        log.warning("worker %d ended (%s); %s", process.pid, _how(process.returncode), again)
        _let_go(process)
        child.process, child.until = None, now + wait

    def _look(self, now: float) -> None:
        """Give jobs of dead workers to others; end workers whose job was cancelled or lasts too long."""
        rows = self.table.running()
        mine = {child.name: child for child in self._children if child.process is not None}
        overdue = set(self.table.overdue(self.grace_s))
        self._since = {(r.id, r.attempt): self._since.get((r.id, r.attempt), now) for r in rows}
        for row in rows:
            child = mine.get(row.worker)
            if child is None:
                continue
            if row.id in overdue or now - self._since[row.id, row.attempt] > self.longest_s:
                text = f"it took longer than {self.longest_s / 3600:.1f} hours"
                if self.table.end_worker(row, text, "make it smaller"):  # else it has another job by now
                    _kill(child)
        self.table.reclaim()

    def _end(self) -> None:
        """End the workers: in order, then by force; a job that did not notice is given back all the same."""
        there = [child for child in self._children if child.process is not None]
        for child in there:
            assert child.process
            with suppress(ProcessLookupError):
                child.process.terminate()
        until = time.monotonic() + self.grace_s
        ours = set()
        for child in there:
            assert child.process
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, until - time.monotonic()))
            if child.process.returncode in (None, 0):  # not one that died; in order, it may not have reached the table
                ours.add(child.name)
            _kill(child)
            _let_go(child.process)
            child.process = None
        try:
            for row in self.table.running() if ours else ():
                if row.worker in ours:
                    self.table.let_go(row.worker)
        except QuerywrightError as error:
            log.warning("workers: %s", error)


def _kill(child: _Child) -> None:
    """End a worker and all that it started."""
    process = child.process
    assert process
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
