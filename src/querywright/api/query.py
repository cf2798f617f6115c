"""Lucene query strings read with the grammar, into the trees of `nodes`.

Source of the semantics: Apache Lucene's classic query parser (occur flags, not precedence) as Elasticsearch's
`query_string` uses it, with AND as the default operator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput

from querywright.api.nodes import Bool as Bool
from querywright.api.nodes import Everything as Everything
from querywright.api.nodes import Exists as Exists
from querywright.api.nodes import Interval as Interval
from querywright.api.nodes import Node as Node
from querywright.api.nodes import Range as Range
from querywright.api.nodes import Term as Term
from querywright.api.nodes import merge as merge
from querywright.api.nodes import print_query as print_query
from querywright.api.nodes import rewrite as rewrite
from querywright.api.nodes import simplify as simplify
from querywright.api.nodes import walk as walk
from querywright.api.query_text import QueryError as QueryError
from querywright.api.query_text import escape as escape
from querywright.api.query_text import tidy
from querywright.api.query_text import unescape as unescape


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


FIELD_PATTERN = r"(?:[A-Za-z_@](?:[\w.\-@]|%2B)*)"


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
