"""A sweep in pictures, PNG and SVG: scores, times, and how far confidence can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.errors import need

# light to dark, told apart in grey print and with any colour vision
BARS = (("valid", "valid", "#cfd8dc"), ("hits_same", "same hits", "#64b5cd"), ("same", "same by meaning", "#1f4e79"))
# Okabe and Ito 2008: told apart with any colour vision
LINES = ("#1f4e79", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GREY, INK, RULE = "#9aa5ab", "#333333", "#e0e0e0"


def draw(
    cells: list[dict[str, Any]], stem: Path, title: str, *, shown: Sequence[tuple[str, str, str]] = BARS,
    of: str = "sentences",
) -> list[Path]:  # fmt: skip
    """Draw the scores: one group of bars for each cell, with 95 % intervals.

    Args:
        cells: as `summary.summary` returns them.
        stem: the files' path without `.png` and `.svg`.
        shown: of each bar the metric, its name and its colour; the last one's figure stands beside it.
        of: what is counted.

    Returns:
        The two files.
    """
    figure = canvas(9.0, 1.6 + 0.62 * len(cells))
    axes = figure.add_subplot()
    bars = [bar for bar in shown if any(bar[0] in cell["metrics"] for cell in cells)]
    height = 0.8 / len(bars)
    for i, (metric, label, colour) in enumerate(bars):
        places, means, ends = [], [], []
        for y, cell in enumerate(cells):
            found = cell["metrics"].get(metric)
            if found is not None:
                places.append(y - 0.4 + height * (i + 0.5))
                means.append(100 * found["mean"])
                ends.append((100 * (found["mean"] - found["low"]), 100 * (found["high"] - found["mean"])))
        axes.barh(places, means, height * 0.92, color=colour, label=label)
        sides = [[max(0.0, pair[side]) for pair in ends] for side in (0, 1)]
        axes.errorbar(means, places, xerr=sides, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
        if metric == shown[-1][0]:
            for place, mean, (_, above) in zip(places, means, ends, strict=True):
                axes.text(min(mean + above + 1.2, 101), place, f"{mean:.0f}", va="center", fontsize=8, color=colour)
    cell_lines(axes, cells)
    axes.set_xlim(0, 106)
    axes.set_xticks(range(0, 101, 20))
    counts = {cell["n"] for cell in cells}
    counted = f"{max(counts)} {of}" if len(counts) == 1 else of
    axes.set_xlabel(f"per cent of {counted}, with 95 % intervals")
    axes.set_title(title, loc="left", fontsize=11)
    figure.legend(loc="outside lower center", ncols=len(bars), frameon=False, fontsize=9)
    return save(figure, stem)


def latency(cells: list[dict[str, Any]], stem: Path) -> list[Path]:
    """Draw how long answers took: of each cell the range up to the slowest, the middle half, the median and p95.

    Returns:
        The two files; none where nothing was timed.
    """
    timed = [cell for cell in cells if cell["ms"]["steps"]]
    if not timed:
        return []
    figure = canvas(9.0, 1.3 + 0.4 * len(timed))
    axes = figure.add_subplot()
    for y, cell in enumerate(timed):
        steps = [ms / 1000 for ms in cell["ms"]["steps"]]
        axes.plot([steps[0], steps[-1]], [y, y], color=GREY, linewidth=1, zorder=1)
        axes.barh(y, steps[15] - steps[5], 0.5, left=steps[5], color="#64b5cd", label="middle half" if y == 0 else None)
        axes.plot([steps[10]] * 2, [y - 0.25, y + 0.25], color="#1f4e79", linewidth=2.5, label=None if y else "median")
        axes.plot(steps[19], y, "o", color="#d55e00", markersize=5, label=None if y else "95 % are faster")
    cell_lines(axes, timed)
    slowest, fastest = (end(s / 1000 for c in timed for s in c["ms"]["steps"]) for end in (max, min))
    if fastest > 0 and slowest / fastest > 30:
        from matplotlib.ticker import FormatStrFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("seconds an answer")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return save(figure, stem)


def confidence(cells: list[dict[str, Any]], stem: Path) -> list[Path]:
    """Draw the reliability diagram, and how much is right of what is answered, for at most six cells.

    Returns:
        The two files; none where no cell has a confidence.
    """
    known = [cell for cell in cells if "reliability" in cell]
    known = sorted(known, key=lambda cell: -cell["metrics"]["same"]["mean"])[: len(LINES)]
    if not known:
        return []
    figure = canvas(9.0, 4.1 + 0.2 * len(known))
    diagram, risk = figure.subplots(1, 2)
    diagram.plot([0, 100], [0, 100], color=GREY, linewidth=1)
    for cell, colour in zip(known, LINES, strict=False):
        found = cell["reliability"]
        bins = found["bins"]
        said, was = [100 * b["said"] for b in bins], [100 * b["was"] for b in bins]
        sizes = [14 + 160 * b["n"] / found["known"] for b in bins]
        diagram.plot(said, was, color=colour, linewidth=1.2, label=_told(cell))
        diagram.scatter(said, was, s=sizes, color=colour, alpha=0.75, linewidths=0)
        curve = found["curve"]
        risk.plot([100 * p["answered"] for p in curve], [100 * p["right"] for p in curve], color=colour, linewidth=1.4)
        if found["chosen"]["threshold"] is not None:
            share, right = (100 * found["chosen"][key]["mean"] for key in ("answered", "right"))
            risk.plot(share, right, "o", color=colour, markersize=6)
    target = 100 * known[0]["reliability"]["target"]
    risk.axhline(target, color=GREY, linewidth=1, linestyle="--")
    diagram.set(xlabel="confidence, %", ylabel="right, %", xlim=(0, 101), ylim=(-2, 103))
    diagram.set_title("Reliability (dots as large as their share)", loc="left", fontsize=10)
    risk.set(xlabel="answered, the surest first, % of sentences", ylabel="right of these, %", xlim=(0, 101))
    risk.set_ylim(top=103)
    risk.set_title(f"What is right of what is answered; dots: {target:.0f} %", loc="left", fontsize=10)
    for axes in (diagram, risk):
        axes.grid(color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.legend(loc="outside lower center", ncols=min(2, len(known)), frameon=False, fontsize=8)
    return save(figure, stem)


def _told(cell: dict[str, Any]) -> str:
    """A cell's name, and how much of what it is asked it answers at the chosen threshold."""
    share = 100 * cell["reliability"]["chosen"]["answered"]["mean"]
    return f"{cell['name']}: answers {share:.0f} %"


def canvas(width: float, height: float) -> Any:
    """An empty figure of so many inches; pyplot and its state stay out of it."""
    need("matplotlib", extra="eval")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def cell_lines(axes: Any, cells: list[dict[str, Any]]) -> None:
    """One line a cell, the first on top, with its name, and its number of sentences where not all have the same."""
    differ = len({cell["n"] for cell in cells}) > 1
    names = [cell["name"] + f"  ({cell['n']})" * differ for cell in cells]
    axes.set_yticks(range(len(cells)), names, fontsize=9)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def save(figure: Any, stem: Path) -> list[Path]:
    """Write a figure as `stem`.png and .svg, atomically; the same figure gives the same bytes."""
    import matplotlib

    files = []
    for kind in ("png", "svg"):
        path = stem.with_name(f"{stem.name}.{kind}")
        # no date and fixed ids: the same scores give the same bytes; letters stay letters, which pages can search
        settings: Any = {"svg.hashsalt": stem.name, "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans", "Arial"]}
        with matplotlib.rc_context(settings), replacing(path, "wb") as out:
            figure.savefig(out, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        files.append(path)
    return files
