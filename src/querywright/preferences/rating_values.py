"""One rating as a judge writes it: `4`, `4/5`, `8 out of 10`, `four`, `★★★★☆`, `N/A`, ... to a number on the scale.

A value that can be read in two ways (`3-4`, `[1-5]` of an echoed template) is no rating: guessing would put noise where
a count of what could not be read belongs.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from querywright.preferences.rated import HIGH, LOW

RATED, NOT_APPLICABLE, MISSING = "rated", "n/a", "missing"
OUT_OF_RANGE, UNCLEAR, CONTRADICTORY = "out of range", "unclear", "contradictory"
STATES = (RATED, NOT_APPLICABLE, MISSING, OUT_OF_RANGE, UNCLEAR, CONTRADICTORY)


@dataclass(frozen=True)
class Rating:
    """What a judge gave one text.

    Attributes:
        value: the rating on the scale LOW to HIGH; None where there is none.
        state: one of STATES; `rated` if and only if there is a value.
        why: the judge's reason, as it was written.
    """

    value: float | None = None
    state: str = MISSING
    why: str = ""


WORDS = {word: n for n, word in enumerate("zero one two three four five six seven eight nine ten".split())}  # noqa: SIM905
_WORD = "|".join(WORDS)
_SCALES = (HIGH, 10.0, 100.0)  # what a rating may be out of

_NUMBER = rf"(?P<number>[-+−]?[0-9]{{1,4}}(?:[.,][0-9]{{1,6}})?|\b(?:{_WORD})\b)"
_OF = rf"(?:\s*(?:/|\bout\s+of\b|\bof\b)\s*(?P<of>[0-9]{{1,3}}(?:\.0+)?|(?:{_WORD})\b)|(?P<percent>\s*%))?"
_RANGE = rf"\s*(?:-|–|—|~|\bto\b|\bor\b|,)\s*(?:[0-9]+(?![0-9]*\s+(?!or\b|and\b)[a-z]{{2}})|(?:{_WORD})\b)"
_NA = (
    r"(?:n\s*[./]\s*a\b\.?|(?:na|none|null|nan|cannot|cant|unable)\b|not\s+(?:applicable|rated|ratable)\b|[-–—?]+\s*$)"
)
_STARS = r"(?P<stars>[★⭐✭]{1,10})[☆✩]{0,10}"
_LEAD = r"(?:[\s:=(~≈,.$|→–—]|-(?=\s)|\\(?:boxed|text)\b|(?:about|around|level|roughly|approximately|an?)\b)*"
_OTHERS = re.compile(r"\b(?:text|response|answer|output)\s*#?\s*(?:[0-9]|[a-d]\b)")
BEGIN = rf"[0-9★⭐✭]|(?:{_WORD})\b|{_NA}"
"""A pattern of what a value may begin with."""
_VALUE = re.compile(rf"(?:{_STARS}|{_NUMBER}{_OF})(?![0-9a-z_]|[.,][0-9])")
_AT_START = re.compile(rf"{_LEAD}(?:(?P<na>{_NA})|{_VALUE.pattern}(?P<range>{_RANGE})?)")
_ENDS = re.compile(r"\s*(?:$|[-–—,.;:()|/!]|(?:stars?|points?)\b)")


def plain(text: str) -> str:
    """A line without its dressing: lower case, full-width digits as digits, no markdown, quotes or brackets."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = folded.replace("\ufe0f", "").replace("\u20e3", "")  # how emoji are drawn
    folded = re.sub(r"(?<=\w)['’]s\b", "", folded).replace("’", "")
    return re.sub(r"[*_`\"'{}\[\]<>]", " ", folded)


def read(text: str, *, alone: bool = False) -> Rating | None:
    """The rating that a plain line begins with, None where it begins with anything else.

    Args:
        alone: take it only where it stands alone: `4`, `4, since ...`; not `4 errors`.
    """
    match = _AT_START.match(text)
    if match is None or (alone and not _ENDS.match(text, match.end())):
        return None
    if match["na"]:
        return Rating(state=NOT_APPLICABLE)
    return Rating(state=UNCLEAR) if match["range"] else _rating(match)


def read_within(text: str) -> Rating | None:
    """The rating that a plain line begins with, or else the only one in it (`I would give it a 4`)."""
    begins = read(text)
    if begins is not None or not text.strip():
        return begins
    found = {_rating(match) for match in _VALUE.finditer(_OTHERS.sub(" ", text))}
    return found.pop() if len(found) == 1 else Rating(state=UNCLEAR)


def read_list(text: str, n: int) -> list[Rating] | None:
    """Ratings of a plain line that is a list of exactly n of them and nothing else (`4, 3, n/a, 5`)."""
    parts = [part for part in re.split(r"[,;\n]|\s+and\s+|(?<![/\s])\s+(?![/\s])", text.strip(" .:\n")) if part.strip()]
    matches = [_AT_START.fullmatch(part.strip(" .")) for part in parts]
    if len(parts) != n or not all(matches):
        return None
    return [read(part) or Rating() for part in parts]


def of_json(value: Any) -> Rating:
    """The rating that a JSON value is: a number, or text as a judge writes it."""
    if value is None:
        return Rating(state=NOT_APPLICABLE)
    if isinstance(value, str):
        return read_within(plain(value)) or Rating(state=UNCLEAR)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return on_scale(value)
    return Rating(state=UNCLEAR)


def on_scale(value: float) -> Rating:
    """A number as a rating, where it is on the scale."""
    return Rating(float(value), RATED) if LOW <= value <= HIGH else Rating(state=OUT_OF_RANGE)


def _rating(match: re.Match[str]) -> Rating:
    if match["stars"]:
        return on_scale(len(match["stars"]))
    number, whole = _number(match["number"]), _number(match["of"]) if match["of"] else None
    if match["percent"]:
        whole = 100.0
    if whole is None:
        return on_scale(number)
    return on_scale(round(number * HIGH / whole, 6)) if whole in _SCALES else Rating(state=UNCLEAR)


def _number(text: str) -> float:
    return float(WORDS[text]) if text in WORDS else float(text.replace(",", ".").replace("−", "-"))
