"""Pairs from a file, checked at the door: every step behind it relies on the shape that `querywright.rows` tells."""

from __future__ import annotations

import math
from pathlib import Path

from querywright.api.refusal import REASONS
from querywright.artefacts import content_id, read_jsonl
from querywright.errors import QuerywrightError
from querywright.rows import Row, answer, said, turns_of

_TEXTS = (
    "id", "api", "instruction", "path", "canonical", "signature", "refusal", "source", "teacher", "persona", "answer",
    "system",
)  # fmt: skip


def misshapen(r: Row) -> str:
    """Which key of a row has the wrong type, in a clause; the empty string where none has."""
    if not isinstance(r.get("instruction"), str):
        return "no text under `instruction`"
    for key in _TEXTS:
        text = r.get(key)
        if text is not None and not isinstance(text, str):
            return f"`{key}` is no text"
        if text and _halved(text):
            return f"`{key}` holds half a character (a lone surrogate)"
    try:
        turns = turns_of(r, "")
    except QuerywrightError:
        return "`turns` are no chat messages of user and assistant"
    if any(_halved(t["content"]) for t in turns):
        return "`turns` hold half a character (a lone surrogate)"
    weight = r.get("weight")
    return "" if weight is None or _amount(weight) else "`weight` is no number from 0 on"


def fault(r: Row) -> str:
    """Why a row is no whole pair, in a clause; the empty string where it is one."""
    wrong = misshapen(r)
    if wrong:
        return wrong
    if r.get("refusal") and r["refusal"] not in REASONS:
        return f"`refusal` is none of {', '.join(REASONS)}"
    if not (r.get("refusal") or r.get("answer") or r.get("path")):
        return "no answer: neither `path` nor `refusal` nor `answer`"
    if r.get("path") and not r.get("refusal") and not r.get("canonical"):
        return "a `path` without its `canonical` form"
    return "" if r.get("api") or r.get("system") else "no `api`"


def read_pairs(path: Path | str) -> list[Row]:
    """Rows as `pairs make`, `pairs import` and `events build` write them. One without an `id` gets it.

    Raises:
        QuerywrightError: the file can't be read, or a row has another shape; it is named, its text is not shown.
    """
    rows = read_jsonl(path)
    for number, r in enumerate(rows, 1):
        wrong = fault(r)
        if wrong:
            raise QuerywrightError(
                f"{path}: row {number} is no pair: {wrong}",
                hint=f"querywright pairs import {path} --api API --out FILE --rejects FILE takes what is one",
            )
    return [r if r.get("id") else {**r, "id": content_id(f"{answer(r)}\n{said(r)}")} for r in rows]


def _halved(text: str) -> bool:
    """Whether a text can't be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value)
