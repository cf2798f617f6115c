"""Many prompts to one model: several at once, kept on disk, tried again where that helps, within a budget.

A local engine is asked as many prompts at once as its capacity has it, a server as many as `open_many` was asked for.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

from querywright.artefacts import content_id
from querywright.engines.base import Completion, Engine, EngineError, Grammar, MaskError, Message, capacity_of
from querywright.engines.budget import Budget, BudgetReached, tokens_of
from querywright.engines.ledger import Ledger
from querywright.engines.open import is_address, open_engine
from querywright.errors import QuerywrightError
from querywright.progress import say

T = TypeVar("T")
_WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)  # seconds, when a server is busy
_LONGEST_WAIT = 600.0  # what a server may ask for
_HOPELESS = 3  # failures in a row that end a run in which nothing has worked yet
_GIVEN_UP = 20  # and one in which something has
_OWN_IN_A_ROW = 200  # and where each is the prompt's own fault: texts may be sorted, the longest first
_OWN = re.compile(
    r"context_length|context (?:length|window|size|holds)|too long|too many tokens|tokens? (?:count )?exceed|HTTP 413"
    r"|content[ _-](?:filter|policy|management)|flagged",
    re.I,
)


@dataclass(frozen=True)
class Prompt:
    """A chat and how it is to be answered: `n` times. `key` is what its answers are kept under, where the asker knows
    better than `Sender.key` what they hang on."""

    messages: list[Message]
    grammar: Grammar | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    n: int = 1
    key: str = ""


def open_many(
    model: str, n: int = 1, *, adapter: str | None = None, key: str | None = None, threads: int | None = None,
    slots: int | None = None, isolated: bool = False, hang_s: float = 60.0,
) -> list[Engine]:  # fmt: skip
    """An engine, as often as it may be asked at once: a server `n` times, a local one as its capacity has it. Every
    failed try is the caller's to count.

    Args:
        adapter, key, threads, slots, isolated, hang_s: see `engines.open.open_engine`; `slots` is a local engine's.

    Raises:
        EngineError: there is no such model.
    """
    if is_address(model):
        return [open_engine(model, tries=1, slots=max(1, n), key=key)] * max(1, n)
    engine = open_engine(model, adapter=adapter, threads=threads, slots=slots, isolated=isolated, hang_s=hang_s)
    return [engine] * capacity_of(engine)


def own_fault(reason: str) -> bool:
    """Whether the reason of a failure that lasts is the prompt's own: too long, or not let through. Such a failure says
    nothing about the model."""
    return bool(_OWN.search(reason))


def completions_of(row: dict[str, Any] | None) -> list[Completion]:
    """The answers in a line of a ledger; none of no line, or of a damaged one."""
    try:
        known = (row or {}).get("all") or [[row[key] for key in ("text", "finish", "tokens_out", "ms")]]  # type: ignore[index]
        facts = [(str(text), str(finish), int(out), float(ms)) for text, finish, out, ms in known]
        tokens_in = int(row["tokens_in"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return []
    return [
        Completion(text, tokens_in, out, ms, "length" if finish == "length" else "stop")
        for text, finish, out, ms in facts
    ]


def _length(done: Completion) -> int:
    """Tokens of an answer; about so many, where a server does not tell."""
    return done.tokens_out or len(done.text) // 4 + 1


@dataclass
class Sender:
    """Sends prompts to a model.

    Attributes:
        engines: as many as may work at once.
        wait: how to sleep; a test's own takes no time.
        asked: prompts that were sent and answered, `kept` those that the ledger had, `failed` those without an answer.
        reasons: why those have none, by key.
    """

    engines: Sequence[Engine]
    ledger: Ledger
    budget: Budget = field(default_factory=Budget)
    wait: Callable[[float], None] = time.sleep
    asked: int = 0
    kept: int = 0
    failed: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        about = self.engines[0].describe()
        self.model = str(about.get("model") or about.get("engine"))
        self.local = about.get("engine") != "server"
        self._about = {k: v for k, v in about.items() if k not in ("threads", "url")}
        self._free: SimpleQueue[Engine] = SimpleQueue()
        for engine in self.engines:
            self._free.put(engine)
        self._plain = False  # the server takes no JSON schemas
        self._row = 0  # failures in a row
        self._quiet_until = 0.0
        self._guard = threading.Lock()
        self._rng = random.Random(0)
        self._at_work: list[tuple[threading.Event, ThreadPoolExecutor]] = []
        self.budget.tokens_in += self.ledger.total("tokens_in")
        self.budget.tokens_out += self.ledger.total("tokens_out")

    def key(self, prompt: Prompt) -> str:
        """What an answer is kept under: the model, the prompt and the settings."""
        if prompt.key:
            return prompt.key
        grammar = prompt.grammar.text if prompt.grammar else ""
        settings = [grammar, prompt.max_tokens, prompt.temperature, prompt.seed, *([prompt.n] * (prompt.n > 1))]
        return content_id(json.dumps([self._about, prompt.messages, settings], sort_keys=True), 24)

    def text(self, prompt: Prompt, *, usable: Callable[[str], object] = lambda text: True, state: str = "") -> str:
        """The answer to a prompt, from the ledger if it is there and usable; empty where this prompt can't be answered.

        Args:
            usable: whether a kept answer will do, or is to be asked for again.
            state: how far we are, for the message of an error.

        Raises:
            BudgetReached: it might cost more than is left.
            QuerywrightError: the model is gone, or refuses everything; what it answered is kept.
        """
        known = self.ledger.get(self.key(prompt))
        if known is not None and usable(known):
            self.kept, self._row = self.kept + 1, 0  # gone on with, failures are as far apart as before
            return known
        done = self._send(prompt, state)
        return done[0].text if done else ""

    def completions(self, prompt: Prompt) -> list[Completion]:
        """All `n` answers to a prompt, from the ledger if they are there; none where it can't be answered. See `text`.

        Raises:
            BudgetReached: they might cost more than is left.
            QuerywrightError: the model is gone, or refuses everything; what it answered is kept.
        """
        known = completions_of(self.ledger.rows.get(self.key(prompt)))
        if known:
            self.kept, self._row = self.kept + 1, 0  # gone on with, failures are as far apart as before
            return known
        return self._send(prompt, "")

    def texts(self, prompts: Iterable[Prompt]) -> Iterator[str | None]:
        """The answers in the order of the prompts; None for those that the budget left out.

        What is under way when something ends the run (Ctrl-C too) is waited for and kept.
        """
        return self._many(prompts, self.text)

    def many(self, prompts: Iterable[Prompt]) -> Iterator[list[Completion] | None]:
        """The same, all `n` answers to each prompt; an empty list where a prompt can't be answered."""
        return self._many(prompts, self.completions)

    def _send(self, prompt: Prompt, state: str) -> list[Completion]:
        self.ledger.lock()
        engine = self._free.get()
        try:
            return self._ask(engine, self.key(prompt), prompt, state)
        finally:
            self._free.put(engine)

    def _many(self, prompts: Iterable[Prompt], ask: Callable[[Prompt], T]) -> Iterator[T | None]:
        with ThreadPoolExecutor(len(self.engines)) as pool:
            waiting: deque[Future[T | None]] = deque()
            stop = threading.Event()
            self._at_work.append((stop, pool))

            def one(prompt: Prompt) -> T | None:
                try:
                    return None if stop.is_set() and self.ledger.get(self.key(prompt)) is None else ask(prompt)
                except BudgetReached as error:
                    if not stop.is_set():
                        stop.set()
                        say(f"{error}: stopping")
                    return None
                except BaseException:
                    stop.set()
                    raise

            try:
                for prompt in prompts:
                    # whoever hears this thread hears what is said in those, too
                    waiting.append(pool.submit(copy_context().run, one, prompt))
                    if len(waiting) >= 4 * len(self.engines):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._at_work.remove((stop, pool))

    def close(self) -> None:
        """Close the engines and the ledger. Nothing more is sent; what a server works on is waited for and kept."""
        for stop, pool in self._at_work:  # whoever asked has not read it to the end: it was cancelled, or it failed
            stop.set()
            pool.shutdown(wait=not self.local, cancel_futures=True)
        for engine in {id(engine): engine for engine in self.engines}.values():
            engine.close()
        for _, pool in self._at_work:  # a thread that came later would open the ledger again, and keep it
            pool.shutdown()
        self.ledger.close()

    def _ask(self, engine: Engine, key: str, prompt: Prompt, state: str) -> list[Completion]:
        tried = 0
        while True:
            self._hush()
            held = self.budget.hold(prompt.messages, prompt.max_tokens * prompt.n)
            spent = [0, 0]  # tokens in and out
            try:
                done = self._generate(engine, prompt, spent)
                facts: dict[str, Any] = {"finish": done[0].finish, "ms": round(done[0].ms, 1)}
                if prompt.n > 1:
                    facts["all"] = [[one.text, one.finish, _length(one), round(one.ms, 1)] for one in done]
                self.ledger.put(key, done[0].text, tokens_in=spent[0], tokens_out=spent[1], **facts)
                with self._guard:
                    self.asked, self._row = self.asked + 1, 0
                return done
            except MaskError as error:
                if any(spent):
                    self.ledger.put(key, None, lost=str(error)[:200], tokens_in=spent[0], tokens_out=spent[1])
                if self.local or self._plain or prompt.grammar is None or prompt.grammar.kind != "json":
                    self._failure(error, state, key)
                    return []
                say("the server takes no JSON schema: asking without, and checking what comes back")
                self._plain = True
                continue
            except EngineError as error:
                if error.charged:
                    spent = [spent[0] + tokens_of(prompt.messages), max(spent[1], prompt.max_tokens * prompt.n)]
                if any(spent):
                    self.ledger.put(key, None, lost=str(error)[:200], tokens_in=spent[0], tokens_out=spent[1])
                if not error.retryable:
                    self._failure(error, state, key)
                    return []
                failure = error
            finally:
                self.budget.settle(held, *spent)
            self._pause(failure, tried, state)
            tried += 1

    def _generate(self, engine: Engine, prompt: Prompt, spent: list[int]) -> list[Completion]:
        """The answers. Those that did not keep to their JSON schema are paid for all the same: their reader decides. A
        grammar of another kind is a promise: without it there is no answer.

        A server that gives one where several are asked for (not all know `n`) is asked for the others, too.

        Args:
            spent: tokens in and out, added to with each request; of a server that tells none, what is likely.
        """
        grammar = None if self._plain else prompt.grammar
        done: list[Completion] = []
        failure: MaskError | None
        while len(done) < prompt.n:
            try:
                got = engine.generate(
                    prompt.messages, grammar=grammar, max_tokens=prompt.max_tokens, temperature=prompt.temperature,
                    seed=prompt.seed + len(done), n=prompt.n - len(done),
                )  # fmt: skip
            except MaskError as error:
                got, failure = error.completions, error
            else:
                failure = None
            if got:
                spent[0] += got[0].tokens_in or tokens_of(prompt.messages)
                spent[1] += sum(map(_length, got))
            if failure is not None and not (got and grammar is not None and grammar.kind == "json"):
                raise failure
            done += got
        return done[: prompt.n]

    def _pause(self, error: EngineError, tried: int, state: str) -> None:
        """Wait before the next try; all connections keep quiet as long as a server asks for."""
        patient = self.asked or error.charged or "HTTP " in str(error)  # somebody is there, and busy
        if tried >= (len(_WAITS) if patient else 2) or (error.retry_after or 0) > _LONGEST_WAIT:
            raise QuerywrightError(
                f"{error}; {state or self.state()}", hint="run the same command again to go on", retryable=True
            ) from error
        own = _WAITS[tried] if tried or not error.retry_after else 0.0
        pause = max(own, error.retry_after or 0.0) * (1 + self._rng.random() / 4)  # not all connections at once
        with self._guard:
            if error.retry_after:
                self._quiet_until = max(self._quiet_until, time.monotonic() + error.retry_after)
        say(f"{error}; trying again in {pause:.0f} s")
        self.wait(pause)

    def _hush(self) -> None:
        pause = self._quiet_until - time.monotonic()
        if pause > 0:
            self.wait(pause)

    def _failure(self, error: EngineError, state: str, key: str) -> None:
        """One prompt that failed for good; the run goes on unless nothing works (any more)."""
        with self._guard:
            self.reasons[key] = str(error)
            self.failed += 1
            self._row += 1
            most = _GIVEN_UP if self.asked or self.kept else _HOPELESS
            over = self._row >= (_OWN_IN_A_ROW if own_fault(str(error)) else most)
        if over:
            hint = error.hint or "check --model"
            raise QuerywrightError(f"{error}; {state or self.state()}", hint=hint) from error

    def state(self) -> str:
        """How far we are, in one clause."""
        return f"{self.asked + self.kept} answers are kept"

    def about(self) -> dict[str, Any]:
        """What the answers depend on."""
        return dict(self._about)
