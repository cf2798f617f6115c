"""One question of the page on its way: asked in a thread, told of piece by piece, given up when nobody waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from querywright.engines.base import Cancelled
from server import problems
from server.assistant import Choice, Reply
from server.gate import Busy
from server.keep.store import Store
from server.metrics import Metrics
from server.service import Service

SOURCE = "page"
RETRIES = 2
PATIENCE_S = 20  # a longer wait is for the person to decide
_LOOK_S = 0.2  # between two looks at whether the page is still there
_PIECE_S = 0.1  # between two pieces shown


@dataclass(frozen=True)
class Countdown:
    """Too many were asking: whole seconds until it is tried again."""

    seconds: int


class Running:
    """Which question each tab waits for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, threading.Event] = {}

    def start(self, tab: str) -> threading.Event:
        """A tab asks: what it asked before is given up."""
        event = threading.Event()
        with self._lock:
            before = self._events.pop(tab, None)
            self._events[tab] = event
        if before is not None:
            before.set()
        return event

    def stop(self, tab: str) -> bool:
        """Give up what a tab waits for; whether there was something."""
        with self._lock:
            event = self._events.pop(tab, None)
        if event is not None:
            event.set()
        return event is not None

    def replaced(self, tab: str, event: threading.Event) -> bool:
        """Whether the tab has asked something else meanwhile."""
        with self._lock:
            return self._events.get(tab, event) is not event

    def end(self, tab: str, event: threading.Event) -> None:
        """A question is answered, or nobody waits for it any more."""
        event.set()
        with self._lock:
            if self._events.get(tab) is event:
                del self._events[tab]


class Asking:
    """What the handlers of one page share: the service, the store, the counters, and who waits for what."""

    def __init__(self, service: Service, store: Store, metrics: Metrics | None = None) -> None:
        self.service, self.store, self.metrics, self.running = service, store, metrics, Running()
        self._lock = threading.Lock()
        self._clients: Counter[str] = Counter()

    def stream(
        self, client: str, choice: Choice, sentence: object, cancel: threading.Event, **options: Any
    ) -> Iterator[str | Countdown | Reply | None]:
        """As `stream`, in a client's name (so that nobody takes all places, here and at the model), and counted."""
        start = time.monotonic()
        try:
            with self._place(client):
                for step in stream(self.service, choice, sentence, cancel, client=client, **options):
                    if isinstance(step, Reply) and self.metrics is not None:
                        self.metrics.answered(step, SOURCE, time.monotonic() - start)
                    yield step
        except Exception as error:
            if self.metrics is not None:
                self.metrics.failed(choice, SOURCE, problems.told(error).code)
            raise

    @contextmanager
    def _place(self, client: str) -> Iterator[None]:
        """A place of the page, which is held also while a question waits to be tried again.

        Raises:
            Busy: the client has as many as one may have.
        """
        most = self.service.limits.per_client
        with self._lock:
            if self._clients[client] >= most:
                raise Busy(f"{most} questions of yours are being answered already")
            self._clients[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._clients[client] -= 1
                if not self._clients[client]:
                    del self._clients[client]


def stream(
    service: Service, choice: Choice, sentence: object, cancel: threading.Event, **options: Any
) -> Iterator[str | Countdown | Reply | None]:
    """Ask, and try again where too many ask at once.

    Yields:
        The text so far, a countdown, None where there is nothing new (so that whoever reads can see that the page is
        gone, and close this), and at last the reply.

    Raises:
        Busy: too many ask at once, still.
        Cancelled: `cancel` was set.
        Exception: whatever else `service.ask` raises.
    """
    for left in range(RETRIES, -1, -1):
        try:
            yield from _once(service, choice, sentence, cancel, options)
            return
        except Busy as busy:
            if not left or busy.retry_after > PATIENCE_S:
                raise
            wait = int(busy.retry_after)
        for seconds in range(wait, 0, -1):
            until = time.monotonic() + 1
            yield Countdown(seconds)
            while time.monotonic() < until:
                if cancel.wait(_LOOK_S):
                    raise Cancelled
                yield None


def _once(
    service: Service, choice: Choice, sentence: object, cancel: threading.Event, options: dict[str, Any]
) -> Iterator[str | Reply | None]:
    told: queue.SimpleQueue[str | Reply | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            told.put(service.ask(choice, sentence, on_text=told.put, cancel=cancel, **options))
        except BaseException as error:  # it is raised again by who reads
            told.put(error)

    threading.Thread(target=ask, name="page-asks", daemon=True).start()
    shown = 0.0
    try:
        while True:
            try:
                news = told.get(timeout=_LOOK_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(news, BaseException):
                raise news
            if isinstance(news, Reply):
                yield news
                return
            if time.monotonic() - shown >= _PIECE_S:
                yield news
                shown = time.monotonic()
    except GeneratorExit:
        cancel.set()  # the tab was closed: the place is free within a token
        raise
