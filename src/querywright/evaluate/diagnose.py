"""What is wrong with an answer that is a call, but not the call that was meant: names that a person can act on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from querywright.api.call import Call, Value, fold
from querywright.api.query import Everything, Exists, Interval, Node, Range, Term
from querywright.evaluate.conditions import Leaf, bare, field_of, kind_of, leaves, value_of
from querywright.evaluate.wrong_value import value_error


@dataclass(frozen=True)
class Diagnosis:
    """Names as in `problems.PROBLEMS`, or "PARAMETER lost", "PARAMETER added", "PARAMETER changed".

    Attributes:
        details: (problem, what exactly), in the order found; a problem may come several times.
        confused: (`searched` or `returned`, field meant, field given).
    """

    details: tuple[tuple[str, str], ...] = ()
    confused: tuple[tuple[str, str, str], ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """The names, each once."""
        return tuple(dict.fromkeys(name for name, _ in self.details))


@dataclass
class _Found:
    details: list[tuple[str, str]] = field(default_factory=list)
    confused: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, problem: str, want: object = "", given: object = "") -> None:
        self.details.append((problem, f"{want} → {given}" if given != "" else str(want)))


def diagnose(want: Call, given: Call, sentence: str = "") -> Diagnosis:
    """Compare the answer `given` with the expected call `want`; empty where they mean the same.

    Args:
        sentence: all that was said; tells a value taken from elsewhere in it from one that was made up.
    """
    if want.canonical == given.canonical:
        return Diagnosis()
    want, given = fold(want), fold(given)
    found = _Found()
    if want.endpoint != given.endpoint:
        found.add("endpoint", want.endpoint, given.endpoint)
    elif want.id != given.id:
        found.add("id", want.id or "–", given.id or "–")
        if want.id and given.id:
            found.add(value_error(want.id, given.id, sentence), want.id, given.id)
    _queries(want.query, given.query, sentence, found)
    for name in dict.fromkeys([n for n, _ in (*want.params, *given.params)]):
        _param(want, name, want.get(name), given.get(name), found)
    if not found.details:
        found.add("other", want.canonical, given.canonical)
    return Diagnosis(tuple(found.details), tuple(found.confused))


def _param(call: Call, name: str, want: Value | None, given: Value | None, found: _Found) -> None:
    if want == given:
        return
    if given is None:
        found.add(f"{name} lost", _said(want))
    elif want is None:
        found.add(f"{name} added", _said(given))
    elif isinstance(want, tuple) and isinstance(given, tuple) and name != "sort":
        lost, added = [v for v in want if v not in given], [v for v in given if v not in want]
        problem = "changed" if lost and added else "lost" if lost else "added"
        pairs = _closest(lost, added) if problem == "changed" else []
        for a, b in pairs:
            found.add(f"{name} changed", a, b)
        if call.api.params[name].kind == "fields":
            found.confused += [("returned", a, b) for a, b in pairs]
        if not pairs:
            found.add(f"{name} {problem}", _said(tuple(lost or added)))
    else:
        found.add(f"{name} changed", _said(want), _said(given))


def _said(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _closest(lost: list[str], added: list[str]) -> list[tuple[str, str]]:
    """Each name that is missing with the most similar of those that came instead; none is used twice."""
    from rapidfuzz import fuzz

    left, pairs = list(added), []
    for name in lost:
        if left:
            nearest = max(left, key=lambda other, name=name: (fuzz.ratio(name, other), other))  # type: ignore[misc]
            left.remove(nearest)
            pairs.append((name, nearest))
    return pairs


# --- the query: pair off the conditions, the most alike first --------------------------------------------------------
def _related(a: str, b: str) -> bool:
    return a.startswith(b + ".") or b.startswith(a + ".")


def _alike(want: Node, given: Node) -> bool:
    """Whether one value could be the other, cut short or damaged."""
    from rapidfuzz import fuzz

    if isinstance(want, Exists) or isinstance(given, Exists):
        return False
    a, b = bare(want), bare(given)
    return bool(a and b) and (a in b or b in a or fuzz.ratio(a, b) >= 75)


# whether these two conditions are the same one, gone wrong; the surest signs first
_SIGNS: tuple[Callable[[Node, Node], bool], ...] = (
    lambda w, g: field_of(w) == field_of(g) and bare(w) == bare(g),
    lambda w, g: bare(w) == bare(g) and _related(field_of(w), field_of(g)),
    lambda w, g: bare(w) == bare(g),
    lambda w, g: field_of(w) == field_of(g) and _alike(w, g),
    lambda w, g: field_of(w) == field_of(g),
    _alike,
)


def _queries(want: Node | None, given: Node | None, sentence: str, found: _Found) -> None:
    before = len(found.details)
    left, right = list(leaves(want)), list(leaves(given))
    pairs: list[tuple[Leaf, Leaf]] = []
    for sign in (lambda w, g: w == g, lambda w, g: w.node == g.node):  # where it stands helps to tell repeats apart
        _pair_off(left, right, pairs, sign)
    _split_phrases(left, right, found)
    for alike in _SIGNS:
        _pair_off(left, right, pairs, lambda w, g, alike=alike: alike(w.node, g.node))  # type: ignore[misc]
    for a, b in pairs:
        if a.node != b.node:
            _compare(a.node, b.node, sentence, found)
    for leaf in left:
        found.add("clause lost", field_of(leaf.node))
    for leaf in right:
        found.add("clause added", field_of(leaf.node))
    _operators(pairs, bool(left or right), found)
    if len(found.details) == before and want != given:
        if want is None or given is None or isinstance(want, Everything) or isinstance(given, Everything):
            problem = "clause added" if want is None or isinstance(want, Everything) else "clause lost"
            found.add(problem, "everything")  # `*` or no query at all
        else:
            found.add("brackets")


def _pair_off(
    left: list[Leaf], right: list[Leaf], pairs: list[tuple[Leaf, Leaf]], test: Callable[[Leaf, Leaf], bool]
) -> None:
    for leaf in list(left):
        match = next((other for other in right if test(leaf, other)), None)
        if match is not None:
            left.remove(leaf)
            right.remove(match)
            pairs.append((leaf, match))


def _split_phrases(left: list[Leaf], right: list[Leaf], found: _Found) -> None:
    """A phrase that became words of its own, or words that became a phrase."""
    for whole, parts, problem in ((left, right, "phrase split"), (right, left, "words joined")):
        for leaf in list(whole):
            if not (isinstance(leaf.node, Term) and leaf.node.kind == "phrase"):
                continue
            words = leaf.node.value.lower().split()
            fields = (leaf.node.field, None)  # `name:cyclin kinase` searches its second word anywhere
            same = [p for p in parts if isinstance(p.node, Term) and p.node.field in fields]
            taken = [p for p in same if bare(p.node) in words]
            if len(taken) > 1 and sorted(bare(p.node) for p in taken) == sorted(words):
                whole.remove(leaf)
                for part in taken:
                    parts.remove(part)
                found.add(problem, f'{field_of(leaf.node)}:"{leaf.node.value}"')


def _compare(want: Node, given: Node, sentence: str, found: _Found) -> None:
    """Name what differs between two conditions that were paired off."""
    fields = field_of(want), field_of(given)
    if fields[0] != fields[1]:
        found.add("leaf for parent" if _related(*fields) else "wrong field", *fields)
        found.confused.append(("searched", *fields))
    kinds = kind_of(want), kind_of(given)
    if isinstance(want, Term) and isinstance(given, Term):
        if bare(want) != bare(given):
            found.add(value_error(want.value, given.value, sentence), want.value, given.value)
        elif kinds[0] != kinds[1] or want.tail != given.tail:
            found.add("match kind", kinds[0] + want.tail, kinds[1] + given.tail)
        elif want.value != given.value:
            found.add("letter case" if value_of(want) == value_of(given) else "match kind", want.value, given.value)
    elif kinds[0] != kinds[1]:
        found.add("match kind", *kinds)
    elif isinstance(want, Range) and isinstance(given, Range):
        if (want.low, want.high, want.include_low, want.include_high) != (
            given.low, given.high, given.include_low, given.include_high,
        ):  # fmt: skip
            found.add("range bounds", _bounds(want), _bounds(given))
    elif isinstance(want, Interval) and value_of(want) != value_of(given):
        found.add("interval bounds", value_of(want), value_of(given))


def _bounds(node: Range) -> str:
    return f"{'[' if node.include_low else '{'}{node.low} TO {node.high}{']' if node.include_high else '}'}"


def _operators(pairs: list[tuple[Leaf, Leaf]], others: bool, found: _Found) -> None:
    """NOT lost or added; AND for OR, or the other way, where no condition is missing that would explain it."""
    for a, b in pairs:
        if a.negated != b.negated:
            found.add("NOT lost" if a.negated else "NOT added", field_of(a.node))
    if others:
        return
    joins = dict.fromkeys((a.join, b.join) for a, b in pairs if a.join and b.join and a.join != b.join)
    used = [{leaf.join for leaf in side if leaf.join} for side in zip(*pairs, strict=True)]
    if joins and used[0] == used[1]:  # the operators are all there, but elsewhere
        found.add("brackets")
    else:
        for want, given in joins:
            found.add(f"{given} for {want}")
