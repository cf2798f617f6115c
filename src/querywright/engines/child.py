"""An engine in a process of its own: native code that crashes takes the requests in it along, not the caller.

Many requests may be under way at once; those that the child has no place for wait here. A child that dies is replaced
at once, in the background; a child that says nothing for a while is killed.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from querywright.engines.base import (
    MAX_TOKENS,
    Completion,
    EngineError,
    Grammar,
    Message,
    Progress,
    go_on,
)
from querywright.engines.link import CLOSED, POLL_S, Link, Request
from querywright.errors import QuerywrightError

HANG_S = 60.0
LOAD_S = 600.0
_MOST_CRASHES, _WITHIN_S = 3, 60.0  # after so many crashes nothing is started until somebody asks


class ChildEngine:
    """See `base.Engine`. The child starts at once and ends with `close`, or with this process.

    Attributes:
        on_crash: called, in a thread of its own, each time that the child died or hung, before its requests fail.
        crashes: how often that was.
        restarts: how often the model was loaded again.
    """

    def __init__(
        self, model: str, *, adapter: str | None = None, threads: int | None = None, slots: int | None = None,
        hang_s: float = HANG_S, load_s: float = LOAD_S,
    ) -> None:  # fmt: skip
        """Start the child and wait until the model is loaded.

        Args:
            slots: how many requests the model is to work on at once, where its engine can.
            hang_s: seconds after which a child that neither writes nor answers is killed.
            load_s: seconds that loading may take.

        Raises:
            QuerywrightError: what opening the model raised in the child.
        """
        self._spec = {"model": model, "adapter": adapter, "threads": threads, "slots": slots}
        self._hang_s, self._load_s = hang_s, load_s
        self._numbers = itertools.count(1)
        self._change = threading.Condition()
        self._waiting: deque[object] = deque()  # requests that wait for a place, the next one first
        self._links: list[Link] = []  # at most one, except for a moment: what has to be ended
        self._link: Link | None = None  # the child that takes requests
        self._starting = self._closed = False
        self._failures = 0  # starts that failed
        self._failure: QuerywrightError | None = None
        self._crashed_at: deque[float] = deque(maxlen=_MOST_CRASHES)
        self.on_crash: Callable[[], None] | None = None
        self.crashes, self.restarts = 0, -1
        self._about: dict[str, Any] = {}
        self.capacity = 1
        self._finalizer = weakref.finalize(self, _end, self._links)
        self._start()
        if self._failure is not None:
            raise self._failure

    def generate(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        n: int = 1,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """See `base.Engine.generate`. `progress` is asked some times a second also while nothing is written.

        Raises:
            EngineError: the child died (`retryable`: a new one is on its way).
        """
        request = {
            "messages": list(messages), "grammar": asdict(grammar) if grammar else None, "max_tokens": max_tokens,
            "temperature": temperature, "seed": seed, "n": n,
        }  # fmt: skip
        return self._ask({"generate": request, "tell": progress is not None}, progress)

    def score(
        self, messages: Sequence[Message], texts: Sequence[str], *, grammar: Grammar | None = None
    ) -> list[Completion]:
        """See `base.weigh`."""
        grammar_ = asdict(grammar) if grammar else None
        return self._ask({"score": {"messages": list(messages), "texts": list(texts), "grammar": grammar_}}, None)

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return self._about

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none now."""
        link = self._link
        return link.process.pid if link is not None else None

    @property
    def up(self) -> bool:
        """Whether there is a child with its model loaded."""
        return self._link is not None

    def close(self) -> None:
        """End the child; requests that are in it or wait for it fail."""
        with self._change:
            self._closed, self._link = True, None
            self._change.notify_all()
        _end(self._links)

    def _ask(self, body: dict[str, Any], progress: Progress | None) -> list[Completion]:
        link, request = self._place(body, progress)
        reply = link.wait(request, progress, self._hang_s)
        return [Completion(**one) for one in reply["completions"]]

    def _place(self, body: dict[str, Any], progress: Progress | None) -> tuple[Link, Request]:
        """Wait for a child that has room, first come, first served, and put the request into it."""
        ticket, failures = object(), self._failures
        with self._change:
            self._waiting.append(ticket)
        try:
            while True:
                with self._change:
                    if self._closed:
                        raise EngineError("the engine was closed")
                    link = self._link
                    if link is not None and self._waiting[0] is ticket and link.load < self.capacity:
                        request = Request(next(self._numbers), body)
                        if link.add(request):
                            return link, request
                    if link is None and not self._starting:
                        if self._failures > failures and self._failure is not None:
                            raise _again(self._failure)
                        self._start_beside()
                    self._change.wait(POLL_S if progress is not None else 1.0)
                if link is not None:
                    link.watch(self._hang_s)
                go_on(progress, "")
        finally:
            with self._change:
                self._waiting.remove(ticket)
                self._change.notify_all()

    def _start_beside(self) -> None:
        """Start a child in a thread of its own; the caller holds `_change`.

        Raises:
            EngineError: this process gets no thread; who asks next tries again.
        """
        self._starting = True
        try:
            threading.Thread(target=self._start, name="engine-start", daemon=True).start()
        except RuntimeError as error:
            self._starting = False
            raise EngineError(f"the engine's process did not start: {error}", retryable=True) from error

    def _start(self) -> None:
        """Start a child and wait until its model is loaded; a failure is kept in `_failure`."""
        me = weakref.ref(self)  # a child does not keep its engine alive
        link: Link | None = None
        failure: QuerywrightError | None = None
        try:
            link = Link(self._spec, left=lambda: _notify(me()), died=lambda one, cause: _died(me(), one, cause))
            self._links.append(link)
            if self._closed:
                link.end()
            link.opened(self._load_s)
        except QuerywrightError as error:
            failure = error
        except (OSError, RuntimeError) as error:  # no memory, no process, no thread
            failure = EngineError(f"the engine's process did not start: {error}", retryable=True)
        if failure is not None and link is not None:
            link.end()
        with self._change:
            self._starting = False
            self._failure = failure
            if failure is not None:
                self._failures += 1
            elif link is not None:
                self._about, self.capacity = link.about, link.capacity
                self.restarts += 1
                self._link = link if link.alive and not self._closed else None
            self._change.notify_all()

    def _crashed(self, link: Link, cause: str) -> None:
        """A child has ended by itself, or was killed because it hung."""
        with self._change:
            with suppress(ValueError):
                self._links.remove(link)
            if cause == CLOSED or self._closed:
                return
            served, self._link = self._link is link, None if self._link is link else self._link
            self.crashes += 1
            now = time.monotonic()
            self._crashed_at.append(now)
            often = len(self._crashed_at) == _MOST_CRASHES and now - self._crashed_at[0] < _WITHIN_S
            if served and not self._starting and not often:
                with suppress(EngineError):
                    self._start_beside()
            self._change.notify_all()
        if self.on_crash is not None:
            self.on_crash()


def _notify(engine: ChildEngine | None) -> None:
    if engine is not None:
        with engine._change:
            engine._change.notify_all()


def _died(engine: ChildEngine | None, link: Link, cause: str) -> None:
    if engine is not None:
        engine._crashed(link, cause)


def _end(links: list[Link]) -> None:
    with suppress(IndexError):
        while True:
            links.pop().end()


def _again(error: QuerywrightError) -> QuerywrightError:
    """The same error once more: several threads raise it, each with a traceback of its own."""
    return type(error)(str(error), hint=error.hint, retryable=error.retryable)
