"""One layout for a call: what can be said in two ways is folded into one, before the canonical form sorts it."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from querywright.api.definition import API, Endpoint, Param, SchemaField
from querywright.api.forms import Call
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term, rewrite, simplify, walk
from querywright.api.values import Value


def normalise(call: Call) -> Call:
    """Fold what can be said in two ways into one: scopes, exists/missing, species inside q, defaults, order."""
    api, values = call.api, dict(call.params)
    node = call.query
    if node is not None:
        scopes = values.pop("scopes", ())
        if isinstance(scopes, tuple) and scopes:
            node = rewrite(node, lambda leaf: _scoped(leaf, scopes))
        extra = [Exists(f) for f in _names(values.pop("exists", ()))]
        without = [Exists(f) for f in _names(values.pop("missing", ()))]
        if extra or without:
            node = simplify(Bool((node, *extra), (), tuple(without)))
        node = rewrite(node, lambda leaf: _tidy_leaf(api, leaf))
        for name in api.lifting:
            if name in api.endpoints[call.endpoint].params:
                node, values = _lift(api, name, api.params[name], node, values)
    spec = api.endpoints[call.endpoint]
    for name, value in [*values.items()]:
        kept = _tidy_value(api, spec, name, value, node)
        if kept is None:
            del values[name]
        else:
            values[name] = kept
    if api.query_language == "lucene":
        if values.get("scroll_id"):  # the service ignores everything else
            values, node = {"scroll_id": values["scroll_id"]}, None
        if values.get("fetch_all"):
            values.pop("sort", None)
    params = tuple((p, values[p]) for p in spec.params if p in values) if values else ()
    return Call(api, call.endpoint, call.id, node, params)


def _tidy_value(api: API, spec: Endpoint, name: str, value: Value, node: Node | None) -> Value | None:
    """A parameter's value without what says nothing; None where the whole of it says nothing: it is the default."""
    param = api.params[name]
    if param.all and isinstance(value, tuple) and param.all in value:
        value = (param.all,)
        if param.kind == "vocabulary" and not (param.in_query and _has_default_species(api, node)):
            return None  # all of them is what is searched anyway
    if param.kind == "fields" and isinstance(value, tuple):
        value = _without_children(value)
    default = set(param.default) if isinstance(param.default, list) else param.default
    if param.kind == "fields" and param.all and "q" not in spec.params:
        default = {param.all}  # one record by its id comes whole unless fields are asked for
    said = (set(value) if isinstance(value, tuple) else value) != default and value != ()
    return value if said or name in spec.in_path else None


def _names(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _has_default_species(api: API, node: Node | None) -> bool:
    """Whether the query has an interval that is looked for in one species unless the call says otherwise."""
    spans = [n for n in walk(node) if isinstance(n, Interval)] if node is not None else []
    return bool(api.intervals and api.intervals.default_species) and any(n.assembly is None for n in spans)


def _without_children(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if not any(n.startswith(other + ".") for other in names))


def _scoped(leaf: Node, scopes: tuple[str, ...]) -> Node:
    if not isinstance(leaf, Term) or leaf.field is not None:
        return leaf
    return simplify(Bool(should=tuple(replace(leaf, field=scope) for scope in scopes)))


_ONE_TOKEN = re.compile(r"\w+", re.ASCII)
_SPACE = re.compile(r"\s")


def _tidy_leaf(api: API, leaf: Node) -> Node:
    """A term's one spelling: no needless quotation marks, no id prefix that the field implies."""
    if isinstance(leaf, Interval):
        known = api.intervals.field(leaf.assembly) if api.intervals else None
        return replace(leaf, assembly=None) if api.intervals and known == api.intervals.default else leaf
    if isinstance(leaf, Range) and leaf.low == leaf.high == "*":
        return Exists(leaf.field)
    if isinstance(leaf, Range) and leaf.one_value and api.lifted(leaf.field):
        leaf = Term(leaf.field, leaf.low)
    if not isinstance(leaf, Term):
        return leaf
    value, kind, tail = leaf.value, leaf.kind, _tidy_tail(leaf)
    analysis = api.analysis(leaf.field)
    if leaf.field is not None:
        prefix = api.value_prefixes.get(leaf.field.split(".")[0])
        if prefix and kind != "wildcard":
            value = re.sub(rf"^{re.escape(prefix)}:(?=\w)", "", value, flags=re.I)
        if leaf.field in api.value_words:
            value = str(api.value_words[leaf.field].get(value.lower(), value))
        field = _single(api, leaf.field)
        if field and value[:1] == "0" and field.type in ("integer", "long") and re.fullmatch(r"0+[0-9]+", value):
            value = value.lstrip("0") or "0"
    if kind == "phrase" and value.strip():
        one_token = _ONE_TOKEN.fullmatch(value)
        an_id = leaf.field is None and api.ids_in_text is not None and api.ids_in_text.fullmatch(value)
        if one_token or an_id or (analysis in ("lower", "exact", "number") and not _SPACE.search(value)):
            kind, tail = "word", tail[tail.find("^") :] if "^" in tail else ""  # one word has no distance
    same = value == leaf.value and kind == leaf.kind and tail == leaf.tail
    return leaf if same else replace(leaf, value=value, kind=kind, tail=tail)


def _single(api: API, name: str) -> SchemaField | None:
    """The one field that a search in `name` looks at, or None where there are several."""
    leaves = api.leaves(name)
    return api.fields.get(leaves[0]) if len(leaves) == 1 else None


def _tidy_tail(leaf: Term) -> str:
    """A weight's one spelling; a weight of 1 and a distance of 0 between a phrase's words are none."""
    if not leaf.tail:
        return ""
    distance, caret, boost = leaf.tail.partition("^")
    if leaf.kind == "phrase" and distance == "~0":
        distance = ""
    weight = format(Decimal(boost).normalize(), "f") if caret else "1"
    return distance + (f"^{weight}" if weight != "1" else "")


def _lift(api: API, name: str, param: Param, node: Node, values: dict[str, Value]) -> tuple[Node, dict[str, Value]]:
    """`taxid:9606 AND x` asks for the same records as `x` with `species=human`: keep the second spelling."""
    wanted = _names(values.get(name, ()))
    if wanted == (param.all,):
        wanted = ()
    clauses = node.must if isinstance(node, Bool) and node.must else (node,)
    for clause in clauses:
        options = clause.should if isinstance(clause, Bool) and not clause.must and not clause.must_not else (clause,)
        words = [
            o.value
            for o in options
            if isinstance(o, Term)
            and o.field == param.field
            and o.kind == "word"
            and not o.tail
            and re.fullmatch(r"[1-9]\d{0,8}", o.value)
        ]
        if len(words) != len(options):
            continue
        species = tuple(dict.fromkeys(api.word_for(param, w) for w in words))
        if wanted and set(wanted) != set(species):
            continue
        wanted = species
        rest = tuple(c for c in clauses if c is not clause)
        base = node if isinstance(node, Bool) else Bool()
        should = () if clause is node else base.should
        node = simplify(Bool(rest or (Everything(),), should, base.must_not))
        values = {**values, name: species}
        break
    return node, values
