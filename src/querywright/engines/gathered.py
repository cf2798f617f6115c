"""Requests of many threads, gathered into batches: for engines that compute several faster together than in turn.

Whoever asks waits in `generate` as with any engine. One thread takes what has come together meanwhile, up to a number
of answers, and gives it to the engine's `many`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from querywright.engines.base import MAX_TOKENS, Completion, EngineError, Grammar, Message, Progress
from querywright.engines.hf_batch import Request
from querywright.progress import say

_NO_MEMORY = ("out of memory", "can't allocate memory")
_QUIET_S = 0.05  # so long nobody else may have come before a batch that is not full begins


class Many(Protocol):
    """An engine that takes several requests at once."""

    def many(self, requests: Sequence[Request]) -> list[list[Completion] | EngineError]: ...

    def describe(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


class Gathered:
    """See `base.Engine`. `capacity` is how many requests it takes at once."""

    def __init__(self, engine: Many, size: int) -> None:
        """Gather for `engine`, which is closed with this one; `size` answers are written at once at most."""
        self._engine, self.capacity = engine, size
        self._size = size
        self._waiting: deque[tuple[Request, Future[list[Completion]]]] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="engine-batches", daemon=True)
        self._thread.start()

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
        """See `base.Engine.generate`; `progress` is not told."""
        answer: Future[list[Completion]] = Future()
        with self._change:
            if self._closed:
                raise EngineError("the engine was closed")
            self._waiting.append((Request(messages, grammar, max_tokens, temperature, seed, n), answer))
            self._change.notify_all()
        return answer.result()

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return self._engine.describe()

    def close(self) -> None:
        """End the thread and close the engine; what waits fails."""
        with self._change:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
            self._change.notify_all()
        for _, answer in waiting:
            answer.set_exception(EngineError("the engine was closed"))
        self._thread.join()
        self._engine.close()

    def _serve(self) -> None:
        while batch := self._gather():
            requests = [request for request, _ in batch]
            try:
                done = self._tried(requests)
            except Exception as error:  # whatever it is, somebody waits for each of these
                failure = EngineError(f"the model failed: {error}", hint="a smaller --batch-size")
                done = [error if isinstance(error, EngineError) else failure] * len(batch)
            for (_, answer), texts in zip(batch, done, strict=True):
                if isinstance(texts, EngineError):
                    answer.set_exception(type(texts)(str(texts), hint=texts.hint, retryable=texts.retryable))
                else:
                    answer.set_result(texts)

    def _gather(self) -> list[tuple[Request, Future[list[Completion]]]]:
        """The next batch; empty at the end."""
        with self._change:
            while not self._waiting and not self._closed:
                self._change.wait()
            until = time.monotonic() + _QUIET_S
            there = len(self._waiting)
            while not self._closed and self._rows() < self._size and (rest := until - time.monotonic()) > 0:
                self._change.wait(rest)
                if len(self._waiting) > there:
                    there, until = len(self._waiting), time.monotonic() + _QUIET_S
            batch: list[tuple[Request, Future[list[Completion]]]] = []
            rows = 0
            while self._waiting and (not batch or rows + self._waiting[0][0].rows <= self._size):
                batch.append(self._waiting.popleft())
                rows += batch[-1][0].rows
            return batch

    def _rows(self) -> int:
        return sum(request.rows for request, _ in self._waiting)

    def _tried(self, requests: Sequence[Request]) -> list[list[Completion] | EngineError]:
        """A batch; where memory does not hold it, in halves, and smaller ones from then on."""
        try:
            return self._engine.many(requests)
        except (MemoryError, RuntimeError) as error:  # torch has RuntimeErrors for it
            said = str(error).lower()
            if isinstance(error, RuntimeError) and not any(words in said for words in _NO_MEMORY):
                raise
        if len(requests) == 1:
            return [EngineError("memory does not hold this request", hint="fewer samples, or a shorter --max-tokens")]
        half = len(requests) // 2
        self._size = min(self._size, max(1, sum(r.rows for r in requests[:half])))
        say(f"memory does not hold a batch of {len(requests)} requests: {self._size} answers at once from here on")
        return [*self._tried(requests[:half]), *self._tried(requests[half:])]
