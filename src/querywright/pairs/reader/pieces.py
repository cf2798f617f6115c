"""What a matched pattern says: conditions as query nodes, counts, fields, species; and how likely that is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from querywright.api.nodes import Bool, Exists, Interval, Node, Range, Term, simplify
from querywright.pairs.reader.known import Known
from querywright.pairs.reader.slots import Value

Piece = tuple[str, Any]
Said = tuple[tuple[Piece, ...], float]  # pieces, and what reading them so costs more
SILENT = ("filler", "mark", "noun", "how_many")  # pieces that change no call


def term(known: Known, field: str | None, value: Value, phrase: bool = False) -> Node:
    """A literal in a field: a word, a phrase, a wildcard."""
    text = value.text.strip()
    if value.wild:
        return Term(field, text, "wildcard")
    if field is None and " " in text and not (value.quoted or phrase):
        return Bool(must=tuple(Term(None, word) for word in text.split()))
    if field is not None and (f := known.api.fields.get(field)) is not None and f.type == "boolean":
        text = text.lower()
    quoted = phrase or (value.quoted and " " in text)
    return Term(field, text, "phrase" if quoted or " " in text else "word")


def _any(nodes: Sequence[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else simplify(Bool(should=tuple(nodes)))


def fits(known: Known, field: str, value: Value) -> float:
    """What it costs to believe that this is a value of the field."""
    f = known.api.fields.get(field)
    if f is None:
        return 0.0
    text = value.text
    if f.type == "boolean":
        return 0.0 if text.lower() in ("true", "false") else 1.5
    if f.analysis == "number":
        return 0.0 if re.fullmatch(r"-?[\d.,]+(e-?\d+)?", text, re.I) or value.wild else 0.9
    if f.shape and not value.wild:
        return -0.05 if re.fullmatch(f.shape, text) else 0.3 if known.is_id(text) and not text.isdigit() else 0.1
    if text.lower() in known.values_of.get(field, ()):
        return -0.2
    return 0.0 if value.looks or f.analysis == "text" or value.quoted else 0.05


def say(known: Known, action: str, found: tuple[Any, ...]) -> Said | None:
    """The pieces of one match; None where its parts do not go together."""
    kind, _, given = action.partition(":")
    if kind == "own":  # a clause of the lexicon: the field is in the action
        return _term(known, (given, *found))
    if kind == "noun_of":  # `pseudogenes`
        field, _, value = given.partition("=")
        return (("cond", Term(field, value)), ("noun", None)), 0.0
    if kind in ("flag", "endpoint", "param"):
        return ((kind, (given, *found)),), 0.0
    make = _MAKERS.get(kind)
    return make(known, found) if make else (((kind, found[0] if found else None),), 0.0)


def _term(known: Known, found: tuple[Any, ...]) -> Said | None:
    field, values = found[0], found[1]
    values = values if isinstance(values, tuple) else (values,)
    if known.api.analysis(field) == "object" or not (field in known.api.meta_fields or known.api.leaves(field)):
        return None
    extra = sum(fits(known, field, v) for v in values)
    return (("cond", _any([term(known, field, v) for v in values])),), extra


def _free(known: Known, found: tuple[Any, ...]) -> Said | None:
    several = len(found[-1]) > 1  # of alternatives, each is one thing
    nodes = [term(known, None, v, phrase=several and " " in v.text) for v in found[-1]]
    return (("cond", _any(nodes)),), 0.0


def _free_phrase(known: Known, found: tuple[Any, ...]) -> Said | None:
    return (("cond", _any([term(known, None, v, phrase=True) for v in found[-1]])),), 0.0


def _free_noun(known: Known, found: tuple[Any, ...]) -> Said | None:
    return (("cond", term(known, None, found[0])), ("noun", None)), 0.0


def _noun_free(known: Known, found: tuple[Any, ...]) -> Said | None:
    said = _free(known, found)
    return ((("noun", None), *said[0]), 0.0) if said else None


def _prefix(known: Known, found: tuple[Any, ...]) -> Said | None:
    values = found[1] if isinstance(found[1], tuple) else (found[1],)
    return (("cond", _any([_wild(found[0], f"{v.text}*") for v in values])),), 0.0


def _wild(field: str | None, text: str) -> Term:
    return Term(field, re.sub(r"\s+", "\\ ", text), "wildcard")


def _free_prefix(known: Known, found: tuple[Any, ...]) -> Said | None:
    value = found[0]
    return None if " " in value.text else ((("cond", _wild(None, value.text + "*")),), 0.0)


def _one_more(known: Known, found: tuple[Any, ...]) -> Said | None:
    return (("cond", _wild(found[0], found[1].text + "?")),), 0.0


def _free_one_more(known: Known, found: tuple[Any, ...]) -> Said | None:
    return (("cond", _wild(None, found[0].text + "?")),), 0.0


def _gap(known: Known, found: tuple[Any, ...]) -> Said | None:
    return (("cond", _wild(found[0], f"{found[1].text}*{found[2].text}")),), 0.0


def _ends(low: bool, high: bool, field_at: int = 0) -> Callable[..., Said | None]:
    """A range with both ends, each in it or not."""

    def make(known: Known, found: tuple[Any, ...]) -> Said | None:
        bounds = [f for i, f in enumerate(found) if i != field_at]
        field = str(found[field_at])
        return ((("cond", Range(field, bounds[0], bounds[1], low, high)),), 0.0) if known.api.leaves(field) else None

    return make


def _range(low: bool, high: bool, inclusive: bool, field_last: bool = False) -> Callable[..., Said | None]:
    def make(known: Known, found: tuple[Any, ...]) -> Said | None:
        field, *bounds = found if not field_last else (found[-1], *found[:-1])
        if len(bounds) == 1 and isinstance(bounds[0], tuple):
            bounds = [*bounds[0]]
        if not known.api.leaves(field):
            return None
        first = bounds[0] if low else "*"
        last = (bounds[1] if low else bounds[0]) if high else "*"
        extra = 0.0 if known.api.analysis(field) == "number" else 0.1
        both = low and high
        node = Range(field, first, last, inclusive or not low or both, inclusive or not high or both)
        return (("cond", node),), extra

    return make


def _exists(known: Known, found: tuple[Any, ...]) -> Said | None:
    return ((("cond", Exists(found[0])),), 0.0) if known.api.leaves(found[0]) else None


def _lacks(known: Known, found: tuple[Any, ...]) -> Said | None:
    return ((("cond", Bool(must_not=(Exists(found[0]),))),), 0.0) if known.api.leaves(found[0]) else None


def _flagged(value: str) -> Callable[..., Said | None]:
    return lambda known, found: ((("cond", Term(found[0], value)),), 0.0)


def _interval(known: Known, found: tuple[Any, ...]) -> Said | None:
    span, assembly = found[0], found[1] if len(found) > 1 else None
    if assembly and span.assembly:
        return None
    return (("cond", Interval(span.assembly or assembly, span.chromosome, span.start, span.end)),), 0.0


def _chromosome(order: tuple[int, ...]) -> Callable[..., Said | None]:
    def make(known: Known, found: tuple[Any, ...]) -> Said | None:
        chromosome, start, end = (found[i] for i in order)
        assembly = found[max(order) + 1] if len(found) > max(order) + 1 else None
        spans = known.api.intervals
        if spans is None or not (str(start).isdigit() and str(end).isdigit()) or (start == end and not spans.positions):
            return None
        return (("cond", Interval(assembly, str(chromosome), int(start), int(end))),), 0.0

    return make


def _scope(known: Known, found: tuple[Any, ...]) -> Said | None:
    return (("scope", found[0]),), 0.0


def _with_noun(kind: str) -> Callable[..., Said | None]:
    return lambda known, found: (((kind, found[0]), ("noun", None)), 0.0)


def _paged(size: Callable[..., int], start: Callable[..., int]) -> Callable[..., Said | None]:
    def make(known: Known, found: tuple[Any, ...]) -> Said | None:
        numbers = found[0] if isinstance(found[0], tuple) else found
        a, b = (int(n) for n in numbers[:2])
        n, m = size(a, b), start(a, b)
        return ((("size", n), ("from", m)), 0.0) if n >= 0 <= m else None

    return make


_MAKERS: dict[str, Callable[[Known, tuple[Any, ...]], Said | None]] = {
    "term": _term,
    "value_in": lambda known, found: _term(known, (found[1], found[0])),
    "prefix": _prefix,
    "one_more": _one_more,
    "gap": _gap,
    "free": _free,
    "free_phrase": _free_phrase,
    "free_noun": _free_noun,
    "noun_free": _noun_free,
    "free_prefix": _free_prefix,
    "free_one_more": _free_one_more,
    "between": _range(True, True, True),
    "between_dash": _range(True, True, True),
    "open_open": _ends(False, False),
    "closed_open": _ends(True, False),
    "open_closed": _ends(False, True),
    "around": _ends(True, True, 1),
    "more": _range(True, False, False),
    "least": _range(True, False, True),
    "less": _range(False, True, False),
    "most": _range(False, True, True),
    "more_of": _range(True, False, False, True),
    "least_of": _range(True, False, True, True),
    "exists": _exists,
    "lacks": _lacks,
    "true": _flagged("true"),
    "false": _flagged("false"),
    "interval": _interval,
    "interval_after": lambda known, found: _interval(known, found[::-1]),
    "chromosome_first": _chromosome((0, 1, 2)),
    "chromosome_last": _chromosome((2, 0, 1)),
    "position_first": _chromosome((0, 1, 1)),
    "position_last": _chromosome((1, 0, 0)),
    "scope": _scope,
    "scope_noun": _with_noun("scope"),
    "size_noun": _with_noun("size"),
    "size_scope": lambda known, found: ((("size", found[0]), ("scope", found[1]), ("noun", None)), 0.0),
    "one": lambda known, found: ((("size", 1),), 0.0),
    "one_noun": lambda known, found: ((("size", 1), ("noun", None)), 0.0) if found[0][1] else None,
    "one_scope": lambda known, found: (
        ((("size", 1), ("scope", found[0]), ("noun", None)), 0.0) if found[1][1] else None
    ),
    "none": lambda known, found: ((("size", 0),), 0.0),
    "next": _paged(lambda n, m: n, lambda n, m: m),
    "skip_show": _paged(lambda m, n: n, lambda m, n: m),
    "rows": _paged(lambda a, b: b - a + 1, lambda a, b: a - 1),
    "rows_dash": _paged(lambda a, b: b - a + 1, lambda a, b: a - 1),
    "page": _paged(lambda p, n: n, lambda p, n: (p - 1) * n),
    "sort_down": lambda known, found: ((("sort", tuple("-" + f for f in found[0])),), 0.0),
    "fields_of": lambda known, found: ((("fields", found[0]),), 0.0),
    "all_fields": lambda known, found: ((("fields", ("all",)),), 0.0),
    "comma_or": lambda known, found: ((("or", True),), 0.0),
    "item": lambda known, found: ((("item", found[-1]),), 0.0),
}
