"""One cell of a sweep in numbers, and cells against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from querywright.api.refusal import NIL
from querywright.engines.prices import Price
from querywright.evaluate.breakdown import tables
from querywright.evaluate.reliability import reliability
from querywright.statistics import holm, interval, paired, percentile, weighted_interval

Scored = dict[str, Any]
_LOCAL = ("llama", "hf", "outlines")  # engines on this machine, as rows name them


def share(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """A mean with its 95 % interval and the number of values, which is at least one."""
    low, high = interval(values, seed)
    return {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}


def by_cell(rows: list[Scored]) -> dict[str, list[Scored]]:
    """Rows by the cell that they answer for. Each row gets the cell's name, `cell`, as people read it: the model,
    strategy and decoding, the engine where the sweep has several, and the number of samples where it is not one."""
    keys = ["model", "strategy", "decoding", *(["engine"] if len({row.get("engine") for row in rows}) > 1 else [])]
    groups: dict[str, list[Scored]] = {}
    for row in rows:
        parts = [str(row[key]) for key in keys if row.get(key)]
        parts += [f"n={row['n']}"] if row.get("n", 1) != 1 else []
        row["cell"] = " · ".join(parts)
        groups.setdefault(row["cell"], []).append(row)
    return groups


def summary(
    name: str, rows: list[Scored], metrics: Iterable[str], seed: int = 0, price: Price | None = None
) -> dict[str, Any]:
    """One cell in numbers.

    Args:
        name: of the cell.
        rows: scored responses; a metric that is None in a row leaves the row out of it.

    Returns:
        `metrics` and `same_by_traffic`: means with BCa intervals; `ms`: milliseconds an answer, `steps` from the
        fastest to the slowest in 20 equal parts; `tokens`: a mean answer's; `tokens_per_s`; `peak_mb`: the most memory
        that a row tells of; `cost`; `finish`; `problems` and `confused` (searched or returned, meant, given, how often)
        by number; the tables of `breakdown.tables`; `refusals` and `reliability` where rows have such.
    """
    values = {m: [row[m] for row in rows if row.get(m) is not None] for m in metrics}
    times = [row["ms"] for row in rows if row.get("ms") is not None]
    timed = [row for row in rows if row.get("ms") and row.get("tokens_out") is not None]
    seconds = sum(row["ms"] for row in timed) / 1000
    peaks = [row["peak_mb"] for row in rows if row.get("peak_mb") is not None]
    confused = Counter(tuple(pair) for row in rows for pair in row["confused"])
    return {
        "name": name,
        **{key: rows[0].get(key) for key in ("model", "strategy", "decoding", "engine")},
        "samples": rows[0].get("n", 1),
        "n": len(rows),
        "metrics": {m: share(found, seed) for m, found in values.items() if found},
        "same_by_traffic": by_traffic(rows, seed),
        "ms": {
            "p50": percentile(times, 50),
            "p95": percentile(times, 95),
            "steps": [percentile(times, q) for q in range(0, 101, 5)] if times else [],
        },
        "tokens": {k: _mean(row.get(f"tokens_{k}") for row in rows) for k in ("in", "out")},
        "tokens_per_s": sum(row["tokens_out"] for row in timed) / seconds if seconds else None,
        "peak_mb": max(peaks, default=None),
        "cost": cost(rows, price),
        "finish": dict(Counter(str(row.get("finish", "")) for row in rows)),
        "problems": dict(Counter(p for row in rows for p in row["problems"]).most_common()),
        "confused": [[*pair, n] for pair, n in confused.most_common(40)],
        **tables(rows),
        **refusals(rows, seed),
        **reliability(rows, seed),
    }


def by_traffic(rows: list[Scored], seed: int = 0) -> dict[str, float] | None:
    """Same by meaning, each sentence counted as often as people send such a call; None where nobody sends any."""
    weights = [float(row.get("weight", 1.0)) for row in rows]
    right = [row["same"] for row in rows]
    if sum(weights) <= 0:
        return None
    low, high = weighted_interval(right, weights, seed)
    mean = sum(r * w for r, w in zip(right, weights, strict=True)) / sum(weights)
    return {"mean": mean, "low": low, "high": high, "n": len(rows)}


def cost(rows: list[Scored], price: Price | None) -> dict[str, Any]:
    """What the tokens of a cell cost, `total` and `per_1000` answers, with a `note`; None where no price is known."""
    if rows[0].get("engine") in _LOCAL:
        price = Price(local=True)
    if price is None:
        return {"total": None, "per_1000": None, "note": "no price known: enter the model in data/prices.yaml"}
    if price.local:
        return {"total": 0.0, "per_1000": 0.0, "note": "a local engine: tokens cost nothing, your machine's time does"}
    total = price.cost(*(sum(row.get(f"tokens_{k}") or 0 for row in rows) for k in ("in", "out")))
    note = f"{price.tokens_in:g} in, {price.tokens_out:g} out for a million tokens, as of {price.as_of}"
    return {"total": total, "per_1000": 1000 * total / len(rows) if rows else None, "note": note}


def refusals(rows: list[Scored], seed: int = 0) -> dict[str, Any]:
    """How well a cell refuses, under the key `refusals`; nothing where no row expects or gives a refusal.

    Returns:
        `expected` and `given`: how many; then shares with intervals: `recall` (of the sentences to be refused, those
        that were), `precision` (of the refusals given, those expected), `false_refusals` (of the sentences that have a
        call, those refused), `reason` (of the refusals that were right, those with the expected code).
    """
    expected = [row for row in rows if row["refusal"]]
    given = [row for row in rows if row["refused"]]
    if not expected and not given:
        return {}
    right = [row for row in expected if row["refused"]]
    told = [row for row in right if row["expected"].strip() != NIL]
    shares = {
        "recall": [float(bool(row["refused"])) for row in expected],
        "precision": [float(bool(row["refusal"])) for row in given],
        "false_refusals": [float(bool(row["refused"])) for row in rows if not row["refusal"]],
        "reason": [float(row["refusal"] == row["refused"]) for row in told],
    }
    found: dict[str, Any] = {"expected": len(expected), "given": len(given)}
    return {"refusals": found | {name: share(values, seed) for name, values in shares.items() if values}}


def against_best(groups: dict[str, list[Scored]], seed: int = 0) -> list[dict[str, Any]]:
    """Each cell against the cell with the most sentences right, on the sentences that both were asked."""
    right = {name: {row["id"]: row["same"] for row in rows} for name, rows in groups.items()}
    if len(right) < 2:
        return []
    best = max(right, key=lambda name: sum(right[name].values()) / len(right[name]))
    results = []
    for other in right:
        if other != best:
            common = [i for i in right[best] if i in right[other]]
            found = paired([right[best][i] for i in common], [right[other][i] for i in common], seed)
            results.append({"best": best, "other": other, **found})
    for result, p in zip(results, holm([r["p"] for r in results]), strict=True):
        result["p_holm"] = p
    return results


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
