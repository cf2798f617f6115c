"""A call: one request to an API, parsed. Two calls that mean the same have equal canonical forms.

`parse` reads what people send: any order of parameters, aliases, encodings, old version prefixes, species by name or
number, `species:` inside `q`, `scopes`. It gives a `Call` whose layout is already normal; its literals and the order
of its operands are still the writer's. `Call.canonical` sorts and folds these as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from querywright.api.definition import API, Param
from querywright.api.query import (
    Bool,
    Everything,
    Exists,
    Interval,
    Node,
    QueryError,
    Range,
    Term,
    escape,
    parse_query,
    print_query,
    rewrite,
    simplify,
    walk,
)
from querywright.errors import QuerywrightError, did_you_mean

Value = str | int | bool | tuple[str, ...]
MAX_LENGTH = 16_384


class CallError(QuerywrightError):
    """A path that is no call to this API. The message is a reason for people; `code` groups reasons in reports."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, hint="querywright call parse --api NAME shows the reason for every path")
        self.code = code


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
        path = self.api.endpoints[self.endpoint].path.replace("{id}", self.id or "")
        parts = [] if self.query is None else ["q=" + escape(print_query(self.query))]
        parts += [f"{name}={_print(self.api, self.api.params[name], value)}" for name, value in self.params]
        return path + ("?" + "&".join(parts) if parts else "")

    @cached_property
    def path(self) -> str:
        """The form to send: a path with its query, percent-encoded."""
        head, _, tail = self.text.partition("?")
        return quote(head, safe="/:.,-_~") + ("?" + quote(tail, safe="=&%:,/*()[]{}!?@$;-_.~'|<>^") if tail else "")

    @cached_property
    def canonical(self) -> str:
        """The canonical form, as a path. Equal exactly where two calls mean the same."""
        return fold(self).path

    @cached_property
    def signature(self) -> str:
        """The canonical form with its literal values masked: what kind of request this is."""
        folded = fold(self)
        masked = replace(
            folded,
            id="<id>" if self.id else None,
            query=None if folded.query is None else _order(rewrite(folded.query, _mask)),
            params=tuple((n, _mask_param(self.api.params[n], v)) for n, v in folded.params),
        )
        return masked.text


def same(a: Call, b: Call) -> bool:
    """Whether two calls mean the same."""
    return a.canonical == b.canonical


# --- reading -------------------------------------------------------------------------------------------------------
def _decode(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text) is not None:
        text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)  # a lone % is itself
    decoded = unquote(text, errors="strict")
    if re.search(r"[\x00-\x08\x0e-\x1f\x7f\ufffd]", decoded):
        raise CallError("bad_encoding", "the path holds control or damaged characters")
    return decoded


def parse(api: API, path: str) -> Call:
    """Parse a request path (or URL) into a call.

    Raises:
        CallError: the reason why this is no call to the API.
    """
    try:
        return _parse(api, path)
    except UnicodeDecodeError:
        raise CallError("bad_encoding", "the path's percent-encoding is not UTF-8") from None
    except QueryError as error:
        message = str(error)
        raise CallError("unknown_field" if message.startswith("unknown field") else "bad_query", message) from None


def _parse(api: API, path: str) -> Call:
    if len(path) > MAX_LENGTH:
        raise CallError("too_long", f"the path has {len(path)} characters; {MAX_LENGTH} are read")
    path = re.sub(r"^https?://[^/?#]+", "", path.strip())
    head, _, tail = path.split("#", 1)[0].partition("?")
    endpoint, record = _endpoint(api, _decode(head))
    given: dict[str, list[str]] = {}
    for name, value in _split(api, tail):
        given.setdefault(name, []).append(value)
    spec = api.endpoints[endpoint]
    values: dict[str, Value] = {}
    query_text: str | None = None
    for name, texts in given.items():
        if name in api.ignored_params:
            continue
        canonical = api.param_names.get(name) or api.param_names.get(name.lower())
        if canonical is None:
            near = did_you_mean(name, [*api.param_names])
            raise CallError("unknown_parameter", f"unknown parameter {name!r}{near}")
        param = api.params[canonical]
        text = texts[-1] if param.kind not in ("fields", "sort", "vocabulary") else ",".join(texts)
        if canonical in values or (param.kind == "query" and query_text is not None):
            raise CallError("repeated_parameter", f"{canonical} is given twice, under different names")
        if canonical not in spec.params:
            continue  # known elsewhere, without meaning here: services ignore it
        if param.kind == "query":
            query_text = text
        elif text.strip() or param.kind == "query":
            values[canonical] = _read(api, canonical, param, text.strip())
    node: Node | None = None
    if spec.required:
        if query_text is not None and query_text.strip():
            node = parse_query(query_text, lambda n: _resolve_searched(api, n))
        elif not any(values.get(r) for r in spec.required if r != "q"):
            raise CallError("missing_parameter", f"{spec.path} needs a value for {' or '.join(spec.required)}")
    return normalise(Call(api, endpoint, record, node, tuple(values.items())))


def _endpoint(api: API, path: str) -> tuple[str, str | None]:
    path = re.sub(r"/{2,}", "/", path).rstrip("/") or "/"
    for name, endpoint in sorted(api.endpoints.items(), key=lambda e: "{id}" in e[1].path):
        current = api.version_prefixes[0]
        for prefix in api.version_prefixes:
            template = prefix + endpoint.path[len(current) :]
            before, has_id, after = template.partition("{id}")
            if not has_id and path == template:
                return name, None
            if has_id and path.startswith(before) and path.endswith(after) and len(path) > len(before + after):
                return name, _record_id(api, path[len(before) : len(path) - len(after) or None])
    raise CallError("unknown_endpoint", f"unknown endpoint {path[:80]!r}; known: {', '.join(_paths(api))}")


def _paths(api: API) -> list[str]:
    return [e.path for e in api.endpoints.values()]


def _record_id(api: API, text: str) -> str:
    if not re.fullmatch(r"[\w.:\-*@()+|=>/]+", text, re.ASCII) or "/" in text:
        raise CallError("bad_id", f"{text[:60]!r} is no record id")
    scope, colon, rest = text.partition(":")
    if colon and rest and scope.isidentifier() is not None and re.fullmatch(r"[A-Za-z_][\w.\-]*", scope):
        known = api.resolve(scope)
        if known is None and scope.upper() not in {p.upper() for p in api.value_prefixes.values()}:
            raise CallError("unknown_field", api.unknown_field(scope))
        return f"{known}:{rest}" if known else text
    return text


def _split(api: API, tail: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in tail.split("&"):
        name, equals, value = part.partition("=")
        if not equals and ":" in part and part.partition(":")[0] in api.param_names:
            name, _, value = part.partition(":")  # the documentation itself writes &species:human
        if name or value:
            pairs.append((_decode(name.replace("+", " ")).strip(), _decode(value.replace("+", " "))))
    for i, (name, value) in enumerate(pairs):
        # an ampersand that was encoded once too often; not inside a quotation
        found = api.late_param.search(value) if "&" in value else None
        if found and value[: found.start()].count('"') % 2 == 0:
            pairs[i : i + 1] = [(name, value[: found.start()]), (found[1], found[2])]
    return pairs


def _resolve_searched(api: API, name: str) -> str:
    for param in api.params.values():
        if name.lower() in param.in_query:
            return param.field
    known = api.resolve(name)
    if known is None:
        raise QueryError(api.unknown_field(name))
    if known not in api.meta_fields and not api.leaves(known):
        raise QueryError(f"unknown field {name!r} in a search: it is returned but not indexed")
    return known


def _read(api: API, name: str, param: Param, text: str) -> Value:
    if param.kind == "integer":
        if not re.fullmatch(r"\d{1,12}", text):
            raise CallError("bad_value", f"{name} takes a whole number, not {text[:40]!r}")
        for bound, wrong, word in ((param.min, int.__lt__, "below the minimum"), (param.max, int.__gt__, "above the maximum")):
            if bound is not None and wrong(int(text), bound):
                raise CallError("bad_value", f"{name} {int(text)} is {word} {bound}")
        return int(text)
    if param.kind == "boolean":
        if text.lower() in ("true", "1", "yes", "y", "t", "on"):
            return True
        if text.lower() in ("false", "0", "no", "n", "f", "off", "none"):
            return False
        raise CallError("bad_value", f"{name} takes true or false, not {text[:40]!r}")
    if param.kind == "text":
        return text
    words = [w for w in re.split(r"\s*[,\s]\s*", text.strip(", []()")) if w]
    if param.kind == "vocabulary":
        return tuple(dict.fromkeys(_species(api, param, name, w) for w in words))
    return tuple(dict.fromkeys(_field(api, param, w) for w in words))


def _species(api: API, param: Param, name: str, word: str) -> str:
    vocabulary = api.vocabularies[param.vocabulary]
    by_value = {str(v): k for k, v in vocabulary.items()}
    folded = word.lower().strip("\"'")
    if folded in vocabulary or (param.all and folded == param.all):
        return folded
    if folded in by_value:
        return by_value[folded]
    if param.numeric and re.fullmatch(r"[1-9]\d{0,8}", folded):
        return folded
    near = did_you_mean(word, [*vocabulary])
    raise CallError("bad_value", f"{name} takes {', '.join(vocabulary)} or a number, not {word[:40]!r}{near}")


def _field(api: API, param: Param, word: str) -> str:
    sign, bare = ("-", word[1:]) if param.kind == "sort" and word[:1] in "-+" else ("", word)
    if word[:1] == "+":
        sign = ""
    if param.all and bare.lower() in (param.all, "*"):
        return param.all
    known = api.resolve(bare.strip("\"'"))
    if known is None:
        raise CallError("unknown_field", api.unknown_field(bare))
    if (param.indexed or param.kind == "sort") and known not in api.meta_fields and not api.leaves(known):
        raise CallError("unknown_field", f"unknown field {bare!r} here: it is returned but not indexed")
    return sign + known


# --- one layout ----------------------------------------------------------------------------------------------------
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
        for name, param in api.params.items():
            if param.in_query and name in api.endpoints[call.endpoint].params:
                node, values = _lift(api, name, param, node, values)
    for name, param in api.params.items():
        value = values.get(name)
        if value is None:
            continue
        if param.all and isinstance(value, tuple) and param.all in value:
            value = (param.all,)
            if param.kind == "vocabulary":
                values.pop(name)  # all of them is what is searched anyway
                continue
        if param.kind == "fields" and isinstance(value, tuple):
            value = _without_children(value)
        values[name] = value
        default = set(param.default) if isinstance(param.default, list) else param.default
        if param.kind == "fields" and param.all and "q" not in api.endpoints[call.endpoint].params:
            default = {param.all}  # one record by its id comes whole unless fields are asked for
        if (set(value) if isinstance(value, tuple) else value) == default or value == ():
            values.pop(name)
    if values.get("scroll_id"):  # the service ignores everything else
        values, node = {"scroll_id": values["scroll_id"]}, None
    if values.get("fetch_all"):
        values.pop("sort", None)
    order = [p for p in api.endpoints[call.endpoint].params if p in values]
    return replace(call, query=node, params=tuple((p, values[p]) for p in order))


def _names(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _without_children(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if not any(n.startswith(other + ".") for other in names))


def _scoped(leaf: Node, scopes: tuple[str, ...]) -> Node:
    if not isinstance(leaf, Term) or leaf.field is not None:
        return leaf
    return simplify(Bool(should=tuple(replace(leaf, field=scope) for scope in scopes)))


def _tidy_leaf(api: API, leaf: Node) -> Node:
    """A term's one spelling: no needless quotation marks, no id prefix that the field implies."""
    if isinstance(leaf, Interval):
        return replace(leaf, assembly=None) if api.intervals and leaf.assembly == "hg38" else leaf
    if isinstance(leaf, Range) and leaf.low == leaf.high == "*":
        return Exists(leaf.field)
    if not isinstance(leaf, Term):
        return leaf
    value, kind = leaf.value, leaf.kind
    analysis = api.analysis(leaf.field)
    if leaf.field is not None:
        prefix = api.value_prefixes.get(leaf.field.split(".")[0])
        if prefix and kind != "wildcard":
            value = re.sub(rf"^{re.escape(prefix)}:(?=\w)", "", value, flags=re.I)
        for param in api.params.values():
            if param.field == leaf.field and param.vocabulary:
                value = str(api.vocabularies[param.vocabulary].get(value.lower(), value))
    if kind == "phrase" and not leaf.tail.startswith("~") and value.strip():
        one_token = re.fullmatch(r"\w+", value, re.ASCII)
        if one_token or (analysis in ("lower", "exact", "number") and not re.search(r"\s", value)):
            kind = "word"
    return replace(leaf, value=value, kind=kind)


def _lift(api: API, name: str, param: Param, node: Node, values: dict[str, Value]) -> tuple[Node, dict[str, Value]]:
    """`taxid:9606 AND x` asks for the same records as `x` with `species=human`: keep the second spelling."""
    if name in values and _names(values[name]) != (param.all,):
        wanted = _names(values[name])
    else:
        wanted = ()
    clauses = node.must if isinstance(node, Bool) and node.must else (node,)
    for clause in clauses:
        options = clause.should if isinstance(clause, Bool) and not clause.must and not clause.must_not else (clause,)
        words = [o.value for o in options if isinstance(o, Term) and o.field == param.field and o.kind == "word"
                 and not o.tail and re.fullmatch(r"[1-9]\d{0,8}", o.value)]
        if len(words) != len(options):
            continue
        species = tuple(dict.fromkeys(_species(api, param, name, w) for w in words))
        if wanted and set(wanted) != set(species):
            continue
        wanted = species
        rest = tuple(c for c in clauses if c is not clause)
        base = node if isinstance(node, Bool) else Bool()
        node = simplify(Bool(rest or (Everything(),), base.should if rest != clauses else (), base.must_not))
        values = {**values, name: species}
        break
    return node, values


# --- the canonical form --------------------------------------------------------------------------------------------
def fold(call: Call) -> Call:
    """Sort what has no order and lower what has no case."""
    api = call.api
    node = None if call.query is None else _order(rewrite(call.query, lambda leaf: _fold_leaf(api, leaf)))
    values = {n: tuple(sorted(v)) if isinstance(v, tuple) and n != "sort" else v for n, v in call.params}
    if api.intervals and node is not None and any(isinstance(n, Interval) for n in walk(node)):
        default = api.intervals.default_species
        if default and values.get("species") == (default,):
            values.pop("species")
    return replace(call, query=node, params=tuple(values.items()), id=_fold_id(call.id))


def _fold_id(text: str | None) -> str | None:
    return text.upper() if text and re.fullmatch(r"(ENS|ens)[A-Za-z]*[0-9]+", text) else text


def _fold_leaf(api: API, leaf: Node) -> Node:
    if isinstance(leaf, Term | Range) and leaf.field is not None and leaf.field not in api.meta_fields:
        leaves = api.leaves(leaf.field)
        if len(leaves) == 1:  # searching an object is searching its leaves; with one leaf the two are the same
            leaf = replace(leaf, field=leaves[0])
    if isinstance(leaf, Term) and (leaf.kind == "wildcard" or api.analysis(leaf.field) in ("lower", "text")):
        if api.analysis(leaf.field) != "exact":
            return replace(leaf, value=leaf.value.lower())
    if isinstance(leaf, Interval):
        return replace(leaf, chromosome=leaf.chromosome.upper())
    return leaf


def _order(node: Node) -> Node:
    if not isinstance(node, Bool):
        return node
    parts = ([_order(n) for n in part] for part in (node.must, node.should, node.must_not))
    return Bool(*(tuple(dict.fromkeys(sorted(part, key=print_query))) for part in parts))


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
    if param.kind == "integer":
        return "<n>"
    if param.kind == "text":
        return "<text>"
    if param.kind == "vocabulary" and isinstance(value, tuple):
        return ("<one>",) if len(value) == 1 else ("<many>",)
    return value


def _print(api: API, param: Param, value: Value) -> str:
    if isinstance(value, tuple):
        return ",".join(escape(v) for v in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))
