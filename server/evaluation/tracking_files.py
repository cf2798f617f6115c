"""Files of a run in MLflow: tables that its pages show, rows, pictures, settings without secrets."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from querywright.artefacts import content_id, write_json

TABLE_ROWS = 2000
"""Rows of a table: MLflow's page reads all of them; what is more is in the rows' own file."""
CELL_CHARS = 1000
_WINDOWS = 12  # of a chunk that are named; of more, the first and the last
_SECRET = re.compile(r"(^|[_-])(api[_-]?key|key|secret|passw(or)?d|token|authorization|credentials?)$", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
_KINDS = {".json", ".jsonl", ".html", ".yaml"}
QUESTION_COLUMNS = ("question", "answer", "evidence", "window", "evidence_chunk", "instruction", "path", "writer", "id")
ANSWER_COLUMNS = (
    "cell", "question", "answers", "response", "instruction", "expected", "path", "exact", "f1", "judge", "meteor",
    "bertscore", "retrieval_hit", "valid", "same", "hits_same", "finish", "ms", "tokens_in", "tokens_out", "id",
)  # fmt: skip


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """Write rows as MLflow's tables are (pandas' `split`), those columns that some row has, at most `TABLE_ROWS`.

    MLflow's own `log_table` adds to a table that is there: recorded twice, every row would be there twice.
    """
    taken = [dict(row) for _, row in zip(range(TABLE_ROWS), rows, strict=False)]
    names = [name for name in columns if any(row.get(name) not in (None, "") for row in taken)]
    write_json(path, {"columns": names, "data": [[_cell(row.get(name)) for name in names] for row in taken]})
    return path


def chunk_rows(texts: Sequence[str], windows: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """The chunks of a document, those that a table shows, as its rows: number, the windows that it is in, length, text.

    Args:
        windows: rolling ones, in order: those that hold a chunk follow each other.
    """
    firsts, lasts = ([window[side] for window in windows] for side in (0, 1))
    return [
        {"chunk": n, "windows": _listed(windows[bisect_left(lasts, n) : bisect_right(firsts, n)]),
         "characters": len(text), "text": text}
        for n, text in enumerate(texts[:TABLE_ROWS], 1)
    ]  # fmt: skip


def with_ids(rows: Iterable[Mapping[str, Any]], there: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with ids of their own: those that they have, unless another row has it. What is there already, or comes
    twice, is left out."""
    known = {str(row["id"]): content(row) for row in there if "id" in row}
    contents, found = set(known.values()), []
    for row in rows:
        this = content(row)
        if this in contents:
            continue
        name = str(row.get("id") or this)
        if name in known:
            name = f"{name}-{this}"
        known[name] = this
        contents.add(this)
        found.append({**row, "id": name})
    return found


def content(row: Mapping[str, Any]) -> str:
    """What a row says, without its id, as a short id."""
    parts = {key: value for key, value in row.items() if key != "id" and value is not None}
    return content_id(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str), 16)


def public(value: Any) -> Any:
    """Settings without what nobody else may read: values called key, token, secret or password, logins and questions in
    addresses."""
    if isinstance(value, Mapping):
        return {str(k): public(v) for k, v in value.items() if not _hidden(str(k), v)}
    if isinstance(value, list | tuple):
        return [public(one) for one in value]
    if isinstance(value, Path):
        return value.name  # where it lies on this machine is nobody's business
    if isinstance(value, str) and "://" in value:
        return _address(value)
    return value


def parameters(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as MLflow's parameters: text by name; names within names with dots, lists as JSON."""
    found: dict[str, str] = {}
    for name, value in public(settings).items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": text for inner, text in parameters(value).items()}
        elif isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
            found[name] = ", ".join(map(str, value))
        elif value is not None and value != "" and value != []:
            found[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def safe_name(name: str, kind: str) -> str:
    """A file's name as it may be in a store: no folder, nothing odd, and the ending of what it is."""
    stem = _UNSAFE.sub("_", PurePosixPath(name.replace("\\", "/")).name).strip("._")
    stem = stem.removesuffix(f".{kind}")[:100] or "document"
    return f"{stem}.{kind}"


def results(folder: Path) -> list[Path]:
    """What an evaluation wrote that MLflow keeps, its pictures aside. No pickle, nothing hidden, no link."""
    return [
        path for path in sorted(folder.iterdir())
        if path.suffix in _KINDS and not path.name.startswith(".") and path.is_file() and not path.is_symlink()
    ]  # fmt: skip


def _listed(windows: Sequence[tuple[int, int]]) -> str:
    if len(windows) <= _WINDOWS:
        return ", ".join(f"{first}–{last}" for first, last in windows)
    (first, last), (start, end) = windows[0], windows[-1]
    return f"{first}–{last} to {start}–{end}, {len(windows):,} windows"


def _cell(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) for one in value):
        return f"{value[0]}–{value[1]}"  # a window
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _hidden(name: str, value: Any) -> bool:
    return bool(_SECRET.search(name)) and not isinstance(value, bool | int | float | Mapping | list)


def _address(text: str) -> str:
    """An address without a login and without its query, which may hold a key; other texts stay."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(an address that can't be read)"
    if not host or " " in text:
        return text
    rest = f"#{parts.fragment}" if parts.fragment else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{rest}"
