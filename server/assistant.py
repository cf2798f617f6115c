"""One API's assistant: a sentence in; its call, what it means, whether it is valid and what it finds out.

The page and REST both stand on `ask`, `check` and `find`; neither knows the engine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.errors import QuerywrightError
from server.gate import Gate
from server.settings import Limits


class Answer(Protocol):
    """What `generate.answer` gives: a path, whether it is a call, why not, what it cost, the code of a refusal, and how
    sure it is."""

    @property
    def path(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def ms(self) -> float: ...
    @property
    def refused(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def calibrated(self) -> bool: ...
    @property
    def abstained(self) -> bool: ...


class Writes(Protocol):
    """Turns a sentence into an answer, chosen from `n` of them (None: as many as the server was started with)."""

    def __call__(self, instruction: str, /, *, n: int | None = None) -> Answer: ...


class Found(Protocol):
    """What an executor gives: how many records, the ids and rows of the first of them."""

    @property
    def total(self) -> int: ...
    @property
    def ids(self) -> Any: ...
    @property
    def rows(self) -> Any: ...


class Runs(Protocol):
    """An executor."""

    def run(self, call: Call) -> Any: ...


class InputError(QuerywrightError):
    """A request that the assistant does not take; `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass
class Assistant:
    """An API with the engine that writes its calls and the executor that runs them.

    Attributes:
        write: turns a sentence into an answer; called by one thread at a time.
        model: what is stored beside each answer, to know who wrote it.
        records: what the executor searches, in words; empty without an executor.
    """

    api: API
    write: Writes
    model: str
    executor: Runs | None = None
    records: str = ""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.gate = Gate(self.limits.waiting)


@dataclass(frozen=True)
class Hits:
    """What a call found. `reason` says why there is nothing to show; then `total` is None."""

    total: int | None = None
    ids: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """A path, read: whether it is a call, why not, what it means clause by clause, and where it runs for real.

    `refused`: the reason's code where the model said that no call answers the sentence; `path` is what it wrote then.
    """

    path: str
    ok: bool
    reason: str = ""
    words: tuple[str, ...] = ()
    link: str = ""
    call: Call | None = None
    refused: str = ""


@dataclass(frozen=True)
class Reply:
    """An answered question. `ms` is the engine's time, `waited_ms` the time before it was free. `confidence`: the
    chance that it is right, None where no calibration says so; `abstained`: it is below what was asked for."""

    question: str
    verdict: Verdict
    ms: float
    waited_ms: float
    hits: Hits
    confidence: float | None = None
    abstained: bool = False


def clean(text: object, limit: int, what: str = "instruction") -> str:
    """The text on one line, without white space around it.

    Raises:
        InputError: it is no text, is empty, too long or not Unicode.
    """
    if not isinstance(text, str):
        raise InputError("bad_type", f"{what} has to be text")
    if len(text) > limit:
        raise InputError("too_long", f"{what} has {len(text):,} characters; {limit:,} are read", hint="say it shorter")
    folded = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not folded:
        raise InputError("empty", f"{what} is empty", hint="ask for records in a sentence")
    return folded


def examples(api: API) -> list[str]:
    """The example sentences of an API (`examples.txt` beside its definition); none where there is no such file."""
    path = Path(api.folder) / "examples.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line.strip() for line in lines if line.strip()]


def ask(assistant: Assistant, instruction: object, *, run: bool = True, n: int | None = None) -> Reply:
    """Answer one sentence.

    Raises:
        InputError: the sentence is none.
        Busy: too many requests wait.
        QuerywrightError: the engine failed.
    """
    question = clean(instruction, assistant.limits.instruction_chars)
    asked = time.perf_counter()
    with assistant.gate.enter():
        waited = time.perf_counter() - asked
        answer = assistant.write(question, n=n)
    sure = answer.confidence if answer.calibrated else None
    if answer.refused:
        verdict = Verdict(answer.path, False, answer.reason or "no call answers this", refused=answer.refused)
        return Reply(question, verdict, answer.ms, waited * 1000, Hits(reason="no call to run"), sure, answer.abstained)
    verdict = check(assistant.api, answer.path)
    if not answer.ok:  # an answer that ran out of tokens may look like a call: the engine knows better
        verdict = Verdict(answer.path, False, answer.reason or verdict.reason or "the model gave no call")
    hits = find(assistant, verdict) if run else Hits(reason="not run")
    return Reply(question, verdict, answer.ms, waited * 1000, hits, sure, answer.abstained)


def check(api: API, path: str) -> Verdict:
    """Read a path as a call; its words are there only where it is one."""
    if not path.strip():
        return Verdict("", False, "the call is empty")
    try:
        call = parse(api, path)
    except CallError as error:
        return Verdict(path, False, str(error))
    except RecursionError:
        return Verdict(path, False, "the query is too deeply nested")
    from querywright.api.explain import explain

    return Verdict(call.text, True, "", tuple(explain(call)), api.base_url + call.request, call)


def find(assistant: Assistant, verdict: Verdict) -> Hits:
    """Run a call. A failure is a reason, not an error: the call itself is still worth showing."""
    if verdict.call is None:
        return Hits(reason="no call to run")
    if assistant.executor is None:
        return Hits(reason="no records to search")
    start = time.perf_counter()
    try:
        found: Found = assistant.executor.run(verdict.call)
    except QuerywrightError as error:
        return Hits(reason=str(error))
    ms = (time.perf_counter() - start) * 1000
    rows = tuple(found.rows or ())[: assistant.limits.rows]
    return Hits(found.total, tuple(map(str, found.ids))[: assistant.limits.rows], rows, ms)
