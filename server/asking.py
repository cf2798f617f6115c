"""Asking the service from an event loop: threads enough that a refusal never waits for one, and nobody's answer ends.

`service.ask` blocks: it waits at the gate and for the engine. The gate lets `capacity + waiting` sentences a model in
and refuses the next at once, so that many threads and some to spare are always enough: a request too many finds a free
thread and is told so, however long the others take.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope

from querywright.engines.base import Message
from server.assistant import Choice, Reply
from server.gate import Busy
from server.keep.answers import Kept, keep
from server.keep.clients import client_of
from server.keep.store import Store
from server.metrics import Metrics
from server.problems import told
from server.service import Service

SPARE = 32  # threads for what is done outside of the gates: records searched, answers kept, refusals
LOOKING = 4  # threads for what asks no model
LOOKS = 64  # such requests that may be under way
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A reply, and whether it was kept."""

    reply: Reply
    kept: Kept


@dataclass(frozen=True)
class Who:
    """Somebody who asks: as a hash, where (rest, chat, mcp), and the event that is set when they are gone."""

    client: str
    source: str
    gone: threading.Event


class Desk:
    """Where REST and MCP ask. One a server; closed at its end."""

    def __init__(self, service: Service, store: Store | None, metrics: Metrics) -> None:
        """Args: `store` None keeps nothing."""
        self.service, self.store, self.metrics = service, store, metrics
        places = sum(model.gate.capacity + model.gate.waiting for model in service.models.values())
        self._asking = ThreadPoolExecutor(places + SPARE, "ask")
        self._looking = ThreadPoolExecutor(LOOKING, "look")
        self._looks = 0
        self._salt = b"" if store is None else store.salt

    def close(self) -> None:
        """Take no more work; what runs may end by itself."""
        for threads in (self._asking, self._looking):
            threads.shutdown(wait=False, cancel_futures=True)

    async def look(self, work: Callable[..., T], *args: Any, **named: Any) -> T:
        """Do something short that blocks and asks no model: a call read or run, feedback kept.

        Raises:
            Busy: many such things wait already.
        """
        if self._looks >= LOOKS:
            raise Busy(f"{self._looks} calls are being read already", 1.0)
        self._looks += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._looking, partial(work, *args, **named))
        finally:
            self._looks -= 1

    def client(self, scope: Scope) -> str:
        """Who sent a request, as a hash."""
        peer = scope.get("client")
        return client_of(self._salt, scope.get("state"), peer[0] if peer else None)

    @asynccontextmanager
    async def visit(self, request: Request, source: str, left: asyncio.Event | None = None) -> AsyncIterator[Who]:
        """Somebody who asks, for as long as they are there: what they asked for is given up when they go away.

        Args:
            left: is set when they go away, for who waits for that in the event loop.
        """
        who = Who(self.client(request.scope), source, threading.Event())
        watching = asyncio.create_task(_watch(request.receive, who.gone, *([left] if left else [])))
        try:
            yield who
        finally:
            who.gone.set()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def ask(
        self, who: Who, choice: Choice, sentence: object, *, turns: Sequence[Message] = (), n: int | None = None,
        run: bool = True, max_tokens: int | None = None, on_text: Callable[[str], None] | None = None,
        patient: bool = False,
    ) -> Asked:  # fmt: skip
        """Ask, keep and count an answer; see `service.Service.ask` for what is asked and raised."""
        more: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
        try:
            work = partial(
                self._ask, who, choice, sentence, turns=turns, n=n, run=run, on_text=on_text, patient=patient, **more
            )
            return await asyncio.get_running_loop().run_in_executor(self._asking, work)
        except asyncio.CancelledError:
            who.gone.set()  # the thread goes on by itself otherwise
            raise

    def _ask(self, who: Who, choice: Choice, sentence: object, **how: Any) -> Asked:
        start = time.monotonic()
        try:
            reply = self.service.ask(choice, sentence, cancel=who.gone, client=who.client, **how)
        except Exception as error:
            self.metrics.failed(choice, who.source, told(error).code)
            raise
        self.metrics.answered(reply, who.source, time.monotonic() - start)
        return Asked(reply, keep(self.store, reply, source=who.source, client=who.client, metrics=self.metrics))


async def _watch(receive: Receive, *gone: threading.Event | asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    for event in gone:
        event.set()
