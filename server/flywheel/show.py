"""The feedback of an API as a table. Stored text is people's: it reaches a terminal without its control characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.keep.entries import Answer, Correction

if TYPE_CHECKING:
    from rich.table import Table

WORDS = {"answers": "answers", "up": "rated right", "down": "rated wrong", "corrections": "corrections",
         "valid_corrections": "of them calls", "preferences": "choices"}  # fmt: skip


def counted(counts: dict[str, int]) -> str:
    """Counts in a line."""
    return ", ".join(f"{counts[name]:,} {word}" for name, word in WORDS.items())


def table(answers: Sequence[Answer], corrections: Sequence[Correction]) -> Table:
    """Answers, each with its last correction."""
    from rich.table import Table
    from rich.text import Text

    last = {c.of.id: c for c in corrections}
    shown = Table("time", "client", "question", "answer", "", "correction")
    for one in answers:
        fixed = last.get(one.id)
        mark = {1: "right", -1: "wrong"}.get(one.rating or 0, "")
        cells = [one.time[:16].replace("T", " "), one.client[:6], one.question, one.path, mark]
        correction = "" if fixed is None else fixed.path if fixed.ok else f"{fixed.path} (no call: {fixed.reason})"
        shown.add_row(*(Text(_plain(cell)) for cell in (*cells, correction)))
    return shown


def _plain(text: str, most: int = 300) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:most]) + ("…" if len(text) > most else "")
