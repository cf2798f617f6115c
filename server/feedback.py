"""Corrections → pairs: what people repaired becomes training data."""

from __future__ import annotations

from collections import Counter
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.artefacts import content_id
from server.store import Correction

SOURCE = "correction"


def pairs(api: API, corrections: list[Correction]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Rows of a pairs file, and how many corrections became one, or why not.

    Each is parsed anew, since the API may have changed since it was stored. Of several corrections of one question
    the last one counts: people try until it fits.
    """
    counts: Counter[str] = Counter(pairs=0, invalid=0, repeated=0)
    rows: dict[str, dict[str, Any]] = {}
    for correction in corrections:
        try:
            call = parse(api, correction.path)
        except CallError:
            counts["invalid"] += 1
            continue
        instruction = " ".join(correction.question.split())
        key = instruction.casefold()
        counts["repeated"] += key in rows
        rows.pop(key, None)
        rows[key] = {
            "id": content_id(f"{SOURCE}\n{instruction}\n{call.canonical}"),
            "api": api.name,
            "instruction": instruction,
            "path": call.text,
            "canonical": call.canonical,
            "signature": call.signature,
            "source": SOURCE,
            "weight": 1.0,
        }
    counts["pairs"] = len(rows)
    return list(rows.values()), dict(counts)
