"""A document as numbered chunks: JSON, JSON lines or CSV.

    JSON   a list of texts or objects; an object with one such list under a name of `LISTS` (a response of an API:
           `hits` of BioThings, `hits.hits` of Elasticsearch); any other object is one chunk
    JSONL  a text or an object a line
    CSV    a row a chunk, the first row holds the names; commas, semicolons or tabs, see `csvs.csv_rows`

The text of an object or a row is its `text`, where that is a text; else a line `name: value` for each of its fields,
nested names with dots between them, several values with commas. Empty chunks are kept, so that numbers are the file's.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from querywright.errors import QuerywrightError, did_you_mean
from querywright.questions.csvs import csv_rows

Kind = Literal["json", "jsonl", "csv"]
KINDS: tuple[str, ...] = get_args(Kind)
_Reader = Callable[[Path, Iterable[str]], Iterator[tuple[str, Any]]]
LISTS = ("documents", "chunks", "hits", "records", "rows", "results")
MOST_CHUNKS = 200_000
MOST_DEPTH = 64
MOST_VALUES = 100_000
"""Values of one chunk: nobody asks about more, and putting tens of millions together would take minutes."""
MOST_NESTED = 2_000_000
"""Objects and lists of a JSON document: each takes up to a hundred times its brackets of memory."""
_NAME_SHOWN = 80
_BOMS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
EXAMPLE = '["a text", "another"], or [{"text": "..."}], or {"hits": [{"symbol": "CDK2"}]}'


@dataclass(frozen=True)
class Chunk:
    """A piece of a document.

    Attributes:
        number: its place, from 1.
        text: what is asked about; empty where the piece holds nothing.
        fields: of an object or a row its values by dotted names, several as a list; None where the piece is a text.
        written: whether `text` was put together from `fields`, a line each (and is not a `text` of its own).
    """

    number: int
    text: str
    fields: dict[str, Any] | None = None
    written: bool = False


def kind_of(name: str | Path) -> Kind:
    """The kind that a file's name says.

    Raises:
        QuerywrightError: it says none.
    """
    suffix = Path(name).suffix.lower().lstrip(".")
    suffix = {"ndjson": "jsonl", "tsv": "csv"}.get(suffix, suffix)
    if suffix not in KINDS:
        raise QuerywrightError(
            f"{Path(name).name!r} does not say what it is", hint="a name that ends with .json, .jsonl or .csv"
        )
    return suffix  # type: ignore[return-value]


def read_chunks(path: Path | str, kind: Kind | None = None) -> list[Chunk]:
    """Read a document.

    Args:
        kind: what it is; by default what its name says.

    Raises:
        QuerywrightError: it can't be read, or is not what `kind` says: the message names line or place.
    """
    return [chunk for chunk, _ in _read(Path(path), kind)]


def read_values(
    path: Path | str, kind: Kind | None = None, *, most: int | None = None, what: str = "chunks", alone: str = ""
) -> list[Any]:
    """What the chunks of a document are made of, as it stands there: texts, and objects with what is nested in them.

    Args:
        most: that are read; one more is an error.
        what: they are called in errors.
        alone: the hint of the error where something stands beside a JSON document's list; empty: anything may.

    Raises:
        QuerywrightError: as `read_chunks`, or there are more than `most`.
    """
    return [value for _, value in _read(Path(path), kind, most, what, alone)]


def count_chunks(path: Path | str, kind: Kind | None = None, *, most: int | None = None) -> int:
    """How many chunks a document has, each looked at as `read_chunks` does and let go.

    Raises:
        QuerywrightError: as there, or there are more than `most`.
    """
    return sum(1 for _ in _read(Path(path), kind, most))


def has_records(path: Path | str, kind: Kind | None = None) -> bool:
    """Whether a chunk of a document is a record with fields; it is read up to the first.

    Raises:
        QuerywrightError: as `read_chunks`.
    """
    return any(chunk.written and chunk.fields for chunk, _ in _read(Path(path), kind))


def _read(
    path: Path, kind: Kind | None, most: int | None = None, what: str = "chunks", alone: str = ""
) -> Iterator[tuple[Chunk, Any]]:
    """Each chunk, and what it is made of."""
    most = MOST_CHUNKS if most is None else min(most, MOST_CHUNKS)
    kind = kind or kind_of(path)
    if kind not in KINDS:
        raise QuerywrightError(f"no kind {kind!r}{did_you_mean(kind, [*KINDS])}", hint=", ".join(KINDS))
    try:
        with open(path, "rb") as file:
            _refuse_other_encodings(path, file.read(4))
        with open(path, encoding="utf-8-sig", newline="" if kind == "csv" else None) as lines:
            json_of = partial(_json, most=most, what=what, alone=alone)
            readers: dict[Kind, _Reader] = {"json": json_of, "jsonl": _json_lines, "csv": csv_rows}
            number = 0
            for number, (where, value) in enumerate(readers[kind](path, lines), 1):
                if number > most:
                    raise _too_many(path, most, what)
                yield chunk_of(number, value, where), value
    except UnicodeDecodeError as error:
        raise QuerywrightError(
            f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x})", hint="save it as UTF-8"
        ) from error
    except OSError as error:
        raise QuerywrightError(f"could not read {path}: {error.strerror or error}", hint="check the path") from error
    if not number:
        raise QuerywrightError(f"{path} holds no {what}", hint=EXAMPLE)


def chunk_of(number: int, value: Any, where: str) -> Chunk:
    """A text or an object as a chunk.

    Raises:
        QuerywrightError: it is neither, too deep, or holds what can't be stored; `where` begins the message.
    """
    if isinstance(value, str):
        return Chunk(number, _sound(value, where))
    if not isinstance(value, dict):
        raise QuerywrightError(f"{where}: {_called(value)} is no chunk", hint="a text or an object")
    fields: dict[str, Any] = {}
    for n, (name, leaf) in enumerate(_leaves(value, "", 0, where), 1):
        if n > MOST_VALUES:
            raise QuerywrightError(
                f"{where}: more than {MOST_VALUES:,} values in one chunk", hint="a list of smaller objects"
            )
        _sound(f"{name} {leaf}", where)
        if name not in fields:
            fields[name] = leaf
        elif isinstance(fields[name], list):
            fields[name].append(leaf)
        else:
            fields[name] = [fields[name], leaf]
    if isinstance(value.get("text"), str):
        return Chunk(number, value["text"], fields)
    return Chunk(number, "\n".join(f"{name}: {shown(leaf)}" for name, leaf in fields.items()), fields, written=True)


def shown(value: Any) -> str:
    """A field's value as a chunk's text has it."""
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- the kinds ------------------------------------------------------------------------------------------------------
def _json(path: Path, lines: Iterable[str], most: int, what: str, alone: str) -> Iterator[tuple[str, Any]]:
    whole = _loads("".join(lines), str(path))
    items, under = _list_in(whole, path) if isinstance(whole, dict) else (whole, "")
    if not isinstance(items, list):
        raise QuerywrightError(f"{path} holds {_called(items)}, no documents", hint=EXAMPLE)
    if len(items) > most:  # before the first of them is looked at
        raise _too_many(path, most, what)
    if alone and under and (others := [name for name in whole if name != under.partition(".")[0]]):
        named = ", ".join(repr(name[:_NAME_SHOWN]) for name in others[:5])
        raise QuerywrightError(f"{path}: beside the list {under!r} stands {named}", hint=alone)
    for place, item in enumerate(items, 1):
        yield f"{path}: {under}[{place}]", _source(item) if under == "hits.hits" else item


def _list_in(whole: dict[str, Any], path: Path) -> tuple[Any, str]:
    """The list of chunks in an object and the name that it stands under; the object alone where it has none."""
    found = {name: whole[name] for name in LISTS if isinstance(whole.get(name), list)}
    inner = whole.get("hits")
    if isinstance(inner, dict) and isinstance(inner.get("hits"), list):
        found["hits.hits"] = inner["hits"]
    if len(found) > 1:
        raise QuerywrightError(
            f"{path} holds several lists: {', '.join(found)}", hint="leave one, or send the list alone"
        )
    name = next(iter(found), "")
    return (found[name], name) if found else ([whole], "")


def _source(hit: Any) -> Any:
    """What an Elasticsearch hit holds, with its id."""
    if not isinstance(hit, dict) or not isinstance(hit.get("_source"), dict):
        return hit
    return {**({"_id": hit["_id"]} if "_id" in hit else {}), **hit["_source"]}


def _json_lines(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}:{number}", _loads(line, f"{path}:{number}")


# --- what is read ---------------------------------------------------------------------------------------------------
def _too_many(path: Path, most: int, what: str) -> QuerywrightError:
    return QuerywrightError(f"{path} holds more than {most:,} {what}", hint="cut it into several files")


def _loads(text: str, where: str) -> Any:
    if text.count("{") + text.count("[") > MOST_NESTED:
        raise QuerywrightError(
            f"{where}: more than {MOST_NESTED:,} objects and lists", hint="cut it into several files"
        )
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        line = f":{error.lineno}" if "\n" in text.strip() else ""
        raise QuerywrightError(f"{where}{line}: no JSON ({error.msg}, column {error.colno})", hint=EXAMPLE) from error
    except RecursionError as error:
        raise QuerywrightError(f"{where}: nested too deep", hint=f"at most {MOST_DEPTH} levels") from error
    except ValueError as error:  # a number of 5,000 digits, and what the hooks refuse
        raise QuerywrightError(f"{where}: {str(error).partition(';')[0]}", hint="JSON as RFC 8259 has it") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:_NAME_SHOWN]!r} stands twice in one object")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _leaves(value: Any, path: str, depth: int, where: str) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of an object; nulls are left out, lists have no name of their own."""
    if depth > MOST_DEPTH:
        raise QuerywrightError(f"{where}: nested deeper than {MOST_DEPTH} levels", hint="flatten it")
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _leaves(below, f"{path}.{name}" if path else str(name), depth + 1, where)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, path, depth + 1, where)
    elif value is not None:
        yield path, value


def _sound(text: str, where: str) -> str:
    if "\0" in text:
        raise QuerywrightError(f"{where}: a text holds a NUL character", hint="take it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise QuerywrightError(f"{where}: a text holds {half}, which is half a character", hint="take it out") from None
    return text


def _refuse_other_encodings(path: Path, start: bytes) -> None:
    name = next((name for bom, name in _BOMS.items() if start.startswith(bom)), "")
    if not name and b"\0" in start:
        name = "binary, or UTF-16"
    if name:
        raise QuerywrightError(f"{path} is {name}, no UTF-8 text", hint="save it as UTF-8")


def _called(value: Any) -> str:
    names = {list: "a list", bool: "true or false", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), "a text" if isinstance(value, str) else "an object")
