"""Read access logs: nginx and Apache (combined, common), JSON lines, plain paths; gzipped or not.

No line raises. What is no log line (a TLS handshake, a truncated or empty line, a line of a megabyte) comes back as
None, so that every line of the input is accounted for.
"""

from __future__ import annotations

import glob
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from querywright.errors import QuerywrightError
from querywright.progress import say

MAX_LINE = 65_536
"""Bytes. A longer line is no request that a server would have answered."""


class Line(NamedTuple):
    """One request of a log. `status` is None and `agent` and `client` are empty where the format does not say."""

    path: str
    method: str = "GET"
    status: int | None = None
    agent: str = ""
    client: str = ""
    fields: dict[str, Any] | None = None


class Options(NamedTuple):
    """For JSON lines: `path_key` holds the request (dots descend); `where` has the values that a line must have."""

    path_key: str = "path"
    where: tuple[tuple[str, str], ...] = ()


_TEXT = r'"((?:[^"\\]|\\.)*)"'
# the bounds keep a hostile line from costing more than its length
_COMBINED = re.compile(
    rf"(?:\S{{1,255}}:\d+ )?(\S{{1,255}}) \S{{1,99}} \S.{{0,99}}? ?\[[^\]]{{0,60}}\] {_TEXT} (\d{{3}}) (?:\d+|-)"
    rf"(?: {_TEXT} {_TEXT}(?:\s.*)?)?$",
    re.S,
)
_REQUEST = re.compile(r"([A-Z]{3,10}) (\S.*?)(?: HTTP/\d(?:\.\d)?)?$", re.S)
_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")
_ORIGIN = re.compile(r"https?://[^/?#]*", re.I)
_KEYS = {  # names that log formatters give to what we use
    "method": ("method", "request_method", "http_method", "verb"),
    "status": ("status", "status_code", "response", "response_code"),
    "agent": ("user_agent", "http_user_agent", "agent", "useragent", "ua"),
    "client": ("remote_addr", "client_ip", "ip", "client", "clientip", "remote_ip"),
}


def expand(sources: Iterable[str]) -> list[str]:
    """Files for names and patterns, patterns in sorted order; `-` is standard input.

    Raises:
        QuerywrightError: a name or pattern matches no file.
    """
    found: list[str] = []
    for source in sources:
        if source == "-" or Path(source).is_file():
            found.append(source)
        elif Path(source).is_dir():
            raise QuerywrightError(f"{source} is a folder", hint=f"name its files: '{source.rstrip('/')}/*.log*'")
        else:
            matches = sorted(p for p in glob.glob(source, recursive=True) if Path(p).is_file())
            if not matches:
                raise QuerywrightError(f"no such log: {source}", hint="check the path, or pass '-' for standard input")
            found += matches
    return found


def raw_lines(source: str) -> Iterator[bytes | None]:
    """The lines of one file, without line ends; None for a line over `MAX_LINE`. A cut gzip file gives what it has.

    Raises:
        QuerywrightError: the file can't be opened.
    """
    try:
        file: BinaryIO = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise QuerywrightError(f"could not read {source}: {error.strerror}", hint="check the path") from error
    with file:
        buffered = file if hasattr(file, "peek") else io.BufferedReader(file)  # type: ignore[arg-type,type-var]
        packed = buffered.peek(2)[:2] == b"\x1f\x8b"
        stream: Any = gzip.GzipFile(fileobj=buffered) if packed else buffered
        try:
            while line := stream.readline(MAX_LINE + 1):
                if len(line) <= MAX_LINE or line.endswith(b"\n"):
                    yield line.rstrip(b"\r\n")
                    continue
                while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield None
        except (EOFError, zlib.error, OSError) as error:
            say(f"{source}: the file is cut or damaged ({error}); the lines before that are used")


def parse_line(raw: bytes | None, options: Options = Options()) -> Line | None:
    """One raw line as a request, or None if it is none. Never raises."""
    if raw is None or not raw.strip() or b"\x00" in raw:
        return None
    text = raw.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        return _json_line(text, options)
    if text.startswith("/") or _ORIGIN.match(text):
        return Line(_target(text))
    match = _COMBINED.match(text)
    if match:
        client, request, status, _, agent = match.groups()
        return _request(request, int(status), agent or "", client)
    return _request(text, None, "", "") if text.startswith(("GET /", "POST /", "HEAD /")) else None


def _target(text: str) -> str:
    """Path and query of a request target; nginx's and Apache's `\\xHH` and `\\"` become percent-encodings."""
    text = _HEX.sub(r"%\1", text).replace('\\"', "%22").replace("\\\\", "%5C")
    origin = _ORIGIN.match(text)
    text = text[origin.end() :] or "/" if origin else text
    return text.partition("#")[0]


def _request(request: str, status: int | None, agent: str, client: str) -> Line | None:
    match = _REQUEST.fullmatch(request)
    return Line(_target(match[2]), match[1], status, agent, client) if match else None


def _dig(row: dict[str, Any], key: str) -> Any:
    """The value at `key`, or below it where the key has dots."""
    value: Any = row
    if key in row:
        return row[key]
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _json_line(text: str, options: Options) -> Line | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    target = _dig(row, options.path_key) if isinstance(row, dict) else None
    if not isinstance(target, str) or not target.strip():
        return None
    known = {what: next((row[k] for k in keys if k in row), None) for what, keys in _KEYS.items()}
    status = str(known["status"] or "")
    number = int(status) if re.fullmatch(r"[1-5][0-9]{2}", status) else None
    target = target.encode("utf-8", "replace").decode()  # JSON can hold half of a character
    wanted = {k: _dig(row, k) for k, _ in options.where}
    agent, client = str(known["agent"] or ""), ascii(known["client"] or "")
    request = _REQUEST.fullmatch(target)  # some formatters keep the whole request line
    if request and not target.startswith("/"):
        return Line(_target(request[2]), request[1], number, agent, client, wanted)
    method = known["method"] if isinstance(known["method"], str) else "GET"
    return Line(_target(target.strip()), method.upper(), number, agent, client, wanted)
