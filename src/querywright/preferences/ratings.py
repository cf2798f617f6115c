"""Ratings of several texts at once, out of what a judge wrote.

A judge is asked for one block a text (`#### Output for Text 2`, `Rating: 4`, `Rationale: ...`), and models write all
kinds of things: other orders, bold labels, tables, JSON, one line, words, `4/5`. The readings are tried from the most
to the least explicit, and the first that finds anything is taken as a whole; they are never mixed. Nothing is guessed:
a text that is rated twice, differently, is not rated, and ratings without names count only where there are exactly as
many as texts. What the judge writes is data: it is read with patterns over lines of bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from querywright.engines.base import Grammar
from querywright.preferences.rating_json import in_json
from querywright.preferences.rating_values import (
    BEGIN,
    CONTRADICTORY,
    MISSING,
    NOT_APPLICABLE,
    OUT_OF_RANGE,
    RATED,
    Rating,
    plain,
    read,
    read_list,
    read_within,
)

TEXTS = 4
LONGEST = 100_000  # characters that are read of an answer
LONGEST_LINE = 2_000  # a rating stands at the begin of a line; of longer ones no more is searched
_REASONED = 160  # characters of a reason that is held to the form
WHY = 1_000  # characters that are kept of a reason

_NAMES = "text response answer output completion candidate assistant model option reply"
NAME = f"(?:{'|'.join(_NAMES.split())})"
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "a": 1, "b": 2, "c": 3, "d": 4}
_WHICH = "[1-9]|[a-d]|one|two|three|four"
_REFERENCE = rf"(?:(?P<ordinal>{'|'.join(_ORDINALS)})\s+{NAME}\b|{NAME}\s*(?:#|no\.?|number)?\s*(?P<n>{_WHICH})\b)"
_DRESS = r"[\s#>+•|(.:=→–—-]*"
_RATING = r"(?:rating|score|grade)s?\b"
_ASPECT = r"(?:helpfulness|honesty|truthfulness|informativeness|instruction[ -]following)\b"
_HEADING = re.compile(
    rf"{_DRESS}(?:[0-9][.)]\s+)?(?:(?:[a-z]+\s+){{0,3}}(?:for|of)\s+(?:the\s+)?)?{_REFERENCE}"
    rf"(?:\s*(?:of|/)\s*{TEXTS})?(?P<rest>\s*(?:$|[:=.|,)(→–—-]|{_RATING}).*)"
)
_LABEL = re.compile(
    rf"(?:^{_DRESS}(?:[0-9][.)]\s+)?|[;,.|(]\s*)(?:(?:[a-z/][a-z/-]*\s+){{0,3}}{_RATING}(?:\s*\([^)]{{0,60}}\))?"
    rf"(?P<sign>(?:\s*(?:\b(?:is|of|given|value)\b|[:=|–—-]))*)|{_ASPECT}(?P<colon>\s*[:=]))"
)
_REASON = re.compile(
    r"\b(?:rationale|reason(?:ing)?|explanation|justification|comment)s?\b[\s*_\"']*[:=-]?[\s*_\"']*", re.I
)
_NUMBERED = re.compile(rf"[\s(#-]*([1-9])\s*[.):]+\s+(?:{_RATING}\s*[:=–—-]?)?(.*)")
_BARE = re.compile(r"\s*(?:#+\s*|\*\*\s*)\(?([1-9])[.):]?\s*(?:\*\*)?\s*:?\s*$")
_OVER = re.compile(rf"{_DRESS}(?:overall|summary|ranking|conclusion|in\s+(?:summary|conclusion))\b")
_NAMED = _REFERENCE.replace("?P<ordinal>", "?:").replace("?P<n>", "?:")
_NEXT = re.compile(
    rf"(?:(?<=[,;.:|0-9)])|(?<=n/a))\s*(?:and\s+)?(?={_NAMED}\s*[:=(→–—-]?\s*(?:{_RATING}\s*[:=–—-]?\s*)?(?:{BEGIN}))"
)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.S | re.I)


class _Line(NamedTuple):
    """A line as the judge wrote it, and plainly."""

    raw: str
    text: str


def form(n: int = TEXTS) -> Grammar:
    """The form that the shipped template asks for, as a grammar: a small local judge, which would write anything, is
    held to it. It makes the ratings readable, not right."""
    block = r"#### Output for Text {n}\nRating: ([1-5]|N/A)\nRationale: [^\n#]{{1,{most}}}\n"
    return Grammar(r"\n".join(block.format(n=k, most=_REASONED) for k in range(1, n + 1)), "regex")


def ratings(text: str | None, n: int = TEXTS) -> list[Rating]:
    """The ratings of `n` texts in what a judge wrote, text 1 first; those that are not there are `missing`."""
    said = _THOUGHT.sub("", (text or "")[:LONGEST])
    found = in_json(said, n)
    if not any(found):
        lines = list(_lines(said))
        readings: Sequence[Callable[[list[_Line], int], list[list[Rating]]]] = (
            _sections,
            _numbered,
            _in_order,
            _listed,
        )
        for reading in readings:
            found = reading(lines, n)
            if any(found):
                break
    return [_one(of_text) for of_text in found]


def _one(found: list[Rating]) -> Rating:
    """What several ratings of one text come to: all the same, or none."""
    why = next((rating.why for rating in found if rating.why), "")
    values = {rating.value for rating in found if rating.state == RATED}
    states = {rating.state for rating in found}
    if len(values) > 1 or (values and states & {NOT_APPLICABLE, OUT_OF_RANGE}):
        return Rating(state=CONTRADICTORY, why=why)
    if values:
        return Rating(values.pop(), RATED, why)
    order = (CONTRADICTORY, NOT_APPLICABLE, OUT_OF_RANGE)
    return Rating(state=next((s for s in order if s in states), next(iter(states), MISSING)), why=why)


def _lines(said: str) -> Iterator[_Line]:
    """The lines that are the judge's own (quotes left out), tables and one-line answers taken apart."""
    columns: list[str] = []
    for raw in said.splitlines():
        if raw.lstrip().startswith(">") or not raw.strip():
            continue
        if raw.count("|") > 1:
            cells = [plain(cell).strip() for cell in raw.strip().strip("|").split("|")]
            if all(re.fullmatch(r"[\s:-]*", cell) for cell in cells):
                continue
            rows = _table_row(cells, columns)
            if not columns:
                columns = cells
            if rows:
                yield from (_Line("", row) for row in rows)
                continue
        else:
            columns = []
        bare = _BARE.match(raw)
        parts = [f"text {bare[1]}"] if bare else _apart(plain(raw)[:LONGEST_LINE])
        yield from (_Line(raw if len(parts) == 1 else "", part) for part in parts)


def _apart(text: str) -> list[str]:
    """A line that rates several texts, as a line for each; what stands in a reason is left alone."""
    reason = _REASON.search(text)
    if reason is None:
        return _NEXT.sub("\n", text).split("\n")
    *before, last = _NEXT.sub("\n", text[: reason.start()]).split("\n")
    return [*before, last + text[reason.start() :]]


def _table_row(cells: list[str], columns: list[str]) -> list[str]:
    """A row of a table as lines `text 2 rating: 4`, whether the texts are its rows or its columns."""
    at = next((i for i, name in enumerate(columns) if re.fullmatch(_RATING, name)), None)
    head = re.fullmatch(rf"{_REFERENCE}|(?P<bare>[1-9])", cells[0]) if cells else None
    if at is not None and head and at < len(cells):
        return [f"text {head['bare'] or _which(head)} rating: {cells[at]}"]
    names = [re.fullmatch(_REFERENCE, name) for name in columns]
    if sum(map(bool, names)) < 2 or (not names[0] and not re.match(_RATING, cells[0])):
        return []
    return [f"text {_which(m)} rating: {cell}" for m, cell in zip(names, cells, strict=False) if m]


def _which(match: re.Match[str]) -> int:
    """The number of the text that a reference names."""
    ordinal, n = match["ordinal"], match["n"]
    return _ORDINALS[ordinal] if ordinal else _NUMBERS.get(n) or int(n)


def _sections(lines: list[_Line], n: int) -> list[list[Rating]]:
    """Blocks under headings that name the text."""
    blocks: list[tuple[int, list[_Line]]] = []
    current = 0
    for line in lines:
        heading = _HEADING.match(line.text)
        if heading:
            current = _which(heading)
            blocks.append((current, [_Line(line.raw, heading["rest"])]))
        elif _OVER.match(line.text) and not _label(line.text):
            current = 0
        elif current:
            blocks[-1][1].append(line)
    found: list[list[Rating]] = [[] for _ in range(n)]
    for which, block in blocks:
        if 1 <= which <= n:
            given = _labelled(block)
            if not given:  # `Text 1: 4`, without a label
                direct = read(block[0].text, alone=True)
                given = [direct] if direct else []
            why = _why(block)
            found[which - 1] += [Rating(rating.value, rating.state, why) for rating in given]
    return found


def _labelled(block: list[_Line]) -> list[Rating]:
    """What follows the labels `Rating:` of some lines."""
    found = []
    for at, line in enumerate(block):
        label = _label(line.text)
        if label is None:
            continue
        rest = _REASON.split(line.text[label.end() :], maxsplit=1)[0]
        if rest.strip():
            rating = read_within(rest) if (label["sign"] or label["colon"] or "").strip() else read(rest)
        else:
            rating = read(block[at + 1].text, alone=True) if at + 1 < len(block) else None
        found += [rating] if rating else []
    return found


def _label(text: str) -> re.Match[str] | None:
    """The first label of a rating in a line, before any reason that stands in it."""
    reason = _REASON.search(text)
    return _LABEL.search(text, 0, reason.start() if reason else len(text))


def _why(block: list[_Line]) -> str:
    """The reason in a block: what follows its label, up to the next label."""
    found: list[str] = []
    for line in block:
        reason = _REASON.search(line.raw)
        if reason and not found:
            found.append(line.raw[reason.end() :])
        elif found and _label(line.text):
            break
        elif found:
            found.append(line.raw)
    return " ".join(" ".join(found).split())[:WHY]


def _numbered(lines: list[_Line], n: int) -> list[list[Rating]]:
    """`1. 4`, `2. N/A`, ...: counts where the numbers are those of the texts."""
    found: list[list[Rating]] = [[] for _ in range(n)]
    for line in lines:
        match = _NUMBERED.match(line.text)
        rating = read(match[2], alone=True) if match else None
        if match and rating:
            if int(match[1]) > n:
                return [[] for _ in range(n)]
            found[int(match[1]) - 1].append(rating)
    return found if all(found) else [[] for _ in range(n)]


def _in_order(lines: list[_Line], n: int) -> list[list[Rating]]:
    """Labels without names: counts where there are as many as texts, and no text is named."""
    given = [] if any(_HEADING.match(line.text) for line in lines) else _labelled(lines)
    return [[rating] for rating in given] if len(given) == n else [[] for _ in range(n)]


def _listed(lines: list[_Line], n: int) -> list[list[Rating]]:
    """A list: `Ratings: 4, 3, N/A, 5`, or nothing but that."""
    found: list[list[Rating]] = [[] for _ in range(n)]
    whole = read_list("\n".join(line.text for line in lines), n)
    for line in lines:
        label = _label(line.text)
        given = read_list(line.text[label.end() :], n) if label else None
        for of_text, rating in zip(found, given or [], strict=False):
            of_text.append(rating)
    return [[rating] for rating in whole] if whole else found
