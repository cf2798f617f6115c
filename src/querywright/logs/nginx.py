"""nginx's `log_format`: a format string becomes one regular expression whose cost is linear in the line."""

from __future__ import annotations

import re

from querywright.errors import QuerywrightError
from querywright.logs.hit import MALFORMED, STATUS, Hit, Read
from querywright.logs.request import percent

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)

_DIRECTIVE = re.compile(r"\s*log_format\s+\S+\s+(?:escape=(default|json|none)\s+)?(.*?);?\s*$", re.S)
_ESCAPE = re.compile(r"\s*escape=(default|json|none)\s+(.*)$", re.S)
_PIECES = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")

_GROUPS = {
    "request": ("request",),
    "method": ("request_method",),
    "target": ("request_uri",),
    "uri": ("uri", "document_uri"),
    "args": ("args", "query_string"),
    "status": ("status",),
    "agent": ("http_user_agent",),
    "client": ("remote_addr", "realip_remote_addr", "proxy_protocol_addr", "http_x_real_ip", "http_x_forwarded_for"),
}
_ROLE = {variable: role for role, variables in _GROUPS.items() for variable in variables}
_LIST = rb"[^ ,\n]++(?:(?:, | : )[^ ,\n]++)*+"
_SHAPES = {  # values with spaces in them, where nothing but a space ends them
    "time_local": rb"[^ \n]++ [^ \n]++",
    "request": rb"[^ \n]++ [^ \n]++ HTTP/[\d.]++",
    **dict.fromkeys(("upstream_addr", "upstream_status", "upstream_response_time", "upstream_connect_time"), _LIST),
    **dict.fromkeys(("upstream_header_time", "upstream_response_length", "upstream_cache_status"), _LIST),
    **dict.fromkeys(("http_x_forwarded_for", "proxy_add_x_forwarded_for"), _LIST),
}
_STARTS = {"request_uri": b"/", "uri": b"/", "document_uri": b"/", "is_args": b"?"}
"""What a variable begins with: it ends the value of a variable right before it."""


def clean(text: str) -> tuple[str, str]:
    """(format, escape) of a format string, or of a whole `log_format` directive with its quoted pieces."""
    escape = "default"
    directive = _DIRECTIVE.match(text)
    marked = directive or _ESCAPE.match(text)
    if marked:
        escape, text = marked[1] or "default", marked[2]
    if text.lstrip()[:1] in ("'", '"') and (directive or text.lstrip().startswith("'")):
        pieces = [a or b for a, b in _PIECES.findall(text)]
        text = re.sub(r"\\(['\"\\])", r"\1", "".join(pieces))
    return text.strip("\r\n"), escape


def compile_format(text: str) -> tuple[re.Pattern[bytes], dict[str, int], str]:
    """(expression for a whole line, role → group, escape) of a format string.

    Raises:
        QuerywrightError: the format holds no request.
    """
    form, escape = clean(text)
    parts = _split(form)
    names = {name for name, _ in parts}
    if not names & {"request", "request_uri", "uri", "document_uri"}:
        raise QuerywrightError(
            f"the log format names no request: {form[:200]!r}", hint="it needs $request, $request_uri or $uri"
        )
    groups: dict[str, int] = {}
    rank = {name: n for n, name in enumerate(v for vs in _GROUPS.values() for v in vs)}
    best = {r: min((n for n in names if _ROLE.get(n) == r), key=rank.__getitem__, default="") for r in _GROUPS}
    expression, count = b"", 0
    for n, (name, literal) in enumerate(parts):
        if not name:
            expression += re.escape(literal.encode())
            continue
        before = parts[n - 1][1] if n else ""
        following = parts[n + 1] if n + 1 < len(parts) else ("", "")
        value = _value(name, before, following, last=n + 1 == len(parts))
        role = _ROLE.get(name, "")
        if role and best[role] == name and role not in groups:
            count += 1
            groups[role] = count
            expression += b"(" + value + b")"
        else:
            expression += b"(?:" + value + b")"
    return re.compile(expression), groups, {"default": "server", "json": "json", "none": "none"}[escape]


def _split(form: str) -> list[tuple[str, str]]:
    """(variable, "") and ("", literal) in order."""
    out: list[tuple[str, str]] = []
    at = 0
    for found in _VARIABLE.finditer(form):
        if found.start() > at:
            out.append(("", form[at : found.start()]))
        out.append((found[1] or found[2], ""))
        at = found.end()
    return out + ([("", form[at:])] if at < len(form) else [])


def _value(name: str, before: str, following: tuple[str, str], *, last: bool) -> bytes:
    """What a variable can hold, given what comes next: every form ends at the first place where it can."""
    variable, literal = following
    if name == "is_args":
        return rb"\??"
    if variable:
        stop = _STARTS.get(variable, b"")
        # a path runs into `?` even where the variable for `?` is missing
        stop += b"?" if name in ("uri", "document_uri") else b""
        return rb"[^ \n\"" + re.escape(stop) + rb"]*+"
    if last:
        return _SHAPES.get(name, rb"[^\n]*+")
    if literal.startswith('"') and before.endswith('"'):
        return rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
    if literal.startswith(" ") and name in _SHAPES:
        return _SHAPES[name] if name != "request" else _SHAPES[name] + rb"|[^ \n]++"
    if len(literal) == 1:
        return rb"[^\n" + re.escape(literal.encode()) + rb"]*+"
    whole, other = re.escape(literal.encode()), rb"[^\n" + re.escape(literal[0].encode()) + rb"]*+"
    return other + rb"(?:(?!" + whole + rb")[^\n]" + other + rb")*+"


def reader(text: str) -> Read:
    """A reader of lines in a format. A line must be in the format from its start to its end.

    Raises:
        QuerywrightError: the format holds no request.
    """
    pattern, at, _ = compile_format(text)
    match = pattern.fullmatch
    request_at, target_at, uri_at, args_at = (at.get(r, 0) for r in ("request", "target", "uri", "args"))
    method_at, status_at, agent_at, client_at = (at.get(r, 0) for r in ("method", "status", "agent", "client"))

    def read(line: bytes) -> Hit | str:
        found = match(line)
        if found is None:
            return MALFORMED
        if request_at:
            request = found[request_at]
        else:
            target = found[target_at] if target_at else percent(found[uri_at])
            if not target_at and args_at and found[args_at] not in (b"", b"-"):
                target = b"%s?%s" % (target, found[args_at].removeprefix(b"?"))
            request = b"%s %s" % (found[method_at] if method_at else b"GET", target)
        status = STATUS.get(b" " + found[status_at]) if status_at else b""
        if status is None:
            return MALFORMED
        return found[client_at] if client_at else b"", request, status, found[agent_at] if agent_at else b""

    return read
