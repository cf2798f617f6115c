"""Synthetic rows that a team posts: questions with answers, or instructions with calls; JSON, JSON lines or CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from querywright.errors import QuerywrightError, did_you_mean
from server.evaluation.receive import Received
from server.problems import Refused

TEXTS = {"id": 200, "question": 10_000, "answer": 10_000, "evidence": 100_000, "instruction": 10_000, "path": 10_000,
         "document": 200}  # fmt: skip
"""Columns that are texts, and how many characters each may have."""
KNOWN = (*TEXTS, "answers", "window", "evidence_chunk")
WRONG_MOST = 5


def rows_of(file: Received, kind: str, name: str, most: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of a file, and the names of columns that nothing reads. For a thread.

    Raises:
        Refused: it is no such file, has no rows or too many, or rows are wrong; the first of them are named (422).
    """
    from querywright.questions.chunks import read_chunks

    try:
        chunks = read_chunks(file.path, kind)  # type: ignore[arg-type]
    except QuerywrightError as error:
        raise Refused(422, "rows", str(error).replace(str(file.path), name), error.hint) from error
    if len(chunks) > most:
        raise Refused(422, "rows", f"{len(chunks):,} rows, and {most:,} are the most of a run")
    found, wrong = [], []
    ignored: dict[str, None] = {}
    for chunk in chunks:
        row, reason = _row(chunk.fields)
        if reason:
            wrong.append(f"row {chunk.number}: {reason}")
            if len(wrong) == WRONG_MOST:
                break
        ignored.update(dict.fromkeys(key for key in chunk.fields or () if key not in KNOWN))
        found.append(row)
    if wrong:
        hint = 'rows are {"question", "answer", "evidence"} or {"instruction", "path"}'
        raise Refused(422, "rows", "; ".join(wrong), hint)
    if len({"instruction" in row for row in found}) > 1:
        raise Refused(422, "rows", "questions and instructions are in one file", "a run of their own for each")
    return found, [key[:80] for key in ignored][:20]


def _row(fields: dict[str, Any] | None) -> tuple[dict[str, Any], str]:
    """A row, and why it is none."""
    if fields is None:
        return {}, "a text, no object"
    row: dict[str, Any] = {}
    for key, most in TEXTS.items():
        value = fields.get(key)
        if value is None or value == "":
            continue
        if isinstance(value, int | float) and not isinstance(value, bool) and key in ("id", "answer"):
            value = str(value)
        if not isinstance(value, str):
            return {}, f"{key} is no text"
        if len(value) > most:
            return {}, f"{key} has {len(value):,} characters, and {most:,} are the most"
        if value.strip():
            row[key] = value
    answers: Any = fields.get("answers")
    if isinstance(answers, list) and answers and all(isinstance(one, str) and one.strip() for one in answers):
        if sum(map(len, answers)) > TEXTS["answer"]:
            return {}, "answers are too long"
        row |= {"answer": answers[0], "answers": answers}
    for needed in (("instruction", "path"), ("question", "answer")):
        if needed[0] in row:
            lacking = [key for key in needed if key not in row]
            break
    else:
        near = did_you_mean("question", list(map(str, fields))) if fields else ""
        return {}, f"no question and no instruction{near}"
    if lacking:
        return {}, f"{needed[0]} without {lacking[0]}"
    try:
        row |= _place(fields)
    except ValueError as error:
        return {}, str(error)
    return row, ""


def _place(fields: dict[str, Any]) -> dict[str, Any]:
    """The window and chunk that a row says it comes from; `3-6` is a window in a CSV."""
    found: dict[str, Any] = {}
    window: Any = fields.get("window")
    if isinstance(window, str):
        window = [int(part) for part in re.findall(r"\d{1,9}", window)] if len(window) < 40 else None
    if window is not None:
        if not isinstance(window, Sequence) or len(window) != 2 or not all(_whole(part) for part in window):
            raise ValueError("window is no pair of chunk numbers")
        if window[0] > window[1]:
            raise ValueError("the window ends before it begins")
        found["window"] = list(window)
    chunk: Any = fields.get("evidence_chunk")
    if isinstance(chunk, str) and re.fullmatch(r"\d{1,9}", chunk):
        chunk = int(chunk)
    if chunk is not None:
        if not _whole(chunk):
            raise ValueError("evidence_chunk is no chunk's number")
        found["evidence_chunk"] = chunk
    return found


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
