"""A call: one request to an API, parsed. Two calls that mean the same have equal canonical forms.

`parse` reads what people send: any order of parameters, aliases, encodings, old version prefixes, species by name or
number, `species:` inside `q`, `scopes`. It gives a `Call` whose layout is already normal; its literals and the order
of its operands are still the writer's. `Call.canonical` sorts and folds these as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from querywright.api.definition import API, Param
from querywright.api.forms import Call, fold, same
from querywright.api.normal import normalise
from querywright.api.query import Node, QueryError, parse_query
from querywright.api.values import Value, ValueProblem, read_value
from querywright.errors import QuerywrightError, did_you_mean

__all__ = ["Call", "CallError", "Value", "fold", "normalise", "parse", "same"]

MAX_LENGTH = 16_384


class CallError(QuerywrightError):
    """A path that is no call to this API. The message is a reason for people; `code` groups reasons in reports."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, hint="querywright call parse --api NAME shows the reason for every path")
        self.code = code


_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DAMAGED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffd]")


def _decode(text: str) -> str:
    decoded = text
    if "%" in text:
        decoded = unquote(_LONE_PERCENT.sub("%25", text), errors="strict")  # a lone % is itself
    if _DAMAGED.search(decoded):
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
    path = _origin(api).sub("", path.lstrip("\ufeff \t\r\n").rstrip(" \t\r\n"))
    if not path:
        raise CallError("unknown_endpoint", "there is no path")
    head, _, tail = path.split("#", 1)[0].partition("?")
    endpoint, record, given = _endpoint(api, head)
    for name, text in _split(api, tail):
        given.setdefault(name, []).append(text)
    spec = api.endpoints[endpoint]
    values: dict[str, Value] = {}
    for name, texts in given.items():
        if name in api.ignored_params:
            continue
        canonical = api.param_names.get(name) or api.param_names.get(name.lower())
        if canonical is None:
            near = did_you_mean(name, [*api.param_names])
            raise CallError("unknown_parameter", f"unknown parameter {name[:60]!r}{near}")
        if canonical not in spec.params:
            continue  # known elsewhere, without meaning here: services ignore it
        texts = [t for t in texts if t.strip()]
        if not texts:
            continue
        value = _read(api, canonical, api.params[canonical], texts)
        if values.setdefault(canonical, value) != value:
            raise CallError("repeated_parameter", f"{canonical} is given twice, with different values")
    node: Node | None = None
    if api.query_language == "lucene":
        query_text = str(values.pop("q", ""))
        if query_text and "q" in spec.params:
            node = parse_query(_bare_ids(api, query_text), *_reader(api))
    for group in spec.needs:
        if not (node if group[0] == "q" and node is not None else any(values.get(r) not in (None, ()) for r in group)):
            raise CallError("missing_parameter", f"{spec.path} needs a value for {' or '.join(group)}")
    return normalise(Call(api, endpoint, record, node, tuple(values.items())))


def _endpoint(api: API, head: str) -> tuple[str, str | None, dict[str, list[str]]]:
    """The endpoint of a path, the record's id in it, and the parameters that stand in it."""
    for path in (head, _decode(head)) if "%" in head else (head,):
        while "//" in path:
            path = path.replace("//", "/")
        path = path.rstrip("/") or "/"
        found = api.routes.match(path)
        if found is not None and found.lastgroup is not None:
            name, names = api.route_names[found.lastgroup]
            end = int(found.lastindex or 0) - 1
            texts = dict(zip(names, found.groups()[end - len(names) : end], strict=True))
            record = texts.pop("id", None)
            decoded = {name: [_decode(text)] for name, text in texts.items()}
            if any(set(text) <= {"."} for one in decoded.values() for text in one):
                raise CallError("bad_value", f"{path[:80]!r} leads elsewhere: a part of it is only dots")
            return name, None if record is None else _record_id(api, _decode(record)), decoded
    path = _decode(head).rstrip("/")
    if any(path + "/" == e.path.partition("{")[0] for e in api.endpoints.values()):
        raise CallError("bad_id", f"{path} needs an id after it")
    raise CallError("unknown_endpoint", f"unknown endpoint {path[:80]!r}; known: {', '.join(_paths(api)[:12])}")


@lru_cache(maxsize=32)
def _origin(api: API) -> re.Pattern[str]:
    return re.compile(rf"^(https?://[^/?#]+|{re.escape(urlsplit(api.base_url).netloc)}(?=/))", re.I)


def _paths(api: API) -> list[str]:
    return [e.path for e in api.endpoints.values()]


def _record_id(api: API, text: str) -> str:
    if not re.fullmatch(r"[\w.:\-*@()+|=>,]+", text, re.ASCII):
        raise CallError("bad_id", f"{text[:60]!r} is no record id")
    known = _shaped(api, text)
    if known:
        return known
    if api.id_refused and re.match(api.id_refused, text, re.I):
        raise CallError("bad_id", f"{text[:60]!r} is no record id; such ids look like {_example(api)}")
    scope, colon, rest = text.partition(":")
    if colon and rest and re.fullmatch(r"[A-Za-z_][\w.\-]*", scope):
        field = api.resolve(scope)
        if field is None and scope.upper() not in {p.upper() for p in api.value_prefixes.values()}:
            raise CallError("unknown_field", api.unknown_field(scope))
        return f"{field}:{rest}" if field else text
    return text


def _shaped(api: API, text: str) -> str | None:
    """An id of one of the definition's shapes in its one spelling, with or without its scope before it."""
    scope, colon, rest = text.partition(":")
    for entry in api.ids:
        found = entry.read(text) or (entry.read(rest) if colon and scope.lower() in entry.scopes else None)
        if found:
            return found
    for entry in api.ids:
        if colon and rest and scope.lower() in entry.scopes and entry.field:
            return f"{entry.field}:{rest}"
    return None


def _example(api: API) -> str:
    return " or ".join([entry.example for entry in api.ids if entry.example][:2])


def _split(api: API, tail: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in tail.split("&"):
        name, equals, value = part.partition("=")
        if not equals and ":" in part and part.partition(":")[0] in api.param_names:
            name, _, value = part.partition(":")  # the documentation itself writes &species:human
        if name or value:
            pairs.append((_decode(name.replace("+", " ")).strip(), _decode(value.replace("+", " "))))
    if api.query_language == "lucene":
        pairs = [part for pair in pairs for part in _late(api, *pair)]
    return pairs


def _late(api: API, name: str, value: str) -> list[tuple[str, str]]:
    """A query whose ampersands were encoded once too often: `q=cdk2%26size=5`; not inside a quotation.

    What would be no value of its parameter is a part of the query.
    """
    found: list[tuple[str, str]] = []
    while name == "q" and "&" in value and (late := api.late_param.search(value)) is not None:
        before = value[: late.start()]
        param = api.param_names[late[1]]
        try:
            if before.count('"') % 2 or param == "q":
                break
            _read(api, param, api.params[param], [late[2]])
        except CallError:
            break
        found.insert(0, (late[1], late[2]))
        value = before
    return [(name, value), *found]


def _bare_ids(api: API, text: str) -> str:
    """Ids that hold a colon are words, where no field stands before them and no quotation marks are around them."""
    if api.ids_in_text is None or ":" not in text:
        return text
    parts = re.split(r'("(?:\\.|[^"\\])*")', text)
    for i in range(0, len(parts), 2):
        parts[i] = api.ids_in_text.sub(lambda m: _bare_id(api, m[0]), parts[i])
    return "".join(parts)


def _bare_id(api: API, text: str) -> str:
    field = api.fields.get(text.partition(":")[0])
    if field is not None and field.type != "object":  # a search in this field
        return text
    return re.sub(r"([:<>])", r"\\\1", text)


@lru_cache(maxsize=32)
def _reader(api: API) -> tuple[Callable[[str], str], tuple[str, ...]]:
    """How queries of an API are read: what its field names mean, and what may be said of chromosomes."""
    spans = api.intervals
    said = ("range", *["position"] * spans.positions, *["assembly"] * spans.prefixed) if spans else ()
    return lru_cache(maxsize=4096)(lambda name: _resolve_searched(api, name)), said


def _resolve_searched(api: API, name: str) -> str:
    for param in api.params.values():
        if name.lower() in param.in_query:
            return param.field
    known = api.resolve(name)
    if known is None:
        raise QueryError(f"{api.unknown_field(name)} (a colon in a value has to be quoted or escaped)")
    if known not in api.meta_fields and not api.leaves(known):
        raise QueryError(f"unknown field {name!r} in a search: it is returned but not indexed")
    return known


def _read(api: API, name: str, param: Param, texts: list[str]) -> Value:
    if param.kind == "query":
        return texts[-1]
    if param.kind not in ("vocabulary", "fields", "sort"):
        try:
            return read_value(name, param, texts)
        except ValueProblem as problem:
            raise CallError("bad_value", str(problem)) from None
    words = [w for w in re.split(r"\s*[,\s]\s*", ",".join(texts).strip(", []()")) if w]
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
    bare = bare.strip("\"'").removesuffix(".*")  # OBJECT.* is all of an object, as its name alone
    known = api.resolve(bare)
    if known is None:
        raise CallError("unknown_field", api.unknown_field(bare))
    if (param.indexed or param.kind == "sort") and known not in api.meta_fields and not api.leaves(known):
        raise CallError("unknown_field", f"unknown field {bare!r} here: it is returned but not indexed")
    return sign + known
