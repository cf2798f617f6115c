"""A call for people at a terminal: what it means and what it finds on the embedded records."""

from __future__ import annotations

from pathlib import Path

from querywright.api.call import parse
from querywright.api.definition import API


def explained(api: API, path: str) -> str:
    """The call in words, one line."""
    from querywright.api.explain import explain

    return "that is: " + "; ".join(explain(parse(api, path)))


def found(api: API, path: str, workspace: Path, rows: int = 3) -> str:
    """How many records the call finds, and the first of them, one a line."""
    from querywright.api.executors import EmbeddedExecutor

    hits = EmbeddedExecutor(api, workspace=workspace).run(parse(api, path))
    shown = [
        "  " + ", ".join(f"{k}: {v}" for k, v in row.items() if not k.startswith("_score") and isinstance(v, str | int))
        for row in hits.rows[:rows]
    ]
    return "\n".join([f"{hits.total} hits in {hits.ms:.0f} ms on the embedded records", *shown])
