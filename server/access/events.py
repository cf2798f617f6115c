"""What the page's events carry: plain values only.

Gradio takes an object with a path and a mark for a file, whatever the component that it is sent to: it would copy any
file that this process can read into its folder, or fetch any address. No part of this page takes files.
"""

from __future__ import annotations

import json
from typing import Any

PREFIX = "/gradio_api/"
"""Of the addresses whose bodies are events."""


def plain(body: bytes) -> bool:
    """Whether the body of an event is one JSON object whose `data`, if there is any, are texts, numbers, switches and
    nulls."""
    try:
        found = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return False
    data = found.get("data", []) if isinstance(found, dict) else None
    return isinstance(data, list) and not any(isinstance(value, dict | list) for value in data)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of one name that stands twice in it, another reader could take the other value."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands twice")
    return made
