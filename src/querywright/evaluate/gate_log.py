"""The gates asked so far: who tries often enough is lucky once, and a test set that changed is another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.artefacts import write_jsonl
from querywright.progress import say

LOG = "gates.jsonl"
_OF = ("before", "after", "pairs", "file")


def entry(before: str, after: str, pairs: str, file: str, keep: bool, at: str) -> dict[str, Any]:
    """A gate as the log has it.

    Args:
        before, after: digests of the models' weights; `pairs`: of the test set.
    """
    return {"before": before, "after": after, "pairs": pairs, "file": file, "keep": keep, "at": at}


def tries(folder: Path, before: str, after: str, pairs: str) -> int:
    """Models that were compared with this one before on this test set, the one that is now included."""
    others = {row["after"] for row in _read(folder) if (row["before"], row["pairs"]) == (before, pairs)}
    return len(others | {after})


def warn_changed(folder: Path, pairs: str, file: str) -> None:
    """Say so where the test set is not the one that gates were asked on before."""
    earlier = [row for row in _read(folder) if row["file"] == file]
    if earlier and earlier[-1]["pairs"] != pairs:
        say(f"warning: {file} changed since the gate of {earlier[-1].get('at')}: figures on the two can't be compared")


def append(folder: Path, row: dict[str, Any]) -> None:
    """Add a gate; the same one asked again stands there once, as it was decided last."""
    rows = [one for one in _read(folder) if any(one[key] != row[key] for key in _OF)]
    write_jsonl(folder / LOG, [*rows, row])


def _read(folder: Path) -> list[dict[str, Any]]:
    """The log's whole rows; a damaged line is no reason not to go on."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and all(isinstance(row.get(key), str) for key in _OF):
            rows.append(row)
    return rows
