"""A worker: claims jobs and works on them, one at a time, until it is told to stop.

As a child process (`child_main`) it stops at SIGTERM, and when its parent is gone: the job that runs is given back.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping

from querywright.errors import QuerywrightError
from server.jobs import who
from server.jobs.queue import GRACE_S
from server.jobs.table import Table
from server.jobs.task import Task
from server.jobs.work import BEAT_S, work

log = logging.getLogger("querywright.jobs")

POLL_S = 0.5
"""Seconds between two looks into a table without jobs, at most."""
AWAY_S = 5.0
READY = b"ready\n"


def run(
    table: Table, tasks: Mapping[str, Task], stop: threading.Event, *, most: int | None = None, poll_s: float = POLL_S,
    beat_s: float = BEAT_S,
) -> int:  # fmt: skip
    """Work on jobs until `stop` is set; returns how many.

    Args:
        most: jobs after which it ends.
        poll_s: seconds between two looks where there is none.
    """
    done, wait = 0, 0.0
    while not stop.is_set() and (most is None or done < most):
        try:
            job = table.claim()
            if job is None:
                wait = min(poll_s, wait * 2 or 0.02)
                stop.wait(wait)
                continue
            wait = 0.0
            work(table, tasks, job, stop, beat_s)
            done += 1
        except QuerywrightError as error:  # the table is away; what was claimed is given back with the next claim
            log.warning("jobs: %s; again in %.0f s", error, AWAY_S)
            stop.wait(AWAY_S)
    return done


def child_main(
    opened: Callable[[], tuple[Table, Mapping[str, Task]]], *, beat_s: float = BEAT_S, grace_s: float = GRACE_S
) -> int:
    """The main function of a child process of `child.Workers`: opens table and tasks, says that it is ready, works.

    Its standard input is a pipe that ends with its parent; its standard output says that it is ready, and nothing
    else: what tasks print goes to standard error.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    told = os.dup(1)
    os.dup2(2, 1)
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what tasks start must not take the pipe's end
    os.close(nothing)
    table, tasks = opened()
    threading.Thread(target=_orphaned, args=(pipe, stop, table, grace_s), name="parent", daemon=True).start()
    try:
        os.write(told, READY)
        os.close(told)
    except OSError:  # the parent is gone; that is seen in a moment
        pass
    run(table, tasks, stop, beat_s=beat_s)
    table.close()
    sys.stderr.flush()
    return 0


def _orphaned(pipe: int, stop: threading.Event, table: Table, grace_s: float) -> None:
    """Where the parent is gone: let the job end by itself, then give it back and go. Nobody else would end it."""
    try:
        while os.read(pipe, 512):
            pass
    except OSError:
        pass
    stop.set()
    threading.Event().wait(grace_s)
    try:
        table.let_go()
    except QuerywrightError as error:  # whoever finds this process gone takes the job back
        log.warning("jobs: %s", error)
    who.leave()
