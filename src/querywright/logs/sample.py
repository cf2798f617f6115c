"""Calls by signature: those that were chosen of each kind are run until enough of them have hits; their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from querywright.api.call import Call, parse
from querywright.api.definition import API
from querywright.api.query import Exists, Interval, Range, Term, walk
from querywright.logs.validate import Result

TRIES = 3
"""Up to so many times `per_signature` calls are run to find `per_signature` that have hits."""


@dataclass
class Known:
    """A distinct call that was chosen: its commonest spelling, how many lines and clients sent it."""

    api: API = field(repr=False)
    text: str
    canonical: str
    count: int
    clients: int
    result: Result | None = None
    uncovered: tuple[str, ...] = ()

    @cached_property
    def call(self) -> Call:
        """The call itself; only those that are run are parsed again."""
        return parse(self.api, self.text)

    @property
    def good(self) -> bool:
        """Whether it was taken and, where calls are run, has hits."""
        return self.result is not None and "error" not in self.result and self.result.get("total", 1) > 0


@dataclass
class Group:
    """A signature: its lines, its weight (lines, of which no client counts for more than all others), chosen calls."""

    lines: int
    weight: int
    items: list[Known]


def groups(api: API, found: Iterable[dict[str, Any]]) -> dict[str, Group]:
    """What `choose` wrote, most frequent signature first."""
    rows = sorted(found, key=lambda g: (-g["lines"], g["signature"]))
    return {g["signature"]: Group(g["lines"], g["weight"], [Known(api, *row) for row in g["rows"]]) for g in rows}


def sample(
    by_signature: dict[str, Group], per_signature: int, run: Callable[[list[Call], str], list[Result]] | None
) -> None:
    """Give up to `per_signature` calls of each signature a result with hits; the rare signatures keep all they have.

    Calls without hits make room for further ones of their signature, up to `TRIES` times the number wanted.
    """
    tried = dict.fromkeys(by_signature, 0)
    for turn in range(TRIES):
        batch: list[Known] = []
        for signature, group in by_signature.items():
            items = group.items
            kept = sum(k.good for k in items)
            more = items[tried[signature] : tried[signature] + per_signature - kept]
            tried[signature] += len(more)
            batch += more
        if not batch:
            break
        results = run([k.call for k in batch], f"run, turn {turn + 1}") if run else [Result() for _ in batch]
        for item, result in zip(batch, results, strict=True):
            item.result = result


def mark_uncovered(items: list[Known], run: Callable[[list[Call], str], list[Result]]) -> None:
    """Say of calls without hits which of their fields no record has: there the records are at fault, not the call."""
    empty = [k for k in items if k.result is not None and k.result.get("total") == 0 and k.call.query is not None]
    fields = {id(k): searched(k.call) for k in empty}
    names = sorted({name for found in fields.values() for name in found})
    example = {name: next(k.call for k in empty if name in fields[id(k)]) for name in names}
    asked = [replace(example[name], query=Exists(name), params=()) for name in names]
    found = dict(zip(names, run(asked, "look for fields"), strict=True)) if asked else {}
    for item in empty:
        item.uncovered = tuple(n for n in fields[id(item)] if found[n].get("total") == 0)


def searched(call: Call) -> list[str]:
    """The fields that must have values for a call to find something, sorted: in `q`, by interval, by parameter."""
    nodes = list(walk(call.query)) if call.query is not None else []
    names = {n.field for n in nodes if isinstance(n, Term | Range | Exists) and n.field}
    if call.api.intervals:
        places = {call.api.intervals.field(n.assembly) for n in nodes if isinstance(n, Interval)}
        names |= {f"{place}.start" for place in places if place}
    names |= {call.api.params[p].field for p, value in call.params if value is True and call.api.params[p].field}
    return sorted(names)


def row(item: Known, signature: str, weight: float) -> dict[str, Any]:
    """One line of `calls.jsonl` or `candidates.jsonl`; `hits` is None where nothing was run."""
    result = item.result or Result()
    out = {"path": item.text, "canonical": item.canonical, "signature": signature, "count": item.count,
           "weight": round(weight, 4), "clients": item.clients, "hits": result.get("total")}  # fmt: skip
    if "error" in result:
        out["error"] = result["error"]
    return {**out, "uncovered": list(item.uncovered)} if item.uncovered else out


def rows(by_signature: dict[str, Group]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(kept, candidates). A kept call stands for its share of the signature's traffic: that is its weight."""
    kept: list[dict[str, Any]] = []
    candidates: list[dict[str, Any]] = []
    for signature, group in by_signature.items():
        run = sorted((k for k in group.items if k.result is not None), key=lambda k: (-k.count, k.canonical))
        weight = group.weight / max(1, sum(k.good for k in run))
        kept += [row(k, signature, weight) for k in run if k.good]
        candidates += [row(k, signature, 0.0) for k in run if not k.good]
    return kept, candidates
