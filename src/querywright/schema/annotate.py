"""Words for every field and parameter of an API: what a person wrote stays, the rest comes from a model or from names.

Whose a cell is: the machine's last text of each cell is remembered as a hash in `annotations.jsonl` beside the table. A
cell that differs from it was written by a person and is never touched; so is a cell that was there before the first
run. An empty cell is always filled.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.artefacts import content_id, read_jsonl, write_json, write_jsonl, write_text
from querywright.engines.base import Engine
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.schema.asking import BATCH, Asker
from querywright.schema.evidence import Evidence, gather
from querywright.schema.glossary import OWN, load_glossary
from querywright.schema.shapes import shape_of
from querywright.schema.words import MOST_SYNONYMS, Item, Wording, Words
from querywright.schema.write import FIELD_COLUMNS, PARAM_COLUMNS, Row, csv_text, read_rows, tame

MEMORY = "annotations.jsonl"
TABLES = {"fields": FIELD_COLUMNS, "params": PARAM_COLUMNS}
Key = tuple[str, str]  # table and name
Memory = dict[Key, dict[str, Any]]
OURS = ("description", "synonyms", "examples", "shape", "weight")
EXAMPLES = 5
_DEFAULTS = {"weight": "1"}
_WEIGHTS = (0.5, 4.0)  # never asked for, and asked for most


@dataclass
class Report:
    """What happened: items by who wrote their words, names that the model gave no words for, and what was asked."""

    items: int = 0
    by_model: int = 0
    by_words: int = 0
    unchanged: int = 0
    missing: list[str] = field(default_factory=list)
    asked: int = 0
    kept: int = 0
    unread_calls: int = 0
    files: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.items} fields and parameters", f"{self.by_model} described by the model"]
        parts += [f"{self.by_words} from names", f"{self.unchanged} kept as they were written"]
        text = ", ".join(p for p in parts if not p.startswith("0 "))
        if self.missing:
            text += f"; the model gave nothing usable for {len(self.missing)}, which are described from their names"
        if self.unread_calls:
            text += f"; {self.unread_calls} calls of the log are none of this API"
        return f"{text}; {self.asked} prompts sent, {self.kept} answers from before"


@dataclass(frozen=True)
class Sources:
    """What to read beside the schema: kept calls of a log, records, documentation."""

    calls: Path | None = None
    records: Path | None = None
    docs: tuple[Path, ...] = ()


def annotate(
    definition: str,
    *,
    engine: Engine | None = None,
    sources: Sources | None = None,
    out: Path | None = None,
    work: Path | None = None,
    batch: int = BATCH,
) -> Report:
    """Fill the tables of a definition.

    Args:
        definition: a shipped API's name, or a definition file or folder.
        engine: who writes; None writes from names, types, examples, documentation and usage.
        out: the folder of the tables; the definition's own by default. A new folder gets a copy of the definition.
        work: where answers and the report are kept; `work/API/annotate` by default.
        batch: items of one prompt.

    Raises:
        QuerywrightError: a source can't be read, or the engine is gone (its answers so far are kept).
    """
    api = load(definition)
    home = Path(api.folder)
    folder = out or home
    work = work or Path("work") / api.name / "annotate"
    sources = sources or Sources()
    evidence = gather(api, sources.calls, sources.records, sources.docs)
    rows = {table: _rows(api, table, folder, home) for table in TABLES}
    memory = _memory(folder if (folder / MEMORY).is_file() else home)
    items = [_item(api, table, row, evidence) for table in TABLES for row in rows[table]]
    wording = Wording(items, load_glossary(api.folder), api.noun, evidence.docs, evidence.used)
    guesses = {(i.table, i.name): wording.words(i) for i in items}
    wanted = [
        i
        for i, row in zip(items, chain(*rows.values()), strict=True)
        if _wanted(i.table, row, memory) and (engine is not None or not _by_model(memory, i.table, row))
    ]
    report = Report(items=len(items), unread_calls=evidence.unread, unchanged=len(items) - len(wanted))
    told: dict[Key, Words] = {}
    by = "names"
    if engine is not None:
        by = str(engine.describe().get("model") or engine.describe().get("engine"))
        asker = Asker(engine, api, evidence, work, batch, {i.name: wording.anchors(i) for i in items})
        try:
            told = _ask(asker, items, {(i.table, i.name) for i in wanted}, guesses)
        finally:
            asker.close()
        report.asked, report.kept = asker.asked, asker.kept
        report.missing = [i.name for i in wanted if (i.table, i.name) not in told]
    report.by_model, report.by_words = len(told), len(wanted) - len(told)
    _fill(rows, memory, items, told, guesses, evidence, by)
    _write(folder, home, rows, memory, report)
    write_json(work / "report.json", {**report.__dict__, "by": by})
    say(str(report))
    for name in report.missing[:20]:
        say(f"  no usable answer: {name}")
    load.cache_clear()
    return report


def _ask(
    asker: Asker, items: Sequence[Item], wanted: set[Key], guesses: Mapping[Key, Words]
) -> dict[Key, Words]:  # fmt: skip
    """The model's words for the wanted items."""
    told: dict[Key, Words] = {}
    for table in TABLES:
        mine = [i for i in items if i.table == table]
        readable = {i.name: guesses[table, i.name].description for i in mine}
        answers = asker.ask(mine, readable, {name for t, name in wanted if t == table})
        told |= {(table, name): words for name, words in answers.items()}
    return told


def _rows(api: API, table: str, folder: Path, home: Path) -> list[Row]:
    """The rows of a table as they are; a typed API without `params.csv` gets one of its parameters."""
    name = f"{table}.csv"
    rows = read_rows(folder / name) or read_rows(home / name)
    if table == "params" and (rows or api.query_language == "none"):
        known = {r["name"] for r in rows}
        rows += [{**dict.fromkeys(PARAM_COLUMNS, ""), "name": n, "weight": "1"} for n in api.params if n not in known]
    return rows


def _item(api: API, table: str, row: Row, evidence: Evidence) -> Item:
    written = tuple(e for e in row.get("examples", "").split("|") if e)
    examples = evidence.examples(row["name"], EXAMPLES) or written
    name = row["name"]
    if table == "fields":
        return Item(table, name, row.get("type") or "keyword", row.get("indexed") != "false", (), examples)
    param = api.params[name]
    kind = f"list of {param.items}" if param.kind == "list" else param.kind
    return Item(table, name, kind, True, tuple(map(str, param.values)), examples)


# --- whose a cell is ---


def _memory(folder: Path) -> Memory:
    path = folder / MEMORY
    rows = read_jsonl(path) if path.is_file() else []
    return {(str(r.get("table")), str(r.get("name"))): r for r in rows}


def _ours(memory: Memory, table: str, row: Row, column: str) -> bool:
    """Whether a cell is empty, or still holds what the machine wrote."""
    cell = row.get(column, "")
    written = memory.get((table, row["name"]), {}).get("cells", {}).get(column)
    if written is not None:
        return not cell or content_id(cell) == written
    return not cell or cell == _DEFAULTS.get(column)


def _wanted(table: str, row: Row, memory: Memory) -> bool:
    return any(_ours(memory, table, row, column) for column in ("description", "synonyms"))


def _by_model(memory: Memory, table: str, row: Row) -> bool:
    """Whether a model has described it: what can be read from a name does not replace that."""
    written = memory.get((table, row["name"]), {})
    return bool(row.get("description")) and written.get("by", "names") != "names" and "description" in written["cells"]


# --- filling ---
def _fill(
    rows: Mapping[str, list[Row]], memory: Memory, items: Sequence[Item],
    told: Mapping[Key, Words], guesses: Mapping[Key, Words], evidence: Evidence, by: str,
) -> None:  # fmt: skip
    by_name = {(i.table, i.name): i for i in items}
    most = max((evidence.used.get(i.name, 0.0) for i in items), default=0.0)
    for table, listed in rows.items():
        for row in listed:
            key = (table, row["name"])
            words, guess = told.get(key, guesses[key]), guesses[key]
            synonyms = [*words.synonyms, *(s for s in guess.synonyms if s not in words.synonyms)]
            new = {"description": words.description, "synonyms": "|".join(_distinct(synonyms)[:MOST_SYNONYMS])}
            new = tame(new | _derived(by_name[key], evidence, most))
            if not _ours(memory, table, row, "examples"):
                new.pop("shape", None)  # a person's examples: whoever wrote them left the shape out
            cells = dict(memory.get(key, {}).get("cells", {}))
            if key not in told and _by_model(memory, table, row):
                del new["description"], new["synonyms"]
            for column in OURS:
                if column in row and new.get(column) and _ours(memory, table, row, column):
                    row[column] = new[column]
                    cells[column] = content_id(new[column])
            if cells:
                writer = by if key in told else memory.get(key, {}).get("by", "names")
                memory[key] = {"table": table, "name": row["name"], "by": writer, "cells": cells}


def _derived(item: Item, evidence: Evidence, most: float) -> Row:
    """Examples, shape and weight, where there is evidence for them."""
    new: Row = {}
    examples = evidence.examples(item.name, EXAMPLES)
    if examples and not item.values:
        new["examples"] = "|".join(examples)
    known = evidence.examples(item.name, 40) or item.examples
    if item.type in ("keyword", "text"):
        new["shape"] = shape_of(known)
    if most > 0:
        low, high = _WEIGHTS
        used = evidence.used.get(item.name, 0.0)
        scale = math.log1p(used) / math.log1p(most)
        new["weight"] = format(round(low if not used else 1 + (high - 1) * scale, 1), "g")
    return new


def _distinct(phrases: Iterable[str]) -> list[str]:
    return list({p.lower(): p for p in reversed([p.replace("|", " ") for p in phrases])}.values())[::-1]


def _write(folder: Path, home: Path, rows: Mapping[str, list[Row]], memory: Memory, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != home.resolve():
        for name in ("api.yaml", "lexicon.yaml", OWN):
            if (home / name).is_file() and not (folder / name).exists():
                shutil.copyfile(home / name, folder / name)
    for table, columns in TABLES.items():
        if rows[table]:
            extra = [c for c in rows[table][0] if c not in columns]
            write_text(folder / f"{table}.csv", csv_text([*columns, *extra], rows[table]))
            report.files.append(str(folder / f"{table}.csv"))
    if not report.files:
        raise QuerywrightError(f"{folder} has no fields and no parameters", hint="querywright schema import SOURCE")
    if memory:
        write_jsonl(folder / MEMORY, (memory[k] for k in sorted(memory)))
