"""A sweep of several APIs: each is scored by itself; here they are put side by side, and together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import read_jsonl, write_json, write_jsonl, write_manifest
from querywright.evaluate import safe_pickle
from querywright.evaluate.config import Config, label
from querywright.evaluate.models import Absent
from querywright.evaluate.score import METRICS, finite
from querywright.evaluate.summary import by_cell, summary
from querywright.page import esc, grid, write_page

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = ("valid", "same", "hits_same")


def together(config: Config, scored: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The scores of a sweep's cells over all of its APIs, each sentence counted once.

    Args:
        scored: API to its scores, as `score.score` gives them.

    Returns:
        `apis`: of each its `cells` (name, n, metrics); `cells`: each over all APIs that it was asked for (`apis`), as
        `summary.summary` has it, and `same_by_api`, the mean of the APIs' shares, each API alike.

    Raises:
        Absent: nothing was asked of any API.
    """
    if not scored:
        raise Absent(f"{config.name}: neither models nor pairs of any API are here", hint="see what was left out above")
    # two APIs may have the same sentence and the same path
    rows = [{**row, "id": f"{row['api']}:{row['id']}"} for one in scored.values() for row in one["rows"]]
    cells = []
    for name, mine in by_cell(rows).items():
        apis = list(dict.fromkeys(row["api"] for row in mine))
        shares = [[row["same"] for row in mine if row["api"] == api] for api in apis]
        mean = sum(sum(share) / len(share) for share in shares) / len(shares)
        cells.append({**summary(name, mine, METRICS, config.seed), "apis": apis, "same_by_api": mean})
    kept = ("name", "model", "strategy", "decoding", "engine", "samples", "n", "metrics")
    each = {api: {"cells": [{k: c[k] for k in kept} for c in one["cells"]]} for api, one in scored.items()}
    found: dict[str, Any] = finite({"apis": each, "cells": cells})
    return found


def _lines(found: dict[str, Any]) -> list[list[str]]:
    """A line for each API and cell, then for each cell over all APIs: API, cell, n, shares with intervals."""
    places = [(api, cell) for api, one in found["apis"].items() for cell in one["cells"]]
    places += [("all", cell) for cell in found["cells"]]
    return [
        [label(api), cell["name"], str(cell["n"]), *(_share(cell["metrics"].get(m)) for m in _SHOWN)]
        for api, cell in places
    ]


def _share(metric: dict[str, float] | None) -> str:
    if metric is None:
        return "–"
    low, high = (f"{100 * metric[k]:.0f}" if metric[k] is not None else "–" for k in ("low", "high"))
    return f"{100 * metric['mean']:.0f} [{low}, {high}]"


_HEADINGS = ("API", "cell", "n", "valid", "same", "hits")


def table(found: dict[str, Any]) -> Table:
    """Each API's cells, and all APIs together, for the terminal."""
    from rich import box
    from rich.table import Table

    note = "Per cent of sentences, with 95 % intervals; `all` counts each sentence once."
    grid = Table(title="All APIs", title_justify="left", caption=note, caption_justify="left", box=box.SIMPLE_HEAD)
    for i, heading in enumerate(_HEADINGS):
        grid.add_column(heading, justify="left" if i < 2 else "right", no_wrap=True)
    for line in _lines(found):
        grid.add_row(*line, style="bold" if line[0] == "all" else "")
    return grid


def write(config: Config, found: dict[str, Any]) -> list[Path]:
    """Write `scores.json`, `report.html` and the responses of all APIs to `config.out`; the APIs' own reports lie in
    their own folders.

    Returns:
        The files, the first to look at first.
    """
    out = Path(config.out)
    folders = {api: Path(config.of(api).out) for api in found["apis"]}
    rows = [row for folder in folders.values() for row in read_jsonl(folder / f"responses_{config.name}.jsonl")]
    resolved = config.model_dump(mode="json")
    write_json(out / "scores.json", {"config": resolved, **found})
    write_jsonl(out / f"responses_{config.name}.jsonl", rows)
    safe_pickle.dump(rows, out / f"responses_{config.name}.pkl")
    places = {label(api): os.path.relpath(folder / "report.html", out) for api, folder in folders.items()}
    links = "".join(f'<li><a href="{esc(place)}">{esc(name)}</a></li>' for name, place in places.items())
    lines = [[esc(cell) for cell in line] for line in _lines(found)]
    body = [f"<h1>{esc(config.name)}</h1>", f"<ul>{links}</ul>", grid(_HEADINGS, lines, words=2)]
    write_page(out / "report.html", config.name, body)
    files = ["report.html", "scores.json", *(f"responses_{config.name}.{kind}" for kind in ("jsonl", "pkl"))]
    write_manifest(out, resolved, files, rows=len(rows))
    return [out / name for name in files]
