"""Feedback, decisions and candidates as tables for the terminal.

Stored text is people's: it reaches a terminal without its control characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from server.keep.entries import Answer, Correction

if TYPE_CHECKING:
    from rich.table import Table

WORDS = {"answers": "answers", "up": "rated right", "down": "rated wrong", "corrections": "corrections",
         "valid_corrections": "of them calls", "preferences": "choices"}  # fmt: skip
_SHAPES = 8  # the worst ones, of those that are looked at


def counted(counts: dict[str, int]) -> str:
    """What a store holds (`Store.counts`), in a line."""
    return ", ".join(f"{counts[name]:,} {word}" for name, word in WORDS.items())


def answers(found: Sequence[Answer], corrections: Sequence[Correction]) -> Table:
    """Answers, each with its last correction."""
    from rich.table import Table
    from rich.text import Text

    last = {c.of.id: c for c in corrections}
    shown = Table("time", "client", "question", "answer", "", "correction")
    for one in found:
        fixed = last.get(one.id)
        mark = {1: "right", -1: "wrong"}.get(one.rating or 0, "")
        cells = [_minute(one.time), one.client[:6], one.question, one.path, mark]
        correction = "" if fixed is None else fixed.path if fixed.ok else f"{fixed.path} (no call: {fixed.reason})"
        shown.add_row(*(Text(_plain(cell)) for cell in (*cells, correction)))
    return shown


def decision(made: dict[str, Any]) -> Table:
    """Both models on all sentences, on each part, and on the shapes that changed most for the worse."""
    from rich.markup import escape

    from querywright.evaluate.compared import cells, grid

    verdict = "better: to promote" if made["promote"] else "not promoted"
    table = grid(
        ("sentences",), ("n", "current", "candidate", "won", "lost", "difference", "p"),
        title=f"Candidate {made['id']} against {made['current']}: {verdict}",
        caption="Per cent of sentences with the right call, 95 % intervals. p: McNemar's exact test, one-sided.",
    )  # fmt: skip
    for name, part in (("all", "all"), ("frozen test set", "frozen"), ("recent corrections", "recent")):
        table.add_row(*cells(name, made["compared"][part]), style="bold" if part == "all" else "")
    for line in [line for line in made["shapes"] if line["lost"]][:_SHAPES]:
        table.add_row(*cells(escape(line["shape"]), line))
    return table


def candidates(rows: Sequence[dict[str, Any]], stands: str) -> Table:
    """The candidates of a workspace (`promotion.models`); `stands` is what answers without them."""
    from querywright.evaluate.compared import grid

    table = grid(("model", "state", "decided", "against"), ("frozen", "recent", "size"))
    current = any(row["state"].startswith("current") for row in rows)
    table.add_row(stands, "" if current else "current", "", "", "", "", "")
    for row in rows:
        state = row["state"] + (" (forced)" if row["how"] == "forced" else "")
        changes = map(_change, (row["frozen"], row["recent"]))
        table.add_row(row["id"], state, _minute(row["at"]), row["against"], *changes, f"{row['bytes'] / 1e6:.0f} MB")
    return table


def _change(found: dict[str, Any] | None) -> str:
    if not found or not found["n"]:
        return "–"
    return f"{100 * found['current']['same']:.0f} → {100 * found['candidate']['same']:.0f} of {found['n']}"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _plain(text: str, most: int = 300) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:most]) + ("…" if len(text) > most else "")
