"""Which format a log is in, and how to read it: known from its first lines, or said by a person.

A format is known by a `Spec` of plain strings, so that another process can make it again (`open_format`). Where it was
found out, a line of another format that can be told by the line alone (a load balancer's, JSON, a plain path) is read
as well: rotated and concatenated logs are mixed. Where a person named the format, only that one counts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from querywright.errors import QuerywrightError, did_you_mean
from querywright.logs import access, json_lines, nginx, tables
from querywright.logs import request as requests
from querywright.logs.hit import HEADER, MALFORMED, WHERE, Hit, Line, Options, Read, Scan, Spec, each
from querywright.logs.keys import ROLES
from querywright.progress import say

__all__ = ["HEADER", "MALFORMED", "NAMES", "WHERE", "Format", "Hit", "Line", "Options", "Spec", "detect", "open_format"]

NAMES = ("combined", "common", "alb", "elb", "w3c", "json", "csv", "tsv", "paths")
OTHER_NAMES = {
    "apache": "combined", "nginx": "combined", "cloudfront": "w3c", "iis": "w3c", "jsonl": "json", "ndjson": "json",
    "caddy": "json", "traefik": "json",
}  # fmt: skip
"""What people call the formats."""
SAMPLE = 200
"""Lines that decide on the format."""

_ABOUT = {
    "combined": "Apache or nginx, combined",
    "common": "Apache or nginx, common",
    "alb": "AWS application load balancer",
    "elb": "AWS classic load balancer",
    "w3c": "W3C columns (CloudFront, IIS), named in its #Fields line",
    "json": "JSON lines",
    "csv": "columns, named in the first line",
    "tsv": "columns, named in the first line",
    "paths": "one path or URL a line",
    "nginx": "by the log_format that was given",
}
_ESCAPES = {"combined": "server", "common": "server", "alb": "server", "elb": "server", "json": "hex", "paths": "hex"}


@dataclass(frozen=True)
class Format:
    """How to read one log.

    Attributes:
        spec: makes the same format again, in any process.
        scan: reads a block of lines, each ended by LF: one entry a line, a hit or a reason code. Never raises.
        escape: how the log escapes what it holds (`request.split`).
    """

    spec: Spec
    scan: Scan
    escape: str

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def about(self) -> str:
        """The format in words, and how it is known."""
        return _ABOUT[self.name] + (", by its first lines" if not self.spec.options.format else "")

    def request(self, request: bytes) -> tuple[str, str] | None:
        """(method, path) of a hit's request; None where it is none: its lines are malformed."""
        return requests.split(request, self.escape)

    def agent(self, agent: bytes) -> str:
        """A hit's user agent as text."""
        return "" if agent == b"-" else requests.text(agent, self.escape)

    def parse(self, raw: bytes) -> Line | None:
        """One line, readable; None where it is no request. Slower than `scan`."""
        found = self.scan(raw.replace(b"\n", b" ") + b"\n")[0]
        split = None if isinstance(found, str) else self.request(found[1])
        if split is None or isinstance(found, str):
            return None
        client, _, status, agent = found
        number = int(status) if status else None
        return Line(split[1], split[0], number, self.agent(agent), client.decode(errors="replace"))


def path_line(line: bytes) -> Hit | str:
    """A line that is a path, a URL or a request line."""
    line = line.strip()
    if line[:1] == b"/" or line[:4].lower() == b"http":
        return (b"", b"GET " + line, b"", b"") if _PATH.match(line) else MALFORMED
    return (b"", line, b"", b"") if _REQUEST.match(line) else MALFORMED


_PATH = re.compile(rb"(?:https?://[^/?# ]|/)", re.I)
_REQUEST = re.compile(rb"[A-Z]{3,16} (?:/|https?://)")
_ALONE = re.compile(rb'(?:[A-Z]{3,16} )?(?:https?://[^/?#\s"]+)?/[^\s"]*(?: HTTP/\d(?:\.\d)?)?\s*$')


def _alone(line: bytes) -> Hit | str:
    """A path among lines of another format: without spaces and quotes, or it is the rest of a broken line."""
    return path_line(line) if _ALONE.match(line) else MALFORMED


def _json(spec: Spec) -> Read:
    keys = json.loads(spec.text) if spec.text else json_lines.keys_of([], spec.options)
    return json_lines.reader(keys, spec.options)


def _first_of(*readers: Read) -> Read:
    def read(line: bytes) -> Hit | str:
        for reader in readers:
            found = reader(line)
            if found != MALFORMED:
                return found
        return MALFORMED

    return read


def _with_others(spec: Spec, own: Read, place: int) -> Read:
    """`own`, and for a mixed log the other formats that a line tells by itself."""
    if not spec.mixed:
        return own
    as_json = _json(spec if spec.name == "json" else Spec("json", "", False, spec.options))
    combined = access.combined(place)

    def others(line: bytes) -> Hit | str:
        start = line.lstrip()[:1]
        if start == b"{":
            return as_json(line) if spec.name != "json" else MALFORMED
        if start == b"/" and spec.name != "paths":
            return _alone(line)
        return _first_of(combined, access.aws, _alone)(line)

    return _first_of(own, others)


def open_format(spec: Spec) -> Format:
    """The format of a spec.

    Raises:
        QuerywrightError: the spec can't be read: no such column, no request in the format.
    """
    name, escape = spec.name, _ESCAPES.get(spec.name, "hex")
    place = int(spec.text or 0) if name in ("combined", "common") else 0
    scan: Scan
    if name in ("combined", "common"):
        other = _with_others(spec, access.combined(place), place)
        scan = (access.scan_combined if name == "combined" else access.scan_common)(place, other)
    elif name in ("alb", "elb"):
        scan = access.scan_aws(_with_others(spec, access.aws, place))
    elif name == "nginx":
        text, how = nginx.clean(spec.text)
        if how == "default" and text.startswith(nginx.COMBINED):
            return Format(spec, access.scan_combined(0, access.combined(0)), "server")
        scan, escape = each(nginx.reader(spec.text)), nginx.compile_format(spec.text)[2]
    elif name == "w3c":
        scan = each(tables.w3c(spec.text))
    elif name in ("csv", "tsv"):
        scan = each(tables.table(spec.text, spec.options))
    else:
        scan = each(_with_others(spec, _json(spec) if name == "json" else path_line, place))
    return Format(spec, scan, escape)


def detect(sample: Sequence[bytes], options: Options = Options()) -> Format:
    """The format of a log, from its first lines, or as the options say.

    Raises:
        QuerywrightError: an unknown name, a column that is not there, no request in a format string, no header line.
    """
    lines = [line.rstrip(b"\r\n") for line in sample[:SAMPLE] if line.strip()]
    if "$" in options.format:
        return open_format(Spec("nginx", options.format, False, options))
    name = OTHER_NAMES.get(options.format, options.format) or _guess(lines, options)
    if name not in NAMES:
        raise QuerywrightError(
            f"no log format {name!r}{did_you_mean(name, list(NAMES))}",
            hint=f"--format with one of {', '.join(NAMES)}, or an nginx log_format string",
        )
    return open_format(Spec(name, _text(name, lines, options), not options.format, options))


def _text(name: str, lines: list[bytes], options: Options) -> str:
    """What a format's name leaves open, from the first lines."""
    if name in ("combined", "common"):
        places = Counter(access.client_place(line) for line in lines)
        return str(max(places, key=lambda place: places[place], default=0))
    if name == "json":
        return json.dumps(json_lines.keys_of([json_lines.load(line) for line in lines], options))
    if name == "w3c":
        header = next((line for line in lines if tables.names_path(line)), None)
        if header is None:
            raise QuerywrightError(
                "no #Fields line with cs-uri-stem among the first lines", hint="the log must begin as it was written"
            )
        return header[len(tables.FIELDS) :].decode(errors="replace").strip()
    if name in ("csv", "tsv"):
        if not lines:
            raise QuerywrightError("the log has no header line", hint="its first line must name the columns")
        return lines[0].decode(errors="surrogateescape")
    return ""


def _guess(lines: list[bytes], options: Options) -> str:
    if any(map(tables.names_path, lines)):
        return "w3c"
    readers: dict[str, Read] = {
        "json": json_lines.reader(json_lines.keys_of([], options), options),
        "combined": access.combined(0),
        "aws": access.aws,
        "paths": path_line,
    }
    scores: dict[str, int] = {name: _reads(reader, lines) for name, reader in readers.items()}
    if lines and _is_table(lines, options):
        return "tsv" if tables.delimiter_of(lines[0].decode(errors="replace")) == "\t" else "csv"
    best = max(scores, key=lambda name: scores[name])  # of equals the first
    if lines and not scores[best]:
        return _unread(lines)
    if best == "combined" or not lines:
        hits = [hit for line in lines if not isinstance(hit := readers["combined"](line), str)]
        plain = sum(not agent for *_, agent in hits)
        return "common" if plain * 2 > len(hits) else "combined"
    if best == "aws":
        kinds = [access.elb_kind(line) for line in lines if not isinstance(access.aws(line), str)]
        return max(("alb", "elb"), key=kinds.count)
    return best


def _unread(lines: list[bytes]) -> str:
    """The most likely format of lines that none reads. Says what a person can do."""
    rows = [row for line in lines if isinstance(row := json_lines.load(line), dict)]
    header = tables.columns(lines[0].decode(errors="replace"))
    if rows:
        keys = ", ".join(json_lines.names(rows[0]))[:800]
        say(f"JSON lines without a request under a name that we know; name its key, as --key path=KEY, of: {keys}")
    elif len(header) > 2:
        names = ", ".join(header)[:800]
        say(f"if these are columns, name that of the path, as --format csv --key path=NAME, of: {names}")
    else:
        say(f"no known format in the first {len(lines)} lines; name it, as --format NAME or an nginx log_format string")
    return "json" if rows else "combined"


def _reads(reader: Read, lines: list[bytes]) -> int:
    return sum(reader(line) != MALFORMED for line in lines)


def _is_table(lines: list[bytes], options: Options) -> bool:
    """Whether the first line names columns, one of them the path, and at least half of the others are such rows."""
    header = lines[0].decode(errors="surrogateescape")
    names = tables.columns(header)
    if not names or header.startswith("{"):
        return False
    asked = {key for _, key in options.keys} | {options.path_key}
    known = {key.lower() for role in ("path", "request") for key in ROLES[role]}
    if not any(name in asked or name.lower() in known for name in names):
        return False
    read: Callable[[bytes], Hit | str]
    try:
        read = tables.table(header, options)
    except QuerywrightError:
        return bool(asked & set(names))  # an asked column is wrong: it is said when the format is opened
    return _reads(read, lines[1:]) * 2 >= len(lines) - 1
