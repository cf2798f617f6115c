"""The request field of a log line: method and path, with the escapes of the log that holds it undone."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

_METHOD = re.compile(rb"[A-Z]{3,16}")
_PROTOCOLS = frozenset(b"HTTP/%d%s" % (n, rest) for n in range(10) for rest in (b"", *(b".%d" % m for m in range(10))))
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_ORIGIN = re.compile(r"(?:https?|wss?)://[^/?#]*", re.I)
_HEX = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_SERVER = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')
_JSON = re.compile(rb'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))')
_LETTERS = {b"b": b"%08", b"f": b"%0C", b"n": b"%0A", b"r": b"%0D", b"t": b"%09"}


def split(request: bytes, escape: str) -> tuple[str, str] | None:
    """(method, path) of a request field such as `GET /v3/gene/1017 HTTP/1.1`; None where it is no request.

    The path has no origin, no fragment and no lone surrogate: bytes that are not UTF-8 become percent-encodings.

    Args:
        escape: `server` for what nginx and Apache write (`\\xHH`, `\\"`), `json` for nginx's `escape=json`, `hex` where
            only `\\xHH` is the log's (elsewhere a backslash is the user's own), `none`.
    """
    request = request.strip()
    rest, _, protocol = request.rpartition(b" ")
    method, _, raw = (rest if protocol in _PROTOCOLS else request).partition(b" ")
    if not raw or raw[0] <= 32 or (method != b"GET" and not _METHOD.fullmatch(method)):
        return None
    if raw.isascii() and b"\\" not in raw:
        target = raw.decode()
        if not target.isprintable():
            return None
    elif _CONTROL.search(raw):
        return None
    else:
        target = text(raw, escape, in_path=True)
    if target[0] != "/" and (origin := _ORIGIN.match(target)):
        target = target[origin.end() :]
        target = target if target.startswith("/") else f"/{target}"
    return method.decode(), target.partition("#")[0] if "#" in target else target


def text(raw: bytes, escape: str, *, in_path: bool = False) -> str:
    """A logged value as text. In a path an escape becomes a percent-encoding: what a URL needs, and nothing is lost."""
    if escape != "none" and b"\\" in raw:
        if escape == "json":
            raw = _JSON.sub(lambda m: _json_char(m, in_path), raw)
        else:
            raw = (_SERVER if escape == "server" else _HEX).sub(lambda m: _server_char(m, in_path), raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if in_path:
            return quote_from_bytes(raw, safe=bytes(range(128)).decode())
        return raw.decode(errors="replace")


def _server_char(found: re.Match[bytes], in_path: bool) -> bytes:
    if found[1] is not None:
        return b"%" + found[1] if in_path else bytes([int(found[1], 16)])
    return quote_from_bytes(found[2]).encode() if in_path else found[2]


def _json_char(found: re.Match[bytes], in_path: bool) -> bytes:
    if found[1] is not None:
        char = chr(int(found[1], 16)).encode(errors="replace")
    elif in_path:
        return b"/" if found[2] == b"/" else _LETTERS.get(found[2]) or quote_from_bytes(found[2]).encode()
    else:
        return {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(found[2], found[2])
    return quote_from_bytes(char, safe="").encode() if in_path else char


def percent(raw: bytes) -> bytes:
    """A decoded path (nginx's `$uri`) with what a URL can't hold encoded again."""
    return quote_from_bytes(raw, safe="/:@!$&'()*+,;=~-._|\\").encode()
