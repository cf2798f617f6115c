"""One answer out of several samples: the call that most of them mean."""

from __future__ import annotations

from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.refusal import NIL


def vote(api: API, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose a sample whose meaning most samples share; among equals the more probable one, then the earlier one.

    Args:
        samples: answers with `path`, `ok` and, if known, `logprob`; those that are neither a call nor a refusal have
            no vote. Refusals vote together, whatever their reasons.

    Returns:
        The sample, with `votes` (how many mean the same), and `tokens_out` and `ms` of all samples together.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        if sample["ok"]:
            try:
                groups.setdefault(parse(api, sample["path"]).canonical, []).append(sample)
            except CallError:
                continue
        elif sample.get("refused"):
            groups.setdefault(NIL, []).append(sample)
    group = max(groups.values(), key=lambda g: (len(g), _best(g)), default=samples[:1])
    chosen = max(group, key=lambda sample: _best([sample]))
    spent = {key: sum(sample.get(key) or 0 for sample in samples) for key in ("tokens_out", "ms")}
    return {**chosen, **spent, "votes": len(group) if groups else 0}


def _best(group: list[dict[str, Any]]) -> float:
    known = [sample["logprob"] for sample in group if sample.get("logprob") is not None]
    return max(known, default=float("-inf"))
