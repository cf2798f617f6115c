"""What the page, REST and MCP stand on: answers, calls read and explained, hits. None of it knows an engine."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.executors import Executor
from querywright.engines.base import Message
from querywright.errors import QuerywrightError
from server.settings import Limits


class InputError(QuerywrightError):
    """A request that the assistant does not take; `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True)
class Served:
    """An API with the executor that runs its calls.

    Attributes:
        records: what the executor searches, in words; empty without an executor.
        model: the name of the model that answers where none is chosen.
    """

    api: API
    model: str
    executor: Executor | None = None
    records: str = ""


@dataclass(frozen=True)
class Choice:
    """Who answers, and how: an API's name, a model's, a strategy (`generate.prompts`), a way of decoding."""

    api: str
    model: str
    strategy: str = "tuned"
    decoding: str = "grammar"


@dataclass(frozen=True)
class Hits:
    """What a call found. `reason` says why there is nothing to show; then `total` is None.

    `facets`: for each field that was counted, its terms with their counts, the most frequent first.
    """

    total: int | None = None
    ids: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    ms: float = 0.0
    reason: str = ""
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


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
class Alternative:
    """Another answer to the same sentence: how sure it is (None where that is not known), and who gave it."""

    verdict: Verdict
    confidence: float | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """An answered question.

    Attributes:
        turns: what was said before it.
        ms: the engine's time; `waited_ms`: the time before it was free.
        confidence: the chance that it is right, None where no calibration says so.
        abstained: whether the confidence is below what was asked for: the call is a guess.
        alternatives: the other answers, where several were asked for.
        tokens_in, tokens: of the prompt and of the answer.
        finish: `length` where the answer was cut off, else `stop`.
        model_id, config_id: which model and which settings, for whoever keeps the answer.
    """

    question: str
    choice: Choice
    verdict: Verdict
    ms: float
    waited_ms: float
    hits: Hits
    confidence: float | None = None
    abstained: bool = False
    alternatives: tuple[Alternative, ...] = ()
    turns: tuple[Message, ...] = ()
    tokens_in: int = 0
    tokens: int = 0
    model_id: str = ""
    config_id: str = ""
    finish: str = "stop"


def clean(text: object, limit: int, what: str = "instruction") -> str:
    """The text on one line, without white space around it.

    Raises:
        InputError: it is no text, has no letter or digit, or is too long.
    """
    if not isinstance(text, str):
        raise InputError("bad_type", f"{what} has to be text")
    if len(text) > limit:
        raise InputError("too_long", f"{what} has {len(text):,} characters; {limit:,} are read", hint="say it shorter")
    folded = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not re.search(r"\w", folded):
        raise InputError("empty", f"{what} is empty", hint="ask for records in a sentence")
    return folded


def examples(api: API) -> list[str]:
    """The example sentences of an API (`examples.txt` beside its definition); none where there is no such file."""
    path = Path(api.folder) / "examples.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line.strip() for line in lines if line.strip()]


def example(api: API) -> str:
    """A sentence that may be asked of an API."""
    return next(iter(examples(api)), f"ten {api.noun}s")


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


def find(served: Served, verdict: Verdict, limits: Limits) -> Hits:
    """Run a call. A failure is a reason, not an error: the call itself is still worth showing."""
    if verdict.call is None:
        return Hits(reason="no call to run")
    if served.executor is None:
        return Hits(reason="no records to search")
    start = time.perf_counter()
    try:
        found = served.executor.run(verdict.call)
    except QuerywrightError as error:
        return Hits(reason=str(error))
    ms = (time.perf_counter() - start) * 1000
    rows = tuple(found.rows or ())[: limits.rows]
    facets = {name: [*terms][: limits.terms] for name, terms in found.facets.items()}
    return Hits(found.total, tuple(map(str, found.ids))[: limits.rows], rows, ms, facets=facets)
