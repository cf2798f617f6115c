"""One OpenAPI parameter, to the keys of a definition's parameter."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from querywright.api.definition import Param
from querywright.api.patterns import compiled
from querywright.api.values import ValueProblem, read_value, value_regex
from querywright.schema.openapi_read import At

LOWEST = -(2**31)
MAX_DEPTH = 8  # of allOf inside anyOf inside allOf: each level can branch
# Whole numbers that are never negative, by what they are called, where the document gives no minimum.
_COUNTS = re.compile(
    r"(?i)(^|[._-])(limit|size|count|page|offset|skip|start|from|top|rows|per_?page|page_?size|max|first|last|index|n|id|"
    r"ids|year|month|day|hour|minute|second|depth|radius|age|length|width|height|distance|number|num|version|total)$"
)
_LIMIT = re.compile(r"(?i)^(limit|size|rows|per_?page|page_?size|max_?results|page_?limit|count|top|\$top|first)$")
_OFFSET = re.compile(r"(?i)^(offset|skip|from|start|start_?index|\$skip)$")
_SORT = re.compile(r"(?i)^(sort|sort_?by|order|order_?by|ordering|\$orderby)$")


class NotTaken(ValueError):
    """A parameter that a definition can't hold; the message says why."""


@dataclass
class Taken:
    """A parameter's keys in `api.yaml`, its row in `params.csv`, and what was left out of it."""

    keys: dict[str, Any]
    row: dict[str, str]
    required: bool = False
    deprecated: bool = False
    notes: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


def take(name: str, at: At) -> Taken:
    """Read one parameter.

    Raises:
        NotTaken: it holds an object, a list of lists, or a serialisation that a definition does not write.
    """
    if not at.get("schema").mapping() and at.get("content").mapping():
        raise NotTaken("its value is a document of its own (content)")
    schema = simplified(at.get("schema"))
    notes: list[str] = []
    keys = _kind(name, schema, at, notes)
    if at.value.get("in") == "path":
        if keys["kind"] == "list":
            keys["explode"] = False
        if str(at.value.get("style", "simple")) != "simple":
            raise NotTaken(f"its style in the path is {at.value['style']}")
    role = _role(name, keys)
    if role:
        keys["role"] = role
    _default(name, keys, schema, notes)
    row = {
        "name": name,
        "description": clipped(at.text("description") or schema.text("description")),
        "synonyms": "",
        "examples": "|".join(_examples(name, keys, at, schema)),
        "weight": "1",
    }
    dead = bool(at.value.get("deprecated") or schema.mapping().get("deprecated"))
    required = at.value.get("required") is True or at.value.get("in") == "path"
    kind = f"list of {keys['items']}" if keys["kind"] == "list" else keys["kind"]
    return Taken(keys, row, required, dead, notes, {kind})


def clipped(text: str, most: int = 400) -> str:
    """A text's first sentences, on one line."""
    text = re.sub(r"<[^<>]{1,80}>|[`*]{1,3}", "", " ".join(text.split()))
    if len(text) <= most:
        return text
    cut = text[:most]
    end = cut.rfind(". ")
    return cut[: end + 1] if end > 60 else cut[: cut.rfind(" ")] + " …"


def simplified(schema: At, depth: int = 0) -> At:
    """A schema without what makes no difference to a text in a URL: `null`, choices of one, `allOf`."""
    if depth > MAX_DEPTH or schema.book.full:
        return schema.made({})
    key = (id(schema.written), depth)
    if key not in schema.book.known:
        schema.book.read += 1
        schema.book.known[key] = (schema.written, _simplified(schema, depth))
    return schema.book.known[key][1]


def _simplified(schema: At, depth: int) -> At:
    value = schema.mapping()
    parts = [simplified(p, depth + 1) for p in schema.get("allOf").entries()]
    if parts:
        merged: dict[str, Any] = {}
        for part in [*parts, schema.made({k: v for k, v in value.items() if k != "allOf"})]:
            own = {**merged.get("properties", {}), **part.mapping().get("properties", {})}
            merged = {**merged, **part.mapping(), **({"properties": own} if own else {})}
        return simplified(schema.made(merged), depth + 1)
    for word in ("anyOf", "oneOf"):
        options = [simplified(o, depth + 1) for o in schema.get(word).entries()]
        options = [o for o in options if o.mapping() and types(o) != ["null"]]
        if options:
            rest = {k: v for k, v in value.items() if k not in ("anyOf", "oneOf")}
            return options[0].made({**_united(options), **rest})
    return schema


def types(schema: At) -> list[str]:
    """The types that a schema allows: one in 3.0, a list of them in 3.1; guessed where it names none."""
    value = schema.mapping()
    told = value.get("type")
    if isinstance(told, list):
        return [str(t) for t in told]
    if isinstance(told, str):
        return [told]
    if isinstance(value.get("properties"), dict):
        return ["object"]
    if "items" in value:
        return ["array"]
    sample = [value["const"]] if "const" in value else value.get("enum") or [value.get("default")]
    first = next((s for s in sample if s is not None), None)
    if isinstance(first, bool):
        return ["boolean"]
    if isinstance(first, int | float):
        return ["integer" if isinstance(first, int) else "number"]
    return ["string"]


def _united(options: list[At]) -> dict[str, Any]:
    """One schema for several: the same one, an array where one is an array, or what takes the values of all."""
    if len(options) == 1:
        return options[0].mapping()
    arrays = [o for o in options if types(o) == ["array"]]
    if arrays:
        return arrays[0].mapping()
    kinds = {t for o in options for t in types(o)} - {"null"}
    enums = [_enum(o.mapping()) for o in options]
    if all(enums):
        return {"type": "string", "enum": list(dict.fromkeys(v for e in enums for v in e))}
    if kinds == {"string"} and all(o.mapping().get("format") in ("date", "date-time") for o in options):
        return {"type": "string", "format": "date-time"}
    if kinds <= {"integer", "number"}:
        return {"type": "number"}
    return {"type": "object"} if kinds == {"object"} else {"type": "string"}


def _enum(value: dict[str, Any]) -> list[str]:
    told = [value["const"]] if "const" in value else value.get("enum")
    if not isinstance(told, list):
        return []
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in told if v is not None]
    return list(dict.fromkeys(t for t in texts if t.strip() == t and t))


def _kind(name: str, schema: At, at: At, notes: list[str], inside: bool = False) -> dict[str, Any]:
    value = schema.mapping()
    kinds = [t for t in types(schema) if t != "null"] or ["string"]
    if "object" in kinds:
        raise NotTaken("it holds an object")
    if "array" in kinds:
        return _list(name, schema, at, notes, inside)
    enum = _enum(value)
    if kinds == ["boolean"]:
        return {"kind": "boolean"}
    if enum:
        return {"kind": "enum", "values": enum}
    if set(kinds) <= {"integer", "number"}:
        kind = "integer" if kinds == ["integer"] else "number"
        bounds = _bounds(name, kind, value)
        if bounds.get("min", -math.inf) > bounds.get("max", math.inf):
            notes.append(f"{name}: its bounds are left out, {bounds['min']} is above {bounds['max']}")
            bounds = {}
        return {"kind": kind, **bounds}
    if len(kinds) == 1 and value.get("format") in ("date", "date-time"):
        return {"kind": "date", **({"moment": True} if value["format"] == "date-time" else {})}
    pattern = value.get("pattern")
    if isinstance(pattern, str) and pattern and len(kinds) == 1:
        if _plain(pattern):
            return {"kind": "text", "pattern": pattern}
        notes.append(f"{name}: its pattern is left out, no grammar is made of it: {pattern[:60]}")
    return {"kind": "text"}


def _plain(pattern: str) -> bool:
    """Whether the pattern can be searched in linear time, and written down: what a grammar writes has to be read."""
    try:
        compiled(pattern)
        return value_regex(Param(kind="text", pattern=pattern), "text") != value_regex(Param(kind="text"), "text")
    except ValueError:
        return False


def _list(name: str, schema: At, at: At, notes: list[str], inside: bool) -> dict[str, Any]:
    if inside:
        raise NotTaken("it holds lists of lists")
    items = _kind(name, simplified(schema.get("items")), at, notes, inside=True)
    split = [v for v in items.get("values", []) if "," in v]
    if split:  # a comma stands between two items
        notes.append(f"{name}: values with a comma in them are left out: {', '.join(map(repr, split[:3]))}")
        items["values"] = [v for v in items["values"] if "," not in v]
        items = items if items["values"] else {"kind": "text"}
    if items["kind"] == "boolean":
        items = {"kind": "enum", "values": ["true", "false"]}
    in_query = at.value.get("in") == "query"
    style = str(at.value.get("style", "form" if in_query else "simple"))
    if style not in ("form", "simple"):
        raise NotTaken(f"its items are written in the style {style}")
    explode = at.value.get("explode", style == "form")
    return {"kind": "list", "items": items.pop("kind"), "explode": bool(explode), **items}


def _bounds(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    low, high = _number(value.get("minimum")), _number(value.get("maximum"))
    step = 1 if kind == "integer" else 0
    above, below = value.get("exclusiveMinimum"), value.get("exclusiveMaximum")
    if above is True and low is not None:
        low += step
    elif (number := _number(above)) is not None:
        low = number + step
    if below is True and high is not None:
        high -= step
    elif (number := _number(below)) is not None:
        high = number - step
    if kind == "integer":
        if low is None and not _COUNTS.search(name):
            low = LOWEST
        low, high = (None if b is None or abs(b) > 10**15 else int(b) for b in (low, high))
        high = None if high is not None and high >= 2**31 - 1 else high
    return {k: v for k, v in (("min", low), ("max", high)) if v is not None}


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def _role(name: str, keys: dict[str, Any]) -> str:
    if keys["kind"] == "integer":
        return "limit" if _LIMIT.match(name) else "offset" if _OFFSET.match(name) else ""
    return "sort" if _SORT.match(name) and keys["kind"] in ("enum", "text", "list") else ""


def _default(name: str, keys: dict[str, Any], schema: At, notes: list[str]) -> None:
    told = schema.mapping().get("default")
    if told is None or told == []:
        return
    texts = [str(t).lower() if isinstance(t, bool) else str(t) for t in (told if isinstance(told, list) else [told])]
    value = _readable(name, keys, texts)
    if value is None:
        notes.append(f"{name}: its default is left out, it is no value of its kind: {texts[0][:40]}")
    else:
        keys["default"] = list(value) if isinstance(value, tuple) else value


def _readable(name: str, keys: dict[str, Any], texts: list[str]) -> Any:
    try:
        return read_value(name, Param.model_validate(keys), texts)
    except (ValueProblem, ValidationError):
        return None


def _examples(name: str, keys: dict[str, Any], at: At, schema: At) -> list[str]:
    """Examples that are values of the parameter, in a cell's form."""
    items = schema.get("items")
    found: list[Any] = [at.value.get("example"), *(e.get("value").value for _, e in at.get("examples").items())]
    found += [schema.mapping().get("example"), *(e.value for e in schema.get("examples").entries())]
    found += [items.mapping().get("example"), *(e.value for e in items.get("examples").entries())]
    flat = [v for f in found for v in (f if isinstance(f, list) else [f])]
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in flat if isinstance(v, str | int | float)]
    good = [t for t in texts if t.strip() and "|" not in t and len(t) < 100 and _readable(name, keys, [t]) is not None]
    return list(dict.fromkeys(good))[:6]
