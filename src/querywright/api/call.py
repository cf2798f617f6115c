"""A call: one request to an API, parsed. Two calls that mean the same have equal canonical forms.

`parse` reads what people send: any order of parameters, aliases, encodings, old version prefixes, species by name or
number, `species:` inside `q`, `scopes`. It gives a `Call` whose layout is already normal; its literals and the order
of its operands are still the writer's. `Call.canonical` sorts and folds these as well.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from querywright.api.definition import API, Param
from querywright.api.forms import Call, Value, fold, same
from querywright.api.normal import normalise
from querywright.api.query import Node, QueryError, parse_query
from querywright.errors import QuerywrightError, did_you_mean

__all__ = ["Call", "CallError", "Value", "fold", "normalise", "parse", "same"]

MAX_LENGTH = 16_384


class CallError(QuerywrightError):
    """A path that is no call to this API. The message is a reason for people; `code` groups reasons in reports."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, hint="querywright call parse --api NAME shows the reason for every path")
        self.code = code


def _decode(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text) is not None:
        text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)  # a lone % is itself
    decoded = unquote(text, errors="strict")
    if re.search(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffd]", decoded):
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
    path = re.sub(rf"^(https?://[^/?#]+|{_host(api)}(?=/))", "", path.strip("\ufeff \t\r\n"), flags=re.I)
    if not path:
        raise CallError("unknown_endpoint", "there is no path")
    head, _, tail = path.split("#", 1)[0].partition("?")
    endpoint, record = _endpoint(api, _decode(head))
    given: dict[str, list[str]] = {}
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
        param = api.params[canonical]
        text = texts[-1] if param.kind not in ("fields", "sort", "vocabulary") else ",".join(texts)
        if canonical not in spec.params:
            continue  # known elsewhere, without meaning here: services ignore it
        if not text.strip():
            continue
        value: Value = text if param.kind == "query" else _read(api, canonical, param, text.strip())
        if values.setdefault(canonical, value) != value:
            raise CallError("repeated_parameter", f"{canonical} is given twice, with different values")
    node: Node | None = None
    query_text = str(values.pop("q", ""))
    if spec.required:
        if query_text:
            node = parse_query(query_text, lambda n: _resolve_searched(api, n))
        elif not any(values.get(r) for r in spec.required):
            raise CallError("missing_parameter", f"{spec.path} needs a value for {' or '.join(spec.required)}")
    return normalise(Call(api, endpoint, record, node, tuple(values.items())))


def _endpoint(api: API, path: str) -> tuple[str, str | None]:
    path = re.sub(r"/{2,}", "/", path).rstrip("/") or "/"
    if any(path + "/" == e.path.partition("{id}")[0] for e in api.endpoints.values()):
        raise CallError("bad_id", f"{path} needs an id after it")
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


def _host(api: API) -> str:
    return re.escape(urlsplit(api.base_url).netloc)


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
    if name == "_missing_":
        raise QueryError("_missing_ is not understood: write NOT _exists_:FIELD")
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
        for bound, wrong, word in (
            (param.min, int.__lt__, "below the minimum"),
            (param.max, int.__gt__, "above the maximum"),
        ):
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
