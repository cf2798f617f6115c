"""Two models on the same sentences (`decision.compare`) as rows of a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = ("won", "lost", "difference", "p")


def grid(left: Sequence[str], right: Sequence[str], **words: str) -> Table:
    """An empty table of columns with words, then columns with figures."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title_justify="left", caption_justify="left", **words)  # type: ignore[arg-type]
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def cells(name: str, found: dict[str, Any], who: tuple[str, str] = ("current", "candidate")) -> list[str]:
    """A row: the name, how many sentences, both models in per cent with intervals, and HEADINGS."""
    if not found["n"]:
        return [name, "0", *["–"] * 6]
    shares = [f"{100 * found[w]['same']:.0f} [{100 * found[w]['low']:.0f}, {100 * found[w]['high']:.0f}]" for w in who]
    change = f"{100 * found['difference']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"
    return [name, str(found["n"]), *shares, str(found["won"]), str(found["lost"]), change, f"{found['p']:.2g}"]
