"""Intervals and paired tests for scores of a sample of sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

RESAMPLES = 4000


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean of scores in [0, 1]: bias-corrected and accelerated bootstrap.

    Where all values are equal the bootstrap has nothing to draw from and would claim certainty; Wilson's interval for
    a share stands in (20 right of 20 are [0.84, 1], not [1, 1]).

    Source: Efron 1987 (BCa, as `scipy.stats.bootstrap` computes it); Wilson 1927.
    """
    import warnings

    import numpy as np
    from scipy import stats

    if not values:
        return (math.nan, math.nan)
    data = np.asarray(values, dtype=float)
    if np.ptp(data) == 0:
        return wilson(float(data[0]) * len(data), len(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (data,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(seed), batch=500
        ).confidence_interval
    if math.isnan(result.low) or math.isnan(result.high):  # two or three values: no acceleration to estimate
        return wilson(float(data.sum()), len(data))
    return (float(result.low), float(result.high))


def wilson(right: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share `right / n`."""
    if n == 0:
        return (math.nan, math.nan)
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (max(0.0, middle - half), min(1.0, middle + half))


def paired(a: Sequence[float], b: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Compare two cells on the same sentences: `a` minus `b`, its 95 % interval, and the exact McNemar test.

    Args:
        a, b: 0 or 1 for each sentence, in the same order.

    Returns:
        n; only_a, only_b (sentences that one alone has right); difference, low, high; p (two-sided).
    """
    import numpy as np
    from scipy import stats

    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} scores are not of the same sentences")
    n = len(a)
    if n == 0:
        return {"n": 0, "only_a": 0, "only_b": 0, "difference": math.nan, "low": math.nan, "high": math.nan, "p": 1.0}
    only_a = sum(x > y for x, y in zip(a, b, strict=True))
    only_b = sum(y > x for x, y in zip(a, b, strict=True))
    apart = only_a + only_b
    p = float(stats.binomtest(only_a, apart).pvalue) if apart else 1.0
    change = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    draws = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    low, high = (float(x) for x in np.percentile(change[draws].mean(axis=1), [2.5, 97.5]))
    counts = {"n": n, "only_a": only_a, "only_b": only_b}
    return {**counts, "difference": float(change.mean()), "low": low, "high": high, "p": p}


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction of p values of several tests, in the order given."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, ps[i] * (len(ps) - rank)))
        adjusted[i] = highest
    return adjusted


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (0 to 100), interpolated; NaN of nothing."""
    import numpy as np

    return float(np.percentile(values, q)) if values else math.nan
