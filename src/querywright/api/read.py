"""One line of `call parse`: whether a path is a call, and which."""

from __future__ import annotations

from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API


def judge(api: API, line: bytes) -> tuple[dict[str, Any], str]:
    """Judge one path: its verdict, and a code that groups verdicts: `call`, or why it is none (see `CallError.code`).

    Never raises: what is no call has a `reason` and no `canonical`.
    """
    try:
        path = line.decode("utf-8")
    except UnicodeDecodeError:
        return _refused(line.decode("utf-8", errors="backslashreplace"), "the line is not UTF-8"), "bad_encoding"
    try:
        return {"path": path, "ok": True, "canonical": parse(api, path).canonical, "reason": None}, "call"
    except CallError as error:
        return _refused(path, str(error)), error.code
    except RecursionError:
        return _refused(path, "the query is too deeply nested"), "bad_query"


def _refused(path: str, reason: str) -> dict[str, Any]:
    return {"path": path, "ok": False, "canonical": None, "reason": reason}
