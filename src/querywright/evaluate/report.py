"""What people look at after a sweep: a table on the terminal, `scores.json`, examples of each kind of error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import write_json, write_manifest
from querywright.evaluate import chart, page
from querywright.evaluate.config import Config
from querywright.evaluate.score import finite

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = 10


def write(config: Config, scores: dict[str, Any]) -> list[Path]:
    """Write `scores.json`, the chart and the page to `config.out`, then the manifest.

    Args:
        scores: as `score.score` returns them.

    Returns:
        The files, the first to look at first.
    """
    out = Path(config.out)
    resolved = config.model_dump(mode="json")
    found = {"config": resolved, "cells": scores["cells"], "paired": scores["paired"], "errors": errors(scores["rows"])}
    write_json(out / "scores.json", finite(found))
    drawn = chart.draw(scores["cells"], out / "scores", title=f"{config.api}: {config.name}")
    page.write(found, out / "report.html", picture=out / "scores.svg")
    responses = [f"responses_{config.name}.{kind}" for kind in ("jsonl", "pkl")]
    files = ["report.html", "scores.json", *(p.name for p in drawn), *responses]
    write_manifest(out, resolved, files, rows=len(scores["rows"]))
    return [out / name for name in files]


def errors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each kind of error in each cell, the most frequent first, with up to EXAMPLES responses that show it."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        for problem in row["problems"]:
            groups.setdefault((cell_name(row), problem), []).append(row)
    order = list(dict.fromkeys(cell_name(row) for row in rows))
    ranked = sorted(groups.items(), key=lambda group: (order.index(group[0][0]), -len(group[1]), group[0][1]))
    return [
        {"cell": cell, "problem": problem, "n": len(found), "examples": [_example(row) for row in found[:EXAMPLES]]}
        for (cell, problem), found in ranked
    ]


def _example(row: dict[str, Any]) -> dict[str, Any]:
    given = str(row.get("path") or row.get("response") or "")[:500]
    return {"instruction": row["instruction"], "expected": row["expected"], "given": given, "reason": row["reason"]}


def cell_name(row: dict[str, Any]) -> str:
    """The name of a row's cell, as people read it."""
    return f"{row['model']} · {row['strategy']} · {row['decoding']}"


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
    grid.add_column("model · strategy · decoding", no_wrap=True)
    for heading in _WIDE[:-3] if narrow else _WIDE:
        grid.add_column(heading, justify="right", no_wrap=True)
    best = max((_mean(cell, "same") for cell in scores["cells"]), default=0.0)
    for cell in scores["cells"]:
        metrics = cell["metrics"]
        numbers = [
            str(cell["n"]), share(metrics.get("valid")), share(metrics.get("same"), True),
            share(metrics.get("hits_same"), True), share(metrics.get("ast_match")),
            *(number(cell["ms"][k] and cell["ms"][k] / 1000, 1) for k in ("p50", "p95")),
            share(metrics.get("fields_f1")), *(number(cell["tokens"][k]) for k in ("in", "out")),
        ]  # fmt: skip
        style = "bold" if _mean(cell, "same") == best > 0 else ""
        grid.add_row(cell_name(cell), *(numbers[:-3] if narrow else numbers), style=style)
    return grid


_WIDE = ("n", "valid", "same [95%]", "hits [95%]", "AST", "p50", "p95", "fields F1", "tokens in", "out")


def number(value: float | None, digits: int = 0) -> str:
    """A count or a time, rounded; a dash for what was not measured."""
    return "–" if value is None or value != value else f"{value:,.{digits}f}"


def _mean(cell: dict[str, Any], metric: str) -> float:
    found = cell["metrics"].get(metric)
    return float(found["mean"]) if found else 0.0


def caption(scores: dict[str, Any]) -> str:
    """What the columns mean, and how far the best cell is from the next."""
    text = "Per cent of sentences. valid: is a call; same: means the same as the expected call;\n"
    text += "hits: finds the same records when run; AST: equal as text. p50, p95: seconds an answer."
    near = min(scores["paired"], key=lambda p: p["difference"], default=None)
    if near is not None and near["difference"] > 0:
        ends = " to ".join(f"{100 * near[k]:.0f}" for k in ("low", "high"))
        text += f"\nBest: {near['best']}, {100 * near['difference']:.0f} points [{ends}] above {near['other']}"
        text += f"\non the same {near['n']} sentences, p = {near['p_holm']:.2g} (McNemar, Holm)."
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
    grid.add_column("model · strategy · decoding", no_wrap=True)
    for heading in ("to refuse", "refused", *REFUSALS.values()):
        grid.add_column(heading, justify="right")
    for cell in cells:
        found = cell["refusals"]
        shares = [share(found.get(name), True) for name in REFUSALS]
        grid.add_row(cell_name(cell), str(found["expected"]), str(found["given"]), *shares)
    return grid


def problems(scores: dict[str, Any]) -> Table:
    """The kinds of error of the best cell, with one example each."""
    from rich.markup import escape
    from rich.table import Table

    best = max(scores["cells"], key=lambda cell: (_mean(cell, "same"), _mean(cell, "valid")))
    grid = Table(title=f"What is wrong in {cell_name(best)}", title_justify="left")
    for heading, side in (("error", "left"), ("n", "right"), ("for example", "left")):
        grid.add_column(heading, justify=side)  # type: ignore[arg-type]
    for line in errors(scores["rows"]):
        if line["cell"] == cell_name(best):
            one = line["examples"][0]
            text = f"{one['instruction']}\n  meant {one['expected']}\n  got   {one['given']}"
            text += f"\n  ({one['reason']})" if one["reason"] else ""
            grid.add_row(line["problem"], str(line["n"]), escape(text))
    return grid
