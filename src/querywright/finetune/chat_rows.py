"""Chat JSONL as it is trained on, here or hosted: read and checked, without any training library."""

from __future__ import annotations

import json
from pathlib import Path

from querywright.errors import QuerywrightError
from querywright.protected import refuse

ROLES = ("system", "user", "assistant")
MAKE = "querywright pairs split PAIRS.jsonl --out {folder} writes train.chat.jsonl; dataset.source=FILE names another"


def read_rows(path: Path) -> list[list[dict[str, str]]]:
    """The ``messages`` of each line of a chat JSONL file.

    Raises:
        QuerywrightError: no such file, no rows, a line that is no conversation ending in an answer, or a protected
            sentence: see `querywright.protected`.
    """
    if not path.is_file():
        raise QuerywrightError(f"no training rows at {path}", hint=MAKE.format(folder=path.parent))
    try:
        file = path.open("rb")  # so that a line that is no text is named by its number
    except OSError as error:
        raise QuerywrightError(f"could not read {path}: {error.strerror}", hint="check its permissions") from error
    rows = []
    with file as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except UnicodeDecodeError:
                raise _bad(path, number, "it is not UTF-8 text") from None
            except (ValueError, RecursionError):
                raise _bad(path, number, "it is no JSON") from None
            try:
                messages = row["messages"]
                whole = messages[-1]["role"] == "assistant" and all(
                    m["role"] in ROLES and isinstance(m["content"], str) for m in messages
                )
            except (KeyError, TypeError, IndexError):
                whole = False
            if not whole:
                raise _bad(path, number, _shape(row))
            if not messages[-1]["content"].strip():
                raise _bad(path, number, "its answer is empty")
            if not all(_is_text(m["content"]) for m in messages):
                raise _bad(path, number, "it holds half a character (a lone surrogate)")
            rows.append(messages)
    if not rows:
        raise QuerywrightError(f"{path} holds no rows", hint=MAKE.format(folder=path.parent))
    refuse(({"messages": messages} for messages in rows), path)
    return rows


def _bad(path: Path, number: int, what: str) -> QuerywrightError:
    return QuerywrightError(
        f"{path}:{number}: not a chat row: {what}",
        hint='each line is {"messages": [{"role": ..., "content": ...}, ...]}, the answer last; '
        "querywright pairs split writes such a train.chat.jsonl, pairs export --format chat as well",
    )


def _is_text(content: str) -> bool:
    try:
        content.encode()
    except UnicodeEncodeError:  # JSON can escape what no tokenizer takes
        return False
    return True


def _shape(row: object) -> str:
    """What a line is, without its text: that may be a protected sentence, or somebody's message."""
    if not isinstance(row, dict):
        return f"a JSON {type(row).__name__}, no object"
    keys = ", ".join(key if key.isidentifier() and len(key) < 30 else "?" for key in list(row)[:8])
    return f"an object of {keys}" if keys else "an empty object"
