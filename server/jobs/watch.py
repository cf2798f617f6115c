"""What a process that minds workers remembers from one look at the running jobs to the next. It counts by a clock that
never jumps, and only what it saw itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

GAP_S = 5.0
"""Seconds that a look may be old and still be acted on."""


class Watch:
    """Which running jobs are silent, and which were to end long ago.

    Args:
        lease_s: seconds without a beat after which a job is silent.
        ticks: seconds of a clock that never jumps.
    """

    def __init__(self, lease_s: float, ticks: Callable[[], float]) -> None:
        self._lease_s, self._ticks = lease_s, ticks
        self._seen: dict[tuple[int, int], tuple[int, float]] = {}  # job, attempt: beats, when they last changed
        self._looked = ticks()
        self._asked: dict[tuple[int, int], float] = {}  # job, attempt: since when it is to be cancelled

    def silent(self, rows: Sequence[Any]) -> set[int]:
        """`seq` of those running jobs whose beats have not changed for `lease_s`."""
        now = self._ticks()
        # nobody could beat while the database was away, or this process stood still: then all begin anew
        seen = self._seen if now - self._looked <= max(self._lease_s / 2, GAP_S) else {}
        self._looked = now
        fresh = {}
        for row in rows:
            beats, since = seen.get((row.seq, row.attempt), (None, now))
            fresh[row.seq, row.attempt] = (row.beats, since if beats == row.beats else now)
        self._seen = fresh
        return {row.seq for row in rows if now - fresh[row.seq, row.attempt][1] > self._lease_s}

    def current(self) -> bool:
        """Whether the last look for silent ones was just now; where it was not, all begin anew."""
        if self._ticks() - self._looked > GAP_S:
            self.forget()
            return False
        return True

    def forget(self) -> None:
        """Nobody could write, so nobody's silence meant anything: all begin anew."""
        self._seen = {}

    def overdue(self, rows: Sequence[Any], grace_s: float) -> list[str]:
        """Ids of those running jobs that somebody has wanted cancelled for `grace_s` seconds."""
        now = self._ticks()
        rows = [row for row in rows if row.cancel]
        self._asked = {(r.seq, r.attempt): self._asked.get((r.seq, r.attempt), now) for r in rows}
        return [row.id for row in rows if now - self._asked[row.seq, row.attempt] >= grace_s]
