"""Ratings in JSON: `{"text_1": {"rating": 4}, ...}`, `{"ratings": [4, 3, 5, 2]}`, `[{"text": 1, "rating": 4}, ...]`."""

from __future__ import annotations

import json
import re
from typing import Any

from querywright.preferences.rating_values import Rating, of_json

_TRIES = 20  # braces at which an object may begin: prose with many of them is not read again and again
_DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: _Object(pairs))
_KEY = re.compile(r"(?:[a-z ]+?)?[ #]*([1-9])")
_RATING = re.compile(r"(?:[a-z]+ ){0,3}(?:rating|score|grade)s?")
_WHY = re.compile(r"(?:rationale|reason(?:ing)?|why|explanation|justification|comments?)")
_FENCED = re.compile(r"\A\s*```[a-z]*\s*(.*?)\s*```\s*\Z", re.S | re.I)


class _Object(list[tuple[str, Any]]):
    """The pairs of a JSON object: a key that stands twice is not lost."""


def in_json(text: str, n: int) -> list[list[Rating]]:
    """The ratings of `n` texts in the JSON of an answer; empty lists where it holds none."""
    nothing: list[list[Rating]] = [[] for _ in range(n)]
    fenced = _FENCED.match(text)
    body = fenced[1] if fenced else text.strip()
    if body.startswith("["):  # only a whole answer: a list within prose may be anything
        found = _value(body, 0)
        return _of(found[0], n) if found and not body[found[1] :].strip() else nothing
    at = body.find("{")
    for _ in range(_TRIES):
        if at < 0:
            break
        found = _value(body, at)
        if found:
            rated = _of(found[0], n)
            if any(rated):
                return rated
        at = body.find("{", found[1] if found else at + 1)
    return nothing


def _value(text: str, at: int) -> tuple[Any, int] | None:
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):  # no JSON, a number of 5,000 digits, lists in lists in lists
        return None


def _of(value: Any, n: int) -> list[list[Rating]]:
    """Ratings by the names of the texts, or of a list that is as long as there are texts."""
    found: list[list[Rating]] = [[] for _ in range(n)]
    if isinstance(value, _Object):
        for key, inside in value:
            name = _name(key)
            number = _KEY.fullmatch(name)
            if number:
                if int(number[1]) <= n:
                    found[int(number[1]) - 1].append(_rating(inside))
            elif isinstance(inside, list) and not any(found):
                found = _of(inside, n)
    elif isinstance(value, list):
        named = [_named(item) for item in value]
        if value and all(named):
            for which, item in zip(named, value, strict=True):
                if which and which <= n:
                    found[which - 1].append(_rating(item))
        elif len(value) == n and not any(named) and all(_is_rating(item) for item in value):
            found = [[_rating(item)] for item in value]
    return found


def _name(key: str) -> str:
    return " ".join(re.sub(r"[_-]", " ", key).casefold().split())


def _named(item: Any) -> int | None:
    """The number of the text that an object says it is about: `{"text": 2, ...}`, `{"id": "Text 2", ...}`."""
    for key, value in item if isinstance(item, _Object) else ():
        if re.fullmatch(r"(?:text|response|answer|output|model|id|index|number)(?: (?:id|index|number))?", _name(key)):
            if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 9:
                return value
            number = _KEY.fullmatch(_name(value)) if isinstance(value, str) else None
            if number:
                return int(number[1])
    return None


def _is_rating(item: Any) -> bool:
    if isinstance(item, _Object):
        return any(_RATING.fullmatch(_name(key)) for key, _ in item)
    return not isinstance(item, list)


def _rating(item: Any) -> Rating:
    """The rating of one text: a value, or an object with one."""
    if not isinstance(item, _Object):
        return of_json(item)
    given = [of_json(value) for key, value in item if _RATING.fullmatch(_name(key))]
    why = next((value for key, value in item if _WHY.fullmatch(_name(key)) and isinstance(value, str)), "")
    if not given:
        return Rating(why=why)
    return (
        Rating(given[-1].value, given[-1].state, why)
        if len(set(given)) == 1
        else Rating(state="contradictory", why=why)
    )
