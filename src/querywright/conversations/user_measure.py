"""Whether a tuned user model is the better user: how likely it finds what held-out users wrote, beside its base."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.engines.base import Engine, weigh
from querywright.progress import track

Row = dict[str, Any]


def held_out(before: Engine, after: Engine, rows: Sequence[Row], most: int = 40) -> dict[str, Any]:
    """Compare two models on users' messages, the first `most` of the held-out rows.

    Returns:
        `n` messages; `before` and `after`, mean nats a token (lower is better); `gained`, the mean difference of a
        message with its 95 % interval `low` and `high` (normal approximation). Without figures where n is 0: nothing
        is held out, or an engine does not tell probabilities.
    """
    asked = [(row["messages"][:at], message["content"]) for row in rows
             for at, message in enumerate(row["messages"]) if message["role"] == "assistant"][:most]  # fmt: skip
    nats: list[tuple[float, float]] = []
    for chat, text in track(asked, "weighing what held-out users wrote"):
        both = [_nats(engine, chat, text) for engine in (before, after)]
        if None not in both:
            nats.append((both[0] or 0.0, both[1] or 0.0))
    found: dict[str, Any] = {"n": len(nats)}
    if not nats:
        return found
    gains = [one - other for one, other in nats]
    mean = sum(gains) / len(gains)
    spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / max(1, len(gains) - 1) / len(gains))
    found |= {name: round(sum(pair[i] for pair in nats) / len(nats), 4) for i, name in enumerate(("before", "after"))}
    return found | {
        "gained": round(mean, 4), "low": round(mean - 1.96 * spread, 4), "high": round(mean + 1.96 * spread, 4)
    }  # fmt: skip


def known(path: Path, digest: str) -> dict[str, Any]:
    """An earlier comparison of the same model, by its `model_sha256`; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("model_sha256") == digest else {}


def _nats(engine: Engine, chat: list[dict[str, str]], text: str) -> float | None:
    (done,) = weigh(engine, chat, [text])
    return None if done.logprob is None or not done.tokens_out else -done.logprob / done.tokens_out


def told(found: dict[str, Any]) -> str:
    """The comparison in a line."""
    if "gained" not in found:
        return "fit-user: nothing is held out to compare with the base: a larger corpus"
    return (
        f"fit-user: on {found['n']} held-out messages {found['before']:.3f} nats a token before, {found['after']:.3f}"
        f" after; gained {found['gained']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"
    )
