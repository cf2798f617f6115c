"""Typed parameters as conditions on records: which field a parameter means, and when a value fits.

The definition says it with `field` and `compare`. Where it does not, names say it: `year` is the field year, `min_year`
and `year_from` are its lower end, a parameter at the end of the path is the record's id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from querywright.api.definition import API, Endpoint, Param
from querywright.api.values import Value, printed

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
        fits: whether a value of the record fits.
        keys: for equality, the values that fit, as `key` writes them: they can be looked up. Empty for others.
        lacking: whether a record without the field fits as well.
    """

    field: str
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
        return Condition(field, lambda v: _truth(v) == wanted[0], lacking=not wanted[0])
    if kind == "date":
        return Condition(field, _any([_dated(compare, str(w)) for w in wanted]))
    if compare in ("ge", "le", "gt", "lt"):
        return Condition(field, _any([_ordered(compare, w) for w in wanted]))
    plain = kind == "text" and (known is None or known.type == "text") and field != ID
    if plain or compare == "contains" or field == WHOLE:
        return Condition(field, _any([_words(str(w)) for w in wanted]))
    keys = tuple(key(w) for w in wanted)
    return Condition(field, lambda v: key(v) in keys, keys)


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


def _words(text: str) -> Callable[[Any], bool]:
    """Whether each word of the text begins a word of the value: `cycl dep` fits `cyclin-dependent`, `us` not Russia."""
    begins = (r"(?<!\w)" if part[0].isascii() and part[0].isalnum() else "" for part in text.casefold().split())
    tests = [re.compile(b + re.escape(part)) for b, part in zip(begins, text.casefold().split(), strict=True)]

    def fits(value: Any) -> bool:
        folded = str(value).casefold()
        return all(test.search(folded) for test in tests)

    return fits


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "ge": lambda a, b: a >= b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "lt": lambda a, b: a < b,
}


def number(value: Any) -> Decimal | None:
    """A value as a number, also where it is written as a text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _ordered(compare: str, bound: Any) -> Callable[[Any], bool]:
    test, low = _COMPARE[compare], number(bound)
    if low is None:
        folded = str(bound).casefold()
        return lambda value: test(str(value).casefold(), folded)
    dated = _dated(compare, str(bound)) if re.fullmatch(r"\d{4}", str(bound)) else None

    def fits(value: Any) -> bool:
        found = number(value)
        if found is not None:
            return test(found, low)
        return dated is not None and dated(value)

    return fits


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


def _dated(compare: str, text: str) -> Callable[[Any], bool]:
    """Whether a record's date stands so to a moment or a day; a coarser date fits where any part of it does."""
    bounds = span(text)
    if bounds is None:
        return lambda value: key(value) == key(text)
    low, high = bounds

    def fits(value: Any) -> bool:
        found = span(value)
        if found is None:
            return False
        first, last = found
        if compare == "ge":
            return last >= low
        if compare == "le":
            return first <= high
        if compare == "gt":
            return last > high
        if compare == "lt":
            return first < low
        return first <= high and last >= low

    return fits
