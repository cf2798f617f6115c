"""What pairs cover of an API: fields, kinds of clauses, parameters, values and endpoints, each as covered of all.

What never occurs is listed with the reason, where the definition or the lexicon gives one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from querywright.api.call import Call, parse
from querywright.api.definition import API, Param
from querywright.api.lexicon import lexicon
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term, walk
from querywright.pairs.roles import roles
from querywright.rows import Row

OPERATORS = {
    "word": "a word in a field",
    "loose word": "a word without a field",
    "phrase": "words in a row",
    "prefix": "the beginning of a word",
    "gap": "a pattern with a gap inside",
    "one character": "a pattern with one unknown character",
    "between": "a range with both ends",
    "from": "a range with a lower end",
    "to": "a range with an upper end",
    "end left out": "a range without one of its ends",
    "exists": "having a field",
    "lacks": "not having a field",
    "and": "two conditions",
    "or": "alternatives",
    "not": "a condition that must not hold",
    "grouping": "alternatives inside other conditions",
    "everything": "all records",
    "interval": "a stretch of a chromosome",
    "assembly": "a stretch of another assembly",
    "position": "one base of a chromosome",
}
TYPED = {
    "both ends": "a range with both ends",
    "lower end": "a range with a lower end",
    "upper end": "a range with an upper end",
    "place": "a place with a radius",
    "several values": "more than one value of a list",
    "value": "a single value",
}


def operators(node: Node) -> Iterator[str]:
    """The kinds of clauses in a query."""
    for n in walk(node):
        if isinstance(n, Bool):
            yield from ("and",) * (len(n.must) + len(n.must_not) > 1 and bool(n.must))
            yield from ("or",) * bool(n.should)
            yield from ("lacks" if isinstance(x, Exists) else "not" for x in n.must_not)
            yield from ("grouping",) * any(isinstance(x, Bool) for x in (*n.must, *n.should, *n.must_not))
        elif isinstance(n, Term):
            yield _kind(n)
        elif isinstance(n, Range):
            yield "between" if "*" not in (n.low, n.high) else "to" if n.low == "*" else "from"
            yield from ("end left out",) * (not (n.include_low and n.include_high))
        elif isinstance(n, Exists):
            yield "exists"
        elif isinstance(n, Interval):
            yield "position" if n.start == n.end else "interval"
            yield from ("assembly",) * bool(n.assembly)
        elif isinstance(n, Everything):
            yield "everything"


def _kind(term: Term) -> str:
    if term.kind == "phrase":
        return "phrase"
    if term.kind == "wildcard":
        return "one character" if "?" in term.value else "prefix" if term.value.endswith("*") else "gap"
    return "word" if term.field else "loose word"


def typed_operators(call: Call) -> Iterator[str]:
    """The kinds of conditions in a call of typed parameters."""
    known, values = roles(call.api, call.endpoint), dict(call.params)
    for span in known.spans:
        low, high = span.low in values, span.high in values
        if low or high:
            yield "both ends" if low and high else "lower end" if low else "upper end"
    if set(known.place[:2]) and set(known.place[:2]) <= set(values):
        yield "place"
    for name in known.single:
        if name in values:
            value = values[name]
            yield "several values" if isinstance(value, tuple) and len(value) > 1 else "value"


def applicable(api: API) -> list[str]:
    """The kinds of clauses that calls of an API can have."""
    if api.query_language != "lucene":
        found = [roles(api, e) for e in api.endpoints]
        spans = [s for known in found for s in known.spans]
        have = {
            "both ends": any(s.low and s.high for s in spans),
            "lower end": any(s.low for s in spans),
            "upper end": any(s.high for s in spans),
            "place": any(known.place for known in found),
            "several values": any(p.kind == "list" for p in written(api).values()),
        }
        return [name for name in TYPED if have.get(name, True)]
    spans_of = api.intervals
    numeric = any(f.type in ("integer", "long", "float", "double", "date") for f in api.fields.values())
    left = {"between", "from", "to", "end left out"} if not numeric else set()
    left |= set() if spans_of else {"interval", "assembly", "position"}
    left |= set() if spans_of and spans_of.prefixed else {"assembly"}
    left |= set() if spans_of and spans_of.positions else {"position"}
    return [name for name in OPERATORS if name not in left]


def written(api: API) -> dict[str, Param]:
    """Parameters that calls are written with."""
    left_out = {*api.unwritten, *api.ignored_params, "q" if api.query_language == "lucene" else ""}
    used = {n for e in api.endpoints.values() for n in e.params}
    return {n: p for n, p in api.params.items() if n in used and n not in left_out}


def coverage(api: API, rows: Sequence[Row]) -> dict[str, Any]:
    """Count what pairs bring; refusals and rows of other machinery hold no call and are passed over.

    Returns:
        For `searched`, `returned`, `operators`, `parameters`, `values` and `endpoints`: `covered`, `all`, `never` (each
        with a reason, which may be empty), and `counts`.
    """
    counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    for r in rows:
        if r.get("path"):
            for part, name in _brought(parse(api, r["path"])):
                counts[part][name] += 1
    wanted = _wanted(api)
    return {
        part: {
            "covered": sum(name in counts[part] for name in wanted[part]),
            "all": len(wanted[part]),
            "never": {name: why for name, why in wanted[part].items() if name not in counts[part]},
            "counts": dict(counts[part].most_common()),
        }
        for part in PARTS
        if wanted[part]
    }


PARTS = ("searched", "returned", "operators", "parameters", "values", "endpoints")


def _brought(call: Call) -> Iterator[tuple[str, str]]:
    yield "endpoints", call.endpoint
    for name, value in call.params:
        yield "parameters", name
        for one in value if isinstance(value, tuple) else (value,):
            yield "values", f"{name}={one}"
        if name == "fields" and isinstance(value, tuple):
            yield from (("returned", str(one)) for one in value)
    if call.query is not None:
        found: Iterable[str] = operators(call.query)
        searched = (n.field for n in walk(call.query) if isinstance(n, Term | Range | Exists) and n.field)
        yield from (("searched", name) for name in searched)
    else:
        found = typed_operators(call) if call.api.query_language != "lucene" else ()
    yield from (("operators", name) for name in found)


def _wanted(api: API) -> dict[str, dict[str, str]]:
    """Everything that calls can bring, each with the reason why templates leave it out (mostly empty)."""
    never = {*lexicon(api).get("draw", {}).get("never", ())}
    params = written(api)
    lucene = api.query_language == "lucene"
    returned = lucene and "fields" in params
    shown = {n: "the lexicon says never" if n in never else "" for n in params}
    values = {
        f"{n}={v}": shown[n]
        for n, p in params.items()
        for v in (p.values or api.vocabularies.get(p.vocabulary, ()))
        if v != p.default
    }
    return {
        "searched": {f: "" for f in api.fields if lucene and api.leaves(f)},
        "returned": {f: "" for f in api.fields if returned},
        "operators": dict.fromkeys(applicable(api), ""),
        "parameters": shown,
        "values": values,
        "endpoints": dict.fromkeys(api.endpoints, ""),
    }
