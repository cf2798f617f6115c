"""Lucene queries as trees: what they are made of, simplified, printed, walked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Everything:
    """Matches every record (`*`, `__all__`)."""


@dataclass(frozen=True)
class Term:
    """One literal. `field` None searches the default fields; `kind`: word, phrase, wildcard or fuzzy."""

    field: str | None
    value: str
    kind: str = "word"
    tail: str = ""  # ~slop and ^boost, as written


@dataclass(frozen=True)
class Range:
    """Values between `low` and `high` (`*` is open), each end inclusive or not."""

    field: str
    low: str
    high: str
    include_low: bool = True
    include_high: bool = True

    @property
    def one_value(self) -> bool:
        """Whether both ends are the same plain value."""
        plain = re.fullmatch(r"[\w.-]+", self.low) is not None
        return plain and self.low == self.high and self.include_low and self.include_high


@dataclass(frozen=True)
class Exists:
    """Records that have a value in `field`."""

    field: str


@dataclass(frozen=True)
class Interval:
    """A stretch of a chromosome; positions in base pairs, both ends included."""

    assembly: str | None
    chromosome: str
    start: int
    end: int


@dataclass(frozen=True)
class Bool:
    """Lucene's clause list: all of `must`, none of `must_not`, and, where `must` is empty, one of `should`."""

    must: tuple[Node, ...] = ()
    should: tuple[Node, ...] = ()
    must_not: tuple[Node, ...] = ()


Node = Everything | Term | Range | Exists | Interval | Bool


# --- simple --------------------------------------------------------------------------------------------------------
def _unique(nodes: list[Node]) -> list[Node]:
    return [*dict.fromkeys(nodes)] if len(nodes) > 1 else nodes


def simplify(node: Node) -> Node:
    """Flatten nested lists of one kind, drop repeats and what `*` makes idle. Meaning is kept."""
    if not isinstance(node, Bool):
        return node
    return merge(Bool(*(tuple(map(simplify, part)) for part in (node.must, node.should, node.must_not))))


def merge(node: Bool) -> Node:
    """`simplify` of a list whose parts are simple already."""
    must: list[Node] = []
    must_not: list[Node] = []
    for child in node.must:
        if isinstance(child, Bool) and not child.should:
            must += child.must
            must_not += child.must_not
        else:
            must.append(child)
    should: list[Node] = []
    for child in node.should:
        if isinstance(child, Bool) and not child.must and not child.must_not:
            should += child.should
        else:
            should.append(child)
    for child in node.must_not:
        if isinstance(child, Bool) and not child.must and child.should and not child.must_not:
            must_not += child.should  # NOT (a OR b) = NOT a AND NOT b
        elif isinstance(child, Bool) and not child.must and not child.should and len(child.must_not) == 1:
            must.append(child.must_not[0])  # NOT NOT a = a
        else:
            must_not.append(child)
    must, should, must_not = _unique(must), _unique(should), _unique(must_not)
    if len(should) == 1 and not must:
        must, should = should, []
        return merge(Bool(tuple(must), (), tuple(must_not)))
    real: list[Node] = [n for n in must if not isinstance(n, Everything)]
    if must and not real and should:  # all records are let in, so that `should` only ranks
        return Bool((Everything(),), tuple(should), tuple(must_not))
    if real or not must:
        must = real
    elif must and must_not:
        must = []
    if len(should) > 1 and must_not and not must:  # (a OR b) AND NOT c has one form, which a list around it can take in
        must, should = [Bool(should=tuple(should))], []
    result = Bool(tuple(must), tuple(should), tuple(must_not))
    if len(result.must) == 1 and not result.should and not result.must_not:
        return result.must[0]
    return result if result != Bool() else Everything()


# --- printing ------------------------------------------------------------------------------------------------------
_RESERVED = re.compile(r'[\\:()\[\]{}"^~<>*?]|^[-!/|+,;=]')


def _word(term: Term) -> str:
    if term.kind == "phrase" or (term.kind == "word" and (term.value in {"AND", "OR", "NOT", ""} or " " in term.value)):
        return '"' + re.sub(r'(["\\])', r"\\\1", term.value) + '"'
    if term.kind == "wildcard":
        return term.value
    return _RESERVED.sub(r"\\\g<0>", term.value)


def _plain(node: Node) -> bool:
    return isinstance(node, Term) and node.field is None and node.kind == "word" and not node.tail


def print_query(node: Node, nested: bool = False) -> str:
    """Write a tree as a query string that parses back to it."""
    if isinstance(node, Everything):
        return "*"
    if isinstance(node, Term):
        return (f"{node.field}:" if node.field else "") + _word(node) + node.tail
    if isinstance(node, Range):
        left, right = "[" if node.include_low else "{", "]" if node.include_high else "}"
        return f"{node.field}:{left}{_bound(node.low)} TO {_bound(node.high)}{right}"
    if isinstance(node, Exists):
        return f"_exists_:{node.field}"
    if isinstance(node, Interval):
        return f"{node.assembly + '.' if node.assembly else ''}chr{node.chromosome}:{node.start}-{node.end}"
    negative = [f"NOT {print_query(n, True)}" for n in node.must_not]
    if node.should and not node.must:
        any_of = " OR ".join(print_query(n, True) for n in node.should)
        text = f"({any_of}) AND {' AND '.join(negative)}" if negative else any_of
    elif node.should:  # some required, some only for rank: Lucene reads `a AND b OR c` and `b OR a AND d` so
        required = " AND ".join([*(print_query(n, True) for n in node.must), *negative])
        optional = [print_query(n, True) for n in node.should]
        if len(optional) == 1 and len(node.must) > 1:
            text = f"{optional[0]} OR {required}"
        else:
            text = f"{required} AND {' OR '.join(optional if len(optional) > 1 else optional * 2)}"
    elif not negative and all(map(_plain, node.must)):
        text = " ".join(print_query(n) for n in node.must)
    else:
        text = " AND ".join([print_query(n, True) for n in node.must] + negative)
    return f"({text})" if nested else text


def _bound(text: str) -> str:
    return text if re.fullmatch(r"[\w.*:/-]*[\w.*/-]", text) else f'"{text}"'


def walk(node: Node) -> Iterable[Node]:
    """The node and everything below it."""
    yield node
    if isinstance(node, Bool):
        for child in (*node.must, *node.should, *node.must_not):
            yield from walk(child)


def rewrite(node: Node, change: Callable[[Node], Node]) -> Node:
    """Apply `change` to every leaf and simplify."""
    if isinstance(node, Bool):
        parts = (tuple(rewrite(n, change) for n in part) for part in (node.must, node.should, node.must_not))
        return merge(Bool(*parts))
    return change(node)
