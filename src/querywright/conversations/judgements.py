"""What judges said of a turn, as it stands in a file of conversations; see `judge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEY = "judgements"


def judgements(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The judgements of a turn; none where what stands there is no list of them that all say who judged."""
    listed = turn.get(KEY)
    whole = isinstance(listed, list) and all(isinstance(j, dict) and isinstance(j.get("judge"), str) for j in listed)
    return list(listed) if whole and listed else []
