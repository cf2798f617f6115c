"""Typed parameters as conditions on records: which field a parameter means, and when a value fits.

The definition says it with `field` and `compare`. Where it does not, names say it: `year` is the field year, `min_year`
and `year_from` are its lower end, a parameter at the end of the path is the record's id.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from querywright.api.definition import API, Endpoint, Param
from querywright.api.values import Value, printed

How = Literal["raw", "number", "span", "text"]
WHOLE = ""  # stands for the whole record where a field is meant
ID = "_id"
_TEXT = re.compile(r"(?i)^(q|query|search|search_?(term|text|query)|text|term|keywords?|full_?text|s)$")
_BOUNDS = {
    **dict.fromkeys(("min", "from", "after", "since", "start", "gte", "ge", "lower", "begin", "newer"), "ge"),
    **dict.fromkeys(("max", "to", "until", "before", "end", "lte", "le", "upper", "older"), "le"),
    **{"gt": "gt", "lt": "lt"},
}
_EVERYTHING = ("all", "any", "*")


@dataclass(frozen=True)
class Condition:
    """What one parameter demands of a record: one of the field's values fits.

    Attributes:
        field: a dotted name, `_id`, or empty for the record's whole text.
        fits: whether a value of the record fits, prepared as `how` says.
        keys: for equality, the values that fit, as `key` writes them: they can be looked up. Empty for others.
        lacking: whether a record without the field fits as well.
    """

    field: str
    how: How
    fits: Callable[[Any], bool]
    keys: tuple[str, ...] = ()
    lacking: bool = False


@dataclass(frozen=True)
class Reading:
    """The field that a parameter means, and how its value is compared with the record's."""

    field: str
    compare: str


# --- which field ----------------------------------------------------------------------------------------------------
def reading(api: API, endpoint: Endpoint, name: str, known: Iterable[str]) -> Reading | None:
    """What a parameter means in an endpoint, or None if it is no condition on records.

    Args:
        known: the fields that records have.
    """
    param = api.params[name]
    if param.role:
        return None
    if param.field:
        return Reading(param.field, param.compare)
    leaves: dict[str, str] = {}
    for field in sorted(known, key=lambda f: (f.count("."), f[:1] == "_", f), reverse=True):
        leaves[_bare(field.rpartition(".")[2])] = field
        leaves[_bare(field)] = field
    own = leaves.get(_bare(name)) or leaves.get(_bare(name).removesuffix("s"))
    if own:
        return Reading(own, param.compare)
    if endpoint.path.endswith(f"{{{name}}}"):
        return Reading(ID, "eq")
    if _TEXT.match(name) and param.kind == "text":
        return Reading(WHOLE, "contains")
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)
    for mark, rest in ((words[0], words[1:]), (words[-1], words[:-1])) if len(words) > 1 else ():
        bound = leaves.get("".join(rest).lower())
        if bound and mark.lower() in _BOUNDS and param.kind in ("integer", "number", "date"):
            return Reading(bound, _BOUNDS[mark.lower()])
    return None


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# --- which values ---------------------------------------------------------------------------------------------------
def conditions(api: API, reading: Reading, param: Param, value: Value) -> list[Condition]:
    """What a parameter's value demands, all of it; of a list's items one has to fit, or each where it `contains`."""
    wanted: list[Any] = list(value) if isinstance(value, tuple) else [value]
    if param.moment:
        wanted = [w if "T" in str(w) else f"{w}T00:00:00" for w in wanted]
    if param.kind == "vocabulary":
        wanted = [str(api.vocabularies[param.vocabulary].get(str(word), word)) for word in wanted]
    if param.kind in ("enum", "vocabulary") and any(str(w).lower() in (param.all, *_EVERYTHING) for w in wanted):
        return []
    if param.kind == "list" and reading.compare == "contains":
        return [_condition(api, Reading(reading.field, "eq"), param.items, [item]) for item in wanted]
    return [_condition(api, reading, param.items if param.kind == "list" else param.kind, wanted)]


def _condition(api: API, reading: Reading, kind: str, wanted: list[Any]) -> Condition:
    field, compare = reading.field, reading.compare
    known = api.fields.get(field)
    if isinstance(wanted[0], bool) and (known is None or known.type != "boolean"):
        return Condition(field, "raw", lambda v: _truth(v) == wanted[0], lacking=not wanted[0])
    if kind == "date":
        return Condition(field, "span", _any([_dated(compare, str(w)) for w in wanted]))
    bounds = [number(w) for w in wanted] if compare in _COMPARE else []
    if bounds and None not in bounds:
        return Condition(field, "number", _any([_bounded(compare, b) for b in bounds]))
    if bounds:
        return Condition(field, "text", _any([_bounded(compare, str(w).casefold()) for w in wanted]))
    plain = kind == "text" and (known is None or known.type == "text") and field != ID
    if plain or compare == "contains" or field == WHOLE:
        return Condition(field, "text", _any([_words(str(w)) for w in wanted]))
    keys = tuple(key(w) for w in wanted)
    return Condition(field, "raw", lambda v: key(v) in keys, keys)


def _any(tests: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    return tests[0] if len(tests) == 1 else lambda v: any(test(v) for test in tests)


def key(value: Any) -> str:
    """A value as it is compared for equality: letter case and the spelling of numbers aside."""
    if isinstance(value, float) and value == value and abs(value) < 1e15 and value == int(value):
        value = int(value)
    return " ".join(printed(value).casefold().split())


def _truth(value: Any) -> bool:
    """Whether a record's value says yes; one that is no boolean says so by being there."""
    return value if isinstance(value, bool) else str(value).casefold() not in ("false", "no", "0", "n", "")


def _words(text: str) -> Callable[[str], bool]:
    """Whether each word of the text begins a word of the value: `cycl dep` fits `cyclin-dependent`, `us` not Russia."""
    begins = (r"(?<!\w)" if part[0].isascii() and part[0].isalnum() else "" for part in text.casefold().split())
    tests = [re.compile(b + re.escape(part)) for b, part in zip(begins, text.casefold().split(), strict=True)]
    return lambda folded: all(test.search(folded) for test in tests)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge, "le": operator.le, "gt": operator.gt, "lt": operator.lt,
}  # fmt: skip


def _bounded(compare: str, bound: Any) -> Callable[[Any], bool]:
    test = _COMPARE[compare]
    return lambda value: test(value, bound)


def number(value: Any) -> float | None:
    """A value as a number, also where it is written as a text; a date as its year; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        date = span(value)
        return float(date[0][:4]) if date else None
    return found if math.isfinite(found) else None


# --- dates ----------------------------------------------------------------------------------------------------------
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?)?)?", re.ASCII)
_FIRST = ("0000", "01", "01", "00", "00", "00")
_LAST = ("9999", "12", "31", "23", "59", "59")


def span(value: Any) -> tuple[str, str] | None:
    """The first and last second that a date covers: `2024` is a year, `2024-05-01` a day. None if it is no date.

    Large numbers are seconds, or milliseconds, since 1970.
    """
    if isinstance(value, int | float) and abs(value) >= 1e8:
        try:
            value = datetime.fromtimestamp(value / 1000 if abs(value) >= 1e11 else value, UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return None
    text = str(value).strip()
    if len(text) > 19:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        text = moment.isoformat(timespec="seconds")
    match = _DATE.fullmatch(text.removesuffix("Z"))
    if match is None:
        return None
    low, high = ("-".join(p or r for p, r in zip(match.groups(), rest, strict=True)) for rest in (_FIRST, _LAST))
    return low, high


def _dated(compare: str, text: str) -> Callable[[tuple[str, str]], bool]:
    """Whether a record's date stands so to a moment or a day; a coarser date fits where any part of it does."""
    low, high = span(text) or ("9999", "0000")
    tests: dict[str, Callable[[tuple[str, str]], bool]] = {
        "ge": lambda found: found[1] >= low,
        "le": lambda found: found[0] <= high,
        "gt": lambda found: found[1] > high,
        "lt": lambda found: found[0] < low,
    }
    return tests.get(compare, lambda found: found[0] <= high and found[1] >= low)


# --- values, prepared once ------------------------------------------------------------------------------------------
def prepared(values: tuple[Any, ...], how: How) -> tuple[Any, ...]:
    """A record's values as conditions compare them; what is no number or no date is left out."""
    if how == "raw":
        return values
    if how == "text":
        return tuple(str(value).casefold() for value in values)
    found = map(number if how == "number" else span, values)
    return tuple(value for value in found if value is not None)
