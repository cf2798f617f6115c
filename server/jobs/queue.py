"""How workers hear that there is a job. The table alone says what there is to do, so a message that is lost or comes
twice does no harm: what stays queued is sent again, and a job that was claimed can't be claimed again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from server.jobs.prune import Pruning
from server.jobs.table import Table

log = logging.getLogger("querywright.jobs")

LOOK_S = 2.0
"""Seconds between two looks for what has to be sent or taken back."""
GRACE_S = 20.0
"""Seconds that a cancelled job has to end by itself before what runs it is killed."""


class Queue(Protocol):
    """The way from the table to the workers."""

    def send(self, job: str) -> None:
        """Tell a worker of a queued job. May raise: it is sent again later."""

    def revoke(self, job: str) -> None:
        """Kill what runs a job, which was cancelled and did not end by itself. May do nothing."""

    def close(self) -> None:
        """Give connections back. Idempotent."""


class TableQueue:
    """Workers look into the table themselves."""

    def send(self, job: str) -> None: ...

    def revoke(self, job: str) -> None: ...

    def close(self) -> None: ...


def look(table: Table, queue: Queue) -> None:
    """Once: take jobs back from workers that are dead, send what is queued and not on its way, end what was cancelled
    and goes on. Errors are logged; the next look tries again."""
    for step in (_reclaim,) if isinstance(queue, TableQueue) else (_reclaim, _send, _revoke):
        _tried(step, table, queue)


def keep_looking(table: Table, queue: Queue, stop: threading.Event, every_s: float = LOOK_S) -> None:
    """`look` until `stop` is set, and prune now and then: the loop of a thread of whoever serves the queue (the API, or
    a worker's parent)."""
    pruning = Pruning(table)
    while not stop.wait(every_s):
        look(table, queue)
        _tried(pruning.look)


def _tried(step: Callable[..., None], *args: Any) -> None:
    try:
        step(*args)
    except Exception as error:  # the database or the broker is away; whatever it is, this must go on
        log.warning("jobs: %s", error)


def _reclaim(table: Table, queue: Queue) -> None:
    table.reclaim()


def _send(table: Table, queue: Queue) -> None:
    for job in table.unsent():
        queue.send(job)
        table.sent(job)


def _revoke(table: Table, queue: Queue) -> None:
    for job in table.overdue(GRACE_S):
        queue.revoke(job)
