"""Lines whose request stands in quotes: Apache and nginx (common, combined, with a virtual host, with extras), AWS.

The fast path splits a line at its quotes; a line with an escaped quote is split with care, at the same places.
"""

from __future__ import annotations

import re

from querywright.logs.hit import MALFORMED, STATUS, Hit, Read, Scan

_ADDRESS = re.compile(
    rb"(?:(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[?[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f.:]*(?:\](?::\d+)?)?),?"
)
_VHOST = re.compile(rb"[\w.*-]+:\d+")
_SPACE = 32


def quoted(line: bytes, most: int) -> list[bytes]:
    """`line.split(b'"', most)`, but not at quotes that a backslash escapes."""
    if b'\\"' not in line:
        return line.split(b'"', most)
    mask = line.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    out, at = [], 0
    for piece in mask.split(b'"', most):
        out.append(line[at : at + len(piece)])
        at += len(piece) + 1
    return out


def client_place(line: bytes) -> int:
    """Which word before the time is the client's: the first address; after a virtual host and port the second word.

    A time or a container's name may stand before a line, as collectors of logs write it.
    """
    words = line.partition(b'"')[0].partition(b"[")[0].split(b" ", 8)[:8]
    for place, word in enumerate(words):
        if _ADDRESS.fullmatch(word):
            return place
    return 1 if len(words) > 3 and _VHOST.fullmatch(words[0]) else 0


def client_of(before: bytes, place: int) -> bytes:
    """The client among the words before the time: of a list that proxies made (`a, b, c`) the last, next to the names.

    Raises:
        IndexError: there are fewer words.
    """
    words = before.split(b" ")
    while words[place].endswith(b",") and place + 1 < len(words) and words[place + 1] not in (b"-", b""):
        place += 1
    return words[place]


def combined(place: int) -> Read:
    """A reader of common and combined lines; `place` is the client's among the words before the time."""

    def read(line: bytes) -> Hit | str:
        parts = quoted(line, 6)
        if len(parts) not in (3, 5, 7) or (len(parts) == 7 and parts[6][:1] not in (b"", b" ")):
            return MALFORMED
        status = STATUS.get(parts[2][:5])
        if status is None or parts[0].count(b" ") < place:
            return MALFORMED
        return client_of(parts[0], place), parts[1], status, parts[5] if len(parts) == 7 else b""

    return read


def scan_combined(place: int, other: Read) -> Scan:
    """A scan of combined lines; what is no plain combined line goes to `other`."""

    def scan(block: bytes) -> list[Hit | str]:
        hits: list[Hit | str] = []
        add = hits.append
        escaped = b'\\"' in block
        for line in block[:-1].split(b"\n") if block else ():
            try:
                before, request, after, _, _, agent, rest = line.split(b'"', 6)
                if (rest and rest[0] != _SPACE) or b"," in before or (escaped and b'\\"' in line):
                    add(other(line))
                else:
                    add((before.split(b" ", place + 1)[place], request, STATUS[after[:5]], agent))
            except (ValueError, KeyError, IndexError):
                add(other(line))
        return hits

    return scan


def scan_common(place: int, other: Read) -> Scan:
    """A scan of common lines: no referrer, no agent."""

    def scan(block: bytes) -> list[Hit | str]:
        hits: list[Hit | str] = []
        add = hits.append
        escaped = b'\\"' in block
        for line in block[:-1].split(b"\n") if block else ():
            try:
                before, request, after = line.split(b'"')
                if b"," in before or (escaped and b'\\"' in line):
                    add(other(line))
                else:
                    add((before.split(b" ", place + 1)[place], request, STATUS[after[:5]], b""))
            except (ValueError, KeyError, IndexError):
                add(other(line))
        return hits

    return scan


def aws(line: bytes) -> Hit | str:
    """One line of an AWS load balancer: application (a connection type stands first) or classic."""
    parts = quoted(line, 4)
    if len(parts) != 5 or parts[2] != b" ":
        return MALFORMED
    words = parts[0].split(b" ")
    if len(words) not in (12, 13) or words[-1]:
        return MALFORMED
    status = STATUS.get(b" " + words[-5])
    if status is None:
        return MALFORMED
    return words[len(words) - 10].rpartition(b":")[0], parts[1], status, parts[3]


def scan_aws(other: Read) -> Scan:
    """A scan of the lines of an AWS load balancer."""

    def scan(block: bytes) -> list[Hit | str]:
        hits: list[Hit | str] = []
        add = hits.append
        escaped = b'\\"' in block
        for line in block[:-1].split(b"\n") if block else ():
            try:
                before, request, space, agent, _ = line.split(b'"', 4)
                words = before.split(b" ")
                if (escaped and b'\\"' in line) or space != b" " or not 12 <= len(words) <= 13 or words[-1]:
                    add(other(line))
                else:
                    client = words[len(words) - 10]
                    add((client[: client.rindex(b":")], request, STATUS[b" " + words[-5]], agent))
            except (ValueError, KeyError):
                add(other(line))
        return hits

    return scan


def elb_kind(line: bytes) -> str:
    """`alb` or `elb`, for a line that `aws` reads."""
    return "alb" if len(line.partition(b'"')[0].split(b" ")) == 13 else "elb"
