"""The scores of a sweep as a bar chart, PNG and SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.errors import need

# light to dark, told apart in grey print and with any colour vision
BARS = (("valid", "valid", "#cfd8dc"), ("hits_same", "same hits", "#64b5cd"), ("same", "same by meaning", "#1f4e79"))


def draw(cells: list[dict[str, Any]], stem: Path, title: str) -> list[Path]:
    """Draw one group of bars for each cell, with 95 % intervals.

    Args:
        cells: as `score.summary` returns them.
        stem: the files' path without `.png` and `.svg`.

    Returns:
        The two files.
    """
    need("matplotlib", extra="eval")
    import matplotlib
    from matplotlib.figure import Figure

    height = 0.8 / len(BARS)
    figure = Figure(figsize=(9.0, 1.6 + 0.62 * len(cells)), layout="constrained")
    axes = figure.add_subplot()
    for i, (metric, label, colour) in enumerate(BARS):
        places, means, ends = [], [], []
        for y, cell in enumerate(cells):
            found = cell["metrics"].get(metric)
            if found is not None:
                places.append(y - 0.4 + height * (i + 0.5))
                means.append(100 * found["mean"])
                ends.append((100 * (found["mean"] - found["low"]), 100 * (found["high"] - found["mean"])))
        if not places:
            continue
        axes.barh(places, means, height * 0.92, color=colour, label=label)
        sides = [[max(0.0, pair[side]) for pair in ends] for side in (0, 1)]
        axes.errorbar(means, places, xerr=sides, fmt="none", ecolor="#333333", elinewidth=0.9, capsize=2)
        if metric == "same":
            for place, mean, (_, above) in zip(places, means, ends, strict=True):
                axes.text(min(mean + above + 1.2, 101), place, f"{mean:.0f}", va="center", fontsize=8, color=colour)
    axes.set_yticks(range(len(cells)), [_label(cell) for cell in cells], fontsize=9)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_xlim(0, 106)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("per cent of sentences, with 95 % intervals")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", color="#e0e0e0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=len(BARS), frameon=False, fontsize=9)
    files = []
    for kind in ("png", "svg"):
        path = stem.with_name(f"{stem.name}.{kind}")
        # no date and fixed ids: the same scores give the same bytes
        with matplotlib.rc_context({"svg.hashsalt": "querywright"}), replacing(path, "wb") as out:
            figure.savefig(out, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        files.append(path)
    return files


def _label(cell: dict[str, Any]) -> str:
    return f"{cell['model']} · {cell['strategy']} · {cell['decoding']}  (n={cell['n']})"
