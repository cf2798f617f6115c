"""A definition as files: `fields.csv`, `params.csv` and `api.yaml`; what a person wrote in them stays."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from querywright.api.definition import SchemaField, load
from querywright.artefacts import write_text
from querywright.errors import QuerywrightError
from querywright.progress import say

FIELD_COLUMNS = (
    *("name", "type", "indexed", "default_search", "analysis"),
    *("description", "synonyms", "examples", "shape", "weight"),
)
PARAM_COLUMNS = ("name", "description", "synonyms", "examples", "weight")
WRITTEN = ("description", "synonyms", "examples", "shape", "weight")  # a person's columns: they win over a source
Row = dict[str, str]


@dataclass
class Changes:
    """What an update did to a table: names, and for facts the column with its old and its new value."""

    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    changed: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.changed)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, "g")
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "|".join(v for v in map(str, value) if v and "|" not in v)
    return str(value)


def field_rows(fields: Mapping[str, SchemaField]) -> list[Row]:
    """Rows of `fields.csv`, as text."""
    return [{column: _cell(getattr(f, column)) for column in FIELD_COLUMNS} for f in fields.values()]


_FORMULA = "=+@\t\r "


def tame(row: Row) -> Row:
    """A row from a source without what a spreadsheet would reckon with: `=`, `+`, `@` or a tab at a text's beginning.

    A description and a synonym lose these characters, an example that begins so is left out; with an apostrophe before
    it, it would be another value. A field's name is what it is. What a person wrote never comes through here.
    """
    tamed = dict(row)
    if "description" in row:
        tamed["description"] = row["description"].lstrip(_FORMULA)
    if "synonyms" in row:
        tamed["synonyms"] = "|".join(s for s in (p.lstrip(_FORMULA) for p in row["synonyms"].split("|")) if s)
    if "examples" in row:
        tamed["examples"] = "|".join(e for e in row["examples"].split("|") if e and e[0] not in _FORMULA)
    return tamed


def csv_text(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """A table as CSV, with a line feed after each row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def read_rows(path: Path) -> list[Row]:
    """Rows of a CSV file as they are written; none where there is no file.

    Raises:
        QuerywrightError: it is no UTF-8 table with a `name` column.
    """
    if not path.is_file():
        return []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [{k: v or "" for k, v in row.items() if isinstance(k, str)} for row in csv.DictReader(file)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise QuerywrightError(f"{path} is no table in UTF-8: {error}", hint="save it as CSV in UTF-8") from None
    if any("name" not in row for row in rows):
        raise QuerywrightError(f"{path} has no column 'name'", hint=f"its columns are {','.join(FIELD_COLUMNS)}")
    return rows


def updated(old: list[Row], new: list[Row], remove: bool = False) -> tuple[list[Row], Changes]:
    """New facts over an old table: a person's columns and the order of the rows stay.

    Args:
        remove: take out the rows that the source no longer has; else they are kept, and named in the changes.
    """
    changes = Changes()
    fresh = {row["name"]: row for row in new}
    rows: list[Row] = []
    for row in old:
        name = row["name"]
        source = fresh.pop(name, None)
        if source is None:
            changes.gone.append(name)
            if not remove:
                rows.append(row)
            continue
        merged = dict(row)
        for column, value in source.items():
            if column in WRITTEN:
                merged[column] = row.get(column) or value
            elif column != "name" and row.get(column, "") != value:
                changes.changed.append((name, column, row.get(column, ""), value))
                merged[column] = value
        rows.append(merged)
    changes.added = list(fresh)
    rows += fresh.values()
    if old and fresh and [r["name"] for r in old] == sorted(r["name"] for r in old):
        rows.sort(key=lambda r: r["name"])
    return rows, changes


def inherit(old: list[Row], rows: list[Row], renames: Mapping[str, str]) -> None:
    """Give rows under a new name what a person wrote under the old one, where they have nothing of their own."""
    before = {row["name"]: row for row in old}
    names = {new: name for name, new in renames.items()}
    for row in rows:
        if row["name"] in names:
            own = before[names[row["name"]]]
            row |= {c: own.get(c, "") for c in WRITTEN if own.get(c) and (c == "weight" or not row.get(c))}


def write_definition(out: Path, files: dict[str, str]) -> None:
    """Write files of a definition, `api.yaml` last, once they load together with what is there already.

    Raises:
        QuerywrightError: together they are no definition; nothing is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder)
        for path in out.glob("*"):
            if path.suffix in (".yaml", ".csv") and path.is_file():
                (trial / path.name).write_bytes(path.read_bytes())
        for name, text in files.items():
            (trial / name).write_text(text, encoding="utf-8")
        load(str(trial / "api.yaml"))
    for name, text in sorted(files.items(), key=lambda f: f[0] == "api.yaml"):
        path = out / name
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
            say(f"wrote {path}")
