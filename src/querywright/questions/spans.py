"""Sentences of a text, and what in a sentence can be an answer, with how a question about it begins.

No parser: shapes of dates, years, counts with their unit, names, quoted words, and a short phrase behind a preposition.
What it finds is offered to a model as choices; a text in another language than English yields fewer of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from querywright.questions.words import whole

LONGEST = 320  # characters of a sentence; a longer one is taken in pieces
SHORTEST = 12
MOST_ANSWERS = 6  # of a sentence

_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s|$)")
_SHORT = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|etc|vs|approx|ca|nos?|figs?|eq|dr|mrs?|ms|prof|st|vol|pp?)|\b[A-Z])\.$", re.I
)
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DAY = rf"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?|{_MONTH})"
_NUMBER = (
    r"(?:\d[\d.,]*\d|\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    r"sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-[a-z]+)?)"
)
_UNITLESS = re.compile(r"and|the|was|were|are|for|had|has|have|but|not|can|may|who|which|that|than|then|of|in|on|at")
_STOPS = r"(?=[,.;:)]|$| (?:and|or|of|in|on|at|to|by|with|from|for|until|behind|above|below|is|was|are|were)\b)"
_NOUN = r"(?:[a-z-]{3,} ){0,2}[a-z-]{4,}"
_MANY = ("people", "children", "men", "women")
_SHAPES = (  # by kind, the most definite first
    ("day", rf"\b(?:\d{{1,2}}\.? {_MONTH} \d{{4}}|{_MONTH} \d{{1,2}}, \d{{4}}|\d{{4}}-\d\d-\d\d)\b"),
    ("year", r"(?:(?<=\bin )|(?<=since )|(?<=until )|(?<=after )|(?<=before ))(?:1\d|20)\d\d\b"),
    ("count", rf"\b({_NUMBER}) ([a-z][a-z-]{{2,}})\b"),
    ("name", r"\b[A-Z][\w’'-]+(?: (?:of |the |de |van |von )?[A-Z][\w’'-]+)+"),
    ("time", rf"\b{_DAY}(?: (?:and|or|to) {_DAY})?\b"),
    ("name", r"(?<=[a-z,;] )[A-Z][\w-]{2,}"),
    ("quoted", r"[\"“]([^\"“”]{2,40})[\"”]"),
    ("phrase", rf"\b(?:by|with|under|through|into|as) ((?:an? |the ){_NOUN}|[a-z-]{{4,}} [a-z-]{{4,}})" + _STOPS),
    (
        "time",
        rf"\b(?:in|on|at|during) (the (?:{_NOUN} )?(?:morning|evening|night|afternoon|summer|winter|week|day|year))\b",
    ),
    ("place", rf"\b(?:in|on|at|near|above|below|behind) ((?:an? |the ){_NOUN})" + _STOPS),
)
_FOUND = [(kind, re.compile(shape)) for kind, shape in _SHAPES]
_DEFINITE = ("day", "year", "count", "name", "time", "quoted")
_HELPERS = re.compile(r"\b(was|were|is|are|can|may|must|has|have|had)\b")
_BEFORE = re.compile(r"\b(since|until|by|in|at|near|from|of) $", re.I)
_DOING = ("did", "does", "do")


class Candidate(NamedTuple):
    """What can be an answer, how a question about it may begin, and whether a helping verb is among the beginnings."""

    text: str
    begins: tuple[str, ...]
    helped: bool = False


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences (and lines) of a text begin and end; long ones in pieces, tiny ones left out."""
    found = [piece for line in re.finditer(r"[^\r\n]+", text) for piece in _of_line(text, *line.span())]
    return [(start, end) for start, end in found if len(re.findall(r"\w", text[start:end])) >= SHORTEST]


def _of_line(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for match in _END.finditer(text, start, end):
        if match.end() < end and _SHORT.search(text[max(begin, match.start() - 8) : match.start() + 1]):
            continue
        yield from _pieces(text, begin, match.end())
        begin = match.end()
    yield from _pieces(text, begin, end)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence without the space around it, cut between words where it is too long."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > LONGEST:
        cut = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
        cut = cut if cut > 0 else start + LONGEST
        yield start, cut
        start = cut + text[cut : cut + 1].isspace()
    if start < end:
        yield start, end


def answers(sentence: str) -> list[Candidate]:
    """What in a sentence can be an answer: dates, counts and names if there are any, else short phrases. Each is a
    piece of the sentence as it stands."""
    found: dict[str, Candidate] = {}
    taken: list[tuple[int, int]] = []
    for kind, pattern in _FOUND:
        if found and kind not in _DEFINITE:
            break
        matches = [*pattern.finditer(sentence)]
        if kind == "time" and len(matches) > 1:  # each of them would be half of the answer
            taken += [match.span() for match in matches]
            continue
        for match in matches:
            if kind == "count" and (_UNITLESS.fullmatch(match[2]) or not (match[2].endswith("s") or match[2] in _MANY)):
                continue
            group = 1 if match.re.groups else 0
            start, end = match.span(group)
            if any(start < e and s < end for s, e in taken) or match[group].lower() == sentence.lower().strip(" ."):
                continue
            if not whole(sentence, start, end):  # the 5 of "-5 degrees"
                continue
            taken.append(match.span())
            unit = match[2] if kind == "count" else ""
            found.setdefault(match[group], _candidate(match[group], kind, sentence[:start], unit))
    best = [one for one in found.values() if one.helped]  # the verb behind "when" and "where" is half of the question
    return (best or [*found.values()])[:MOST_ANSWERS]


def _candidate(text: str, kind: str, before: str, unit: str) -> Candidate:
    """How a question about an answer begins, by what it is, the preposition before it, and the last helping verb."""
    preposition = match[1].lower() if (match := _BEFORE.search(before)) else ""
    if kind == "count":
        return Candidate(text, (f"How many {unit}",))
    if kind == "quoted" or (kind == "name" and preposition not in ("in", "at", "near", "by", "from")):
        return Candidate(text, ("Who", "What", "Which") if " " in text else ("What", "Which", "Who"))
    words = {
        "day": ("When", "On which day"), "year": ("When", "In which year"), "time": ("When",), "place": ("Where",),
        "phrase": ("What", "How"), "name": ("Who", "By whom") if preposition == "by" else ("Where",),
    }[kind]  # fmt: skip
    if preposition in ("since", "until") and kind in ("year", "day", "time"):
        words = (f"{preposition.capitalize()} when",)
    helpers = _HELPERS.findall(before)
    verbs = (helpers[-1],) if helpers else _DOING
    return Candidate(text, tuple(f"{word} {verb}" for word in words for verb in verbs), helped=bool(helpers))
