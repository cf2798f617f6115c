"""What a person wants to see of a run in MLflow, as pictures: windows over a document, questions kept and dropped, the
spread of F1, tokens and cost. Scores and times are drawn by `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright.evaluate.chart import GREY, INK, LINES, RULE, canvas, cell_lines, save

LIGHT, DARK, MARK = "#64b5cd", "#1f4e79", "#d55e00"
SHOWN_WINDOWS, SHOWN_CHUNKS, SHOWN_CELLS = 60, 400, 24
Window = tuple[int, int]


def document(lengths: Sequence[int], windows: Sequence[Window], stem: Path, title: str) -> Path:
    """Draw how long a document's chunks are, and how its windows lie over them.

    Args:
        lengths: characters of each chunk, chunk 1 first.
        windows: first and last chunk, from 1, both included.

    Returns:
        The PNG.
    """
    shown = windows[:SHOWN_WINDOWS]
    figure = canvas(9.0, 3.0 + 0.12 * max(6, len(shown)))
    bars, lanes = figure.subplots(2, 1, sharex=True, height_ratios=[2.0, 0.8 + 0.12 * max(6, len(shown))])
    last = max(end for _, end in shown) if len(windows) > len(shown) else len(lengths)
    last = max(1, min(last, max(SHOWN_CHUNKS, 1)))
    bars.bar(range(1, last + 1), lengths[:last], 0.8, color=LIGHT)
    bars.set_ylabel("characters")
    _window_lanes(lanes, shown, [LIGHT] * len(shown))
    cut = f"; the first {len(shown)} of {len(windows)} windows" if len(windows) > len(shown) else ""
    lanes.set_xlabel(f"chunk of the document{cut}")
    _plain(bars, "y")
    bars.set_title(title, loc="left", fontsize=11, parse_math=False)
    bars.set_xlim(0.4, last + 0.6)
    _whole_ticks(lanes.xaxis)
    return _png(save(figure, stem))


def questions(
    kept: Mapping[Window, int], dropped: Mapping[str, int], windows: Sequence[Window], stem: Path, title: str
) -> Path:
    """Draw where in the document questions were kept, and how many were dropped for which reason.

    Args:
        kept: questions kept by window.
        dropped: questions dropped by reason.

    Returns:
        The PNG.
    """
    shown = list(windows)[:SHOWN_WINDOWS]
    reasons = sorted(dropped.items(), key=lambda pair: -pair[1])[:12]
    high = max(0.16 * max(8, len(shown)), 0.3 * (2 + len(reasons)))
    figure = canvas(10.0, 1.4 + high)
    lanes, bars = figure.subplots(1, 2, width_ratios=[1.25, 1.0])
    most = max([1, *kept.values()])
    _window_lanes(lanes, shown, [_shade(kept.get(window, 0), most) for window in shown])
    for y, window in enumerate(shown):
        n = kept.get(window, 0)
        if len(shown) <= 40:
            lanes.text((window[0] + window[1]) / 2, y, str(n), ha="center", va="center", fontsize=7,
                       color="white" if n > most / 2 else INK)  # fmt: skip
    cut = f" (the first {len(shown)} of {len(windows)})" if len(windows) > len(shown) else ""
    lanes.set_title(f"Questions kept, by window{cut}", loc="left", fontsize=10)
    lanes.set_xlabel("chunk of the document")
    if shown:
        lanes.set_xlim(0.4, max(end for _, end in shown) + 0.6)
    _whole_ticks(lanes.xaxis)
    lines = [("kept", sum(kept.values()), DARK), *((_words(reason), n, MARK) for reason, n in reasons)]
    for y, (_, n, colour) in enumerate(lines):
        bars.barh(y, n, 0.62, color=colour)
        bars.annotate(f"{n:,}", (n, y), (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    bars.set_yticks(range(len(lines)), [name for name, _, _ in lines], fontsize=8, parse_math=False)
    bars.set_ylim(max(len(lines), 4) - 0.4, -0.6)
    bars.set_xlim(0, 1.16 * max(1, *(n for _, n, _ in lines)))
    bars.set_xlabel("questions")
    bars.set_title("Kept, and dropped by reason", loc="left", fontsize=10)
    _plain(bars, "x")
    _whole_ticks(bars.xaxis)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    return _png(save(figure, stem))


def spread(values: Mapping[str, Sequence[float]], stem: Path, name: str = "F1") -> Path | None:
    """Draw how a score from 0 to 1 is spread over the questions, a line for each cell: of which share of them it is at
    least so high.

    Returns:
        The PNG; None where nothing has the score.
    """
    known = {cell: sorted(found) for cell, found in values.items() if found}
    if not known:
        return None
    known = dict(list(known.items())[: len(LINES)])
    figure = canvas(9.0, 3.9 + 0.2 * len(known))
    axes = figure.add_subplot()
    for (cell, found), colour in zip(known.items(), LINES, strict=False):
        n = len(found)
        at = [0.0, *found, 1.0]
        share = [100.0, *(100 * (n - i) / n for i in range(n)), 100 * sum(x >= 1 for x in found) / n]
        axes.step([100 * x for x in at], share, where="pre", color=colour, linewidth=1.5, label=f"{cell} ({n})")
    axes.set(
        xlabel=f"{name} of an answer, %", ylabel="questions with at least so much, %", xlim=(0, 100.6), ylim=(0, 103)
    )
    _plain(axes, "both")
    axes.set_title(f"How {name} is spread over the questions", loc="left", fontsize=11)
    figure.legend(loc="outside lower center", ncols=min(2, len(known)), frameon=False, fontsize=8)
    return _png(save(figure, stem))


def spent(cells: Sequence[Mapping[str, Any]], stem: Path) -> Path | None:
    """Draw what a question took: its tokens, and its cost where one is known.

    Args:
        cells: `name`, `n`, `tokens_in`, `tokens_out` (sums) and `cost` (per_1000).

    Returns:
        The PNG; None where no tokens were counted.
    """
    cells = [cell for cell in cells if cell.get("tokens_in")][:SHOWN_CELLS]
    if not cells:
        return None
    priced = any((cell.get("cost") or {}).get("per_1000") for cell in cells)
    figure = canvas(9.0, 1.7 + 0.36 * len(cells))
    both = figure.subplots(1, 2 if priced else 1, sharey=True, squeeze=False)[0]
    for y, cell in enumerate(cells):
        n, asked, said = max(1, cell["n"]), cell["tokens_in"], cell.get("tokens_out") or 0
        both[0].barh(y, asked / n, 0.5, color=LIGHT, label=None if y else "tokens in")
        both[0].barh(y, said / n, 0.5, left=asked / n, color=DARK, label=None if y else "tokens out")
        for axes in both[1:]:
            axes.barh(y, (cell.get("cost") or {}).get("per_1000") or 0, 0.5, color="#009e73")
    cell_lines(both[0], [dict(cell) for cell in cells])
    both[0].set_title("What a question takes", loc="left", fontsize=11)
    for axes, label in zip(both, ("tokens a question", "cost of 1,000 answers"), strict=False):
        axes.set_xlabel(label, fontsize=9)
        axes.set_xlim(left=0)
        _plain(axes, "x")
        axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return _png(save(figure, stem))


def _window_lanes(axes: Any, windows: Sequence[Window], colours: Sequence[str]) -> None:
    """A lane for each window, the first on top."""
    for y, ((first, last), colour) in enumerate(zip(windows, colours, strict=True)):
        axes.barh(y, last - first + 1, 0.72, left=first - 0.5, color=colour, edgecolor=GREY, linewidth=0.5)
    every = -(-len(windows) // 30) or 1
    marks = range(0, len(windows), every)
    axes.set_yticks(marks, [f"{windows[y][0]}–{windows[y][1]}" for y in marks], fontsize=7)
    axes.set_ylim(max(len(windows), 4) - 0.4, -0.6)
    axes.set_ylabel("window")
    _plain(axes, "x")


def _plain(axes: Any, grid: str) -> None:
    axes.grid(axis=grid, color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=12))


def _shade(n: int, most: int) -> str:
    """White for none, darker for more."""
    if n <= 0:
        return "#ffffff"
    part = n / most
    light, dark = (0xCF, 0xE4, 0xEE), (0x1F, 0x4E, 0x79)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(light, dark, strict=True))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _png(files: Sequence[Path]) -> Path:
    return next(path for path in files if path.suffix == ".png")
