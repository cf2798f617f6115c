"""Lucene query strings as a tree: read with the grammar, simplified, printed.

Source of the semantics: Apache Lucene's classic query parser (occur flags, not precedence) as Elasticsearch's
`query_string` uses it, with AND as the default operator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput

from querywright.api.query_text import QueryError as QueryError
from querywright.api.query_text import escape as escape
from querywright.api.query_text import tidy
from querywright.api.query_text import unescape as unescape


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


# --- reading -------------------------------------------------------------------------------------------------------
def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _split_tail(text: str) -> tuple[str, str]:
    if "~" not in text and "^" not in text:
        return text, ""
    match = re.fullmatch(r"((?:\\.|[^\\])*?)((?:~[\d.]*)?(?:\^[\d.]+)?)", text, re.S)
    return (match[1], match[2]) if match else (text, "")


def has_wildcard(text: str) -> bool:
    """Whether a `*` or `?` stands in a written word without a backslash before it."""
    if "*" not in text and "?" not in text:
        return False
    return any(match[1] for match in re.finditer(r"\\.|([*?])", text, re.S))


class _Build(Transformer[Token, Any]):
    """Turns the parse tree into nodes; `resolve` maps a written field name to the schema's, or raises QueryError."""

    def __init__(self, resolve: Callable[[str], str], intervals: Collection[str]) -> None:
        super().__init__()
        self.resolve = resolve
        self.intervals = intervals

    def value(self, items: list[Token]) -> Node:
        body, tail = _split_tail(str(items[0]))
        if items[0].type == "PHRASE":
            return Term(None, _unquote(unescape(body[1:-1])), "phrase", tail)
        text = unescape(body)
        if text == "*" or text == "__all__":
            return Everything()
        if has_wildcard(text):
            return Term(None, text, "wildcard", tail)
        kind = "fuzzy" if tail.startswith("~") else "phrase" if " " in text else "word"
        return Term(None, _unquote(text), kind, tail)

    def modifier(self, items: list[Token]) -> str:
        return {"PLUS": "+"}.get(items[0].type, "-")

    def interval(self, items: list[Token]) -> Node:
        match = re.fullmatch(r"(?:(\w+)\.)?chr(\w+):([\d,]+)(?:-([\d,]+))?", str(items[0]), re.I)
        assert match is not None, items[0]
        if match[2].lower() in ("om", "omosome"):  # a field that looks like it
            name, _, value = str(items[0]).partition(":")
            return Term(self.resolve(name), value)
        for part, given in (("range", True), ("position", not match[4]), ("assembly", bool(match[1]))):
            if given and part not in self.intervals:
                self.resolve(str(items[0]).partition(":")[0])  # says that there is no such field
                raise QueryError(f"not a query here: {items[0]}")
        if max(len(match[3]), len(match[4] or "")) > _MAX_DIGITS:
            raise QueryError("a position on a chromosome has too many digits")
        start, end = (int((match[i] or match[3]).replace(",", "")) for i in (3, 4))
        return Interval(match[1].lower() if match[1] else None, match[2], start, end)

    def exists(self, items: list[Token]) -> Node:
        return Exists(self.resolve(unescape(str(items[1]))))

    def fielded(self, items: list[Any]) -> Node:
        item = items[1]
        name = unescape(str(items[0])[:-1])
        if name == "_missing_" and isinstance(item, Term):  # the old spelling, still in documentation
            return Bool(must_not=(Exists(self.resolve(item.value)),))
        field = self.resolve(name)
        if isinstance(item, Token):
            text = _split_tail(unescape(str(item)))[0]
            if item.type == "COMPARE":
                operator = text[: 2 if text[1:2] == "=" else 1]
                bound = text[len(operator) :]
                if operator[0] == ">":
                    return Range(field, bound, "*", len(operator) == 2, True)
                return Range(field, "*", bound, True, len(operator) == 2)
            low, high = (part.strip().strip('"') for part in text[1:-1].split(" TO ", 1))
            return Range(field, low, high, text[0] == "[", text[-1] == "]")
        return _with_field(item, field)

    def group(self, items: list[Any]) -> Node:
        node: Node = items[0]
        return _boosted(node, str(items[1])) if len(items) == 2 else node

    def clause(self, items: list[Any]) -> tuple[str, Node]:
        return (items[0] if len(items) == 2 else "", items[-1])

    def query(self, items: list[Any]) -> Node:
        """Lucene's classic rule: AND makes both neighbours required, OR makes both optional."""
        occurs: list[list[Any]] = []
        conj = ""
        for item in items:
            if isinstance(item, Token):
                conj = item.type
                continue
            mod, node = item
            if occurs and conj == "AND" and occurs[-1][0] != "-":
                occurs[-1][0] = "+"
            if occurs and conj == "OR" and occurs[-1][0] == "+":
                occurs[-1][0] = "?"  # where AND is the default, a written + says nothing more
            occurs.append(["-" if mod == "-" else "?" if conj == "OR" else "+", node])
        pick = {sign: tuple(n for o, n in occurs if o == sign) for sign in "+?-"}
        return merge(Bool(pick["+"], pick["?"], pick["-"]))


def _with_field(node: Node, field: str) -> Node:
    if isinstance(node, Term):
        return node if node.field else replace(node, field=field)
    if isinstance(node, Everything):
        return Exists(field)
    if isinstance(node, Bool):
        return Bool(*(tuple(_with_field(n, field) for n in part) for part in (node.must, node.should, node.must_not)))
    return node


def _boosted(node: Node, boost: str) -> Node:
    """A group's weight, given to the words in it that have none of their own."""
    if isinstance(node, Term):
        return node if "^" in node.tail else replace(node, tail=node.tail + boost)
    if isinstance(node, Bool):
        return Bool(*(tuple(_boosted(n, boost) for n in part) for part in (node.must, node.should, node.must_not)))
    return node


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


FIELD_PATTERN = r"(?:[A-Za-z_@](?:[\w.\-@]|%2B)*)"
NAME_CHARS = r"[\w.\-@]|%2B"


@lru_cache(maxsize=32)
def _parser(resolve: Callable[[str], str], intervals: tuple[str, ...]) -> Lark:
    """The parser, with the building of nodes inside: it makes no parse tree in between."""
    from querywright.api.grammar import skeleton

    source = skeleton(field=f"/{FIELD_PATTERN}:/", name=f"/{FIELD_PATTERN}/")
    build = _Build(resolve, intervals)
    return Lark(source, parser="lalr", start="query", lexer="contextual", maybe_placeholders=False, transformer=build)


_MAX_DIGITS = 20  # of a position, with its commas
_MAX_DEPTH = 40  # groups inside groups; what walks the tree does so by recursion


def _depth(text: str) -> int:
    depth = deepest = 0
    for mark in re.findall(r"[()]", text):
        depth += 1 if mark == "(" else -1
        deepest = max(deepest, depth)
    return deepest


INTERVALS = ("range", "assembly")


def _as_written(name: str) -> str:
    return name


_SIMPLE = re.compile(
    r'(?:([A-Za-z][\w.]*):)?(?:(\w(?:[\w.*?-]*[\w*?])?)|"([^"\\%\s]+(?: [^"\\%\s]+)*)")(?=[ ]|$)', re.ASCII
)
_WORDS_OF_THE_LANGUAGE = frozenset({"AND", "OR", "NOT", "TO", "__all__"})


def _simple(text: str, resolve: Callable[[str], str]) -> Node | None:
    """Words and phrases, with a field or without, with AND or a space between, which is most of what people send:
    read without the parser. None for all else."""
    clauses: list[tuple[str | None, str, str]] = []
    at = 0
    while True:
        found = _SIMPLE.match(text, at)
        if found is None:
            return None
        name, word, phrase = found.groups()
        if name is not None and (name in _WORDS_OF_THE_LANGUAGE or "chr" in name.lower()):  # it may be an interval
            return None
        if phrase is not None:
            clauses.append((name, phrase, "phrase"))
        elif word in _WORDS_OF_THE_LANGUAGE:
            return None
        else:
            clauses.append((name, word, "wildcard" if "*" in word or "?" in word else "word"))
        at = found.end()
        if at == len(text):
            break
        at += 5 if text.startswith(" AND ", at) else 1
    terms = tuple(Term(None if name is None else resolve(name), value, kind) for name, value, kind in clauses)
    return terms[0] if len(terms) == 1 else merge(Bool(terms))


def parse_query(text: str, resolve: Callable[[str], str] = _as_written, intervals: tuple[str, ...] = INTERVALS) -> Node:
    """Parse a decoded `q` value.

    Args:
        resolve: maps a written field name to the schema's, or raises QueryError. Parsers are kept for each function
            that is given here, so that it should be one that lives as long as its API.
        intervals: what may be said of chromosomes: a `range` (`chr1:1-1000`), a single `position` (`chr1:1000`), an
            `assembly` before it (`hg19.chr1:1-1000`).

    Raises:
        QueryError: the text is no query; the message says where and why.
    """
    simple = _simple(text, resolve)
    if simple is not None:
        return simple
    text = tidy(text)
    if not text:
        raise QueryError("the query is empty")
    if len(text) > 20_000 or _depth(text) > _MAX_DEPTH:
        raise QueryError("the query is too long or too deeply nested")
    escaped = escape(text)
    try:
        node: Node = _parser(resolve, intervals).parse(escaped)  # type: ignore[assignment]
        return node
    except UnexpectedInput as error:
        raise QueryError(_reason(escaped, error, resolve)) from None


def _reason(text: str, error: UnexpectedInput, resolve: Callable[[str], str]) -> str:
    for word in re.split(r"[\s()]+", re.sub(r'"[^"]*"', "", text)):
        name, colon, _ = word.partition(":")
        name = unescape(name).lstrip("+-!")
        if not colon or not re.fullmatch(FIELD_PATTERN, escape(name)):
            continue
        if name == "_exists_":
            return "_exists_ takes the name of one field, such as _exists_:symbol"
        try:
            resolve(name)
        except QueryError as unknown:
            return str(unknown)
    if text.count("(") != text.count(")"):
        return "the parentheses do not match"
    at = getattr(error, "pos_in_stream", None)
    rest = unescape(text[at:]) if isinstance(at, int) and 0 <= at < len(text) else ""
    if rest.startswith(":"):
        return f"a colon in a value has to be quoted or escaped, near {rest[:20]!r}"
    empty = re.match(rf"({FIELD_PATTERN}):(?=[\s)]|$)", rest)
    if empty:
        return f"{empty[1]}: has no value"
    if "()" in text or '""' in text:
        return "there is nothing between two parentheses or quotation marks"
    if rest[:1] in ("[", "{"):
        return f"a range is written as in FIELD:[LOW TO HIGH], near {rest[:20]!r}"
    return f"not a query, near {rest[:20]!r}" if rest else "the query ends too early"


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
