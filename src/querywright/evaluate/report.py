"""What people look at after a sweep: tables on the terminal, `scores.json`, charts, the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import write_json, write_manifest
from querywright.evaluate import chart, page
from querywright.evaluate.config import Config
from querywright.evaluate.errors import collect
from querywright.evaluate.score import finite

if TYPE_CHECKING:
    from rich.table import Table


def write(config: Config, scores: dict[str, Any]) -> list[Path]:
    """Write `scores.json`, the charts and the page to `config.out`, then the manifest.

    Args:
        scores: as `score.score` returns them.

    Returns:
        The files, the first to look at first.
    """
    out = Path(config.out)
    resolved = config.model_dump(mode="json")
    cells, wrong = scores["cells"], collect(scores["rows"])
    found = finite({"config": resolved, "cells": cells, "paired": scores["paired"], "errors": wrong})
    write_json(out / "scores.json", found)
    drawn = chart.draw(cells, out / "scores", title=f"{config.api}: {config.name}")
    drawn += chart.latency(cells, out / "latency") + chart.confidence(cells, out / "confidence")
    page.write(found, out / "report.html", {path.stem: path for path in drawn if path.suffix == ".svg"})
    responses = [f"responses_{config.name}.{kind}" for kind in ("jsonl", "pkl")]
    files = ["report.html", "scores.json", *(p.name for p in drawn), *responses]
    write_manifest(out, resolved, files, rows=len(scores["rows"]))
    return [out / name for name in files]


def share(metric: dict[str, float] | None, interval: bool = False) -> str:
    """A share as per cent, with its interval where asked."""
    if metric is None:
        return "–"
    text = f"{100 * metric['mean']:.0f}"
    return f"{text} [{100 * metric['low']:.0f}, {100 * metric['high']:.0f}]" if interval else text


def table(scores: dict[str, Any], title: str = "", narrow: bool = False) -> Table:
    """The scores of each cell as a table for the terminal; `narrow` fits 80 columns."""
    from rich import box
    from rich.table import Table

    grid = Table(
        title=title, title_justify="left", caption=caption(scores), caption_justify="left", box=box.SIMPLE_HEAD,
        show_edge=False, padding=(0, 0 if narrow else 1, 0, 0),
    )  # fmt: skip
    grid.add_column("cell", no_wrap=True)
    for heading in _WIDE[:-3] if narrow else _WIDE:
        grid.add_column(heading, justify="right", no_wrap=True)
    top = max((_mean(cell, "same") for cell in scores["cells"]), default=0.0)
    for cell in scores["cells"]:
        metrics = cell["metrics"]
        numbers = [
            str(cell["n"]), share(metrics.get("valid")), share(metrics.get("same"), True),
            share(metrics.get("hits_same"), True), share(metrics.get("ast_match")),
            *(number(cell["ms"][k] and cell["ms"][k] / 1000, 1) for k in ("p50", "p95")),
            share(metrics.get("fields_f1")), *(number(cell["tokens"][k]) for k in ("in", "out")),
        ]  # fmt: skip
        style = "bold" if _mean(cell, "same") == top > 0 else ""
        grid.add_row(cell["name"], *(numbers[:-3] if narrow else numbers), style=style)
    return grid


_WIDE = ("n", "valid", "same [95%]", "hits [95%]", "AST", "p50", "p95", "fields F1", "tokens in", "out")


def number(value: float | None, digits: int = 0) -> str:
    """A count or a time, rounded; a dash for what was not measured."""
    return "–" if value is None or value != value else f"{value:,.{digits}f}"


def best(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The cell with the most sentences right; among equals the one with the most that are calls."""
    return max(cells, key=lambda cell: (_mean(cell, "same"), _mean(cell, "valid")))


def _mean(cell: dict[str, Any], metric: str) -> float:
    found = cell["metrics"].get(metric)
    return float(found["mean"]) if found else 0.0


def caption(scores: dict[str, Any]) -> str:
    """What the columns mean, how far the best cell is from the next, how much it answers where it is sure."""
    text = "Per cent of sentences. valid: is a call; same: means the same as the expected call;\n"
    text += "hits: finds the same records when run; AST: equal as text. p50, p95: seconds an answer."
    near = min(scores["paired"], key=lambda p: p["difference"], default=None)
    if near is not None and near["difference"] > 0:
        ends = " to ".join(f"{100 * near[k]:.0f}" for k in ("low", "high"))
        text += f"\nBest: {near['best']}, {100 * near['difference']:.0f} points [{ends}] above {near['other']}"
        text += f"\non the same {near['n']} sentences, p = {near['p_holm']:.2g} (McNemar, Holm)."
    sure = best(scores["cells"]).get("reliability") if scores["cells"] else None
    if sure and sure["chosen"]["threshold"] is not None:
        text += f"\nOf the best: {100 * sure['target']:.0f} % are right where the confidence is at least "
        text += f"{sure['chosen']['threshold']:.2f}:\n{share(sure['chosen']['answered'], True)} % of the sentences."
    return text


REFUSALS = {
    "recall": "refused of those to refuse", "precision": "rightly of those refused",
    "false_refusals": "refused though answerable", "reason": "with the right reason",
}  # fmt: skip


def refusals(scores: dict[str, Any]) -> Table | None:
    """How well each cell refuses; None where nothing was to be refused and nothing was."""
    from rich import box
    from rich.table import Table

    cells = [cell for cell in scores["cells"] if "refusals" in cell]
    if not cells:
        return None
    grid = Table(
        title="Refusals (per cent, with 95 % intervals)", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
    )
    grid.add_column("cell", no_wrap=True)
    for heading in ("to refuse", "refused", *REFUSALS.values()):
        grid.add_column(heading, justify="right")
    for cell in cells:
        found = cell["refusals"]
        shares = [share(found.get(name), True) for name in REFUSALS]
        grid.add_row(cell["name"], str(found["expected"]), str(found["given"]), *shares)
    return grid


def problems(scores: dict[str, Any]) -> Table:
    """The kinds of error of the best cell, with one example each."""
    from rich.markup import escape
    from rich.table import Table

    name = best(scores["cells"])["name"]
    grid = Table(title=f"What is wrong in {name}", title_justify="left")
    for heading, side in (("error", "left"), ("n", "right"), ("for example", "left")):
        grid.add_column(heading, justify=side)  # type: ignore[arg-type]
    for line in collect(scores["rows"]):
        if line["cell"] == name:
            one = line["examples"][0]
            text = f"{one['instruction']}\n  meant {one['expected']}\n  got   {one['given']}"
            text += f"\n  ({one['reason']})" if one["reason"] else ""
            grid.add_row(line["problem"], str(line["n"]), escape(text))
    return grid
