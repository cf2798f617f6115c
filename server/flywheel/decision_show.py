"""A decision, and the candidates, as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_SHAPES = 8  # the worst ones, of those that are looked at


def table(decision: dict[str, Any]) -> Table:
    """Both models on all sentences, on each part, and on the shapes that changed most for the worse."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    verdict = "better: to promote" if decision["promote"] else "not promoted"
    grid = Table(
        title=f"Candidate {decision['id']} against {decision['current']}: {verdict}",
        title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        caption="Per cent of sentences with the right call, 95 % intervals. p: McNemar's exact test, one-sided.",
        caption_justify="left",
    )  # fmt: skip
    for i, heading in enumerate(("sentences", "n", "current", "candidate", "won", "lost", "difference", "p")):
        grid.add_column(heading, justify="right" if i else "left", overflow="fold")
    named = [("all", "all"), ("frozen test set", "frozen"), ("recent corrections", "recent")]
    for name, part in named:
        grid.add_row(*_cells(name, decision["compared"][part]), style="bold" if part == "all" else "")
    for line in [line for line in decision["shapes"] if line["lost"]][:_SHAPES]:
        grid.add_row(*_cells(escape(line["shape"]), line))
    return grid


def _cells(name: str, found: dict[str, Any]) -> list[str]:
    if not found["n"]:
        return [name, "0", *["–"] * 6]
    shares = [
        f"{100 * found[who]['same']:.0f} [{100 * found[who]['low']:.0f}, {100 * found[who]['high']:.0f}]"
        for who in ("current", "candidate")
    ]
    change = " ".join([f"{100 * found['difference']:+.1f}", f"[{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"])
    return [name, str(found["n"]), *shares, str(found["won"]), str(found["lost"]), change, f"{found['p']:.2g}"]


def listed(rows: list[dict[str, Any]], stands: str) -> Table:
    """The candidates of a workspace; `stands` is what answers without them."""
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, caption_justify="left")
    for i, heading in enumerate(("model", "state", "decided", "against", "frozen", "recent", "size")):
        grid.add_column(heading, justify="left" if i < 4 else "right", overflow="fold")
    current = any(row["state"].startswith("current") for row in rows)
    grid.add_row(stands, "" if current else "current", "", "", "", "", "")
    for row in rows:
        state = row["state"] + (" (forced)" if row["how"] == "forced" else "")
        size = f"{row['bytes'] / 1e6:.0f} MB"
        grid.add_row(
            row["id"],
            state,
            row["at"][:16].replace("T", " "),
            row["against"],
            *map(_change, (row["frozen"], row["recent"])),
            size,
        )
    return grid


def _change(found: dict[str, Any] | None) -> str:
    if not found or not found["n"]:
        return "–"
    return f"{100 * found['current']['same']:.0f} → {100 * found['candidate']['same']:.0f} of {found['n']}"
