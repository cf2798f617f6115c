"""An API's definition from OpenAPI 3.0 or 3.1: endpoints, typed parameters, and the fields of its answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from querywright.errors import QuerywrightError
from querywright.schema.facts import Fact, some
from querywright.schema.nouns import noun_of
from querywright.schema.openapi_answer import answer_fields
from querywright.schema.openapi_param import NotTaken, Taken, clipped, take
from querywright.schema.openapi_paths import endpoint_name, name_placeholders
from querywright.schema.openapi_read import At, open_document
from querywright.schema.sources import Source

MOST_FIELDS = 2000
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")


@dataclass
class Described:
    """What a document describes: `definition` is the value of `api.yaml`, `rows` those of `params.csv`."""

    definition: dict[str, Any]
    rows: list[dict[str, str]]
    fields: dict[str, Fact] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)


def read_openapi(source: Source, name: str, base_url: str = "", query_param: str = "") -> Described:
    """Read a document into a definition.

    Args:
        base_url: the service's address, where the document's `servers` do not say or another one is meant.
        query_param: the parameter that holds a Lucene query; without it all parameters are typed values.

    Raises:
        QuerywrightError: the document has no GET operation, or none with `query_param`.
    """
    root = open_document(source)
    version = root.text("openapi")
    if not re.match(r"3\.[01](\.|$)", version):
        raise QuerywrightError(
            f"{source.name} is OpenAPI {version[:10]}; 3.0 and 3.1 are read", hint="convert it first"
        )
    address, prefix = _server(root, source, base_url)
    language = "lucene" if query_param else "none"
    info = root.get("info")
    definition: dict[str, Any] = {
        "name": name,
        "title": info.text("title") or name,
        "about": clipped(info.text("summary") or info.text("description"), 160),
        "base_url": address,
        "query_language": language,
    }
    if query_param:
        definition |= {"default_operator": "OR", "meta_fields": ["_id", "_score"]}
    told = Described(definition, [])
    params: dict[str, Taken] = {}
    endpoints: dict[str, Any] = {}
    within: set[str] = set()
    operations = list(_operations(root, told))
    placeholders = name_placeholders([path for path, _, _ in operations], keep_id=bool(query_param))
    for path, at, operation in operations:
        if other := _elsewhere(root, at, operation):
            told.left_out.setdefault(f"served at another address ({other})", []).append(path)
            continue
        endpoint = _endpoint(path, placeholders[path], at, operation, params, told)
        if endpoint is None:
            continue
        endpoint["path"] = prefix + endpoint["path"]
        endpoints[endpoint_name(path, operation.text("operationId"), endpoints)] = endpoint
        if len(told.fields) < MOST_FIELDS:
            fields, container = answer_fields(operation, MOST_FIELDS)
            within |= {container} if container else set()
            told.fields = {**fields, **told.fields}
    if not endpoints:
        raise QuerywrightError(
            f"{source.name} has no GET operation", hint="calls are GET requests: other methods change things"
        )
    if query_param:
        _as_query(query_param, params, endpoints)
    told.definition["noun"] = noun_of([e["path"].removeprefix(prefix) for e in endpoints.values()], definition["title"])
    told.definition["endpoints"] = endpoints
    leaves = _leaves(told.fields)
    told.definition["params"] = {n: {**t.keys, **_guess(n, t, leaves, query_param)} for n, t in params.items()}
    told.rows = [t.row for t in params.values()]
    hidden = sorted(n for n, t in params.items() if t.deprecated and not t.required)
    if hidden:
        told.definition["unwritten"] = hidden
        told.notes.append(f"deprecated, read but not written: {some(hidden)}")
    keys = _keys_in_query(root)
    if keys:
        told.definition["ignored_params"] = keys
    told.notes += [*(note for t in params.values() for note in t.notes), *_mixed(params)]
    if within:
        told.notes.append(f"records stand in {some(sorted(within))} of the answers")
    if len(told.fields) >= MOST_FIELDS:
        told.notes.append(f"the answers have more than {MOST_FIELDS} fields; those of the first endpoints are taken")
    if root.book.full:
        told.notes.append("the document has too many schemas; those that were not read are taken as text")
    _security(root, told)
    return told


def _server(root: At, source: Source, base_url: str) -> tuple[str, str]:
    """The address (scheme and host) and the path before all endpoints."""
    server = next(root.get("servers").entries(), root.made({}))
    url = server.text("url")
    for variable, spec in server.get("variables").items():
        url = url.replace("{" + variable + "}", spec.text("default"))
    if urlsplit(source.where).netloc:
        url = urljoin(source.where, url or "/")
    parts = urlsplit(url)
    prefix = parts.path.rstrip("/")
    if base_url:
        own = urlsplit(base_url)
        return f"{own.scheme}://{own.netloc}", own.path.rstrip("/") or prefix
    if parts.scheme in ("http", "https") and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}", prefix
    raise QuerywrightError(
        f"{source.name} does not say where the service is" + (f" ({url})" if url else ""),
        hint="--base-url https://HOST",
    )


def _operations(root: At, told: Described) -> Iterator[tuple[str, At, At]]:
    """(path, path item, GET operation); other methods are noted."""
    for path, at in root.get("paths").items():
        for method in _METHODS:
            if method in at.mapping() and method != "get":
                told.left_out.setdefault("not GET", []).append(f"{method.upper()} {path}")
        if at.get("get").mapping():
            if not path.startswith("/") or re.search(r"[?#\s]", path):
                told.left_out.setdefault("no plain path", []).append(path)
                continue
            yield path, at, at.get("get")


def _elsewhere(root: At, at: At, operation: At) -> str:
    """The host of an operation that has an address of its own, where that is not the document's."""
    own = next((s for place in (operation, at) for s in place.get("servers").entries()), None)
    main = next(root.get("servers").entries(), None)
    host = urlsplit(own.text("url")).netloc if own else ""
    return host if host and (main is None or host != urlsplit(main.text("url")).netloc) else ""


def _endpoint(
    path: str, renamed: dict[str, str], at: At, operation: At, params: dict[str, Taken], told: Described
) -> dict[str, Any] | None:
    """An endpoint's keys; None where it can't be called with what a definition holds.

    Args:
        renamed: the names that the placeholders of `path` get.
        params: gets the endpoint's parameters.
    """
    names: list[str] = []
    required: list[str] = []
    taken: dict[str, Taken] = {}
    both: dict[tuple[str, str], At] = {}
    for place in (*at.get("parameters").entries(), *operation.get("parameters").entries()):
        both[place.text("in"), place.text("name")] = place  # an operation's own stands for the path's of that name
    for (where, name), place in both.items():
        if where not in ("query", "path"):
            told.left_out.setdefault(f"{where} parameters", []).append(name)
            continue
        stray = name not in renamed if where == "path" else name in renamed.values()
        if stray or not re.fullmatch(r"[^\s&=#%|{}?+\"<>\\^`]{1,100}", name):
            told.left_out.setdefault("parameters whose name has no place in a call", []).append(name or "?")
            continue
        name = renamed[name] if where == "path" else name
        if where == "path" and name == "id":
            continue  # a record's id has a place of its own in a call
        try:
            one = take(name, place)
        except NotTaken as problem:
            told.left_out.setdefault(str(problem), []).append(name)
            if where == "path" or place.value.get("required"):
                told.left_out.setdefault("endpoints that need what a definition can't hold", []).append(path)
                return None
            continue
        taken[name] = one
        names.append(name)
        if one.required:
            required.append(name)
    path = re.sub(r"\{([^{}]+)\}", lambda m: "{" + renamed[m[1]] + "}", path)
    for name in renamed.values():
        if name not in names and name != "id":
            told.notes.append(f"{path}: {name} is not described; taken as text")
            taken[name] = Taken({"kind": "text"}, _row(name), True)
            names.append(name)
            required.append(name)
    for name, one in taken.items():
        params[name] = _both(name, params[name], one) if name in params else one
    if operation.get("requestBody").mapping():
        told.left_out.setdefault("request bodies", []).append(path)
    endpoint: dict[str, Any] = {"path": path, "params": list(dict.fromkeys(names))}
    if required:
        endpoint["required"] = list(dict.fromkeys(required))
    if description := clipped(operation.text("summary") or operation.text("description"), 200):
        endpoint["description"] = description
    return endpoint


def _row(name: str) -> dict[str, str]:
    return {"name": name, "description": "", "synonyms": "", "examples": "", "weight": "1"}


def _both(name: str, a: Taken, b: Taken) -> Taken:
    """One parameter for two endpoints that have one of this name: it takes what either of them takes."""
    old, new = a.keys, b.keys
    row = {k: a.row[k] or b.row[k] for k in a.row}
    both = Taken(dict(old), row, a.required or b.required, a.deprecated and b.deprecated)
    both.notes = list(dict.fromkeys([*a.notes, *b.notes]))
    both.kinds = a.kinds | b.kinds
    if old == new:
        return both
    keys = both.keys
    if (old["kind"], old.get("items"), old.get("explode")) != (new["kind"], new.get("items"), new.get("explode")):
        both.keys = {"kind": "number" if {old["kind"], new["kind"]} == {"integer", "number"} else "text"}
        return both
    if "values" in old:
        keys["values"] = list(dict.fromkeys([*old["values"], *new["values"]]))
    for bound, wider in (("min", min), ("max", max)):
        keys.pop(bound, None)
        if bound in old and bound in new:
            keys[bound] = wider(old[bound], new[bound])
    for key in ("default", "pattern"):
        if old.get(key) != new.get(key):
            keys.pop(key, None)
    both.kinds |= {"different limits"}
    return both


def _mixed(params: dict[str, Taken]) -> list[str]:
    """What to say of parameters that are not the same at all endpoints."""
    notes = []
    kinds = {n: sorted(t.kinds - {"different limits"}) for n, t in params.items()}
    several = {n: k for n, k in kinds.items() if len(k) > 1}
    if several:
        told = some(f"{n} ({', '.join(k)}; read as {params[n].keys['kind']})" for n, k in several.items())
        notes.append(f"of another kind at another endpoint ({len(several)}): {told}")
    wider = [n for n, t in params.items() if "different limits" in t.kinds and n not in several]
    if wider:
        notes.append(f"with other limits at another endpoint, they take what any takes ({len(wider)}): {some(wider)}")
    return notes


def _as_query(name: str, params: dict[str, Taken], endpoints: dict[str, Any]) -> None:
    if name != "q":
        raise QuerywrightError(f"a Lucene query is read in a parameter called q, not {name!r}", hint="--query-param q")
    if name not in params:
        raise QuerywrightError(f"no endpoint has a parameter {name!r}", hint=f"there are {some(params)}")
    params[name].keys = {"kind": "query"}
    for endpoint in endpoints.values():
        if name in endpoint["params"]:  # a call's query stands first
            endpoint["params"] = [name, *(p for p in endpoint["params"] if p != name)]


_BOUND = re.compile(
    r"(?i)^(min|max|minimum|maximum|from|to|since|until|before|after|start|end|gte|lte|gt|lt)[_.-]?(.+)$"
)
_BOUND_LAST = re.compile(r"(?i)^(.+?)[_.\[-](min|max|gte|lte|gt|lt|from|to|since|until|before|after)\]?$")
_WORDS = {"min": "ge", "minimum": "ge", "from": "ge", "since": "ge", "after": "ge", "start": "ge", "gte": "ge"}
_WORDS |= {"max": "le", "maximum": "le", "to": "le", "until": "le", "before": "le", "end": "le", "lte": "le"}
_WORDS |= {"gt": "gt", "lt": "lt"}


def _leaves(fields: dict[str, Fact]) -> dict[str, list[str]]:
    """Fields that hold values, by the last part of their name in plain letters."""
    leaves: dict[str, list[str]] = {}
    for path, fact in fields.items():
        if fact.type != "object":
            leaves.setdefault(re.sub(r"[^a-z0-9]", "", path.rpartition(".")[2].lower()), []).append(path)
    return leaves


def _guess(name: str, taken: Taken, leaves: dict[str, list[str]], query_param: str) -> dict[str, str]:
    """Which field of a record a parameter compares, where its name says so; for the embedded service, yours to edit."""
    if taken.keys.get("role") or name == query_param:
        return {}

    def found(word: str) -> str:
        paths = leaves.get(re.sub(r"[^a-z0-9]", "", word.lower()), [])
        return min(paths, key=lambda p: (p.count("."), p)) if paths else ""

    if exact := found(name):
        many = taken.keys["kind"] == "list"
        return {"field": exact, **({"compare": "in"} if many else {})}
    for match, bound, rest in ((_BOUND.match(name), 1, 2), (_BOUND_LAST.match(name), 2, 1)):
        if match and (path := found(match[rest])):
            return {"field": path, "compare": _WORDS[match[bound].lower()]}
    return {}


def _keys_in_query(root: At) -> list[str]:
    """Names of query parameters that hold a key: a definition has no place for keys, and logs mask them."""
    schemes = root.get("components", "securitySchemes").items()
    return sorted({s.text("name") for _, s in schemes if s.text("type") == "apiKey" and s.text("in") == "query"} - {""})


def _security(root: At, told: Described) -> None:
    schemes = dict(root.get("components", "securitySchemes").items())
    if schemes:
        kinds = [f"{n} ({s.text('type')}{' in ' + s.text('in') if s.text('in') else ''})" for n, s in schemes.items()]
        told.left_out["keys and sign-in, which are no part of a call"] = kinds
    hidden = set(told.definition.get("ignored_params", ()))
    for name in hidden & set(told.definition["params"]):
        told.definition["params"].pop(name)
        told.rows = [r for r in told.rows if r["name"] != name]
        for endpoint in told.definition["endpoints"].values():
            endpoint["params"] = [p for p in endpoint["params"] if p != name]
            if name in endpoint.get("required", []):
                endpoint["required"] = [p for p in endpoint["required"] if p != name]
