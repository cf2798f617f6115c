"""Requests side by side: what they wait for is computed in common steps (continuous batching).

A request has a slot, which keeps what it read and wrote for the next request that begins like it. One thread gathers
what the slots wait for and computes it: next tokens at once, long prompts in pieces, so that the others' next tokens
don't wait for all of one; of several long prompts the first is read first. With one slot there is no such thread: a
request computes its steps itself.

What it gains hangs on the machine. Where a step of one token waits for memory (large models, many cores), a step of
four costs little more. Where it waits for the core (135 million weights on one core), it costs as much as four: the
first words come earlier, whole answers later, and no more of them a second. So one slot is the default; see
`benchmarks/batching.py`.
(Yu et al., "Orca: a distributed serving system for transformer-based generative models", 2022.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from querywright.engines.base import EngineError
from querywright.engines.sequences import Part, Sequences

if TYPE_CHECKING:
    import numpy as np

Told = Callable[[Sequence[int]], None]  # the tokens so far; raises `Cancelled` where the caller wants no more
PIECE = 32  # tokens of long prompts in a step that next tokens wait for
LONE = 128  # the same where none waits: a newcomer waits that long
PATIENCE = 0.003  # seconds that a step waits for those of the step before; what they do in between takes about one
WORTH_COPYING = 32  # tokens; to copy a sequence costs about as much as to read ten
_ASKED = 0.2  # seconds after which one that waits asks whether it is still wanted
_CLOSING = 10.0  # seconds that requests have to notice that the engine is closed


@dataclass(eq=False)
class Slot:
    """One sequence, lent to one request at a time.

    Attributes:
        cached: the tokens that its KV cache holds.
        rows: by number of tokens, the logits of what follows them, as far as its last step left them.
    """

    number: int
    slots: Slots
    cached: list[int] = field(default_factory=list)
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    taken: bool = False
    used: int = 0

    def follow(self, tokens: Sequence[int], draft: Sequence[int] = (), told: Told | None = None) -> np.ndarray:
        """The logits of what follows `tokens`, float32 [vocabulary]; they hold until the slot's next step.

        Unless they are there, the sequence is brought to `tokens` and `draft` (shorter than a batch), and what it does
        not hold is computed; then the logits behind each token of `draft` are in `rows` too. `told` is asked between
        steps; what was computed until it raises is kept.

        Raises:
            EngineError: llama.cpp failed, or the engine was closed.
        """
        if draft or not self.known(tokens):
            self.slots.compute(_Need(self, [*tokens, *draft], len(tokens), told is not None), told)
        return self.rows[len(tokens)]

    def known(self, tokens: Sequence[int]) -> bool:
        """Whether the logits of what follows `tokens` are there."""
        n = len(tokens)
        return n in self.rows and self.cached[:n] == list(tokens)


@dataclass(eq=False)
class _Need:
    """What a slot waits for: that it holds `tokens`, with the logits of what follows the first `wanted` of them, and
    more of them. `watched`: somebody asks between steps whether to go on."""

    slot: Slot
    tokens: list[int]
    wanted: int
    watched: bool = False
    begun: bool = False
    done: bool = False
    error: EngineError | None = None

    @property
    def left(self) -> int:
        """How many tokens are still to be computed."""
        return len(self.tokens) - (len(self.slot.cached) if self.begun else self.shared(self.slot))

    def shared(self, slot: Slot) -> int:
        """How many tokens at the start a slot holds; the last wanted one is computed anyway, for its logits."""
        return _common(slot.cached, self.tokens[: self.wanted - 1])


class Slots:
    """As many requests at once as there are sequences; others wait for a free slot."""

    def __init__(self, sequences: Sequences, count: int) -> None:
        self._sequences = sequences
        self._slots = [Slot(number, self) for number in range(count)]
        self._lock = threading.Lock()  # of all that follows, and of the slots
        self._free = threading.Condition(self._lock)
        self._posted = threading.Condition(self._lock)  # for the thread: somebody needs something, or nothing more
        self._stepped = threading.Condition(self._lock)  # for requests
        self._needs: list[_Need] = []  # oldest first
        self._computing: list[_Need] = []
        self._expected: set[Slot] = set()  # those that got what they needed in the step before
        self._uses = 0
        self._requests = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        if count > 1:
            self._thread = threading.Thread(target=self._serve, name="llama.cpp steps", daemon=True)
            self._thread.start()

    @property
    def count(self) -> int:
        """How many requests it works on at once."""
        return len(self._slots)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around all of a request, what comes before it has a slot included: `close` waits for its end.

        Raises:
            EngineError: the engine was closed.
        """
        with self._lock:
            self._check()
            self._requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1
                self._free.notify_all()

    @contextmanager
    def take(self, prompt: Sequence[int], told: Told | None = None) -> Iterator[Slot]:
        """A slot for one request: of the free ones the one that holds most of the prompt's start; waits for one.

        Raises:
            EngineError: the engine was closed.
        """
        slot = self._take(list(prompt), told)
        try:
            yield slot
        finally:
            with self._lock:
                slot.taken = False
                if self._thread is not None:
                    slot.rows = {}  # copies
                self._expected.discard(slot)
                self._posted.notify()
                self._free.notify_all()

    def _take(self, prompt: list[int], told: Told | None) -> Slot:
        while True:
            with self._lock:
                self._free.wait_for(lambda: self._closed or not all(slot.taken for slot in self._slots), _ASKED)
                self._check()
                free = [slot for slot in self._slots if not slot.taken]
                if free:
                    slot = max(free, key=lambda slot: (_common(slot.cached, prompt), -slot.used))
                    self._uses += 1
                    slot.taken, slot.used = True, self._uses
                    return slot
            if told is not None:
                told([])

    def forget(self) -> None:
        """Keep nothing for the next requests, for measurements. Not while one runs."""
        for slot in self._slots:
            slot.cached, slot.rows = [], {}

    def close(self) -> bool:
        """Let requests fail, and end the thread. Idempotent.

        Returns:
            False where a request still runs, so that nothing may be freed.
        """
        with self._lock:
            self._closed = True
            self._posted.notify()
            self._free.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSING)
        with self._lock:
            return self._free.wait_for(lambda: not self._requests, _CLOSING)

    def _check(self) -> None:
        if self._closed:
            raise EngineError("the engine was closed")

    # --- in a request's thread ------------------------------------------------------------------------------------
    def compute(self, need: _Need, told: Told | None) -> None:
        """Return when a need is met; see `Slot.follow`."""
        if self._thread is None:
            self._needs = [need]
            while not need.done:
                self._check()
                self._step()
                if told is not None and not need.done:
                    told([])
        else:
            self._wait(need, told)
        if need.error is not None:
            raise need.error

    def _wait(self, need: _Need, told: Told | None) -> None:
        with self._lock:
            self._check()
            self._needs.append(need)
            self._posted.notify()
        try:
            while True:
                with self._lock:
                    left, until = need.left, time.monotonic() + _ASKED
                    while not need.done and need.left == left and (wait := until - time.monotonic()) > 0:
                        self._stepped.wait(wait)
                    if need.done:
                        return
                if told is not None:
                    told([])
        finally:
            with self._lock:
                if not need.done:  # given up
                    self._needs.remove(need)
                    self._stepped.wait_for(lambda: need not in self._computing)

    # --- in the thread that computes ------------------------------------------------------------------------------
    def _serve(self) -> None:
        error = EngineError("the engine was closed")
        try:
            while self._gathered():
                self._step()
        except Exception as bug:  # nobody may wait for ever
            error = EngineError(f"the engine stopped: {bug!r}", hint="please report this")
        with self._lock:
            self._closed = True
            for need in self._needs:
                need.error, need.done = error, True
            self._computing = []
            self._stepped.notify_all()

    def _gathered(self) -> bool:
        """Wait until there is something to compute; False where the engine was closed."""
        with self._lock:
            self._posted.wait_for(lambda: self._closed or self._needs)
            until = time.monotonic() + PATIENCE
            while not self._closed and self._expected - {need.slot for need in self._needs}:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._posted.wait(left)
            return not self._closed

    def _step(self) -> None:
        """Compute some of what is needed."""
        with self._lock:
            plan = self._plan()
            self._computing = [need for need, _ in plan]
        results = self._run([part for _, part in plan]) if plan else []
        with self._lock:
            for (need, part), result in zip(plan, results, strict=True):
                if isinstance(result, EngineError):
                    need.slot.cached = need.slot.cached[: self._sequences.keep(part.sequence, 0)]
                    need.error, need.done = result, True
                else:
                    need.slot.cached += part.tokens
                    need.slot.rows.update(result)
                    need.done = len(need.slot.cached) == len(need.tokens)
            self._needs = [need for need in self._needs if not need.done]
            self._expected = {need.slot for need in self._computing if need.done and need.slot.taken}
            self._computing = []
            self._stepped.notify_all()

    def _plan(self) -> list[tuple[_Need, Part]]:
        """What the next step computes: of short needs all, of long ones a piece."""
        room = self._sequences.batch_size
        if self._thread is None:
            need = self._needs[0]
            self._begin(need)
            if need.watched and len(need.tokens) - need.wanted < LONE:  # who gives up a long prompt is let go soon
                room = min(room, LONE)
            return [(need, self._part(need, (need.left - 1) % room + 1))]  # the last is full: it has all that is wanted
        short = [need for need in self._needs if need.left <= PIECE]
        plan = []
        for need in short:
            if need.left <= room:
                self._begin(need)
                plan.append((need, self._part(need, need.left)))
                room -= need.left
        room = min(room, PIECE if short else LONE)
        for need in self._needs:
            if need not in short and room > 0:
                self._begin(need)
                plan.append((need, self._part(need, min(need.left, room))))
                room -= len(plan[-1][1].tokens)
        return plan

    @staticmethod
    def _part(need: _Need, count: int) -> Part:
        start = len(need.slot.cached)
        return Part(need.slot.number, start, need.tokens[start : start + count], need.wanted - 1)

    def _begin(self, need: _Need) -> None:
        """Forget what differs; what another slot holds is taken over where that is worth it."""
        if need.begun:
            return
        slot, shared = need.slot, need.shared(need.slot)
        best = max(self._slots, key=need.shared)
        if need.shared(best) >= shared + WORTH_COPYING:
            shared = need.shared(best)
            self._sequences.copy(best.number, slot.number)
            slot.cached = list(best.cached)
        slot.cached, slot.rows = slot.cached[: self._sequences.keep(slot.number, shared)], {}
        need.begun = True

    def _run(self, parts: list[Part]) -> list[dict[int, np.ndarray] | EngineError]:
        """For each part its logits, by the number of tokens that they follow. Where the step failed, each part is tried
        alone, so that only who is at fault fails."""
        try:
            found = self._sequences.compute(parts)
            rows = [{n: self._sequences.logits(row) for n, row in some.items()} for some in found]
        except Exception as error:  # whatever it is, it ends as the request's error
            kept = [self._sequences.keep(part.sequence, part.start) == part.start for part in parts]
            if len(parts) > 1 and all(kept):
                return [self._run([part])[0] for part in parts]
            return [EngineError(f"llama.cpp failed: {error}", hint="try again", retryable=True) for _ in parts]
        if self._thread is None:
            return [*rows]
        return [{n: logits.copy() for n, logits in some.items()} for some in rows]  # the next step is perhaps another's


def _common(one: list[int], other: list[int]) -> int:
    """How many tokens two lists begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
