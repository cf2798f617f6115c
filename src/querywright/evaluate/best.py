"""Which cell is the best, as every page and table says it: none where all have 0, several where they are alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NAMED = 3  # cells alike; more are counted


def best(cells: Sequence[Mapping[str, Any]], score: str) -> list[Mapping[str, Any]]:
    """The cells with the highest mean of a score, in their order; none where it is 0.

    Args:
        cells: `name` and `scores`, as evaluations have them.
    """
    means = {n: round(one["mean"], 9) for n, cell in enumerate(cells) if (one := cell["scores"].get(score))}
    top = max(means.values(), default=0.0)
    return [cells[n] for n, mean in means.items() if mean == top > 0]


def sentence(cells: Sequence[Mapping[str, Any]], score: str, marked: Callable[[str], str]) -> str:
    """What is to be said of the best cells.

    Args:
        marked: a cell's name as the page shows it.
    """
    said = {"f1": "F1"}.get(score, score)
    known = [cell for cell in cells if cell["scores"].get(score)]
    found = best(known, score)
    if not found:
        return f"{said} is 0 in all {len(known)} cells: none is the best." if len(known) > 1 else f"{said} is 0."
    one = found[0]["scores"][score]
    percent = f"{100 * one['mean']:.0f} %"
    if len(found) > 1:
        named = " and ".join(marked(cell["name"]) for cell in found) if len(found) <= _NAMED else f"{len(found)} cells"
        return f"Best {said}: {named}, alike with {percent}, of {len(known)} cells."
    inside = f" [{100 * one['low']:.0f}, {100 * one['high']:.0f}]" if one.get("low") is not None else ""
    name = marked(found[0]["name"])
    if len(known) == 1:
        return f"{said} of {name}: {percent}{inside}."
    return f"Best {said}: {name}, {percent}{inside}, of {len(known)} cells."
