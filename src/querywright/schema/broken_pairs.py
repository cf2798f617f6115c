"""Pairs whose call a new definition refuses, or reads as something else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.query import Exists, Range, Term, walk
from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.schema.diff import Change, by_field

Row = dict[str, Any]


@dataclass
class PairReport:
    """What becomes of pairs.

    Attributes:
        status: rows by what happens to them: same, refused (no call any more), other call, other answer (the same
            text, but a field or a default that it relies on works differently), already refused by the old definition.
        fields: rows that are not the same, by the field or parameter behind it.
        broken: the rows that are not the same, each with `status`, `reason` and, for a rename, a `suggestion`.
    """

    rows: int = 0
    status: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    broken: list[Row] = field(default_factory=list)


def check_pairs(old: API, new: API, changes: list[Change], rows: Iterable[Row]) -> PairReport:
    """Read every row's call with both definitions and compare."""
    report = PairReport()
    renames = {c.name: str(c.new) for c in changes if c.part == "field" and c.what == "renamed"}
    known = _Known(changes)
    for row in rows:
        report.rows += 1
        status, reason, causes, call = _one(old, new, known, str(row.get("path", "")))
        report.status[status] += 1
        if status in ("same", "already refused"):
            continue
        report.fields.update(causes or [reason.split(";")[0][:80]])
        broken = {**row, "status": status, "reason": reason, "touches": causes}
        if status == "refused" and call is not None and (better := _renamed(new, row["path"], renames)):
            broken["suggestion"] = better
        report.broken.append(broken)
    return report


class _Known:
    """The changes, ready to be asked what touches a call."""

    def __init__(self, changes: list[Change]) -> None:
        self.fields = {n: [c for c in own if c.breaks] for n, own in by_field(changes).items()}
        self.fields = {n: own for n, own in self.fields.items() if own}
        self.defaults = {c.name for c in changes if c.part == "parameter" and c.what == "default"}
        self.everywhere = any(c.part == "field" and c.what == "default_search" for c in changes)
        self.only_fields = all(c.part == "field" for c in changes)


def _one(old: API, new: API, known: _Known, path: str) -> tuple[str, str, list[str], Call | None]:
    try:
        before = parse(old, path)
    except CallError as error:
        return "already refused", str(error), [], None
    named = touched_fields(old, before)
    causes = sorted(n for n in named if n in known.fields)
    if not causes and known.only_fields:
        return _unnamed(known, before)
    try:
        after = parse(new, path)
    except CallError as error:
        return "refused", str(error), causes, before
    if before.canonical != after.canonical:
        return "other call", f"{before.canonical} is now {after.canonical}", causes, before
    same_text = [n for n in causes if named[n] and any(c.what in ("type", "analysis") for c in known.fields[n])]
    if same_text:
        told = "; ".join(f"{n}: {c.what} {c.old} is now {c.new}" for n in same_text for c in known.fields[n])
        return "other answer", told, same_text, before
    given = {n for n, _ in before.params}
    silent = [p for p in old.endpoints[before.endpoint].params if p in known.defaults and p not in given]
    if silent:
        return "other answer", f"the default of {', '.join(silent)} changed", silent, before
    return _unnamed(known, before)


def _unnamed(known: _Known, call: Call) -> tuple[str, str, list[str], Call | None]:
    """What becomes of a call that names nothing that changed: only a search in all fields can find other records."""
    words = (n for n in walk(call.query) if isinstance(n, Term) and n.field is None) if call.query is not None else ()
    if known.everywhere and any(True for _ in words):
        return "other answer", "searches without a field look in other fields", ["(no field)"], call
    return "same", "", [], call


def touched_fields(api: API, call: Call) -> dict[str, bool]:
    """Every field that a call names, and whether it is searched or sorted by, not only returned.

    An object that is searched counts with its leaves.
    """
    names: dict[str, bool] = {}
    for name, value in call.params:
        param = api.params[name]
        if param.kind in ("fields", "sort") and isinstance(value, tuple):
            names |= {v.lstrip("-"): param.kind == "sort" or param.indexed for v in value}
    for node in walk(call.query) if call.query is not None else ():
        if isinstance(node, Term | Range | Exists) and node.field:
            names |= dict.fromkeys((node.field, *api.leaves(node.field)), True)
    return names


def _renamed(new: API, path: str, renames: Mapping[str, str]) -> str:
    """The call with the guessed new names in it, if that is a call."""
    if not renames:
        return ""
    names = "|".join(re.escape(n) for n in sorted(renames, key=len, reverse=True))
    text = re.sub(rf"(?<![\w.])({names})(?![\w])", lambda m: renames[m[1]], path)
    try:
        return parse(new, text).text if text != path else ""
    except CallError:
        return ""


def read_pairs(path: Path) -> list[Row]:
    """Rows with a `path`.

    Raises:
        QuerywrightError: a row has none.
    """
    rows = read_jsonl(path)
    if any("path" not in row for row in rows):
        raise QuerywrightError(
            f"{path}: a row has no 'path'", hint="--pairs takes pairs.jsonl, or train.jsonl of a split"
        )
    return rows
