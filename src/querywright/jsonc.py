"""JSON as people write it by hand: comments (`//`, `#`, `/* */`) and commas behind the last item."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError

# a string is passed over whole, so that what looks like a comment in it (an address) stays
_PARTS = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|#[^\n]*|/\*.*?\*/|,(?=\s*[\]}])', re.S)
_COMMENTS = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|#[^\n]*|/\*.*?\*/', re.S)


def loads(text: str) -> Any:
    """The value of a text; lines and columns in errors are those of the text as it is.

    Raises:
        ValueError: it is no JSON (a `json.JSONDecodeError`), a key stands twice in a table, or a text holds half a
            character (`"\\ud800"`).
    """
    bare = _COMMENTS.sub(_blank, text)
    found = json.loads(_PARTS.sub(_blank, bare), object_pairs_hook=_once)
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # what is made with it could not be written
        half = ascii(error.object[error.start])
        raise ValueError(f"a text holds {half}, which is half a character") from None
    return found


def read(path: Path | str, example: str = "") -> dict[str, Any]:
    """Read a table.

    Args:
        example: what the hint of an error names.

    Raises:
        QuerywrightError: the file can't be read, is no JSON, or no table.
    """
    hint = example or "a JSON table; comments are allowed"
    try:
        found = loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise QuerywrightError(f"could not read {path}: {reason}", hint=hint) from error
    except json.JSONDecodeError as error:
        raise QuerywrightError(f"{path}:{error.lineno}:{error.colno}: no JSON ({error.msg})", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise QuerywrightError(f"{path}: {str(error).partition(';')[0]}", hint=hint) from error
    if not isinstance(found, dict):
        raise QuerywrightError(f"{path} holds no table of keys", hint=hint)
    return found


def _blank(match: re.Match[str]) -> str:
    """What stands there: a string stays, all else becomes spaces of the same length."""
    text = match[0]
    return text if text.startswith('"') else re.sub(r"[^\n]", " ", text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice!r} stands twice in one table")
    return found
