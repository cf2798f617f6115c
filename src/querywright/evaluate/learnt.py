"""Sentences that a model was trained on: what it makes of them says nothing of how good it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.evaluate.suite import Pair
from querywright.protected import plain
from querywright.rows import said


def refuse_learnt(pairs: Iterable[Pair], files: Iterable[Path]) -> None:
    """Refuse to compare on sentences that the model was trained on.

    Args:
        files: what it was trained on: rows with `prompt` or `messages` (chat messages), `instruction` or `text`.

    Raises:
        QuerywrightError: some are, or a file can't be read.
    """
    asked = {plain(said({"turns": pair.turns, "instruction": pair.instruction})): pair for pair in pairs}
    for path in files:
        shared = [text for row in read_jsonl(path) if plain(text := _prompt(row)) in asked]
        if shared:
            raise QuerywrightError(
                f"{len(shared)} rows of {path} are sentences of the test set, such as {shared[0]!r}",
                hint="leave them out of the training (querywright pairs split keeps them apart), or compare on others",
            )


def _prompt(row: dict[str, Any]) -> str:
    """All that was said before the answer that a row trains, without the system message."""
    messages = row.get("prompt", row.get("messages"))
    if isinstance(messages, str):
        return messages
    if not isinstance(messages, list):
        turns = row.get("turns") if isinstance(row.get("turns"), list) else []
        messages = [*turns, {"content": row.get("instruction", row.get("text", ""))}]  # type: ignore[misc]
    elif "messages" in row and "prompt" not in row:
        messages = messages[:-1]
    texts = [m.get("content") for m in messages if isinstance(m, dict) and m.get("role") != "system"]
    return "\n".join(str(text) for text in texts)
