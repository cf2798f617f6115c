"""What a job is, what a task may raise, and what happens to the job then.

A task is a function from a job to a plain JSON result. It runs within `progress.heard`: `say` writes the job's log,
`track` shows how far it is, and either may end it there (it was cancelled, or its worker has to stop). Its folder
stays the same over all tries, so a task that keeps what it has goes on where it was killed. It may run twice at
worst (a machine that hung and came back), but only one run's result is taken: what it does elsewhere is idempotent.

| the task | the job |
| --- | --- |
| returns | done |
| raises a QuerywrightError | failed: trying again can't help; one that is `retryable` counts as a try |
| raises `Later` | tried again after that many seconds, not counted, for LATER_MOST_S at most |
| raises anything else, or kills its worker | tried again; parked after TRIES tries |
| is stopped with its worker (SIGTERM) | given back, not counted |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRIES = 3
"""Tries after which a job is parked: one that kills its workers would else go on for ever."""
LATER_MOST_S = 6 * 3600.0
"""Seconds from a job's first `Later` to the last, of those with nothing done in between."""
QUEUED, RUNNING, DONE, FAILED, PARKED, CANCELLED = "queued", "running", "done", "failed", "parked", "cancelled"
STATES = (QUEUED, RUNNING, DONE, FAILED, PARKED, CANCELLED)
ENDED = (DONE, FAILED, PARKED, CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job as its task sees it: claimed by this process.

    Attributes:
        id: 16 hex digits, safe as a file's name.
        attempt: how often it was claimed, this time included. What is written for the job holds only while this is
            still its number.
        folder: its own place, which is there; kept over tries.
    """

    id: str
    kind: str
    team: str
    args: dict[str, Any]
    attempt: int
    folder: Path


Task = Callable[[Job], dict[str, Any]]
"""Job → a plain JSON result, small (`table.RESULT_MOST`): what is large stays in the job's folder."""


class Later(Exception):
    """Try the job again after `seconds`, without counting this try: what it needs is away for now."""

    def __init__(self, seconds: float, why: str = "") -> None:
        super().__init__(why or "what it needs is away")
        self.seconds = seconds


class Halt(BaseException):
    """Raised out of `say` and `track` where the job must not go on. No `Exception`: a stage that goes on after the
    errors of a row must not go on after this one.

    Attributes:
        why: "cancel" (somebody wants it cancelled), "stop" (the worker ends) or "lost" (another worker has it).
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
