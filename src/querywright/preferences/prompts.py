"""Prompts: rows of `{"text": ..., **metadata}`, read, checked, each once, dealt out into files.

Of the metadata some keys mean something: `system` (a system message), `turns` (what was said before, as chat messages),
`id` (a name that only one prompt has) and, of an API's prompts, `path` (the call that is expected). All others are kept
as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, numbered_jsonl, read_jsonl, write_jsonl
from querywright.engines.base import Message
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.protected import refuse
from querywright.rows import turns_of

Row = dict[str, Any]
ROWS_PER_SHARD = 250
OWN = ("prompt_hash", "model", "sample", "response", "finish", "tokens_in", "tokens_out", "ms")
"""Keys that a row of responses has besides its prompt's."""

_SHOWN = 5  # mistakes in a message


def prompt_hash(row: Row) -> str:
    """A prompt's id, 16 hex digits: the same for the same system message, turns and text, whatever else the row has."""
    return content_id(json.dumps([row.get("system") or "", row.get("turns") or [], row["text"]]), 16)


def chat_of(row: Row) -> list[Message]:
    """A prompt as chat messages: system, turns, text."""
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return [*system, *(row.get("turns") or []), {"role": "user", "content": row["text"]}]


def shard_name(number: int) -> str:
    """The file name of a shard: 00000.jsonl, 00001.jsonl, ..."""
    return f"{number:05d}.jsonl"


def shards(folder: Path | str) -> list[Path]:
    """The shards of a folder, in order; none where it is not there."""
    return sorted(p for p in Path(folder).glob("*.jsonl") if p.stem.isdecimal())


def read_shards(folder: Path | str) -> Iterator[Row]:
    """The rows of all shards of a folder, in order."""
    for path in shards(folder):
        yield from read_jsonl(path)


def write_shards(folder: Path | str, rows: Sequence[Row], per_shard: int = ROWS_PER_SHARD) -> list[Path]:
    """Write rows to a folder, so many a file, and remove shards that are there from before and have no rows now."""
    folder = Path(folder)
    paths = []
    for number, start in enumerate(range(0, len(rows), per_shard)):
        path = folder / shard_name(number)
        write_jsonl(path, rows[start : start + per_shard])
        paths.append(path)
    for path in shards(folder):
        if path not in paths:
            path.unlink()
    return paths


def read_prompts(sources: Sequence[str], *, pairs: bool = False, into: Path | None = None) -> list[Row]:
    """The prompts of JSONL files, each with its `prompt_hash`, a prompt that comes twice only once (which is said).

    Args:
        sources: paths, or patterns as a shell knows them (`in/*.jsonl`, `in/**/*.jsonl`).
        pairs: whether rows of pairs are prompts, too: their `instruction` is the text then.
        into: the folder of the set that they will be written to, which none of the files may be in.

    Raises:
        QuerywrightError: a pattern that matches nothing, a file in the set's own folder, or rows that are no prompts:
            all files are read first, and the message names the first ones.
    """
    rows: dict[str, Row] = {}
    names: dict[str, tuple[str, str]] = {}  # id: (where, prompt_hash)
    wrong: list[str] = []
    twice: list[str] = []
    for path in _files(sources):
        if into is not None and path.resolve().is_relative_to(into.resolve()):
            raise QuerywrightError(
                f"{path} lies in {into}, which is written to", hint="another --name, or another --target"
            )
        numbered = [*numbered_jsonl(path)]
        said = ({**row, "instruction": row.get("text", row.get("instruction"))} for _, row in numbered)
        refuse(said, path, "source of preferences", [number for number, _ in numbered])
        for number, row in numbered:
            where = f"{path}:{number}"
            if pairs and "text" not in row and "instruction" in row:
                row["text"] = row.pop("instruction")
            if reason := _wrong(row, where):
                wrong.append(reason)
                continue
            key = prompt_hash(row)
            named = "" if row.get("id") is None else str(row["id"])
            first = names.setdefault(named, (where, key)) if named else (where, key)
            if first[1] != key:
                wrong.append(f"{where}: the id {named!r} is that of another prompt in {first[0]}")
            elif key in rows:
                twice.append(where)
            else:
                rows[key] = {"prompt_hash": key, **{k: v for k, v in row.items() if k != "prompt_hash"}}
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise QuerywrightError(
            "\n  ".join([f"{len(wrong)} row{'s are' if len(wrong) > 1 else ' is'} no prompt", *wrong[:_SHOWN], *more]),
            hint='one object a line: {"text": "...", "id": "unique, or none", ...}; nothing was sent',
        )
    if not rows:
        raise QuerywrightError(f"no prompts in {' '.join(sources)}", hint='one object a line: {"text": "..."}')
    if twice:
        come = "prompts come" if len(twice) > 1 else "prompt comes"
        say(f"{len(twice)} {come} twice and {'are' if len(twice) > 1 else 'is'} asked once; the first: {twice[0]}")
    if clash := {key for row in rows.values() for key in OWN[1:] if key in row}:
        say(f"metadata under {', '.join(map(repr, sorted(clash)))} is left out: responses have keys of these names")
    return [{k: v for k, v in row.items() if k not in OWN[1:]} for row in rows.values()]


def _files(sources: Sequence[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for source in sources:
        paths = [Path(p) for p in sorted(glob(source, recursive=True))] or [Path(source)]
        for path in paths:
            if path.is_dir():
                raise QuerywrightError(f"{path} is a folder", hint=f"--source '{path}/*.jsonl'")
            if not path.is_file():
                raise QuerywrightError(f"no file matches {source}", hint="--source FILE, or a pattern in quotes")
            found[path] = None
    return [*found]


def _wrong(row: Row, where: str) -> str:
    """Why a row is no prompt, empty where it is one; its `turns` are cut down to role and content."""
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        like = [key for key in ("prompt", "instruction", "question") if isinstance(row.get(key), str)]
        hint = f" (it has {like[0]!r}: rename it)" if like and text is None else ""
        return f"{where}: it has no text{hint}"
    if not isinstance(row.get("system") or "", str):
        return f"{where}: `system` is no text"
    if isinstance(row.get("id"), dict | list):
        return f"{where}: `id` is no text or number"
    try:
        turns = turns_of(row, where)
    except QuerywrightError as error:
        return str(error)
    if "turns" in row:
        row["turns"] = turns
    try:
        json.dumps(chat_of(row), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return f"{where}: it holds half a surrogate pair, which is no character"
    return ""
