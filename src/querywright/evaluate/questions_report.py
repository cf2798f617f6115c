"""What people look at after an evaluation on question rows: a table for the terminal, `scores.json`, charts, page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import write_json, write_manifest
from querywright.evaluate import chart, questions_page
from querywright.evaluate.best import best
from querywright.evaluate.report import number, share

if TYPE_CHECKING:
    from rich.table import Table

# light to dark, told apart in grey print and with any colour vision; see `chart.BARS`
BARS = (
    ("exact", "exact", "#cfd8dc"), ("contains", "contains it", "#a3cfe0"), ("judge", "judge", "#64b5cd"),
    ("f1", "F1", "#1f4e79"),
)  # fmt: skip
_COLUMNS = {
    "exact": "exact", "contains": "contains", "f1": "F1 [95%]", "judge": "judge [95%]", "meteor": "METEOR",
    "bertscore": "BERTScore", "retrieval_hit": "found",
}  # fmt: skip
_WITH_INTERVAL = ("f1", "judge")


def write(found: dict[str, Any], rows: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
    """Write `scores.json`, the charts and the page, then the manifest; the responses are there already.

    Args:
        found: as `questions.evaluate_questions` returns it, without `files`.
        rows: scored answers.

    Returns:
        Names in `out`: responses, pickle, scores, report, and plots, which are several.
    """
    name = found["name"]
    write_json(out / "scores.json", found)
    drawn = draw(found, out)
    questions_page.write(found, rows, out / "report.html", {p.stem: p for p in drawn if p.suffix == ".svg"})
    files = {"responses": f"responses_{name}.jsonl", "pickle": f"responses_{name}.pkl", "scores": "scores.json",
             "report": "report.html"}  # fmt: skip
    plots = [path.name for path in drawn]
    write_manifest(out, found["config"], [*files.values(), *plots], rows=len(rows))
    return {**files, "plots": plots}


def draw(found: dict[str, Any], out: Path) -> list[Path]:
    """Draw `scores` and `latency`, PNG and SVG each; returns the files."""
    cells = [{**cell, "metrics": cell["scores"]} for cell in found["cells"]]
    drawn = chart.draw(cells, out / "scores", found["name"], shown=BARS, of="questions")
    return drawn + chart.latency(cells, out / "latency")


def table(found: Mapping[str, Any]) -> Table:
    """The scores of each cell for the terminal."""
    from rich import box
    from rich.table import Table

    grid = Table(
        title=str(found["name"]), title_justify="left", caption=caption(found), caption_justify="left",
        box=box.SIMPLE_HEAD, show_edge=False,
    )  # fmt: skip
    shown = [metric for metric in _COLUMNS if any(metric in cell["scores"] for cell in found["cells"])]
    grid.add_column("cell", overflow="fold")
    for heading in ("n", *(_COLUMNS[m] for m in shown), "p50", "p95", "errors"):
        grid.add_column(heading, justify="right", no_wrap=True)
    top = {cell["name"] for cell in best(found["cells"], "f1")}
    for cell in found["cells"]:
        shares = (share(cell["scores"].get(m), m in _WITH_INTERVAL) for m in shown)
        seconds = (number(cell["ms"][k] and cell["ms"][k] / 1000, 1) for k in ("p50", "p95"))
        line = [cell["name"], str(cell["n"]), *shares, *seconds, str(cell["errors"] or "")]
        grid.add_row(*line, style="bold" if cell["name"] in top else "")
    return grid


def caption(found: Mapping[str, Any]) -> str:
    """What the columns mean, how far the best cell is from the next, how far the judge can be trusted."""
    clusters = found["clusters"]
    lines = [f"Per cent of questions; intervals: bootstrap of {clusters['n']} {clusters['by']}s. p50, p95: seconds."]
    near = min(found["paired"], key=lambda p: p["difference"], default=None)
    if near is not None and near["difference"] > 0:
        ends = " to ".join(f"{100 * near[k]:.0f}" for k in ("low", "high"))
        lines.append(f"Best: {near['best']}, F1 {100 * near['difference']:.0f} points [{ends}] above {near['other']},")
        lines.append(
            f"on the same {near['n']} questions, p = {near['p_holm']:.2g} (sign test of {clusters['by']}s, Holm)."
        )
    return "\n".join([*lines, *questions_page.trust(found["judge"])])
