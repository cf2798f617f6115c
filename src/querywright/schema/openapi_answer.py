"""The fields of an API's answers, from the schemas of its responses."""

from __future__ import annotations

from querywright.schema.facts import Fact
from querywright.schema.openapi_param import clipped, simplified, types
from querywright.schema.openapi_read import At

MAX_DEPTH = 8
_LISTS = ("hits", "results", "items", "data", "features", "records", "docs", "content", "entries", "values", "rows")
_FORMATS = {"date": "date", "date-time": "date", "int64": "long", "double": "double"}


def answer_fields(operation: At, most: int) -> tuple[dict[str, Fact], str]:
    """The fields of one record of an operation's answer, and the name of the list that records stand in (or none)."""
    record, within = _record(_answer(operation))
    schema = simplified(record)
    fields: dict[str, Fact] = {}
    _walk(schema, "", fields, (id(record.value), id(schema.value)), most)
    return fields, within


def _answer(operation: At) -> At:
    """The schema of the good answer (200, another 2xx, or the default), as JSON where there is JSON."""
    answers = dict(operation.get("responses").items())
    codes = sorted((c for c in answers if c.upper().startswith("2")), key=lambda c: (c != "200", c))
    for code in [*codes, "default"]:
        if code in answers:
            contents = dict(answers[code].get("content").items())
            for kind in sorted(contents, key=lambda k: "json" not in k.lower()):
                if contents[kind].get("schema").mapping():
                    return contents[kind].get("schema")
    return operation.made({})


def _record(answer: At) -> tuple[At, str]:
    """What one record is: an array's item, or the item of the list that a page of hits holds."""
    schema = simplified(answer)
    if "array" in types(schema):
        return schema.get("items"), ""
    lists = {
        name: inner.get("items")
        for name, inner in ((n, simplified(p)) for n, p in schema.get("properties").items())
        if "array" in types(inner)
    }
    lists = {name: item for name, item in lists.items() if "object" in types(simplified(item))}
    known = next((name for name in _LISTS if name in lists), "")
    return (lists[known], known) if known else (answer, "")


def _walk(schema: At, prefix: str, fields: dict[str, Fact], above: tuple[int, ...], most: int) -> None:
    """Take in the fields of an object; a schema that stands inside itself (`above` holds ids) is not followed again."""
    if len(above) > 3 * MAX_DEPTH:
        return
    for name, raw in schema.get("properties").items():
        if len(fields) >= most or "." in name:
            continue
        inner, seen = simplified(raw), [id(raw.value)]
        for _ in range(MAX_DEPTH):  # lists of lists; one of itself has no end
            if "array" not in types(inner):
                break
            items = inner.get("items")
            inner = simplified(items)
            seen.append(id(items.value))
        seen.append(id(inner.value))
        kinds = [t for t in types(inner) if t != "null"] or ["string"]
        description = clipped(raw.text("description") or inner.text("description"), 300)
        path = f"{prefix}{name}"
        if "object" in kinds:
            fields[path] = Fact(path, "object", indexed=True, analysis="object", description=description)
            if not set(seen) & set(above):
                _walk(inner, f"{path}.", fields, (*above, *seen), most)
            continue
        kind = _type(kinds, inner)
        examples = [inner.mapping().get("example"), *(e.value for e in inner.get("examples").entries())]
        texts = [str(e) for e in examples if isinstance(e, str | int | float) and not isinstance(e, bool)]
        fields[path] = Fact(
            path,
            kind,
            indexed=True,
            description=description,
            examples=tuple(t for t in dict.fromkeys(texts) if "|" not in t and len(t) < 80)[:4],
        )


def _type(kinds: list[str], schema: At) -> str:
    told = schema.mapping()
    if len(kinds) > 1 and not set(kinds) <= {"integer", "number"}:
        return "keyword"
    form = _FORMATS.get(str(told.get("format")))
    if "number" in kinds:
        return "double" if form == "double" else "float"
    if kinds == ["integer"]:
        return "long" if form == "long" else "integer"
    if kinds == ["boolean"]:
        return "boolean"
    return "date" if form == "date" else "keyword" if told.get("enum") or told.get("format") else "text"
