"""The engine's door: one request at a time inside, a few waiting, the next one refused at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from querywright.errors import QuerywrightError


class Busy(QuerywrightError):
    """Too many requests wait for the engine."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} requests wait already", hint="ask again in a few seconds", retryable=True)


class Gate:
    """Guards an engine that answers one request at a time. Thread-safe."""

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._places = threading.BoundedSemaphore(waiting + 1)
        self._engine = threading.Lock()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Wait for the engine, and hold it.

        Raises:
            Busy: no place to wait is free.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(self._waiting)
        try:
            with self._engine:
                yield
        finally:
            self._places.release()
