"""Pieces in their order to calls: what `and`, `or` and `not` join, and which parameters there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.nodes import Bool, Everything, Node, simplify, walk
from querywright.api.normal import normalise
from querywright.api.query import Term
from querywright.pairs.reader.known import Known
from querywright.pairs.reader.pieces import Piece


class Unread(ValueError):
    """The pieces make no call; the message says why."""


def calls(known: Known, pieces: Sequence[Piece]) -> list[Call]:
    """The calls that these pieces may stand for, the likeliest first.

    Raises:
        Unread: two pieces say different things of the same part, or nothing was asked for.
    """
    api = known.api
    values: dict[str, Any] = {}
    endpoint = next((p[1] for p in pieces if p[0] == "endpoint"), None)
    if endpoint is not None:
        rest = [p for p in pieces if p[0] in ("cond", "fields", "scope", "size", "sort", "facets")]
        if rest:
            raise Unread("a request about the service has conditions")
        given = endpoint[1] if len(endpoint) > 1 else None
        record = getattr(given[0] if isinstance(given, tuple) else given, "text", None)
        return [normalise(Call(api, endpoint[0], record))]
    mapping = any(kind == "mapping" for kind, _ in pieces)
    for kind, content in pieces:
        if kind == "mapped":
            if not mapping:
                raise Unread("fields after `to`, and nothing is mapped")
            kind = "fields"
        if kind == "flag":
            name, _, told = content[0].partition("=")
            _put(values, name, told == "true")
        elif kind == "param":
            name, _, told = content[0].partition("=")
            _put(values, name, (told,) if api.params[name].kind == "vocabulary" else told)
        elif kind in ("fields", "facets", "sort"):
            if kind in values and kind == "fields" and values[kind] != content:
                content = tuple(dict.fromkeys((*values[kind], *content)))
                values.pop(kind)
            _put(values, kind, tuple(dict.fromkeys(content)))
        elif kind in ("size", "from", "facet_size"):
            _put(values, kind, int(content))
        elif kind == "facet_filter":
            _put(values, f"{known.scope_param}_facet_filter", content)
    item = [content for kind, content in pieces if kind == "item"]
    scopes = [content for kind, content in pieces if kind == "scope"]
    if scopes:
        _put(values, known.scope_param, tuple(dict.fromkeys(scopes[0])))
    if len(scopes) > 1 and set(scopes[1]) != set(scopes[0]):
        raise Unread("two different species")
    nodes = conditions(pieces)
    if item:
        if len(item) > 1 or nodes != [Everything()]:
            raise Unread("an id with conditions")
        return [_made(api, record_endpoint(api), str(item[0]), None, values)]
    if nodes == [Everything()] and not any(k in ("noun", "scope") for k, _ in pieces):
        raise Unread("nothing is asked for")
    query = query_endpoint(api)
    return [_made(api, query, None, node, values) for node in nodes]


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    if name in values and values[name] != value:
        raise Unread(f"two different values for {name}")
    values[name] = value


def _made(api: API, endpoint: str, record: str | None, node: Node | None, values: dict[str, Any]) -> Call:
    spec = api.endpoints[endpoint]
    unknown = [n for n in values if n not in spec.params]
    if unknown:
        raise Unread(f"{endpoint} has no {unknown[0]}")
    for name, value in values.items():
        param = api.params[name]
        if param.kind == "integer" and not (param.min or 0) <= value <= (param.max if param.max is not None else value):
            raise Unread(f"{name} {value} is out of bounds")
        if param.kind in ("fields", "sort"):
            for field in value:
                bare = field.lstrip("-")
                if (
                    bare != param.all
                    and (param.indexed or param.kind == "sort")
                    and not (bare in api.meta_fields or api.leaves(bare))
                ):
                    raise Unread(f"{bare} is not indexed")
    if node is not None and "q" in spec.params:
        node = simplify(node)
    return normalise(Call(api, endpoint, record, node, tuple(values.items())))


def record_endpoint(api: API) -> str:
    """The endpoint that gives one record by its id."""
    named = [n for n, e in api.endpoints.items() if "{id}" in e.path and "fields" in e.params]
    if not named:
        raise Unread("no endpoint takes an id")
    return named[0]


def query_endpoint(api: API) -> str:
    """The endpoint that searches."""
    return next(n for n, e in api.endpoints.items() if "q" in e.params)


# --- and, or, not ----------------------------------------------------------------------------------------------------
def conditions(pieces: Sequence[Piece]) -> list[Node]:
    """The query of conditions and what stands between them; two where `or` may bind more or less than `and`."""
    kept: list[tuple[str, Node, bool]] = []  # joint before it, condition, whether it must not hold
    joint, negative, commas = "", False, False
    plain, both = True, 0
    for kind, content in pieces:
        if kind == "cond":
            kept.append((joint or "next", content, negative))
            both, negative = (2 if negative and both == 1 else 0), False
            joint = ""
        elif kind == "not_both":
            negative, both = True, 1
        elif kind == "and" and both == 2:
            negative, both = True, 0
        elif kind == "or":
            joint = "or"
            commas = commas or bool(content)
        elif kind in ("and", "also"):
            joint = joint or kind
            plain = plain and kind == "and"
        elif kind == "not":
            negative = True
        elif kind == "either":
            joint = joint or "either"
            plain = False
        elif kind == "mark" and not joint:
            joint = "mark"
        elif kind in ("scope", "noun", "fields", "size", "sort", "facets") and joint == "or" and kept:
            raise Unread("`or` joins no conditions")
    if joint == "or" or negative:
        raise Unread("something is missing after `or` or `not`")
    if not kept:
        return [Everything()]
    without = tuple(node for _, node, bad in kept if bad)
    wanted = [(j, node) for j, node, bad in kept if not bad]
    if any(j == "or" for j, _, bad in kept if bad):
        raise Unread("`or not`")
    if not wanted:
        return [simplify(Bool(must_not=without))]
    tight, loose = _tight(wanted), _loose(wanted)
    result = [simplify(Bool((node,), (), without)) for node in (tight, loose)]
    if result[0] == result[1]:
        return result[:1]
    sides = _sides(wanted)
    symmetrical = all(len(side) > 1 and all(j in ("and", "or", "next", "either") for j in side) for side in sides)
    return result[::-1] if plain and symmetrical else result


def _tight(wanted: list[tuple[str, Node]]) -> Node:
    """`or` binds more than `and`: a AND (b OR c)."""
    groups: list[list[Node]] = []
    for joint, node in wanted:
        if joint == "or" and groups:
            groups[-1].append(node)
        else:
            groups.append([node])
    parts = [g[0] if len(g) == 1 else simplify(Bool(should=tuple(g))) for g in groups]
    return parts[0] if len(parts) == 1 else simplify(Bool(must=tuple(parts)))


def _loose(wanted: list[tuple[str, Node]]) -> Node:
    """`and` binds more than `or`: (a AND b) OR c."""
    groups: list[list[Node]] = []
    for joint, node in wanted:
        if joint == "or" or not groups:
            groups.append([node])
        else:
            groups[-1].append(node)
    parts = [g[0] if len(g) == 1 else simplify(Bool(must=tuple(g))) for g in groups]
    return parts[0] if len(parts) == 1 else simplify(Bool(should=tuple(parts)))


def _sides(wanted: list[tuple[str, Node]]) -> list[list[str]]:
    """The joints inside each side of `or`."""
    sides: list[list[str]] = []
    for joint, _ in wanted:
        if joint == "or" or not sides:
            sides.append([joint])
        else:
            sides[-1].append(joint)
    return sides


def loose_words(call: Call) -> int:
    """How many words without a field a call searches for: what a sentence that asks for something else is read as."""
    nodes = walk(call.query) if call.query is not None else ()
    return sum(isinstance(n, Term) and n.field is None and n.value.isalpha() and not n.value.isupper() for n in nodes)
