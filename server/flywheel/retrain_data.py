"""What a candidate learns, and what it is judged on: corrections and replayed pairs; the most recent corrections.

Nothing that is asked in the comparison is trained on: neither the same sentence nor the same call (by canonical form).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.artefacts import MANIFEST, read_jsonl, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.pairs.prompted import with_fields
from querywright.progress import say
from querywright.protected import allowed, plain
from querywright.rows import Row, answer, chat, said

CORRECTIONS, RECENT, CHAT = "corrections.jsonl", "recent.jsonl", "train.chat.jsonl"
LEAST_HELD, MOST_HELD = 0.2, 0.8
"""The share of the corrections that is held out."""


@dataclass(frozen=True)
class Shares:
    """How corrections are dealt out.

    Attributes:
        held: share of the corrections, the most recent ones, that is held out; at least 0.2.
        replay: rows of the workspace's training pairs for each row of a correction.
        passes: how often each correction is shown.
        least: corrections that there have to be.
    """

    held: float = LEAST_HELD
    replay: float = 3.0
    passes: int = 4
    least: int = 40


def corrections(
    api: API, source: Path, frozen: Iterable[Row], shares: Shares, current: Path | None = None
) -> tuple[list[Row], list[Row]]:
    """The exported corrections: those to learn, and the most recent ones, which are held out.

    Their order in the file is that of time, unless they say it themselves (`at`). What stands in the frozen test set is
    left out; what the current model has learnt already is not held out.

    Args:
        current: the data folder of the current model, which is there if it was made of corrections.

    Raises:
        QuerywrightError: no such file, too few corrections, or none since the current model was made.
    """
    if not LEAST_HELD <= shares.held <= MOST_HELD:
        raise QuerywrightError(f"--held {shares.held:g}: from {LEAST_HELD} to {MOST_HELD}", hint="--held 0.2")
    asked, more = _known(frozen), f"querywright serve --api {api.name} collects more"
    found = [row for row in allowed(read_jsonl(source)) if row.get("api", api.name) == api.name]
    rows = [row for row in found if not _among(row, asked)]
    if len(rows) < len(found):
        say(f"{len(found) - len(rows)} of {len(found)} corrections left out: they stand in the frozen test set")
    if any(row.get("at") for row in rows):
        rows.sort(key=lambda row: str(row.get("at") or ""))
    if len(rows) < shares.least or not rows:
        raise QuerywrightError(
            f"too few corrections: {source} has {len(rows)} that can be trained on, {shares.least} are needed",
            hint=f"{more}; --least N asks for fewer",
        )
    known = learnt(current) if current else set()
    seen = known | {str(row["id"]) for row in (_rows(current / RECENT) if current else [])}
    if all(row["id"] in seen for row in rows):
        raise QuerywrightError("no corrections since the current model was made", hint=more)
    new, wanted = [row for row in rows if row["id"] not in known], math.ceil(shares.held * len(rows))
    if len(new) < wanted:
        raise QuerywrightError(
            f"too few new corrections: {wanted} of {len(rows)} have to be held out, and {len(new)} of them the current "
            "model has not learnt already",
            hint=more,
        )
    recent = new[-wanted:]
    held = _known(recent)
    learn = [row for row in rows if not _among(row, held)]
    if not learn:
        raise QuerywrightError("all corrections ask for what is held out: nothing is left to learn", hint=more)
    return learn, recent


def write_data(
    api: API,
    workspace: Path,
    folder: Path,
    learn: list[Row],
    recent: list[Row],
    frozen: Iterable[Row],
    shares: Shares,
    config: dict[str, Any],
) -> dict[str, int]:
    """Write a candidate's rows to `folder`: what it learns (`train.chat.jsonl`), the corrections in it and those held
    out; the manifest last. Returns the counts.

    Raises:
        QuerywrightError: no training pairs to replay.
    """
    wanted = math.ceil(shares.replay * shares.passes * len(learn))
    replayed = _replay(api, workspace, wanted, _known([*frozen, *recent]), int(config.get("seed", 0)))
    prompted = [chat(row) for row in with_fields(learn, api)] * shares.passes
    prompted += [chat(row) for row in with_fields(replayed, api)]
    write_jsonl(folder / CORRECTIONS, learn)
    write_jsonl(folder / RECENT, recent)
    write_jsonl(folder / CHAT, prompted)
    counts = {"corrections": len(learn), "recent": len(recent), "replayed": len(replayed), "rows": len(prompted)}
    write_manifest(folder, config, [CORRECTIONS, RECENT, CHAT], counts=counts)
    return counts


def learnt(folder: Path) -> set[str]:
    """Ids of the corrections that a candidate learnt, and those that it started from had learnt."""
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError):  # a model that was not made of corrections
        return set()
    return {*map(str, made["learnt_before"]), *(str(row["id"]) for row in _rows(folder / CORRECTIONS))}


def _rows(path: Path) -> list[Row]:
    return read_jsonl(path) if path.is_file() else []


def _replay(api: API, workspace: Path, wanted: int, asked: set[str], seed: int) -> list[Row]:
    if not wanted:
        say("warning: no pairs are replayed (--replay 0): what the model knew may be forgotten")
        return []
    path = workspace / "pairs" / "train.jsonl"
    if not path.is_file():
        raise QuerywrightError(
            f"no training pairs to replay at {path}: without them the model forgets what it knew",
            hint=f"querywright pairs split PAIRS.jsonl --out {path.parent} writes them; --replay 0 goes without",
        )
    rows = [row for row in allowed(read_jsonl(path)) if row.get("api") == api.name and not _among(row, asked)]
    if len(rows) < wanted:
        say(f"{path} has {len(rows)} pairs to replay, {wanted} were wanted: all are taken")
    return random.Random(seed).sample(rows, min(wanted, len(rows)))


def _known(rows: Iterable[Row]) -> set[str]:
    """What some rows ask for, and with which words."""
    return {key for row in rows for key in _keys(row)}


def _keys(row: Row) -> tuple[str, str]:
    return f"call:{row.get('canonical') or answer(row)}", f"said:{plain(said(row))}"


def _among(row: Row, known: set[str]) -> bool:
    return any(key in known for key in _keys(row))
