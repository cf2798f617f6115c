"""Logs in columns: CloudFront and other W3C logs (a `#Fields:` line names them), CSV and TSV (the first line does)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from querywright.errors import QuerywrightError, did_you_mean
from querywright.logs.hit import HEADER, MALFORMED, STATUS, WHERE, Hit, Options, Read
from querywright.logs.keys import ROLES, wanted

FIELDS = b"#Fields:"


def names_path(line: bytes) -> bool:
    """Whether a line is a `#Fields:` line with the path's column."""
    return line.startswith(FIELDS) and not {b"cs-uri", b"cs-uri-stem"}.isdisjoint(line.lower().split())


def w3c(header: str) -> Read:
    """A reader for the columns that a `#Fields:` line names; lines that begin with `#` are headers.

    CloudFront percent-encodes values and separates them by tabs; IIS writes `+` for a space and separates by spaces.

    Raises:
        QuerywrightError: no column holds the path.
    """
    names = header.split()
    place = {name.lower(): n for n, name in enumerate(names)}
    if "cs-uri-stem" not in place and "cs-uri" not in place:
        raise QuerywrightError("the #Fields line names no cs-uri-stem", hint="log that field, or convert to CSV")
    stem = place.get("cs-uri-stem", place.get("cs-uri", -1))
    query, method, status = (place.get(n, -1) for n in ("cs-uri-query", "cs-method", "sc-status"))
    client, agent = place.get("c-ip", -1), place.get("cs(user-agent)", -1)
    count = len(names)
    missing = (b"-", b"")

    def read(line: bytes) -> Hit | str:
        if line[:1] == b"#":
            return HEADER
        tabs = b"\t" in line
        row = line.split(b"\t") if tabs else line.split(b" ")
        if len(row) != count:
            return MALFORMED
        request = b"%s %s" % (row[method] if method >= 0 else b"GET", row[stem])
        if query >= 0 and row[query] not in missing:
            request = b"%s?%s" % (request, row[query])
        code = b"" if status < 0 else STATUS.get(b" " + row[status])
        if code is None:
            return MALFORMED
        said = row[agent] if agent >= 0 and row[agent] != b"-" else b""
        if said:
            said = _decoded(said) if tabs else said.replace(b"+", b" ")
        return row[client] if client >= 0 else b"", request, code, said

    return read


@lru_cache(maxsize=4096)
def _decoded(agent: bytes) -> bytes:
    return unquote_to_bytes(agent)


def delimiter_of(header: str) -> str:
    """The separator of a header line: the most frequent of tab, comma, semicolon, bar; empty for a single column."""
    count, _, separator = max((header.count(c), -n, c) for n, c in enumerate("\t,;|"))
    return separator if count else ""


def columns(header: str) -> list[str]:
    """The column names of a header line, without quotes; empty where it is no row of names."""
    separator = delimiter_of(header)
    try:
        row = next(csv.reader([header], delimiter=separator or "\t", strict=True), [])
    except csv.Error:
        return []
    names = [name.strip() for name in row]
    return names if all(re.fullmatch(r"[^/?=]{1,80}", name) for name in names) else []


def table(header: str, options: Options) -> Read:
    """A reader of CSV or TSV rows; the line that equals the header is one, wherever it stands.

    Raises:
        QuerywrightError: a column that was asked for is not there, or none looks like the path.
    """
    names = columns(header)
    place = {name: n for n, name in reversed(list(enumerate(names)))}
    folded = {name.lower(): n for name, n in place.items()}
    at: dict[str, int] = {}
    given = wanted(options)
    for role, known in ROLES.items():
        if role in given:
            if given[role] not in place:
                said = did_you_mean(given[role], names)
                raise QuerywrightError(f"no column {given[role]!r}{said}", hint=f"columns: {', '.join(names)}"[:500])
            at[role] = place[given[role]]
        else:
            found = [folded[key.lower()] for key in known if key.lower() in folded]
            at[role] = found[0] if found else -1
    for key, _ in options.where:
        if key not in place:
            raise QuerywrightError(f"no column {key!r}{did_you_mean(key, names)}", hint="check --where")
    if at["path"] < 0 and at["request"] < 0:
        raise QuerywrightError("no column holds the path", hint=f"--key path=COLUMN, of: {', '.join(names)}"[:500])
    where = [(place[key], value.encode()) for key, value in options.where]
    places = [at[role] for role in ROLES]
    split = _splitter(delimiter_of(header).encode())
    count, first = len(names), header.encode(errors="surrogateescape").strip()

    def read(line: bytes) -> Hit | str:
        row = split(line)
        if row is None or len(row) != count:
            return MALFORMED
        if line.strip() == first:
            return HEADER
        if any(row[n] != value for n, value in where):
            return WHERE
        return hit(*(row[n] if n >= 0 else b"" for n in places))

    return read


def hit(
    request: bytes, path: bytes, query: bytes, method: bytes, status: bytes, agent: bytes, client: bytes
) -> Hit | str:
    """A hit from what stands under the roles, empty where nothing does. A whole request line goes before a path."""
    if request[:1] in b"/-":
        path = (path or request).strip()
        if not path or path == b"-":
            return MALFORMED
        if query and query != b"-" and b"?" not in path:
            path = b"%s?%s" % (path, query.removeprefix(b"?"))
        # some formatters keep the whole request line under the path's name
        request = path if _LINE.match(path) else b"%s %s" % (method.upper() or b"GET", path)
    return client, request, STATUS.get(b" " + status.strip(), b""), agent


_LINE = re.compile(rb"[A-Z]{3,16} \S")


def _splitter(separator: bytes) -> Callable[[bytes], list[bytes] | None]:
    text = separator.decode()

    def split(line: bytes) -> list[bytes] | None:
        if b'"' not in line:
            return line.split(separator) if separator else [line]
        if not separator and line[:1] != b'"':
            return [line]
        try:
            row = next(csv.reader([line.decode(errors="surrogateescape")], delimiter=text or "\t", strict=True), [])
        except csv.Error:
            return None
        return [value.encode(errors="surrogateescape") for value in row]

    return split
