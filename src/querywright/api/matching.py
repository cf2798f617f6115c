"""From our query tree to tantivy's query objects. tantivy's own parser is not Lucene's, so it is never used.

Semantics: Elasticsearch's `query_string` with AND as its default operator, over columns as `index` prepares them.
"""

from __future__ import annotations

import re
from typing import Any

import tantivy

from querywright.api.index import Index, column, kind_of, moment, number, place, strip_prefix
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term

Query = tantivy.Query
KEYWORD_SCORE = 10.0  # a whole value that matches outranks a word in a text, whose BM25 seldom exceeds this
TIE = 0.1
MAX_TERMS = 200_000
ACCESSION_VERSION = r"^([A-Za-z]{1,6}_?\d{4,})\.\d+$"  # NM_001798.5 finds NM_001798 in whatever version


class Matcher:
    """Compiles trees for one index. Anything that cannot match, such as a word in a number column, matches nothing."""

    def __init__(self, index: Index, assembly: str | None = None) -> None:
        self.index, self.api, self.schema = index, index.api, index.schema
        self.assembly = assembly  # the object field that a parameter chose for intervals

    def compile(self, node: Node) -> Query:
        """The query of a tree."""
        if isinstance(node, Everything):
            return Query.all_query()
        if isinstance(node, Term):
            return _boosted(self.term(node), node.tail)
        if isinstance(node, Range):
            return _any([self.range(leaf, node) for leaf in self._leaves(node.field)])
        if isinstance(node, Exists):
            return self.exists(node.field)
        if isinstance(node, Interval):
            return self.interval(node)
        return self.boolean(node)

    # --- lists of clauses
    def boolean(self, node: Bool) -> Query:
        """All of `must`, none of `must_not`, one of `should` where `must` is empty; else `should` only ranks."""
        must = [self.compile(child) for child in node.must]
        should = [self.compile(child) for child in node.should]
        if not must:
            must, should = [_any(should) if should else Query.all_query()], []
        plain = [c.value for c in node.must if isinstance(c, Term) and c.field is None and c.kind == "word"]
        if len(plain) > 1:  # the words side by side in a name come first
            should += self._ranked_texts(" ".join(plain))
        clauses = [(tantivy.Occur.Must, q) for q in must] + [(tantivy.Occur.Should, q) for q in should]
        clauses += [(tantivy.Occur.MustNot, self.compile(child)) for child in node.must_not]
        return Query.boolean_query(clauses) if len(clauses) > 1 else must[0]

    def exists(self, name: str) -> Query:
        """Records with a value in a field or below it."""
        if name in self.api.meta_fields:
            return Query.all_query()
        return Query.const_score_query(Query.term_query(self.schema, "_has", name), 1.0)

    def interval(self, node: Interval) -> Query:
        """Records with a position that overlaps the interval; both ends are included."""
        own = self.assembly if node.assembly is None else None
        name = own or (self.api.intervals.field(node.assembly) if self.api.intervals else None)
        if name is None:
            return Query.empty_query()
        low, high = sorted((node.start, node.end))
        starts = (place(node.chromosome, 0), place(node.chromosome, high))
        ends = (place(node.chromosome, low), place(node.chromosome, 2**32))
        parts = [self._numbers(f"{column(name)}_{side}", *span) for side, span in (("from", starts), ("to", ends))]
        return _all(parts)

    # --- single values
    def term(self, node: Term) -> Query:
        """One literal, in a field, in what lies below an object, or in the default fields."""
        if node.field is None:
            return self._anywhere(node)
        if node.field in self.api.meta_fields:
            return self._keyword("_id", node, node.value.lower()) if node.field == "_id" else Query.empty_query()
        return _any([self._in_leaf(leaf, node) for leaf in self._leaves(node.field)])

    def _leaves(self, name: str) -> tuple[str, ...]:
        return tuple(leaf for leaf in self.api.leaves(name) if leaf in self.api.fields)

    def _in_leaf(self, leaf: str, node: Term) -> Query:
        kind = kind_of(self.api.fields[leaf])
        value = strip_prefix(self.api, leaf, node.value)
        name = column(leaf)
        if kind in ("integer", "float"):
            found = number(value, kind)
            return Query.empty_query() if found is None else Query.term_query(self.schema, name, found)
        if kind == "date":
            first, last = moment(value), moment(value, end=True)
            return Query.empty_query() if first is None or last is None else self._numbers(name, first, last)
        if kind == "text":
            return self._text(name, node, value)
        return self._keyword(name, node, value if kind == "exact" else value.lower())

    def _keyword(self, name: str, node: Term, value: str) -> Query:
        if node.kind == "wildcard":
            return self._regex(name, value)
        if node.kind == "fuzzy":
            return Query.fuzzy_term_query(self.schema, name, value, _edits(node.tail, value))
        return Query.term_query(self.schema, name, value)

    def _text(self, name: str, node: Term, value: str) -> Query:
        if node.kind == "wildcard":
            return self._regex(name, value.lower())
        words = self.index.words(re.sub(ACCESSION_VERSION, r"\1", value))
        if not words:
            return Query.empty_query()
        if len(words) > 1:  # words that were written together stand together
            slop = re.match(r"~(\d+)", node.tail) if node.kind == "phrase" else None
            return Query.phrase_query(self.schema, name, [*words], int(slop[1]) if slop else 0)
        if node.kind == "fuzzy":
            return Query.fuzzy_term_query(self.schema, name, words[0], _edits(node.tail, words[0]))
        return Query.term_query(self.schema, name, words[0])

    def _anywhere(self, node: Term) -> Query:
        """The default fields: what `_all` holds decides whether a record matches, the ranked fields how high."""
        options = [self._text("_all", node, node.value)]
        for name, weight in self.api.ranking.fields.items():
            for leaf in self._leaves(name):
                if not self.api.fields[leaf].default_search:
                    continue
                query = self._in_leaf(leaf, node)
                if kind_of(self.api.fields[leaf]) in ("exact", "lower"):
                    query = Query.const_score_query(query, KEYWORD_SCORE)
                options.append(Query.boost_query(query, weight))
        return Query.disjunction_max_query(options, TIE)

    def _ranked_texts(self, phrase: str) -> list[Query]:
        texts = ((n, w) for n, w in self.api.ranking.fields.items() if n in self.api.fields)
        return [
            Query.boost_query(self._text(column(name), Term(name, phrase, "phrase"), phrase), weight)
            for name, weight in texts
            if kind_of(self.api.fields[name]) == "text"
        ]

    # --- patterns and ranges
    def _regex(self, name: str, pattern: str) -> Query:
        if not self.api.leading_wildcard:
            pattern = pattern.lstrip("*?")
        if not pattern.strip("*"):
            return Query.all_query()
        return Query.regex_query(self.schema, name, wildcard_regex(pattern))

    def range(self, leaf: str, node: Range) -> Query:
        """Values between two bounds: as numbers or dates, else in the order of the letters."""
        kind = kind_of(self.api.fields[leaf])
        name = column(leaf)
        low, high = (None if b == "*" else strip_prefix(self.api, leaf, b) for b in (node.low, node.high))
        if kind in ("integer", "float"):
            low_bound = None if low is None else _bound(low, kind, up=False)
            high_bound = None if high is None else _bound(high, kind, up=True)
        elif kind == "date":
            # an excluded day is excluded whole
            low_bound = None if low is None else moment(low, end=not node.include_low)
            high_bound = None if high is None else moment(high, end=node.include_high)
        else:
            return self._between(name, node, low, high, kind)
        if (low_bound is None) != (low is None) or (high_bound is None) != (high is None):
            return Query.empty_query()  # a bound that is no number
        if low is None and high is None:
            return self.exists(leaf)
        return self._numbers(
            name, low_bound, high_bound, node.include_low or low is None, node.include_high or high is None
        )

    def _numbers(self, name: str, low: Any, high: Any, with_low: bool = True, with_high: bool = True) -> Query:
        types = tantivy.FieldType
        kind = types.Float if isinstance(low if low is not None else high, float) else types.Integer
        return Query.range_query(self.schema, name, kind, low, high, with_low, with_high)

    def _between(self, name: str, node: Range, low: str | None, high: str | None, kind: str) -> Query:
        if kind != "exact":
            low, high = (b if b is None else b.lower() for b in (low, high))
        common = ""
        for a, b in zip(low or "", high or "", strict=False):
            if a != b:
                break
            common += a
        found = [
            word
            for word, _ in self.index.searcher.terms_with_prefix(name, common)
            if (low is None or word > low or (node.include_low and word == low))
            and (high is None or word < high or (node.include_high and word == high))
        ]
        return Query.term_set_query(self.schema, name, found[:MAX_TERMS]) if found else Query.empty_query()


def wildcard_regex(pattern: str) -> str:
    """A Lucene wildcard as a regular expression of tantivy's; a backslash makes the next sign literal."""

    def literal(text: str) -> str:
        return re.sub(r"([^\w\s])", r"\\\1", text)

    signs = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|[*?]|[^*?\\]+|\\$", pattern, re.S)
    return "".join(signs.get(p) or literal(p[1:] if p[0] == "\\" and len(p) > 1 else p) for p in parts)


def _bound(text: str, kind: str, up: bool) -> int | float | None:
    """A bound of a number range; a broken bound of whole numbers is moved to the next whole number inside."""
    found = number(text, kind)
    if found is None and kind == "integer":
        broken = number(text, "float")
        found = None if broken is None else number(str(int(broken // 1 if up else -(-broken // 1))), kind)
    return found


def _edits(tail: str, word: str) -> int:
    """How many letters may differ: `~1`, `~2`, `~0.8` (a share of the word), or by length as Elasticsearch does."""
    match = re.match(r"~([\d.]+)", tail)
    if match is None:
        return 0 if len(word) < 3 else 1 if len(word) < 6 else 2
    try:
        amount = float(match[1])
    except ValueError:
        return 2
    return min(2, int(amount if amount >= 1 or amount == 0 else (1 - amount) * len(word)))


def _boosted(query: Query, tail: str) -> Query:
    match = re.search(r"\^(\d+(?:\.\d+)?)", tail)
    return Query.boost_query(query, float(match[1])) if match else query


def _any(queries: list[Query]) -> Query:
    if not queries:
        return Query.empty_query()
    return queries[0] if len(queries) == 1 else Query.disjunction_max_query(queries, TIE)


def _all(queries: list[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.boolean_query([(tantivy.Occur.Must, q) for q in queries])
