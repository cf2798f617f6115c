"""The third step: of each signature a random few calls, of which no single client sent more than a few."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.logs.sign import Part
from querywright.logs.spill import grouped, read
from querywright.logs.tally import Clients, Tally


def choose(part: Part) -> Tally:
    """Read one partition of the calls; write one JSON line for each signature that is kept, with the chosen calls."""
    tally = Tally()
    with replacing(_file(part.folder, part.partition)) as out:
        for (packed,), rows in grouped(read(part.runs, part.partition), 1):
            group = _signature(json.loads(packed), rows, part)
            clients: Clients = group.pop("clients")
            single = not (part.keep_single or part.anonymous) and len(clients.by) < 2
            kind = "single_" if single else ""
            tally.counts[f"{kind}signatures"] += 1
            tally.counts[f"{kind}calls"] += group["calls"]
            tally.counts[f"{kind}lines"] += group["lines"]
            if not single:
                out.write(json.dumps(group) + "\n")
    return tally


def _file(folder: str, partition: int) -> Path:
    return Path(folder) / f"chosen-{partition:02d}.jsonl"


def chosen(folder: str, partition: int) -> Iterator[dict[str, Any]]:
    """The signatures that `choose` kept of a partition."""
    with open(_file(folder, partition), encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _signature(signature: str, rows: Iterator[list[str]], part: Part) -> dict[str, Any]:
    """One signature: its traffic, and its first calls in random order that a client's share leaves room for.

    A call is passed over where every client that sent it has had `per_client` calls already. All who sent a call are
    charged for it, so that the outcome does not depend on their hashes, which are others in every run.
    """
    everyone, charged = Clients(), Clients()
    kept: list[list[Any]] = []
    calls = 0
    for canonical, spellings in groupby(rows, lambda row: row[1]):
        calls += 1
        clients, best = Clients(), (0, "")
        for text, same in groupby(spellings, lambda row: row[2]):
            lines = sum(clients.read(row[3]) for row in same)
            best = min(best, (-lines, json.loads(text)))
        everyone.join(clients)
        if len(kept) < part.most and _room(clients, charged, part.per_client):
            kept.append([best[1], json.loads(canonical), clients.lines, len(clients.by)])
    return {"signature": signature, "lines": everyone.lines, "weight": everyone.weight(part.per_client),
            "calls": calls, "clients": everyone, "rows": kept}  # fmt: skip


def _room(clients: Clients, charged: Clients, per_client: int) -> bool:
    if clients.over or len(clients.by) > 1000:  # nobody's in particular
        return True
    if all(charged.by.get(client, 0) >= per_client for client in clients.by):
        return False
    for client in clients.by:
        charged.add(client, 1)
    return True
