"""The request field of a log line: method and path, with the escapes of the log that holds it undone."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

_REQUEST = re.compile(rb"([A-Z]{3,16}) (?=\S)(.*?)(?: HTTP/\d(?:\.\d)?)?$", re.S)
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
    found = _REQUEST.match(request.strip())
    if found is None or _CONTROL.search(request):
        return None
    target = text(found[2], escape, in_path=True)
    origin = _ORIGIN.match(target)
    if origin:
        target = target[origin.end() :]
        target = target if target.startswith("/") else f"/{target}"
    return found[1].decode(), target.partition("#")[0]


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
