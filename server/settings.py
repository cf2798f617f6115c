"""The limits of the server. Each is checked before work is done, and named in the error that it causes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from querywright.errors import QuerywrightError, did_you_mean
from server.evaluation.quotas import Quotas

PREFIX = "QUERYWRIGHT_LIMIT_"
KEEP_ALIVE_S = 20
"""Seconds that an idle connection is kept: longer than clients keep one (httpx 5, aiohttp 15, nginx as our samples
say), or now and then a request goes into a connection that is just being closed, and is lost."""
KNOWN = tuple(
    f"QUERYWRIGHT_{name}"
    for name in ("TOKEN", "USERS", "ORIGINS", "TRUSTED_PROXIES", "STORE", "SERVER_KEY", "PROTECTED", "API",
                 "EVALUATION", "BROKER", "RESULTS", "JOBS", "MLFLOW", "TEAMS", "MODELS", "ENCODER")
)  # fmt: skip
_ALIKE = 88  # of 100, by rapidfuzz: one letter of twelve amiss, or two exchanged


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may ask at once.

    Attributes:
        instruction_chars: length of a sentence, in characters.
        call_chars: length of a corrected call, in characters.
        body_bytes: size of a request's body, in bytes.
        body_s: time in which a request's body has to arrive, in seconds.
        tokens: length of an answer, in tokens.
        answer_s: time for one answer, waiting included, in seconds.
        waiting: requests that may wait for a model; one more is refused at once.
        patience_s: how long somebody may have been waiting all the time before the queue is kept short, in seconds.
        wait_share: how long a request may have to wait then, as a share of the time that an answer takes.
        per_client: requests of one client that may wait or be answered at once.
        batch: sentences in one batch request.
        turns: earlier turns of a conversation that are read, sentences and calls.
        alternatives: answers that may be chosen from.
        rows: rows shown in the table of hits.
        columns: columns of that table.
        cell_chars: length of one cell of that table.
        terms: terms of a facet that are shown.
        connections: open connections, those of pages that wait for nothing included.
        kept_per_hour: answers, corrections and choices of one client that are kept within an hour; more answers are
            given, and not kept.
    """

    instruction_chars: int = 1_000
    call_chars: int = 4_000
    body_bytes: int = 64 * 1024
    body_s: float = 10.0
    tokens: int = 200
    answer_s: float = 30.0
    waiting: int = 8
    patience_s: float = 5.0
    wait_share: float = 0.3
    per_client: int = 8
    batch: int = 32
    turns: int = 8
    alternatives: int = 8
    rows: int = 10
    columns: int = 12
    cell_chars: int = 200
    terms: int = 12
    connections: int = 512
    kept_per_hour: int = 500


MAY_BE_NOTHING = ("waiting", "wait_share", "patience_s", "keep_free_bytes")


def unread(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables of the environment that are called like ours and that nobody reads, a sentence each: a misspelt
    QUERYWRIGHT_TOKEN would leave a server without a login."""
    return misspelt(environment) + unknown(environment)


def misspelt(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Those of `unread` that are nearly called as one of ours."""
    strange = _strange(environment).items()
    return [f"{name} is set, and nothing reads it; did you mean {near}?" for name, near in strange if near]


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The others of `unread`, which somebody else may have set for themselves."""
    strange = _strange(environment).items()
    return [f"{name} is set, and nothing reads it: known are {', '.join(KNOWN)}" for name, near in strange if not near]


def _strange(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that nobody reads, each with the known one that it nearly is, if it is."""
    from rapidfuzz import fuzz, process

    found = {}
    for variable in sorted(environment):
        if variable in KNOWN or variable.startswith(PREFIX):  # limits are checked by themselves
            continue
        name = variable.upper().replace("-", "_")
        near, alike, _ = process.extractOne(name, KNOWN, scorer=fuzz.ratio)
        if alike >= _ALIKE or name.startswith("QUERYWRIGHT"):
            found[variable] = near if alike >= _ALIKE else ""
    return found


def limits_of(environment: Mapping[str, str] = os.environ) -> Limits:
    """The limits, with those that the environment sets (`QUERYWRIGHT_LIMIT_WAITING=20`).

    Raises:
        QuerywrightError: an unknown name, or a value that is no positive number; all of them at once.
    """
    return limited(environment)[0]


def limited(environment: Mapping[str, str] = os.environ) -> tuple[Limits, Quotas]:
    """The limits of every server, and those of the evaluation service: one file of settings may hold both.

    Raises:
        QuerywrightError: an unknown name, or a value that is no positive number; all of them at once.
    """
    kinds: dict[str, Any] = {field.name: type(field.default) for one in (Limits, Quotas) for field in fields(one)}
    given: dict[str, Any] = {}
    wrong = []
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        if name not in kinds:
            near = did_you_mean(name, [*kinds])
            wrong.append(f"{variable}: there is no such limit{near}")
            continue
        try:
            given[name] = kinds[name](text)
        except ValueError:
            wrong.append(f"{variable}={text[:40]!r}: a{'n integer' if kinds[name] is int else ' number'} is needed")
            continue
        # a queue of no places is a choice; a limit of nothing elsewhere would refuse everything
        most = 1e15 if "bytes" in name else 1e9
        if not (0 if name in MAY_BE_NOTHING else 1) <= given[name] <= most:
            wrong.append(f"{variable}={text[:40]!r}: out of range")
    if wrong:
        raise QuerywrightError("\n  ".join(wrong), hint=f"limits: {', '.join(kinds)} (see docs/serving.md)")
    ours = {field.name for field in fields(Limits)}
    quotas = {name: value for name, value in given.items() if name not in ours}
    return Limits(**{name: value for name, value in given.items() if name in ours}), Quotas(**quotas)
