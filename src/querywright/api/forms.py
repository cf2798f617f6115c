"""A call's forms: the readable text, the path to send, the canonical form, the signature."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from querywright.api.definition import API, Param
from querywright.api.query import (
    Bool,
    Interval,
    Node,
    Range,
    Term,
    escape,
    has_wildcard,
    merge,
    print_query,
    rewrite,
    walk,
)
from querywright.api.values import Value as Value
from querywright.api.values import print_param, printed


@dataclass(frozen=True)
class Call:
    """One request. `params` holds no defaults; `id` is set for endpoints with an id in their path."""

    api: API = field(repr=False)
    endpoint: str
    id: str | None = None
    query: Node | None = None
    params: tuple[tuple[str, Value], ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter's value, or `default`."""
        return dict(self.params).get(name, default)

    @cached_property
    def text(self) -> str:
        """The readable form, which models learn to write: spaces are spaces, only & # % + are escaped."""
        spec = self.api.endpoints[self.endpoint]
        path = spec.path.replace("{id}", self.id or "")
        parts = [] if self.query is None else ["q=" + escape(print_query(self.query))]
        if spec.in_path:
            values = dict(self.params)
            path = re.sub(r"\{([^{}]+)\}", lambda m: _in_path(m[1], values, self.id), spec.path)
        parts += [print_param(n, self.api.params[n], value) for n, value in self.params if n not in spec.in_path]
        return path + ("?" + "&".join(parts) if parts else "")

    @cached_property
    def path(self) -> str:
        """The form to send: a path with its query, percent-encoded."""
        head, _, tail = _stored(self).text.partition("?")
        return _quote(head, "/:.,-_~%") + ("?" + _quote(tail, "=&%:,/*()[]{}!?@$;-_.~'|<>^") if tail else "")

    @cached_property
    def _folded(self) -> Call:
        return fold(self)

    @cached_property
    def request(self) -> str:
        """What goes over the network: `path` with the parameters that this API is always sent, such as a format."""
        fixed = urlencode(self.api.sent)
        return self.path + (("&" if "?" in self.path else "?") + fixed if fixed else "")

    @cached_property
    def canonical(self) -> str:
        """The canonical form, as a path. Equal exactly where two calls mean the same."""
        return self._folded.path

    @cached_property
    def signature(self) -> str:
        """The canonical form with its literal values masked: what kind of request this is."""
        folded = self._folded
        masked = replace(
            folded,
            id="<id>" if self.id else None,
            query=None if folded.query is None else _masked(folded.query),
            params=tuple((n, _mask_param(self.api.params[n], v)) for n, v in folded.params),
        )
        return masked.text


def _stored(call: Call) -> Call:
    """The call with ids as the service keeps them: `MGI:88339` where a record's MGI is not 88339."""
    prefixes = call.api.stored_prefixes
    if not prefixes or call.query is None:
        return call

    def whole(leaf: Node) -> Node:
        if isinstance(leaf, Term) and leaf.field in prefixes and leaf.kind == "word" and leaf.value.isalnum():
            return replace(leaf, value=f"{prefixes[leaf.field]}:{leaf.value}")
        return leaf

    if not any(isinstance(n, Term) and n.field in prefixes for n in walk(call.query)):
        return call
    return replace(call, query=rewrite(call.query, whole))


_PLAIN = re.compile(r"[\w.~:,/%-]*", re.ASCII)


def _quote(text: str, safe: str) -> str:
    """`text` percent-encoded but for letters, digits and `safe`, which has at least `.~:,/%-_`."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe=safe)


def same(a: Call, b: Call) -> bool:
    """Whether two calls mean the same."""
    return a.canonical == b.canonical


def fold(call: Call) -> Call:
    """Sort what has no order and lower what has no case."""
    api = call.api
    node = None if call.query is None else _order(rewrite(call.query, lambda leaf: _fold_leaf(api, leaf)))
    values = {n: _fold_value(api, n, v) for n, v in call.params}
    if call.query is not None and values.get("fields") == tuple(sorted(api.defaults("fields"))):
        values.pop("fields")
    if values.get("fetch_all"):
        values.pop("size", None)  # its pages are always as large as they can be
    if not values.get("facets"):
        values.pop("facet_size", None)
    if api.intervals and values.get("species") == (api.intervals.default_species,) and node is not None:
        spans = (n for n in walk(node) if isinstance(n, Interval))
        if any(n.assembly in (None, *api.intervals.of_default_species) for n in spans):
            values.pop("species")
    return Call(api, call.endpoint, _fold_id(call.id), node, tuple(values.items()))


def _fold_value(api: API, name: str, value: Value) -> Value:
    param = api.params[name]
    if not isinstance(value, tuple) or param.kind == "sort" or param.role == "sort":
        return value
    if name == "fields" and param.kind == "fields":  # a hit has its id and score whether they are asked for or not
        value = tuple(v for v in value if v not in api.meta_fields) or ("_id",)
    return tuple(sorted(value))


def _fold_id(text: str | None) -> str | None:
    return text.upper() if text and re.fullmatch(r"(ENS|ens)[A-Za-z]*[0-9]+", text) else text


def _fold_leaf(api: API, leaf: Node) -> Node:
    if isinstance(leaf, Term) and leaf.field is None and leaf.kind in ("word", "phrase") and ":" in leaf.value:
        prefix, _, rest = leaf.value.partition(":")
        whole = rest if leaf.kind == "word" else re.fullmatch(r"\w+", rest) and "~" not in leaf.tail
        fields = [f for f, p in api.value_prefixes.items() if p.lower() == prefix.lower() and whole]
        if fields and any(api.fields[leaf].default_search for leaf in api.leaves(fields[0])):
            # an id with its prefix stands in that prefix's field and nowhere else
            leaf = replace(leaf, field=fields[0], value=rest, kind="word")
    if isinstance(leaf, Term | Range) and leaf.field is not None and leaf.field not in api.meta_fields:
        leaves = api.leaves(leaf.field)
        # searching an object is searching its leaves; with one leaf the two are the same
        if len(leaves) == 1 and leaves[0] != leaf.field:
            leaf = replace(leaf, field=leaves[0])
    if isinstance(leaf, Range):
        return _fold_range(api, leaf)
    analysis = api.analysis(leaf.field) if isinstance(leaf, Term) else ""
    if isinstance(leaf, Term) and leaf.kind == "wildcard" and not api.leading_wildcard:
        leaf = _fold_wildcard(leaf)
    if isinstance(leaf, Term) and (analysis in ("lower", "text") or (leaf.kind == "wildcard" and analysis != "exact")):
        low = leaf.value.lower()
        return leaf if low == leaf.value else replace(leaf, value=low)
    if isinstance(leaf, Interval):
        return leaf if leaf.chromosome.isupper() else replace(leaf, chromosome=leaf.chromosome.upper())
    return leaf


def _fold_wildcard(leaf: Term) -> Term:
    """`*kinase` is `kinase` to a service that ignores wildcards at the start of a word."""
    value = leaf.value.lstrip("*?")
    if has_wildcard(value):
        return replace(leaf, value=value) if re.match(r"\w", value) else leaf
    return replace(leaf, value=value, kind="word") if re.fullmatch(r"\w+", value) else leaf


def _fold_range(api: API, leaf: Range) -> Range | Term:
    """One spelling of letter case, of open ends, and of a range that holds one value."""
    analysis = api.analysis(leaf.field)
    low, high = (b.lower() if analysis in ("lower", "text") else b for b in (leaf.low, leaf.high))
    folded = Range(leaf.field, low, high, leaf.include_low or low == "*", leaf.include_high or high == "*")
    if leaf.field in api.meta_fields or api.lifted(leaf.field) or analysis not in ("lower", "number"):
        return folded
    return Term(leaf.field, low) if folded.one_value else folded


def _order(node: Node) -> Node:
    """Operands in one order; what is the same only then is said once."""
    if not isinstance(node, Bool):
        return node
    ordered = Bool(*map(_in_order, (node.must, node.should, node.must_not)))
    simple = merge(ordered)
    return ordered if simple == ordered else _order(simple)


def _in_order(part: tuple[Node, ...]) -> tuple[Node, ...]:
    nodes = [_order(n) for n in part]
    return tuple(dict.fromkeys(sorted(nodes, key=print_query))) if len(nodes) > 1 else tuple(nodes)


def _masked(node: Node) -> Node:
    """A query's shape: `a OR b` stays a choice of two words. Of operands that look alike three stand for any number."""
    if not isinstance(node, Bool):
        return _mask(node)
    parts = []
    for part in (node.must, node.should, node.must_not):
        alike: dict[Node, int] = {}
        for child in sorted(map(_masked, part), key=print_query):
            alike[child] = min(3, alike.get(child, 0) + 1)
        parts.append(tuple(child for child, n in alike.items() for _ in range(n)))
    return Bool(*parts)


def _mask(leaf: Node) -> Node:
    if isinstance(leaf, Term):
        mark = {"word": "<word>", "phrase": "<phrase>", "wildcard": "<wild*>", "fuzzy": "<fuzzy>"}[leaf.kind]
        return Term(leaf.field, mark, "wildcard")
    if isinstance(leaf, Range):
        low, high = ("*" if bound == "*" else "<n>" for bound in (leaf.low, leaf.high))
        return Term(leaf.field, f"[{low} TO {high}]", "wildcard")
    if isinstance(leaf, Interval):
        return Term(None, f"{leaf.assembly + '.' if leaf.assembly else ''}<interval>", "wildcard")
    return leaf


def _mask_param(param: Param, value: Value) -> Value:
    kind = param.items if param.kind == "list" else param.kind
    if kind in ("integer", "number"):
        return "<n>"
    if kind in ("text", "date"):
        return f"<{kind}>"
    if param.kind == "vocabulary" and isinstance(value, tuple):
        return ("<one>",) if len(value) == 1 else ("<many>",)
    return value


def _in_path(name: str, values: dict[str, Value], record: str | None) -> str:
    if name == "id":
        return record or ""
    return re.sub("[/?{}]", _hex, escape(printed(values.get(name, ""))))


def _hex(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"
