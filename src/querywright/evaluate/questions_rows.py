"""Question rows: a question, its answer, and where the answer stands. JSON lines, a JSON list, or CSV."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, read_jsonl
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.questions.chunks import read_values

_KEYS = "question and answer (or answers), text both"
_BY_DOCUMENT = 10  # so many documents or more: they are what varies, not their windows


@dataclass(frozen=True)
class Question:
    """One question with its reference answers.

    Attributes:
        answers: right ones, of which the nearest counts; the first is shown to judges and people.
        evidence: the text that the answer stands in, and `evidence_chunk` the number of its chunk; empty and None where
            that is not known.
        window: the first and the last chunk that it was made from.
        document: which document, where rows are from several.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    evidence: str = ""
    evidence_chunk: int | None = None
    window: tuple[int, int] | None = None
    document: str = ""


def read_rows(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a file: `.csv` and `.tsv` (see `questions.csvs.csv_rows`), `.json` (a list, or an object with one
    under `rows`), anything else JSON lines.

    Raises:
        QuerywrightError: it can't be read; the line is named.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        found = _json(path)
        found = found.get("rows") if isinstance(found, dict) else found
        if not isinstance(found, list):
            raise QuerywrightError(f"{path} holds no list of rows", hint="a list, or JSON lines in a .jsonl file")
        return found
    return read_values(path, what="rows") if path.suffix.lower() in (".csv", ".tsv") else read_jsonl(path)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition(";")[0]
        raise QuerywrightError(f"could not read {path}: {reason}", hint="a JSON list of rows, in UTF-8") from error


def questions(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> list[Question]:
    """Question rows in an order drawn with `seed`, so that the first n are a fair sample; repeats are left out.

    Raises:
        QuerywrightError: none, or rows that can't be; the first few are named, from 1.
    """
    made, wrong = [], []
    for number, row in enumerate(rows, 1):
        try:
            made.append(question_of(row))
        except ValueError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        raise QuerywrightError(
            "\n  ".join([f"{len(wrong)} of {len(rows)} rows can't be asked", *wrong[:5]]), hint=f"each needs {_KEYS}"
        )
    if not made:
        raise QuerywrightError("there are no question rows", hint="querywright questions make writes some")
    alone = list({(q.document, q.question, q.answers): q for q in made}.values())
    if len(alone) < len(made):
        say(f"{len(made) - len(alone)} repeats of question rows left out")
    alone = [*{q.id: q for q in alone}.values()] if len({q.id for q in alone}) == len(alone) else _renamed(alone)
    alone.sort(key=lambda q: q.id)
    random.Random(seed).shuffle(alone)
    return alone


def _renamed(made: Iterable[Question]) -> list[Question]:
    """Rows whose ids are not theirs alone, with ids made of what they say."""
    say("ids stand at several rows: made anew from question and answer")
    return [Question(**{**vars(q), "id": _id(q.document, q.question, q.answers)}) for q in made]


def question_of(row: Mapping[str, Any]) -> Question:
    """A row as a question; `answers` stands for `answer` where a row has both.

    Raises:
        ValueError: it can't be one, and why.
    """
    if not isinstance(row, Mapping):
        raise ValueError("is no object")
    answers = tuple(_text(one, "answer") for one in _answers(row.get("answers") or row.get("answer")))
    question, document = _text(row.get("question"), "question"), _clean(str(row.get("document") or ""))
    if not answers:
        raise ValueError("has no answer")
    return Question(
        id=_clean(str(row.get("id") or "")) or _id(document, question, answers),
        question=question,
        answers=answers,
        evidence=_clean(row["evidence"]) if isinstance(row.get("evidence"), str) else "",
        evidence_chunk=number_of(row.get("evidence_chunk"), "evidence_chunk"),
        window=window_of(row.get("window")),
        document=document,
    )


def _answers(given: Any) -> list[Any]:
    """What is given as answer or answers, as a list; also as the SQuAD data set has them, `{"text": [...]}`."""
    if isinstance(given, Mapping):
        given = given.get("text")
    return [*given] if isinstance(given, list | tuple) else [] if given is None else [given]


def _id(document: str, question: str, answers: Sequence[str]) -> str:
    return content_id("\n".join([document, question, *answers]))


def _text(value: Any, what: str) -> str:
    if value is None:
        raise ValueError(f"has no {what}")
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is no text: {str(value)[:40]!r}")
    return _clean(value)


def _clean(text: str) -> str:
    return text.strip().encode("utf-8", "replace").decode()  # half characters fit in no report


def number_of(value: Any, what: str) -> int | None:
    """A chunk's number, as a number or as it is written; None where nothing is given.

    Raises:
        ValueError: it is none.
    """
    if value in (None, ""):
        return None
    with suppress(ValueError, TypeError, OverflowError):
        if not isinstance(value, bool) and 1 <= int(value) == float(value):
            return int(value)
    raise ValueError(f"{what} is no number from 1 on: {str(value)[:40]!r}")


def window_of(value: Any) -> tuple[int, int] | None:
    """The first and the last chunk; of CSV as they are written there, `[1, 4]` or `1-4`. None where nothing is given.

    Raises:
        ValueError: it is no such pair.
    """
    if isinstance(value, str):
        value = [part for part in value.strip("[]() ").replace("–", "-").replace("-", ",").split(",") if part.strip()]
    if value in (None, [], ()):
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"window is no first and last chunk: {str(value)[:40]!r}")
    first, last = (number_of(one, "window") for one in value)
    if first is None or last is None or last < first:
        raise ValueError(f"window is no first and last chunk: {str(value)[:40]!r}")
    return first, last


def clusters(asked: Iterable[Question]) -> tuple[str, dict[str, str]]:
    """What questions vary with, and the cluster of each by its id: their document where there are many documents; else
    the window that they were made from, in its document; else each is its own."""
    every = [*asked]
    if len({q.document for q in every}) >= _BY_DOCUMENT:
        return "document", {q.id: q.document for q in every}
    if any(q.window for q in every):
        return "window", {q.id: f"{q.document} {q.window}" if q.window else f"question {q.id}" for q in every}
    return "question", {q.id: q.id for q in every}
