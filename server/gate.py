"""A model's door: as many requests inside as it works on at once, a few waiting in order, the next one refused at once.

A queue has to take a burst, and must not make everybody late when more is asked than can be answered: where it has been
full, or somebody has been waiting for all of `patience_s`, it is kept short. Then only who will soon be served may
wait, until for as long nobody had to be refused. (The idea is CoDel's, Nichols and Jacobson, ACM Queue 2012: a standing
queue is no use.)
Who is patient (the rows of a batch) stands in a line of its own, which says nothing about being late; where somebody
else waits, no two of them go in after one another.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from querywright.engines.base import Cancelled
from querywright.errors import QuerywrightError

_POLL = 0.1  # seconds between two looks at whether who waits is still there
_KEPT = 0.9  # of the typical time, at each answer


class Busy(QuerywrightError):
    """Too many requests wait for the model. `retry_after`: seconds after which there is likely a place."""

    def __init__(self, message: str, retry_after: float = 2.0) -> None:
        seconds = max(1, math.ceil(retry_after))
        super().__init__(message, hint=f"ask again in {seconds} s", retryable=True)
        self.retry_after = seconds


class Gate:
    """Guards an engine that works on `capacity` requests at once. Thread-safe; first come, first served."""

    def __init__(
        self, waiting: int, *, capacity: int = 1, patience_s: float = 5.0, wait_share: float = 0.3,
        per_client: int | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.capacity = capacity
        self.waiting = waiting
        self._patience, self._share, self._per_client, self._clock = patience_s, wait_share, per_client, clock
        self._changed = threading.Condition()
        self._tickets = itertools.count()
        self._queue: deque[int] = deque()
        self._patient: deque[int] = deque()
        self._patient_last = False  # whether who went in last was patient
        self._inside: dict[int, float] = {}  # ticket: since when
        self._clients: Counter[str] = Counter()
        self._typical = 0.0  # seconds inside, a moving mean
        self._waiting_since: float | None = None  # since when somebody in a hurry has been waiting at all times
        self._refused_at = -math.inf
        self._short = False

    @property
    def state(self) -> dict[str, float]:
        """How many are inside and waiting, typical seconds inside, and whether the queue is kept short."""
        with self._changed:
            return {"inside": len(self._inside), "waiting": self._lined_up, "typical_s": self._typical,
                    "short": float(self._is_short())}  # fmt: skip

    @contextmanager
    def enter(
        self, *, cancel: threading.Event | None = None, timeout: float = math.inf, client: str = "",
        patient: bool = False,
    ) -> Iterator[float]:  # fmt: skip
        """Wait for a place, and hold it; gives the seconds waited.

        Args:
            cancel: set where nobody waits for the answer any more.
            timeout: seconds after which waiting ends.
            client: who asks; one client may not take all places.
            patient: whether to wait also where the queue is kept short (the next sentence of a batch).

        Raises:
            Busy: there is no place to wait, or none came in time.
            Cancelled: `cancel` was set.
        """
        asked = self._clock()
        with self._changed:
            self._admit(client, patient)
            ticket = next(self._tickets)
            line = self._patient if patient else self._queue
            line.append(ticket)
            self._clients[client] += 1
            try:
                while len(self._inside) >= self.capacity or self._next() != ticket:
                    if self._waiting_since is None and not patient:
                        self._waiting_since = self._clock()
                    self._changed.wait(_POLL)
                    if cancel is not None and cancel.is_set():
                        raise Cancelled("nobody waits for this answer any more")
                    if self._clock() - asked > timeout:
                        raise Busy(f"no place came free within {timeout:g} s", self._typical)
            except BaseException:
                line.remove(ticket)
                self._left(client)
                raise
            line.popleft()
            self._patient_last = patient
            if not self._queue:
                self._waiting_since = None
            self._inside[ticket] = self._clock()
            self._changed.notify_all()
        answered = False
        try:
            yield self._inside[ticket] - asked
            answered = True
        finally:
            with self._changed:
                took = self._clock() - self._inside.pop(ticket)
                if answered and not self._typical:
                    self._typical = took
                elif answered or took > self._typical > 0:  # what failed or was given up soon says nothing
                    self._typical = _KEPT * self._typical + (1 - _KEPT) * took
                self._left(client)

    @property
    def _lined_up(self) -> int:
        return len(self._queue) + len(self._patient)

    def _next(self) -> int:
        """Whose turn it is, of all who wait."""
        if not self._patient or (self._queue and self._patient_last):
            return self._queue[0]
        return min(self._patient[0], self._queue[0]) if self._queue else self._patient[0]

    def _left(self, client: str) -> None:
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        if not self._queue:
            self._waiting_since = None
        self._changed.notify_all()

    def _admit(self, client: str, patient: bool) -> None:
        if self._per_client is not None and self._clients[client] >= self._per_client:
            raise Busy(f"{self._per_client} requests of yours are being answered already", self._typical)
        if not self._lined_up and len(self._inside) < self.capacity:
            return
        if patient:
            if len(self._patient) >= (self.waiting + 1) // 2 or self._lined_up >= self.waiting:  # others need places
                raise Busy(f"{self._lined_up} requests wait already", self._wait(self._lined_up) + self._typical)
            return
        short = self._is_short()
        if self._lined_up >= self.waiting:
            self._short = True
            self._refuse(f"{self._lined_up} requests wait already")
        if short and self._wait(self._ahead()) > self._share * self._typical:
            self._refuse("more is asked than can be answered")

    def _ahead(self) -> int:
        """How many may go in before who comes now, and is in a hurry."""
        return len(self._queue) + min(len(self._patient), len(self._queue) + (not self._patient_last))

    def _refuse(self, message: str) -> None:
        self._refused_at = self._clock()
        raise Busy(message, self._wait(self._ahead()) + self._typical)

    def _is_short(self) -> bool:
        now = self._clock()
        if self._waiting_since is not None and now - self._waiting_since >= self._patience:
            self._short = True
        elif self._short and self._waiting_since is None and now - self._refused_at >= self._patience:
            self._short = False
        return self._short

    def _wait(self, ahead: int) -> float:
        """Seconds until a place is free for who comes behind `ahead` others, if all take the typical time."""
        now = self._clock()
        left = sorted(max(0.0, self._typical - (now - since)) for since in self._inside.values())
        place = ahead % self.capacity
        return (left[place] if place < len(left) else 0.0) + ahead // self.capacity * self._typical
