"""A circuit in front of an engine whose process may crash: when it crashes again and again, nobody waits for it.

Three crashes within a minute open it. For a minute requests fail at once; then one is let through, and whether the
engine lives through it decides how it goes on. What a request itself is to blame for (a grammar that can't be kept, a
prompt that does not fit, a caller that has gone) is no crash: an engine tells of those by its `on_crash`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from querywright.engines.base import (
    MAX_TOKENS,
    Cancelled,
    Completion,
    Engine,
    EngineError,
    Grammar,
    Message,
    Progress,
    capacity_of,
    weigh,
)

State = Literal["closed", "open", "half_open"]
CRASHES = 3
WITHIN_S = 60.0
PAUSE_S = 60.0
_NUMBERS = {2: "twice", 3: "three times"}


class CircuitOpen(EngineError):
    """The engine has crashed too often of late; `retry_after` says when it is tried again."""

    def __init__(
        self, message: str, *, hint: str = "the server's log says why it crashed", retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint, retryable=retryable, retry_after=retry_after)


class Supervised:
    """See `base.Engine`. What it adds is safe to read from any thread.

    Attributes:
        engine: the engine itself; it is closed with this one.
        crashes: how often its process crashed, while it had nothing to do too.
    """

    def __init__(
        self, engine: Engine, *, crashes: int = CRASHES, within_s: float = WITHIN_S, pause_s: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Watch an engine. One without an attribute `on_crash` (a server, one in this process) is passed through.

        Args:
            crashes: so many of them within `within_s` seconds open the circuit.
            pause_s: how long it stays open.
        """
        self.engine = engine
        self.crashes = 0
        self._within_s, self._pause_s, self._clock = within_s, pause_s, clock
        self._lately: deque[float] = deque(maxlen=crashes)
        self._guard = threading.Lock()
        self._open_until: float | None = None
        self._trying = False  # the one request that a half open circuit lets through
        if hasattr(engine, "on_crash"):
            engine.on_crash = self._crashed

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
        """See `base.Engine.generate`.

        Raises:
            CircuitOpen: at once, while the circuit is open.
        """
        more: dict[str, Any] = {} if progress is None else {"progress": progress}
        return self._through(
            lambda: self.engine.generate(
                messages, grammar=grammar, max_tokens=max_tokens, temperature=temperature, seed=seed, n=n, **more
            )
        )

    def score(
        self, messages: Sequence[Message], texts: Sequence[str], *, grammar: Grammar | None = None
    ) -> list[Completion]:
        """See `base.weigh`; through the circuit too."""
        return self._through(lambda: weigh(self.engine, messages, texts, grammar))

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return self.engine.describe()

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    @property
    def state(self) -> State:
        """`closed` where all is well, `open` while requests fail at once, `half_open` when one may try."""
        with self._guard:
            return self._state()

    @property
    def restarts(self) -> int:
        """How often the engine's process was started again."""
        return int(getattr(self.engine, "restarts", 0))

    @property
    def up(self) -> bool:
        """Whether the engine's process is there with its model loaded."""
        return bool(getattr(self.engine, "up", True))

    @property
    def pid(self) -> int | None:
        """The engine's process id, where it has one of its own."""
        return getattr(self.engine, "pid", None)

    @property
    def capacity(self) -> int:
        """How many requests the engine works on at once."""
        return capacity_of(self.engine)

    def _state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    def _through(self, call: Callable[[], list[Completion]]) -> list[Completion]:
        trying = self._enter()
        lived = False
        try:
            done = call()
            lived = True
            return done
        except Cancelled:
            raise  # it says nothing about the engine
        except EngineError as error:
            lived = not error.retryable  # the engine was there to say what is wrong with the request
            raise
        finally:
            if trying:
                self._tried(lived)

    def _enter(self) -> bool:
        """Whether this request is the one that tries.

        Raises:
            CircuitOpen: it is not let through.
        """
        with self._guard:
            state = self._state()
            if state == "closed":
                return False
            if state == "half_open" and not self._trying:
                self._trying = True
                return True
            assert self._open_until is not None
            left = max(1.0, self._open_until - self._clock())
            most = self._lately.maxlen or 0
        times, span = _NUMBERS.get(most, f"{most} times"), _span(self._within_s)
        raise CircuitOpen(
            f"the model's process crashed {times} within {span}; asking pauses for {math.ceil(left)} s",
            retry_after=left,
        )

    def _tried(self, lived: bool) -> None:
        with self._guard:
            self._trying = False
            if lived and self._state() == "half_open":  # it has not crashed meanwhile
                self._open_until = None
                self._lately.clear()

    def _crashed(self) -> None:
        with self._guard:
            now = self._clock()
            self.crashes += 1
            self._lately.append(now)
            often = len(self._lately) == self._lately.maxlen and now - self._lately[0] <= self._within_s
            if often or self._state() == "half_open":
                self._open_until = now + self._pause_s


def _span(seconds: float) -> str:
    return "a minute" if seconds == 60 else f"{seconds:g} s"
