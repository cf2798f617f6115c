"""How far judges agree: Cohen's kappa over pairs of responses to the same prompt.

Judges use a scale each in its own way, so what is compared is what preferences are made of: which of two responses a
judge rates higher, or that it rates them alike. Each pair counts in both directions, so that kappa does not depend on
which response happens to stand first; the interval draws whole prompts, since pairs of a prompt share responses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

from querywright.preferences.rated import EXECUTION, REFERENCE, Row, key, mean
from querywright.statistics import cohen_kappa

Judge = Callable[[Row], float | None]
"""What a judge gave a response; None where it gave nothing."""

BY_MODEL = "mean of aspects"


def aspect(name: str) -> Judge:
    """The judge of one aspect, or of `execution`."""
    return lambda response: response["ratings"].get(name)


def by_model(response: Row) -> float | None:
    """The mean of what was rated by a model: of all aspects, without execution."""
    return mean({name: value for name, value in response["ratings"].items() if name != EXECUTION})


def agreement(rows: Iterable[Row], one: Judge, other: Judge) -> dict[str, Any]:
    """The agreement of two judges over all pairs of responses that both have rated.

    The expected call (`reference`) is left out: one judge knows it, and it would be counted as a skill of both.

    Returns:
        pairs; agreement (share), kappa, low, high over three verdicts (better, alike, worse); decided (pairs that
        neither judge rates alike), decided_agreement and decided_kappa over these. None where it can't be told.
    """
    ours: list[int] = []
    theirs: list[int] = []
    prompts: list[int] = []
    for n, row in enumerate(rows):
        for a, b in combinations((r for r in row["responses"] if r["model"] != REFERENCE), 2):
            first, second = _verdict(one(a), one(b)), _verdict(other(a), other(b))
            if first is not None and second is not None:
                ours += [first, -first]
                theirs += [second, -second]
                prompts += [n, n]
    all_pairs = cohen_kappa(ours, theirs, prompts)
    at = [i for i, (x, y) in enumerate(zip(ours, theirs, strict=True)) if x and y]
    decided = cohen_kappa([ours[i] for i in at], [theirs[i] for i in at], [prompts[i] for i in at])
    found = {
        "pairs": len(ours) // 2, **{name: all_pairs[name] for name in ("agreement", "kappa", "low", "high")},
        "decided": len(at) // 2, "decided_agreement": decided["agreement"], "decided_kappa": decided["kappa"],
    }  # fmt: skip
    return {name: None if isinstance(v, float) and math.isnan(v) else _short(v) for name, v in found.items()}


def agreements(rows: Sequence[Row], aspects: Sequence[str]) -> list[dict[str, Any]]:
    """The agreement of each two aspects, and of each, and of their mean, with execution, where both were judged."""
    judges: dict[str, Judge] = {name: aspect(name) for name in aspects}
    couples = list(combinations(judges, 2))
    if any(r["ratings"].get(EXECUTION) is not None for row in rows for r in row["responses"]):
        judges |= {EXECUTION: aspect(EXECUTION), BY_MODEL: by_model}
        couples = [(BY_MODEL, EXECUTION), *((name, EXECUTION) for name in aspects), *couples]
    found = ({"judges": [a, b], **agreement(rows, judges[a], judges[b])} for a, b in couples)
    return [one for one in found if one["pairs"]]


def with_others(rows: Iterable[Row], others: Iterable[Row], name: str) -> dict[str, Any]:
    """The agreement of the ratings in two sets of rated rows, over the responses that both hold."""
    theirs = {(row["prompt_hash"], *key(r), r["response"]): r["rating"] for row in others for r in row["responses"]}
    joined = [
        {
            "responses": [
                {**r, "theirs": theirs.get((row["prompt_hash"], *key(r), r["response"]))} for r in row["responses"]
            ]
        }
        for row in rows
    ]
    return {"judges": ["rating", name], **agreement(joined, lambda r: r["rating"], lambda r: r["theirs"])}


def told(found: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Agreements, a line each."""
    for one in found:
        if one["kappa"] is None:
            yield f"{' and '.join(one['judges'])}: {one['pairs']} pairs, too few or too uniform for kappa"
            continue
        known = "" if one["low"] is None else f" [{one['low']:.2f}, {one['high']:.2f}]"
        yield (
            f"{' and '.join(one['judges'])} agree on {one['agreement']:.0%} of {one['pairs']} pairs of responses, "
            f"Cohen's kappa {one['kappa']:.2f}{known}"
        )


def _verdict(a: float | None, b: float | None) -> int | None:
    return None if a is None or b is None else (a > b) - (a < b)


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
