"""A validation as one picture: shares beside what is for free, alerts by threshold, and how sure against how right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.errors import need

DARK, LIGHT, GREY = "#1f4e79", "#64b5cd", "#b0bec5"


def draw(found: dict[str, Any], path: Path, title: str) -> None:
    """Draw what `measure.measure` returns to a PNG."""
    need("matplotlib", extra="eval")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 3.6), layout="constrained")
    bars, line, calibration = figure.subplots(1, 3)
    shares = [
        ("accuracy", found["accuracy"], DARK),
        ("top 5", found["top 5"], LIGHT),
        *((name, s, GREY) for name, s in found["baselines"].items()),
    ]
    for y, (_, s, colour) in enumerate(shares):
        bars.barh(y, 100 * s["mean"], color=colour)
        bars.plot([100 * s["low"], 100 * s["high"]], [y, y], color="#333333", linewidth=1)
    bars.set_yticks(range(len(shares)), [name for name, _, _ in shares], fontsize=8)
    bars.invert_yaxis()
    bars.set_xlim(0, 100)
    bars.set_xlabel("per cent of rows, with 95 % intervals", fontsize=8)

    raised = [a for a in found["alerts"] if a["precision"]["mean"] is not None]
    at = [a["threshold"] for a in raised]
    line.fill_between(
        at, [a["precision"]["low"] for a in raised], [a["precision"]["high"] for a in raised], color=LIGHT, alpha=0.3
    )
    line.plot(at, [a["precision"]["mean"] for a in raised], color=DARK, marker="o", markersize=3, label="precision")
    every = found["alerts"]
    recall = [a["recall"]["mean"] or 0.0 for a in every]
    line.plot([a["threshold"] for a in every], recall, color=LIGHT, marker="s", markersize=3, label="recall")
    line.set_xlabel("alert from this probability", fontsize=8)
    line.legend(frameon=False, fontsize=8)

    bins = found["calibration"]
    largest = max(b["n"] for b in bins)
    calibration.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    calibration.plot([b["said"] for b in bins], [b["was"] for b in bins], color=DARK, linewidth=1)
    sizes = [8 + 60 * b["n"] / largest for b in bins]
    calibration.scatter([b["said"] for b in bins], [b["was"] for b in bins], s=sizes, color=DARK)
    calibration.set_xlabel("probability of the first choice", fontsize=8)
    calibration.set_ylabel("share right", fontsize=8)
    for axes in (line, calibration):
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.grid(color="#e0e0e0", linewidth=0.8)
        axes.set_axisbelow(True)
    for axes in (bars, line, calibration):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.suptitle(title, fontsize=10)
    with replacing(path, "wb") as out:
        figure.savefig(out, format="png", dpi=130)
