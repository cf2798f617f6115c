"""Where it is right and where not: by operator, by field, by kind of request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from querywright.api.call import Call, fold
from querywright.api.query import Bool, Everything, Range, Term, walk
from querywright.evaluate.conditions import kind_of, leaves
from querywright.statistics import wilson

Scored = dict[str, Any]


def traits(call: Call) -> dict[str, list[str]]:
    """What a call makes use of.

    Returns:
        `operators`: kinds of match, NOT, OR, AND, how many conditions, the parameters; `searched`, `returned`: fields.
    """
    folded = fold(call)
    found = list(leaves(folded.query))
    operators = {kind_of(leaf.node) for leaf in found}
    operators |= {leaf.join for leaf in found if leaf.join}
    operators |= {"NOT" for leaf in found if leaf.negated}
    operators |= {"any field" for leaf in found if isinstance(leaf.node, Term) and leaf.node.field is None}
    operators |= {
        "open range" for leaf in found if isinstance(leaf.node, Range) and "*" in (leaf.node.low, leaf.node.high)
    }
    if isinstance(folded.query, Everything):
        operators.add("everything")
    if isinstance(folded.query, Bool) and sum(isinstance(n, Bool) for n in walk(folded.query)) > 1:
        operators.add("brackets")
    if len(found) > 1:
        operators.add("2 conditions" if len(found) == 2 else "3 or more conditions")
    operators.add(f"endpoint {folded.endpoint}")
    operators |= {f"{name}=" for name, _ in folded.params}
    returned = [
        str(value)
        for name, values in folded.params
        if call.api.params[name].kind == "fields" and isinstance(values, tuple)
        for value in values
    ]
    searched = {str(name) for leaf in found if (name := getattr(leaf.node, "field", None))}
    return {"operators": sorted(operators), "searched": sorted(searched), "returned": sorted(set(returned))}


def tables(rows: list[Scored]) -> dict[str, list[dict[str, Any]]]:
    """The rows of one cell by `operators`, `searched`, `returned`, `signatures` and `sources`.

    Returns:
        For each a table, the most frequent first. A line has its `name`, `n` (sentences that ask for it), `same` (the
        share of them right) with Wilson's 95 % interval `low` and `high`; the first three also `lost` (asked for, not
        in the answer) and `added` (in the answer, not asked for).
    """
    found = {name: _used(rows, name) for name in ("operators", "searched", "returned")}
    for name, key in (("signatures", "signature"), ("sources", "source")):
        found[name] = _lines(rows, lambda row, key=key: [str(row.get(key, ""))])  # type: ignore[misc]
    return found


def _used(rows: list[Scored], kind: str) -> list[dict[str, Any]]:
    calls = [row for row in rows if row.get("want")]
    table = {line["name"]: line for line in _lines(calls, lambda row: row["want"][kind])}
    for line in table.values():
        line.update(lost=0, added=0)
    for row in calls:
        want = row["want"][kind]
        got = row["got"][kind] if row.get("got") else []
        for name in {*want} - {*got}:
            table[name]["lost"] += 1
        for name in sorted({*got} - {*want}):
            none = {"name": name, "n": 0, "same": None, "low": None, "high": None, "lost": 0, "added": 0}
            table.setdefault(name, none)["added"] += 1
    return sorted(table.values(), key=lambda line: (-line["n"], -line["added"], line["name"]))


def _lines(rows: Iterable[Scored], names: Callable[[Scored], Iterable[str]]) -> list[dict[str, Any]]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        for name in names(row):
            groups.setdefault(name, []).append(row["same"])
    lines = []
    for name, values in groups.items():
        low, high = wilson(sum(values), len(values))
        lines.append({"name": name, "n": len(values), "same": sum(values) / len(values), "low": low, "high": high})
    return sorted(lines, key=lambda line: (-line["n"], line["name"]))
