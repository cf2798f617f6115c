"""Local records behind an API of typed parameters: held in memory, filtered by what each parameter means.

A record is a JSON object with an `_id` (or `id`). Where a file holds records of several endpoints, a record's `_type`
names its own: the endpoint, or a part of its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from querywright.api import records as sources
from querywright.api.call import Call
from querywright.api.circle import Circle, circle_of, within
from querywright.api.definition import API, Endpoint
from querywright.api.filters import ID, WHOLE, Condition, How, Reading, conditions, key, prepared, reading
from querywright.api.index import flatten
from querywright.api.paging import in_order, page, role_of
from querywright.api.problems import ServiceError
from querywright.progress import say, track

MAX_NAMES = 20_000
Column = list[tuple[Any, ...]]


@dataclass(eq=False)
class Rows:
    """Records as JSON lines, with a column for each field that was asked for: the values of each record.

    Attributes:
        names: dotted names of the fields that records have.
    """

    api: API
    lines: list[bytes]
    names: tuple[str, ...]
    columns: dict[tuple[str, How], Column] = field(default_factory=dict)
    keyed: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    path: Path | None = None

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self.lines)

    def record(self, row: int) -> dict[str, Any]:
        """A record, as it was read."""
        found: dict[str, Any] = json.loads(self.lines[row])
        return found

    def column(self, name: str, how: How = "raw") -> Column:
        """The values of a field in each record, prepared as conditions compare them.

        The empty name is the text of the whole record, `_id` its id.
        """
        if (name, how) not in self.columns:
            if how == "raw":
                self.columns[name, how] = [values_of(json.loads(line), name) for line in self.lines]
            else:
                self.columns[name, how] = [prepared(values, how) for values in self.column(name)]
        return self.columns[name, how]

    def where(self, name: str) -> dict[str, list[int]]:
        """Of each value of a field (as `key` writes it) the rows that have it, in their order."""
        if name not in self.keyed:
            found: dict[str, list[int]] = {}
            for row, values in enumerate(self.column(name)):
                for text in {key(value) for value in values}:
                    found.setdefault(text, []).append(row)
            self.keyed[name] = found
        return self.keyed[name]

    @cached_property
    def types(self) -> dict[str, list[int]]:
        """Of each `_type` the rows that have it."""
        return self.where("_type") if "_type" in self.names else {}

    @cached_property
    def readings(self) -> dict[tuple[str, str], Reading | None]:
        """What each parameter means in each endpoint."""
        found = {}
        for name, spec in self.api.endpoints.items():
            of_circle = self.circles[name].params if name in self.circles else ()
            for param in spec.params:
                other = param in of_circle or role_of(param, self.api.params[param])
                meant = None if other else reading(self.api, spec, param, self.known)
                if meant is not None and meant.field == "id" and "id" not in self.names:
                    meant = replace(meant, field=ID)
                found[name, param] = meant
        return found

    @cached_property
    def known(self) -> list[str]:
        """Names of fields: the definition's, and those that records have."""
        return [*self.api.fields, *self.names]

    @cached_property
    def circles(self) -> dict[str, Circle]:
        """The endpoints that take a place and a radius."""
        found = {name: circle_of(spec, self.known) for name, spec in self.api.endpoints.items()}
        return {name: circle for name, circle in found.items() if circle is not None}


def values_of(record: Any, name: str) -> tuple[Any, ...]:
    """The values of a dotted field: every leaf below it, arrays opened."""
    if name == WHOLE:
        return (" ".join(str(value) for _, value in flatten(record)),)
    if "." not in name and not isinstance(record.get(name), dict | list):
        value = record.get(name)
        return () if value is None else (value,)
    items = [record]
    for part in name.split("."):
        opened = (deep for item in items for deep in (item if isinstance(item, list) else [item]))
        items = [item[part] for item in opened if isinstance(item, dict) and item.get(part) is not None]
    return tuple(value for item in items for _, value in flatten(item))


# --- reading --------------------------------------------------------------------------------------------------------
def in_memory(api: API, records: Iterable[dict[str, Any]]) -> Rows:
    """Take records; the columns that the parameters need are made on the way."""
    lines: list[bytes] = []
    names: dict[str, None] = {}
    seen: set[tuple[str, ...]] = set()
    for record in records:
        flat = not any(isinstance(value, dict | list) for value in record.values())
        shape = tuple(record) if flat else tuple(dict.fromkeys(path for path, _ in flatten(record)))
        if shape not in seen and len(names) < MAX_NAMES:
            seen.add(shape)
            names.update(dict.fromkeys(".".join(p.split(".")[: n + 1]) for p in shape for n in range(p.count(".") + 1)))
        lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    rows = Rows(api, lines, tuple(names))
    needed = sorted(
        {r.field for r in rows.readings.values() if r is not None}
        | {name for circle in rows.circles.values() for name in circle.fields}
        | ({"_type"} & names.keys())
    )
    columns: dict[str, Column] = {name: [] for name in needed}
    for line in lines if needed else []:
        record = json.loads(line)
        for name, column in columns.items():
            column.append(values_of(record, name))
    rows.columns.update({(name, "raw"): column for name, column in columns.items()})
    return rows


def open_rows(api: API, source: str | Path | None = None) -> Rows:
    """Read the records of a source, and say which parameters filter them by which field.

    Raises:
        QuerywrightError: no such records, or a line that is no record.
    """
    chosen = sources.source_of(api, source)
    rows = in_memory(api, track(sources.read(chosen), "read"))
    given = {name for (_, name), found in rows.readings.items() if found is not None}
    given.update(name for circle in rows.circles.values() for name in circle.params)
    idle = sorted(n for n, p in api.params.items() if n not in given and not role_of(n, p))
    if idle:
        say(f"no field is known for {', '.join(idle)}: these parameters are checked, but do not filter (give `field`)")
    return replace(rows, path=None if chosen == "goatools" else Path(chosen))


# --- answering ------------------------------------------------------------------------------------------------------
def answer(rows: Rows, call: Call) -> Any:
    """The body that answers a call: `{"total": n, "hits": [...]}`, or the record where one is asked for by its id.

    Raises:
        ServiceError: 404 where no record has the id.
    """
    spec = call.api.endpoints[call.endpoint]
    given = _given(call, spec)
    found = _typed(rows, call.endpoint, spec)
    single = call.id is not None
    if call.id is not None:
        found = _among(found, sorted({*rows.where(ID).get(key(call.id), ()), *_own_ids(rows, call.id)}))
    for name, value in given.items():
        meant = rows.readings.get((call.endpoint, name))
        if meant is None:
            continue
        for wanted in conditions(call.api, meant, call.api.params[name], value):
            found = _keep(rows, wanted, found)
        single = single or (meant.field == ID and spec.path.endswith(f"{{{name}}}"))
    if single and not found:
        raise ServiceError(404, f"Not Found: no {call.api.noun} has this id")
    if single and len(found) == 1:
        return rows.record(found[0])
    circle = rows.circles.get(call.endpoint)
    if circle is not None:
        found = within(rows, circle, given, found)
    roles = {role: value for name, value in given.items() if (role := role_of(name, call.api.params[name]))}
    start, size = page(call.api, spec, roles)
    ordered = in_order(rows, found, spec, roles)
    return {"total": len(found), "hits": [rows.record(row) for row in ordered[start : start + size]]}


def _given(call: Call, spec: Endpoint) -> dict[str, Any]:
    """What a call gives, and what its service assumes where it gives nothing. A switch that is off filters nothing."""
    assumed = {n: call.api.params[n].default for n in spec.params if call.api.params[n].default not in (None, False)}
    whole = {n: tuple(map(str, v)) if isinstance(v, list | tuple) else v for n, v in assumed.items()}
    return {n: v for n, v in {**whole, **dict(call.params)}.items() if v not in ((), "")}


def _typed(rows: Rows, name: str, spec: Endpoint) -> Sequence[int]:
    """The rows of an endpoint: those whose `_type` it or its path names, and those without one."""
    if not rows.types:
        return range(rows.size)
    words = {key(name), *(key(part) for part in re.findall(r"[^/{}]+", spec.path))}
    words |= {word.removesuffix("s") for word in words}
    known = [t for t in rows.types if t in words or t.removesuffix("s") in words]
    if not known:
        return range(rows.size)
    return sorted(row for t in known for row in rows.types[t])


def _own_ids(rows: Rows, text: str) -> list[int]:
    return rows.where("id").get(key(text), []) if "id" in rows.names else []


def _among(found: Sequence[int], others: list[int]) -> Sequence[int]:
    if isinstance(found, range):
        return others
    kept = set(found)
    return [row for row in others if row in kept]


def _keep(rows: Rows, wanted: Condition, found: Sequence[int]) -> Sequence[int]:
    if wanted.keys:
        table = rows.where(wanted.field)
        return _among(found, sorted({row for text in wanted.keys for row in table.get(text, ())}))
    column, fits = rows.column(wanted.field, wanted.how), wanted.fits
    if wanted.lacking:
        return [row for row in found if not column[row] or any(map(fits, column[row]))]
    return [row for row in found if any(map(fits, column[row]))]
