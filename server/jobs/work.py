"""One job, worked on by this process: its task, its beats, its log, and what becomes of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import chain, repeat
from typing import TypeVar

from querywright.artefacts import alone
from querywright.errors import QuerywrightError
from querywright.progress import heard
from server.jobs.table import Table
from server.jobs.task import Halt, Job, Later, Task

log = logging.getLogger("querywright.jobs")

BEAT_S = 2.0
FLUSH_S = 0.25
"""Seconds between two writes of a log: a task that says much costs one write for many lines."""
BUFFER_MOST = 1000
"""Lines that wait while the table can't be written; the oldest go."""
ELSEWHERE_S = 10.0
"""Seconds until a job is tried again that a worker, taken for dead, still works on."""
_INSIST_S = (0.2, 1.0, 5.0, 15.0)
T = TypeVar("T")


class Hearing:
    """What a job says goes to its log; a thread tells the table that the job lives, and hears whether it may go on.

    Args:
        stop: set where the worker has to end.
    """

    def __init__(self, table: Table, job: Job, stop: threading.Event, beat_s: float = BEAT_S) -> None:
        self._table, self._job, self._stop, self._beat_s = table, job, stop, beat_s
        self._lines: list[str] = []
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._at: tuple[str, int, int | None] = ("", 0, None)
        self._written: tuple[str, int, int | None] = self._at
        self._flushed = 0.0
        self._why = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"beats of {job.id}", daemon=True)

    def __enter__(self) -> Hearing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._flush()
        if self._at != self._written:  # how far it came
            self._beat()

    def said(self, text: str) -> None:
        """See `progress.Listener`.

        Raises:
            Halt: the job must not go on.
        """
        with self._lock:
            self._lines = [*self._lines, *text.splitlines()][-BUFFER_MOST:]
        if time.monotonic() - self._flushed >= FLUSH_S:
            self._flush()
        self._go_on()

    def moved(self, what: str, done: int, total: int | None) -> None:
        """See `progress.Listener`.

        Raises:
            Halt: the job must not go on.
        """
        self._at = (what, done, total)
        self._go_on()

    def _go_on(self) -> None:
        if why := self._why or ("stop" if self._stop.is_set() else ""):
            raise Halt(why)

    def _live(self) -> None:
        beaten = time.monotonic()
        while not self._ended.wait(min(FLUSH_S, self._beat_s)):
            self._flush()
            if (now := time.monotonic()) - beaten < self._beat_s:
                continue
            beaten = now
            self._beat()

    def _beat(self) -> None:
        at = self._at
        try:
            heard_ = self._table.beat(self._job, *at)
        except Exception as error:  # the table is away: the job goes on as long as its lease
            log.warning("job %s: %s", self._job.id, error)
            return
        self._written = at
        if heard_ != "on" and not self._why:
            self._why = heard_

    def _flush(self) -> None:
        with self._writing:  # two threads do, and lines stay in their order
            with self._lock:
                lines, self._lines = self._lines, []
                self._flushed = time.monotonic()
            try:
                self._table.log(self._job, lines)
            except Exception as error:
                log.warning("job %s: %s", self._job.id, error)
                with self._lock:
                    self._lines = [*lines, *self._lines][-BUFFER_MOST:]


def work(
    table: Table, tasks: Mapping[str, Task], job: Job, stop: threading.Event | None = None, beat_s: float = BEAT_S
) -> None:
    """Work on a claimed job to its end, whatever that is, and write it to the table.

    Args:
        stop: set by another thread where the worker has to end; the job is given back then.

    Raises:
        QuerywrightError: the table can't be written, and the worker has to end or waiting does not help. Its next
            claim gives the job back; others take it back where there is none.
        KeyboardInterrupt: the worker is interrupted; the job was given back.
    """
    stop = stop or threading.Event()
    if stop.is_set():
        table.give_back(job)
        return
    with ExitStack() as held:
        try:
            held.enter_context(alone(job.folder.parent))
            job.folder.mkdir(exist_ok=True)
        except (QuerywrightError, OSError) as error:
            end = _elsewhere(table, job, error)
        else:
            # what ends the job is written when no thread beats for it any more
            end = _run(table, tasks, job, stop, beat_s)
        insist(end, stop)


def _run(
    table: Table, tasks: Mapping[str, Task], job: Job, stop: threading.Event, beat_s: float
) -> Callable[[], object]:
    """Run the task; returns what writes its end."""
    task = tasks.get(job.kind)
    if task is None:
        hint = "start the worker with the version that the API has"
        return lambda: table.fail(job, f"this worker knows no task {job.kind!r}", hint)
    try:
        with Hearing(table, job, stop, beat_s) as hearing, heard(hearing):
            result = task(job)
    except Halt as halt:
        ends = {"cancel": lambda: table.cancelled(job), "stop": lambda: table.give_back(job)}
        return ends.get(halt.why, lambda: log.warning("job %s was taken from this worker", job.id))
    except Later as later:
        return lambda seconds=later.seconds, why=str(later): table.later(job, seconds, why)  # type: ignore[misc]
    except QuerywrightError as error:
        return lambda text=str(error), hint=error.hint, again=error.retryable: table.fail(  # type: ignore[misc]
            job, text, hint, again=again
        )
    except KeyboardInterrupt:
        table.give_back(job)
        raise
    except BaseException as error:  # SystemExit too: a stage that ends its process is no end of ours
        log.exception("job %s (%s) failed", job.id, job.kind)  # with the traceback, for who runs the service
        text = f"{type(error).__name__}: {error}"
        return lambda: table.fail(job, text, "look at the worker's log", again=True)
    return lambda: _finish(table, job, result)


def _finish(table: Table, job: Job, result: object) -> None:
    try:
        taken = table.finish(job, result)  # type: ignore[arg-type]
    except QuerywrightError as error:
        if error.retryable:
            raise
        table.fail(job, str(error), error.hint)
        return
    if not taken:
        log.warning("job %s was done by another worker; its result here is dropped", job.id)


def _elsewhere(table: Table, job: Job, error: QuerywrightError | OSError) -> Callable[[], object]:
    """A worker that hung and was taken for dead is still in the folder, or the folder can't be made. Where that lies
    is said in this process's log alone: teams read what is said of their jobs."""
    log.warning("job %s: %s", job.id, error)
    if isinstance(error, QuerywrightError) and error.retryable:
        return lambda: table.later(job, ELSEWHERE_S, "its last worker still holds its folder")
    reason = getattr(error if isinstance(error, OSError) else error.__cause__, "strerror", "") or "see the worker's log"
    return lambda: table.fail(job, f"its folder can't be used: {reason}", "check the disk", again=True)


def insist(write: Callable[[], T], stop: threading.Event) -> T:
    """Write to the table, again and again while it is away: an hour's work may hang on it, and nothing else can be
    done meanwhile.

    Raises:
        QuerywrightError: waiting does not help, or the worker has to end.
    """
    for wait in chain(_INSIST_S, repeat(_INSIST_S[-1])):
        try:
            return write()
        except QuerywrightError as error:
            if not error.retryable or stop.is_set():
                raise
            log.warning("jobs: %s; again in %.0f s", error, wait)
            stop.wait(wait)
    raise AssertionError("unreachable")
