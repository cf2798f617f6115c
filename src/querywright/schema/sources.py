"""A schema's source: a file or an address, read as data, and what kind of schema it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from querywright.errors import QuerywrightError, need

MOST_BYTES = 64 << 20
MOST_REPEATED = 200_000  # values that a YAML file's aliases may stand for
_WHERE = "SOURCE is a file or an http(s) address"
KINDS = "BioThings /metadata/fields, an Elasticsearch or OpenSearch mapping or index, OpenAPI 3.0 or 3.1"


@dataclass(frozen=True)
class Source:
    """One document: its name in messages, its kind (biothings, elasticsearch, openapi), its content, where it lies."""

    name: str
    kind: str
    data: dict[str, Any]
    where: str = ""


def read_source(where: str) -> Source:
    """Read a file or an http(s) address.

    Raises:
        QuerywrightError: it can't be read, is too large, is neither JSON nor YAML, or is no kind of schema known here.
    """
    name, text = (_short(where), _fetch(where)) if re.match(r"(?i)[a-z][a-z0-9+.-]*://", where) else _file(Path(where))
    data = _parsed(name, text)
    kind = detect(data)
    if not kind:
        raise QuerywrightError(f"{name} is no schema known here; {_seen(data)}", hint=f"SOURCE is {KINDS}")
    return Source(name, kind, data, where)


def _short(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _file(path: Path) -> tuple[str, str]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise QuerywrightError(f"{path} is larger than {MOST_BYTES >> 20} MB", hint="give the schema alone")
        return path.name, path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise QuerywrightError(f"could not read {path}: {reason}", hint=_WHERE) from None


def _fetch(url: str, hops: int = 3) -> str:
    """The text behind an address that the user gave, by the client that calls are sent with.

    A redirect stays on the host and the port, and on https; from http to https on the usual ports it is followed. No
    proxies or passwords of the environment. The address may be this machine's or a private one: a person gave it.
    """
    from querywright.api.fetch import Fetcher

    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise QuerywrightError(f"{url[:80]!r} is no http or https address", hint=_WHERE)
    name = _short(url)
    need("httpx", extra="schema")
    path = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe="/%?&=:@!$'()*+,;~-._[]")
    path = path if path.startswith("/") else "/" + path
    client = Fetcher(f"{parts.scheme.lower()}://{parts.netloc}", allow_private=True, rate=0)
    try:
        answer = client.get(path, MOST_BYTES)
    finally:
        client.close()
    if 300 <= answer.status < 400 and answer.location:
        target = urljoin(url, answer.location)
        if not hops or not _same_place(parts, target):
            raise QuerywrightError(f"{name} redirects to {_short(target)}", hint="give that address if you trust it")
        return _fetch(target, hops - 1)
    if answer.status != 200:
        raise QuerywrightError(f"could not fetch {name}: it answers {answer.status}", hint="check the address")
    try:
        return answer.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise QuerywrightError(f"{name} does not answer with UTF-8 text", hint="give a file") from None


def _same_place(here: SplitResult, target: str) -> bool:
    try:
        there = urlsplit(target)
        ports = [p.port or {"http": 80, "https": 443}.get(p.scheme.lower()) for p in (here, there)]
    except ValueError:
        return False
    if here.hostname != there.hostname or there.username is not None:
        return False
    schemes = (here.scheme.lower(), there.scheme.lower())
    return (schemes[0] == schemes[1] and ports[0] == ports[1]) or (schemes == ("http", "https") and ports == [80, 443])


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = load_yaml(name, text)
    if not isinstance(data, dict):
        raise QuerywrightError(f"{name} holds a {type(data).__name__}, not an object", hint=f"SOURCE is {KINDS}")
    return data


def load_yaml(name: str, text: str) -> Any:
    """Read YAML as data; dates stay text, as JSON would have them."""
    import yaml

    class Plain(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """The fast safe loader where it is built, without dates."""

    Plain.yaml_implicit_resolvers = {
        first: [(tag, regex) for tag, regex in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        loader = Plain(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _few_aliases(name, node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise QuerywrightError(f"{name} is neither JSON nor YAML: {reason}", hint=f"SOURCE is {KINDS}") from None


def _few_aliases(name: str, root: Any) -> None:
    """Refuse what a few aliases of aliases blow up: each is one object in memory, and walked again wherever it stands.

    Raises:
        QuerywrightError: aliases stand for too much, or one stands inside what it names.
    """
    sizes: dict[int, int] = {}
    inside: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        below = node.value if isinstance(node.value, list) else []  # of a mapping: pairs of nodes
        parts = [part for entry in below for part in (entry if isinstance(entry, tuple) else (entry,))]
        if done:
            inside.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
        elif id(node) in inside:
            raise QuerywrightError(f"{name}: an alias stands inside what it names", hint="write it without the alias")
        elif id(node) not in sizes:
            inside.add(id(node))
            stack.append((node, True))
            stack += [(part, False) for part in parts if id(part) not in sizes]
    if sizes[id(root)] - len(sizes) > MOST_REPEATED:
        raise QuerywrightError(
            f"{name}: its YAML aliases stand for more than {MOST_REPEATED:,} values", hint="write it without aliases"
        )


def detect(data: dict[str, Any]) -> str:
    """The kind of a document: biothings, elasticsearch, openapi, or empty where it is none of them."""
    if isinstance(data.get("openapi"), str) and isinstance(data.get("paths", {}), dict):
        return "openapi"
    if isinstance(data.get("swagger"), str):
        raise QuerywrightError(
            f"this is Swagger {data['swagger'][:8]}; OpenAPI 3.0 and 3.1 are read",
            hint="convert it first, for instance with npx swagger2openapi",
        )
    if _is_mapping(data):
        return "elasticsearch"
    fields = list(data.values())
    if fields and all(isinstance(f, dict) and isinstance(f.get("type"), str) for f in fields):
        return "biothings"
    if any(isinstance(v, dict) and _is_mapping(v) for v in fields):
        return "elasticsearch"
    return ""


def _is_mapping(data: dict[str, Any]) -> bool:
    if isinstance(data.get("mappings"), dict):
        return True
    properties = data.get("properties")
    return isinstance(properties, dict) and all(isinstance(p, dict) for p in properties.values())


def _seen(data: dict[str, Any]) -> str:
    return f"its keys are {', '.join(map(repr, list(data)[:5]))}" if data else "it is empty"
