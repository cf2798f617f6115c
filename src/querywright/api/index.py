"""An index of an API's records: one tantivy folder, built once, that answers queries in milliseconds.

Every indexed field of the definition is a column, prepared as its `analysis` says: `exact` and `lower` as whole
values, `text` as lower-cased words, `number` as numbers. Nested objects and arrays are flattened. Beside them:
`_all` (words of the id and of the fields that an un-fielded search reads), `_has` (names of the fields that have a
value), `_rank` (the definition's weight of the record) and `_source` (the record itself).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from querywright.api import records as sources
from querywright.api.definition import API, SchemaField
from querywright.artefacts import content_id, is_done, write_manifest
from querywright.errors import QuerywrightError, need
from querywright.progress import say, track

LAYOUT = 2  # raise it when the columns change: old indexes are then built anew
HEAP_BYTES = 200_000_000
MAX_KEYWORD_BYTES = 8_000  # Lucene keeps no longer terms either
WORDS = r"\w+"
_DATE = r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d))?)?)?)?(?:\.\d+)?(?:Z|[+-]00:?00)?"


@dataclass(frozen=True, eq=False)
class Index:
    """An open index: its definition, tantivy's searcher and schema, and the analyzer of text columns."""

    api: API
    searcher: Any
    schema: Any
    analyzer: Any
    path: Path | None

    @property
    def size(self) -> int:
        """How many records it holds."""
        return int(self.searcher.num_docs)

    def words(self, text: str) -> list[str]:
        """The words of a text as the text columns hold them."""
        return list(self.analyzer.analyze(text))

    def source(self, address: Any) -> dict[str, Any]:
        """A record, as it was read."""
        record: dict[str, Any] = json.loads(self.searcher.doc(address).get_first("_source"))
        return record


# --- values: one preparation for records and for queries ------------------------------------------------------------
def column(name: str) -> str:
    """A field's column. Dots and other signs mean something to tantivy, so they are written as `_xx_`."""
    return "f_" + re.sub(r"[^A-Za-z0-9_]", lambda m: f"_{ord(m[0]):x}_", name)


def kind_of(field: SchemaField) -> str:
    """The kind of column: integer, float, date, exact, lower or text."""
    if field.type in ("float", "double"):
        return "float"
    if field.type in ("integer", "long", "byte"):
        return "integer"
    if field.type == "date":
        return "date"
    if field.type == "boolean":
        return "lower"
    return field.analysis if field.analysis in ("exact", "lower", "text") else "lower"


def strip_prefix(api: API, name: str, value: str) -> str:
    """A value without the prefix that its field implies: GO:0000307 and 0000307 are one."""
    prefix = api.value_prefixes.get(name.split(".")[0])
    return value[len(prefix) + 1 :] if prefix and value[: len(prefix) + 1].lower() == f"{prefix}:".lower() else value


def number(text: Any, kind: str) -> int | float | None:
    """A value of a number column, or None if it is no number of that kind."""
    try:
        if isinstance(text, bool):
            return int(text)
        value = float(text) if kind == "float" else int(text) if not isinstance(text, float) else round(text)
    except (ValueError, OverflowError, TypeError):
        return None
    return value if kind == "float" or -(2**63) <= value < 2**63 else None


def moment(text: str, end: bool = False) -> int | None:
    """A date as the number yyyymmddhhmmss; parts that are not given are the first of their kind, or the last."""
    match = re.fullmatch(_DATE, text)
    if match is None:
        return None
    missing = ("9999", "12", "31", "23", "59", "59") if end else ("0000", "01", "01", "00", "00", "00")
    return int("".join(part or rest for part, rest in zip(match.groups(), missing, strict=True)))


def place(chromosome: str, position: int) -> int:
    """A position on a chromosome as one number, so that ranges never run over to another chromosome."""
    return (zlib.crc32(chromosome.lower().encode()) >> 1) * 2**32 + max(0, min(position, 2**32 - 1))


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, leaf value) of a document; arrays have no path of their own, nulls are left out."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from flatten(below, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from flatten(item, path)
    elif value is not None:
        yield path, value


# --- building -------------------------------------------------------------------------------------------------------
def _tantivy() -> Any:
    return need("tantivy", extra="api")


def _analyzer(tantivy: Any) -> Any:
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(WORDS)).filter(tantivy.Filter.lowercase()).build()


def _register(tantivy: Any, index: Any) -> Any:
    """Tell an index what `words` means: words where it searches, the whole text in lower case where it sorts."""
    analyzer = _analyzer(tantivy)
    index.register_tokenizer("words", analyzer)
    whole = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(tantivy.Filter.lowercase()).build()
    index.register_fast_field_tokenizer("words", whole)
    return analyzer


def _searched(api: API) -> Iterator[SchemaField]:
    return (f for f in api.fields.values() if f.indexed and f.type != "object")


def _schema(tantivy: Any, api: API) -> Any:
    builder = tantivy.SchemaBuilder()
    for field in _searched(api):
        name, kind = column(field.name), kind_of(field)
        if kind == "float":
            builder.add_float_field(name, indexed=True, fast=True)
        elif kind in ("integer", "date"):
            builder.add_integer_field(name, indexed=True, fast=True)
        elif kind == "text":
            builder.add_text_field(name, tokenizer_name="words", fast=True)
        else:
            builder.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    for name in _places(api):
        builder.add_integer_field(column(name) + "_from", indexed=True, fast=True)
        builder.add_integer_field(column(name) + "_to", indexed=True, fast=True)
    builder.add_text_field("_id", tokenizer_name="raw", index_option="basic", fast=True)
    builder.add_text_field("_all", tokenizer_name="words")
    builder.add_text_field("_has", tokenizer_name="raw", index_option="basic")
    builder.add_float_field("_rank", fast=True)
    builder.add_bytes_field("_source", stored=True)
    return builder.build()


def _places(api: API) -> list[str]:
    if api.intervals is None:
        return []
    by_param = (v for p in api.params.values() for v in p.values if is_place(api, v))
    return sorted({api.intervals.default, *map(str, (api.intervals.model_extra or {}).values()), *by_param})


def is_place(api: API, name: str) -> bool:
    """Whether this is an object field that holds positions: `start` and `end` lie below it."""
    return api.intervals is not None and all(f"{name}.{side}" in api.fields for side in ("start", "end"))


def _document(tantivy: Any, api: API, record: dict[str, Any]) -> Any:
    """A record as tantivy's document. Values that do not fit their column are kept in `_source` only."""
    document = tantivy.Document()
    names: set[str] = set()
    weight = 1.0
    chosen = any(field.default_search for field in api.fields.values())
    document.add_text("_all", record["_id"])
    for path, value in flatten(record):
        field = api.fields.get(path)
        if field is None or not field.indexed or field.type == "object":
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        _add(document, field, strip_prefix(api, path, text), value)
        parts = path.split(".")
        names.update(".".join(parts[: n + 1]) for n in range(len(parts)))
        if field.default_search or not chosen:
            document.add_text("_all", text)
        weight *= api.ranking.records.get(path, {}).get(value, 1.0) if isinstance(value, str | int) else 1.0
    for name in _places(api):
        for span in _spans(record, name, api.intervals.chromosome if api.intervals else ""):
            document.add_integer(column(name) + "_from", place(span[0], span[1]))
            document.add_integer(column(name) + "_to", place(span[0], span[2]))
    for name in names:
        document.add_text("_has", name)
    document.add_text("_id", record["_id"].lower())
    document.add_float("_rank", 2.0 ** max(weight, 1.0) - 2.0)  # tantivy multiplies scores by log2(2 + this)
    document.add_bytes("_source", json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
    return document


def _add(document: Any, field: SchemaField, text: str, value: Any) -> None:
    name, kind = column(field.name), kind_of(field)
    if kind in ("integer", "float"):
        found = number(value, kind)
        if found is not None:
            (document.add_float if kind == "float" else document.add_integer)(name, found)
    elif kind == "date":
        when = moment(text)
        if when is not None:
            document.add_integer(name, when)
    elif kind == "text":
        document.add_text(name, text)
    elif len(text.encode()) <= MAX_KEYWORD_BYTES:
        document.add_text(name, text if kind == "exact" else text.lower())


def _spans(record: dict[str, Any], name: str, chromosome: str) -> Iterator[tuple[str, int, int]]:
    """(chromosome, start, end) of the positions in an object field, which may be a list of them.

    The chromosome stands beside start and end, or in a field of its own. A position without an end is one base.
    """
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    own = next((v for path, v in flatten(record) if path == chromosome), None) if chromosome else None
    for item in value if isinstance(value, list) else [value]:
        where = item.get("chr", own) if isinstance(item, dict) else None
        start = number(item.get("start"), "integer") if isinstance(item, dict) and "start" in item else None
        end = number(item.get("end", start), "integer") if start is not None else None
        if where is not None and start is not None and end is not None:
            yield str(where).removeprefix("chr"), int(start), int(end)


def _write(tantivy: Any, api: API, records: Iterable[dict[str, Any]], index: Any) -> int:
    _register(tantivy, index)
    writer = index.writer(HEAP_BYTES, 1)  # one thread: records keep their order
    n = 0
    try:
        for record in records:
            writer.add_document(_document(tantivy, api, record))
            n += 1
        writer.commit()
    finally:
        writer.wait_merging_threads()  # until then it may still write files
    return n


def _config(api: API, source: str) -> dict[str, Any]:
    """What the index depends on; its hash names the folder."""
    columns = [(f.name, kind_of(f), f.default_search) for f in _searched(api)]
    shape = [columns, api.value_prefixes, _places(api), api.ranking.model_dump(mode="json")]
    return {
        "layout": LAYOUT,
        "api": api.name,
        "records": sources.digest(source),
        "definition": content_id(json.dumps(shape, sort_keys=True)),
    }


def build(api: API, source: str | Path | None = None, workspace: Path | str | None = None) -> Path:
    """Build the index of a source's records, unless it is there; returns its folder.

    Args:
        source: a .jsonl or .jsonl.gz file, `goatools`, or None for what the definition names.
        workspace: the folder that gets `index/<hash>`; None is `work/<api>`.

    Raises:
        QuerywrightError: no such records, or a line that is no record.
    """
    tantivy = _tantivy()
    chosen = sources.source_of(api, source)
    config = _config(api, chosen)
    parent = Path(workspace or Path("work") / api.name) / "index"
    folder = parent / content_id(json.dumps(config, sort_keys=True))
    if is_done(folder, config) and tantivy.Index.exists(str(folder)):
        return folder
    say(f"building the index of {chosen} in {folder}")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
    except OSError as error:
        raise QuerywrightError(f"could not write {parent}: {error}", hint="choose another workspace") from error
    try:
        index = tantivy.Index(_schema(tantivy, api), path=str(temporary), reuse=False)
        n = _write(tantivy, api, track(sources.read(chosen), "indexed"), index)
        write_manifest(temporary, config, ["meta.json"], rows=n)
        shutil.rmtree(folder, ignore_errors=True)  # what stands there is not whole
        os.replace(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not is_done(folder, config):  # else another process was faster
            raise QuerywrightError(f"could not build {folder}: {error}", hint="is the disk full?") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def in_memory(api: API, records: Iterable[dict[str, Any]]) -> Index:
    """An index of a few records that is never written to disk."""
    tantivy = _tantivy()
    index = tantivy.Index(_schema(tantivy, api))
    _write(tantivy, api, records, index)
    index.reload()
    return Index(api, index.searcher(), index.schema, _analyzer(tantivy), None)


@lru_cache(maxsize=8)
def _opened(api: API, folder: Path) -> Index:
    tantivy = _tantivy()
    index = tantivy.Index.open(str(folder))
    return Index(api, index.searcher(), index.schema, _register(tantivy, index), folder)


def open_index(api: API, source: str | Path | None = None, workspace: Path | str | None = None) -> Index:
    """Open the index of a source's records; it is built first where it is missing or old. See `build`."""
    return _opened(api, build(api, source, workspace))
