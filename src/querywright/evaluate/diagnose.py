"""What is wrong with an answer that is a call, but not the call that was meant: names that a person can act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from querywright.api.call import Call, Value, fold
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term, walk

PROBLEMS = {
    "invalid": "no call, or ran out of tokens",
    "false_refusal": "refused, though there is a call",
    "not_refused": "a call, though nothing answers the sentence",
    "endpoint": "another endpoint",
    "id": "another record's id",
    "wrong field": "the value is searched in another field",
    "leaf for parent": "a field below the one meant, or above it",
    "value cut": "a part of the value is missing",
    "wrong value": "another value in the right field",
    "match kind": "phrase, word, wildcard or range mixed up",
    "clause lost": "a condition is missing",
    "clause added": "a condition that nobody asked for",
    "operators": "the right conditions, joined wrongly",
}  # and for each parameter: "NAME lost", "NAME added", "NAME changed"


@dataclass(frozen=True)
class Diagnosis:
    """`problems`: names as in PROBLEMS, each once; `confused`: (field meant, field given)."""

    problems: tuple[str, ...] = ()
    confused: tuple[tuple[str, str], ...] = ()


def diagnose(want: Call, given: Call) -> Diagnosis:
    """Compare the answer `given` with the expected call `want`; empty where they mean the same."""
    if want.canonical == given.canonical:
        return Diagnosis()
    want, given = fold(want), fold(given)
    problems: list[str] = []
    if want.endpoint != given.endpoint:
        problems.append("endpoint")
    elif want.id != given.id:
        problems.append("id")
    found, confused = _queries(want.query, given.query)
    problems += found
    for name in dict.fromkeys([n for n, _ in (*want.params, *given.params)]):
        problem = _param(name, want.get(name), given.get(name))
        if problem:
            problems.append(problem)
    return Diagnosis(tuple(dict.fromkeys(problems)), tuple(confused))


def _param(name: str, want: Value | None, given: Value | None) -> str:
    if want == given:
        return ""
    if given is None:
        return f"{name} lost"
    if want is None:
        return f"{name} added"
    if isinstance(want, tuple) and isinstance(given, tuple) and name != "sort":
        if set(given) < set(want):
            return f"{name} lost"
        if set(want) < set(given):
            return f"{name} added"
    return f"{name} changed"


# --- the query: pair off the conditions, the most alike first --------------------------------------------------------
def _leaves(node: Node | None) -> list[Node]:
    return [] if node is None else [n for n in walk(node) if not isinstance(n, Bool | Everything)]


def _field(leaf: Node) -> str:
    if isinstance(leaf, Interval):
        return f"{leaf.assembly or 'default'} interval"
    return getattr(leaf, "field", None) or "any field"


def _value(leaf: Node) -> str:
    if isinstance(leaf, Term):
        return leaf.value.lower()
    if isinstance(leaf, Range):
        return f"{leaf.low} TO {leaf.high}".lower()
    if isinstance(leaf, Interval):
        return f"{leaf.chromosome}:{leaf.start}-{leaf.end}".lower()
    return "*"


def _kind(leaf: Node) -> str:
    return leaf.kind + leaf.tail if isinstance(leaf, Term) else type(leaf).__name__


def _related(a: str, b: str) -> bool:
    return a.startswith(b + ".") or b.startswith(a + ".")


def _part(want: Node, given: Node) -> bool:
    whole, part = _value(want), _value(given)
    return not isinstance(given, Exists) and part != whole and part.strip("*") in whole


# (name of the problem, whether these two conditions differ in just that way), the most alike first
_RULES: tuple[tuple[str, Callable[[Node, Node], bool]], ...] = (
    ("match kind", lambda w, g: _field(w) == _field(g) and _value(w) == _value(g)),
    ("leaf for parent", lambda w, g: _value(w) == _value(g) and _related(_field(w), _field(g))),
    ("wrong field", lambda w, g: _value(w) == _value(g) and _field(w) != _field(g)),
    ("value cut", lambda w, g: _field(w) == _field(g) and _part(w, g)),
    ("wrong value", lambda w, g: _field(w) == _field(g)),
)


def _queries(want: Node | None, given: Node | None) -> tuple[list[str], list[tuple[str, str]]]:
    missing, extra = Counter(_leaves(want)), Counter(_leaves(given))
    missing, extra = missing - extra, extra - missing
    left, right = list(missing.elements()), list(extra.elements())
    problems: list[str] = []
    confused: list[tuple[str, str]] = []
    for name, alike in _RULES:
        for leaf in list(left):
            match = _first(right, lambda other, leaf=leaf, alike=alike: alike(leaf, other))  # type: ignore[misc]
            if match is None:
                continue
            left.remove(leaf)
            right.remove(match)
            problems.append(name)
            if name == "match kind" and _kind(leaf) == _kind(match):
                problems[-1] = "wrong value"  # the same but for letter case, or for open ends of a range
            if _field(leaf) != _field(match):
                confused.append((_field(leaf), _field(match)))
    problems += ["clause lost"] * bool(left) + ["clause added"] * bool(right)
    if not problems and want != given:
        problems.append("operators")
    return problems, confused


def _first(items: Iterable[Node], test: Callable[[Node], bool]) -> Node | None:
    return next((item for item in items if test(item)), None)
