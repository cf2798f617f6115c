"""The conditions of a query: what each looks for, where, how, and how it is joined to the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from querywright.api.query import Bool, Everything, Interval, Node, Range, Term


@dataclass(frozen=True)
class Leaf:
    """A condition where it stands: whether it is negated, and what joins it to its neighbours (AND, OR or nothing)."""

    node: Node
    negated: bool = False
    join: str = ""


def leaves(node: Node | None, negated: bool = False, join: str = "") -> Iterator[Leaf]:
    """The conditions of a query, from left to right."""
    if isinstance(node, Bool):
        several = len(node.must) + len(node.should) + len(node.must_not) > 1
        for child in (*node.must, *node.should, *node.must_not):
            joined = "OR" if child in node.should else "AND"
            yield from leaves(child, negated ^ (child in node.must_not), joined if several else join)
    elif node is not None and not isinstance(node, Everything):
        yield Leaf(node, negated, join)


def field_of(leaf: Node) -> str:
    """The field that a condition searches, in words where there is none."""
    if isinstance(leaf, Interval):
        return f"{leaf.assembly or 'default'} interval"
    return getattr(leaf, "field", None) or "any field"


def kind_of(leaf: Node) -> str:
    """How a condition matches: word, phrase, wildcard, fuzzy, range, exists or interval."""
    return leaf.kind if isinstance(leaf, Term) else type(leaf).__name__.lower()


def value_of(leaf: Node) -> str:
    """What a condition looks for, in lower case."""
    if isinstance(leaf, Term):
        return leaf.value.lower()
    if isinstance(leaf, Range):
        return f"{leaf.low} TO {leaf.high}".lower()
    if isinstance(leaf, Interval):
        return f"{leaf.chromosome}:{leaf.start}-{leaf.end}".lower()
    return "*"


def bare(leaf: Node) -> str:
    """The value without wildcards at its ends."""
    return value_of(leaf).strip("*?") if isinstance(leaf, Term) else value_of(leaf)
