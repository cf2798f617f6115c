"""Answers of one cell of a sweep, kept as they come: an append-only JSONL file.

Its first line is the header, all that the answers depend on; a file whose first line differs from what is asked for is
set aside, and the cell starts anew. Each other line is one answer under its `key`. So a sweep that was stopped goes on
at the next question, and one that grew asks only what is new.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from querywright.engines.sender import own_fault
from querywright.errors import QuerywrightError
from querywright.evaluate.models import Absent
from querywright.progress import say, track

Asked = TypeVar("Asked")  # what is asked: a pair, a prompt
Opened = TypeVar("Opened", covariant=True)  # what answers, once it is loaded

# One answer: plain values. `finish` is `error` where there is none; `reason` says why, `retryable` whether there may be
# one later.
Answer = dict[str, Any]

_MOST_FAILURES = 3  # that may pass, at the beginning or the end of a cell, before it is given up
_GONE = 20  # failures in a row: the model is gone, or was never there
_OWN = 3  # runs in which a question failed: then it is the question's fault, or no run would ever come to an end


@dataclass(frozen=True)
class Source(Generic[Opened]):
    """A model that can be asked, on an engine.

    Attributes:
        open: loads it.
        identity: all that its answers depend on, for the header.
        path: what is loaded, for people and for its price.
    """

    open: Callable[[], AbstractContextManager[Opened]]
    identity: dict[str, Any]
    path: str = ""


def plain(header: Mapping[str, Any]) -> dict[str, Any]:
    """A header as it reads back from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(header))
    return found


def read(path: Path, header: Mapping[str, Any]) -> dict[str, Answer]:
    """The answers that a cell's file holds, by key; a file for other settings is set aside, a torn last line cut off.

    Answers that failed are left out: they are asked for again.
    """
    if not path.is_file():
        return {}
    answers: dict[str, Answer] = {}
    whole = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            row = _json(line)
            if row is None or (number > 0 and "key" not in row):
                break  # the process died in the middle of this line
            if number == 0:
                changed = sorted(k for k in {*header, *row} if row.get(k) != header.get(k))
                if changed:
                    say(f"{path.stem}: {', '.join(changed)} changed; asking anew (answers so far: {path.name}.old)")
                    os.replace(path, path.with_name(path.name + ".old"))
                    return {}
            elif row.get("finish") != "error":
                answers[row["key"]] = row
            whole += len(line)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    return answers


def fill(
    path: Path, header: Mapping[str, Any], todo: Iterable[tuple[str, Asked]], ask: Callable[[Asked], Answer], what: str,
    *, fresh: bool = False, at_once: int = 1, given_up: int | None = None,
) -> Iterator[tuple[str, Answer]]:  # fmt: skip
    """Ask what is to do, and keep each answer before it is yielded.

    Args:
        todo: keys, each once, with what is asked.
        what: is done, for those who wait.
        fresh: whether the cell has no answers yet. If its first `_GONE` ones, or all, are failures that last, it can't
            be: a server that takes no grammars, say.
        at_once: how many are asked at the same time; answers then come in the order in which they are ready.
        given_up: failures in a row that end the run even if they last, None for no end.

    A question that is too long, that failed for good in an earlier run, or that failed in `_OWN` of them ends no run,
    wherever it stands: it has no answer, and counts as wrong.

    Raises:
        Absent: a fresh cell that gives no answers, for reasons that last.
        QuerywrightError: the model is gone (`retryable` where it may come back); what it answered is kept.
    """
    in_a_row, away, passes = 0, False, False
    failures = _failures(path)
    with _append(path, header) as file:
        asked = [*todo]
        for number, (key, answer) in enumerate(_answers(file, asked, ask, what, at_once), 1):
            wrong, last = answer.get("finish") == "error", number == len(asked)
            may_pass = bool(answer.get("retryable"))
            if not wrong:
                in_a_row, away = 0, False
            elif failures[key] < _OWN and (may_pass or not own_fault(str(answer.get("reason")))):
                in_a_row, away = in_a_row + 1, away or may_pass
            fresh, passes = fresh and wrong, passes or may_pass
            # single failures are a question's; the last ones of a cell may be all that is seen of a server that went
            if fresh and not away and (in_a_row >= _GONE or (last and not passes)):
                raise Absent(f"{path.stem}: {answer.get('reason')}")
            most = 1 if fresh and last else _MOST_FAILURES if fresh or last else _GONE
            if in_a_row and in_a_row >= (most if away else given_up or len(asked) + 1):
                raise QuerywrightError(
                    f"{path.stem}: {in_a_row} in a row got no answer: {answer.get('reason')}",
                    hint="what was answered is kept: run the same again to go on", retryable=away,
                )  # fmt: skip
            yield key, answer


def _failures(path: Path) -> Counter[str]:
    """In how many earlier runs each key failed; for good is as often as it takes."""
    found: Counter[str] = Counter()
    if path.is_file():
        with open(path, "rb") as file:
            for row in map(_json, file):
                if row and row.get("finish") == "error":
                    found[row["key"]] += 1 if row.get("retryable") else _OWN
    return found


def _answers(
    file: IO[str], todo: Sequence[tuple[str, Asked]], ask: Callable[[Asked], Answer], what: str, at_once: int
) -> Iterator[tuple[str, Answer]]:
    guard, stop = threading.Lock(), threading.Event()

    def one(item: tuple[str, Asked]) -> tuple[str, Answer] | None:
        if stop.is_set():
            return None
        answer = ask(item[1])
        with guard:
            file.write(json.dumps({"key": item[0], **answer}, ensure_ascii=False) + "\n")
            file.flush()
        return item[0], answer

    if at_once < 2:
        yield from filter(None, map(one, track(todo, what)))
        return
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for future in track(as_completed([pool.submit(one, item) for item in todo]), what, len(todo)):
                if (found := future.result()) is not None:
                    yield found
        finally:  # what is under way is waited for and kept; nothing else is begun
            stop.set()


def _json(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _append(path: Path, header: Mapping[str, Any]) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 (the caller closes it)
    if file.tell() == 0:
        file.write(json.dumps(header, ensure_ascii=False) + "\n")
        file.flush()
    return file
