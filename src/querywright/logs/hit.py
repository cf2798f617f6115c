"""What all readers of log lines share: the words for one line, the options, how another process is told the format."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Hit = tuple[bytes, bytes, bytes, bytes]
"""(client, request, status, agent) as they stand in the log; empty where the log does not say."""

Read = Callable[[bytes], Hit | str]
"""Reads one line without its end: a hit, or the reason code of a line that is no request. Never raises."""

Scan = Callable[[bytes], list[Hit | str]]
"""Reads a block of lines, each ended by LF: one entry a line, in order. Never raises."""

MALFORMED = "malformed"
HEADER = "header"
WHERE = "where"

STATUS = {b" %03d%s" % (n, end): b"%03d" % n for n in range(1000) for end in (b"", b" ")}
"""What follows a quoted request in access logs, up to the next space, to the status."""


class Options(NamedTuple):
    """What a person can say about a log.

    Attributes:
        path_key: short for `keys` with the role `path`; the word `path` itself means: find out.
        where: (key, value) pairs that a line of JSON, CSV or TSV must have.
        format: empty to find out; a name of `formats.NAMES`; or an nginx `log_format` string (it has a `$`).
        keys: (role, key) pairs for JSON, CSV and TSV: where the log keeps `path` (with or without its query), `query`,
            `request` (the whole request line), `method`, `status`, `agent`, `client`. Dots descend.
    """

    path_key: str = "path"
    where: tuple[tuple[str, str], ...] = ()
    format: str = ""
    keys: tuple[tuple[str, str], ...] = ()


class Spec(NamedTuple):
    """All that is needed to make a format again in another process: plain strings and tuples.

    Attributes:
        name: one of `formats.NAMES`, or `nginx`.
        text: what the name leaves open: a header line, a format string, the place of the client, the keys.
        mixed: whether a line that is not in this format is tried in the others that can be told by the line alone.
    """

    name: str
    text: str = ""
    mixed: bool = False
    options: Options = Options()


class Line(NamedTuple):
    """One request of a log, readable. Status is None, agent and client are empty, where the log does not say."""

    path: str
    method: str = "GET"
    status: int | None = None
    agent: str = ""
    client: str = ""


def each(read: Read) -> Scan:
    """A scan that reads line by line."""

    def scan(block: bytes) -> list[Hit | str]:
        return [read(line) for line in block[:-1].split(b"\n")] if block else []

    return scan
