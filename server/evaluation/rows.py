"""Synthetic rows that a team posts: questions with answers, or instructions with calls; JSON, JSON lines or CSV."""

from __future__ import annotations

from typing import Any

from querywright.errors import QuerywrightError, did_you_mean
from server.evaluation.receive import Received, unread
from server.problems import Refused

TEXTS = {"id": 200, "question": 10_000, "evidence": 100_000, "instruction": 10_000, "path": 10_000, "document": 200}
"""Columns that are texts, and how many characters each may have."""
ANSWERS = 10_000
"""Characters of a question's answers together."""
KNOWN = (*TEXTS, "answer", "answers", "window", "evidence_chunk")
WRONG_MOST = 5
_FORM = 'rows are {"question", "answer", "evidence"} or {"instruction", "path"}'
_ALONE = "the body is the list of rows; run-id and file-name are headers, or parameters of the query"


def rows_of(file: Received, kind: str, name: str, most: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of a file, and the names of columns that nothing reads. For a thread.

    Raises:
        Refused: it is no such file, has no rows or too many, or rows are wrong; the first of them are named (422).
    """
    from querywright.questions.chunks import EXAMPLE, read_values

    try:
        values = read_values(file.path, kind, most=most, what="rows", alone=_ALONE)  # type: ignore[arg-type]
    except QuerywrightError as error:
        error.hint = _FORM if error.hint == EXAMPLE else error.hint
        raise unread(error, file.path, kind, name, "rows") from error
    found, wrong = [], []
    ignored: dict[str, None] = {}
    for number, value in enumerate(values, 1):
        try:
            found.append(_row(value))
        except ValueError as error:
            wrong.append(f"row {number}: {error}")
            if len(wrong) == WRONG_MOST:
                break
            continue
        ignored.update(dict.fromkeys(key for key in value if key not in KNOWN))
    if wrong:
        raise Refused(422, "rows", "; ".join(wrong), _FORM)
    if len({"instruction" in row for row in found}) > 1:
        raise Refused(422, "rows", "questions and instructions are in one file", "a run of their own for each")
    return found, [key[:80] for key in ignored][:20]


def _row(given: Any) -> dict[str, Any]:
    """A row as it is kept; what an evaluation would not take is none.

    Raises:
        ValueError: it is none, and why.
    """
    from querywright.evaluate.questions_rows import number_of, question_of, window_of

    if not isinstance(given, dict):
        raise ValueError("a text, no object")
    row: dict[str, Any] = {}
    for key, most in TEXTS.items():
        value = _plain(given.get(key)) if key in ("id", "document") else given.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise ValueError(f"{key} is no text")
        if len(value) > most:
            raise ValueError(f"{key} has {len(value):,} characters, and {most:,} are the most")
        if value.strip():
            row[key] = value
    if "instruction" in row:
        if "path" not in row:
            raise ValueError("instruction without path")
    elif "question" in row:
        answers = question_of(given | {key: _plain(given.get(key)) for key in ("answer", "answers")}).answers
        if (size := sum(map(len, answers))) > ANSWERS:
            raise ValueError(f"its answers have {size:,} characters, and {ANSWERS:,} are the most")
        row |= {"answer": answers[0], **({"answers": [*answers]} if len(answers) > 1 else {})}
    else:
        if "question" in given or "instruction" in given:
            raise ValueError(f"{'question' if 'question' in given else 'instruction'} is empty")
        near = did_you_mean("question", list(given)) if given else ""
        raise ValueError(f"no question and no instruction{near}")
    if window := window_of(given.get("window")):
        row["window"] = [*window]
    if chunk := number_of(given.get("evidence_chunk"), "evidence_chunk"):
        row["evidence_chunk"] = chunk
    return row


def _plain(value: Any) -> Any:
    """Numbers as texts, also those of a list: an answer may be 12."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
