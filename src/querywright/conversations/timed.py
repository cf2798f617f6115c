"""An engine whose answers may take only so long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from querywright.engines.base import Cancelled, Completion, Engine, EngineError, Grammar, Message, Progress, capacity_of


class Timed:
    """An engine whose answers may take only so long; see `engines.base.Engine`."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine, self._seconds = engine, seconds
        self.capacity = capacity_of(engine)

    def generate(
        self, messages: Sequence[Message], *, grammar: Grammar | None = None, max_tokens: int = 256,
        temperature: float = 0.0, seed: int = 0, n: int = 1, progress: Progress | None = None,
    ) -> list[Completion]:  # fmt: skip
        """See `engines.base.Engine.generate`.

        Raises:
            EngineError: the time is over; it is perhaps paid for.
        """
        until = time.monotonic() + self._seconds
        try:
            return self._engine.generate(
                messages, grammar=grammar, max_tokens=max_tokens, temperature=temperature, seed=seed, n=n,
                progress=lambda text: time.monotonic() < until and (progress is None or progress(text)),
            )  # fmt: skip
        except Cancelled:
            raise EngineError(
                f"no answer within {self._seconds:g} s", hint="a larger `timeout`", charged=True
            ) from None

    def describe(self) -> dict[str, Any]:
        """See `engines.base.Engine.describe`."""
        return self._engine.describe()

    def close(self) -> None:
        """See `engines.base.Engine.close`."""
        self._engine.close()
