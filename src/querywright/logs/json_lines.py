"""JSON lines: nginx-json, Caddy, Traefik, Elastic Common Schema and others; other keys by a mapping."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from querywright.logs.hit import MALFORMED, WHERE, Hit, Options, Read
from querywright.logs.keys import ROLES, wanted
from querywright.logs.tables import hit

_fast: Callable[[bytes], Any]
try:
    import orjson

    _fast = orjson.loads
except ImportError:
    _fast = json.loads

_BARE_HEX = re.compile(rb"(?<!\\)((?:\\\\)*)\\x([0-9A-Fa-f]{2})")


def load(line: bytes) -> Any:
    """The value of a JSON line, None where it is none. nginx's default escape (`\\xHH`), no JSON, is read as well."""
    try:
        return _fast(line)
    except (ValueError, RecursionError):
        pass
    if b"\\x" in line:
        line = _BARE_HEX.sub(rb"\1%\2", line)
    try:
        return json.loads(line.decode(errors="replace"))  # lone surrogates, bytes that are not UTF-8
    except (ValueError, RecursionError):
        return None


def dig(row: dict[str, Any], key: str) -> Any:
    """The value at `key`, or below it where the key has dots (a name with dots in it goes first); None if missing."""
    if key in row:
        return row[key]
    value: Any = row
    head, dot, rest = key.partition(".")
    while dot and isinstance(value, dict):
        value = value.get(head)
        if isinstance(value, dict) and rest in value:
            return value[rest]
        head, dot, rest = rest.partition(".")
    return None


def _bytes(value: Any, role: str) -> bytes:
    """A value as bytes, empty where it can't be what its role asks for. A header may be a list of values (Caddy).

    Of the clients in a list the last counts: a proxy wrote it, the ones before it may be the client's own words.
    """
    if isinstance(value, list) and value:
        value = value[-1 if role == "client" else 0]
    if isinstance(value, str):
        return value.encode(errors="replace")
    if role == "status" and isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1000:
        return b"%d" % value
    return b""


def names(row: dict[str, Any], before: str = "") -> list[str]:
    """The keys of a row whose values are plain, two levels deep, as a person names them."""
    out = []
    for key, value in row.items():
        if isinstance(value, dict) and not before:
            out += names(value, f"{key}.")
        elif isinstance(value, str | int | float):
            out.append(f"{before}{key}")
    return out[:60]


def keys_of(rows: Sequence[Any], options: Options) -> dict[str, list[str]]:
    """Role → keys to try, in order: the one asked for; else those that the sample has, then all others that we know."""
    given = wanted(options)
    out: dict[str, list[str]] = {}
    for role, known in ROLES.items():
        if role in given:
            out[role] = [given[role]]
        elif role in ("request", "query") and "path" in given:
            out[role] = []
        else:
            used = [key for key in known if any(isinstance(r, dict) and _bytes(dig(r, key), role) for r in rows)]
            out[role] = used + [key for key in known if key not in used]
    return out


def reader(keys: dict[str, list[str]], options: Options) -> Read:
    """A reader of JSON lines that looks for each role under its keys."""

    def finder(role: str) -> Callable[[dict[str, Any]], bytes]:
        names = [(key, "." in key) for key in keys.get(role, ())]

        def find(row: dict[str, Any]) -> bytes:
            for key, deep in names:
                value = row.get(key)
                if value.__class__ is str:
                    if value:
                        return value.encode(errors="replace")  # type: ignore[no-any-return]
                    continue
                if value is None and deep:
                    value = dig(row, key)
                if value is not None and (found := _bytes(value, role)):
                    return found
            return b""

        return find

    request, path, query, method, status, agent, client = map(finder, ROLES)
    where = options.where

    def read(line: bytes) -> Hit | str:
        row = load(line)
        if not isinstance(row, dict):
            return MALFORMED
        if where and any(_said(dig(row, key)) != value for key, value in where):
            return WHERE
        whole = request(row)
        target = b"" if whole[:1] not in b"/-" else path(row)
        more = query(row) if target and b"?" not in target else b""
        return hit(whole, target, more, method(row), status(row), agent(row), client(row))

    return read


def _said(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
