"""Rows longer than the model may read: left out, shortened around the question, or refused.

A tokenizer's own way is to cut a row's end, and the end is the answer: the model would learn to stop half-way, and a
row without its answer teaches nothing. So an answer is never cut here, nor the sentence that it answers: a call whose
words are not in its sentence is what a model should not learn to write. What ``truncate`` takes away is what lies
around, the least needed first: the oldest turns of a conversation, then the last lines of the system message (in the
tuned prompt the fields that are least near to the sentence). A row that is too long without them is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from querywright.errors import QuerywrightError
from querywright.progress import say

Chat = list[dict[str, str]]
TOO_LONG = ("drop", "truncate", "error")


def check_choice(too_long: str) -> None:
    """Refuse a word that ``dataset.too_long`` does not know."""
    if too_long not in TOO_LONG:
        raise QuerywrightError(f"dataset.too_long is {too_long!r}", hint=f"one of: {', '.join(TOO_LONG)}")


@contextmanager
def uncut(tokenizer: Any) -> Iterator[int | None]:
    """A tokenizer that cuts nothing; yields the length that it would cut to, in tokens."""
    limit = getattr(tokenizer, "max_seq_len", None)
    tokenizer.max_seq_len = None
    try:
        yield limit
    finally:
        tokenizer.max_seq_len = limit


def shortened(messages: Chat, fits: Callable[[Chat], bool]) -> Chat | None:
    """The messages without what lies around the last question and its answer, as much of it as has to go.

    Args:
        fits: whether messages are short enough; fewer of them never fit worse.

    Returns:
        None where the last question and its answer are too long by themselves.
    """
    first = 1 if messages and messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages[:-1]) if m["role"] == "user"]
    head, rest = messages[:first], messages[first:]
    for start in [i for i in users if i > first]:  # a turn begins where a user speaks
        rest = messages[start:]
        if fits([*head, *rest]):
            return [*head, *rest]
    if not head:
        return None
    lines = head[0]["content"].split("\n")
    low, high = 0, len(lines) - 1  # the first line says what to do: it stays
    while low < high:
        keep = (low + high + 1) // 2
        low, high = (keep, high) if fits([_cut(head[0], lines, keep), *rest]) else (low, keep - 1)
    found = [_cut(head[0], lines, low), *rest]
    return found if low and fits(found) else None


def _cut(system: dict[str, str], lines: list[str], keep: int) -> dict[str, str]:
    return {**system, "content": "\n".join(lines[:keep])}


def judge(report: Mapping[str, Any], limit: int | None, too_long: str, source: str) -> None:
    """Say what the limit did to the rows of ``source``.

    Args:
        report: counts of ``rows``, ``too_long``, ``kept`` and ``truncated``.

    Raises:
        QuerywrightError: there are such rows and ``too_long`` is ``error``, or none is left to train on.
    """
    if not report["too_long"]:
        return
    longest = f" (the longest has {report['longest']:,} tokens)" if "longest" in report else ""
    what = (
        f"{report['too_long']:,} of {report['rows']:,} rows of {source} are longer than"
        f" tokenizer.max_seq_len={limit}{longest}"
    )
    if too_long == "error" or not report["kept"]:
        hint = f"tokenizer.max_seq_len={report['longest']}" if "longest" in report else "a larger tokenizer.max_seq_len"
        rest = ", or dataset.too_long=drop or truncate" if too_long == "error" else ""
        raise QuerywrightError(what + ("" if report["kept"] else ": none is left"), hint=hint + rest)
    cut = report.get("truncated", 0)
    left = report["too_long"] - cut
    told = [f"{cut:,} shortened around the question"] if cut else []
    told += [f"{left:,} left out"] if left else []
    say(f"{what}: {', '.join(told)}")
