"""Intervals and paired tests for scores of a sample of sentences."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

RESAMPLES = 4000
KAPPA_DRAWS = 2000
_FEW = 10
"""Of fewer groups, or of fewer that differ, the bootstrap is too sure of itself."""
_SAME = 1e-9
"""Scores no further apart are equal: the rest is rounding, as of the same ones added up in another order."""


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean of scores in [0, 1]: bias-corrected and accelerated bootstrap.

    Where all values are equal the bootstrap has nothing to draw from and would claim certainty; Wilson's interval for
    a share stands in (20 right of 20 are [0.84, 1], not [1, 1]).

    Source: Efron 1987 (BCa, as `scipy.stats.bootstrap` computes it); Wilson 1927.
    """
    return weighted_interval(values, [1.0] * len(values), seed)


def weighted_interval(values: Sequence[float], weights: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a weighted mean of scores in [0, 1]: BCa, each score drawn together with its weight.

    Where all values are equal, or there are too few to estimate the acceleration from, Wilson's interval stands in; it
    counts as many values as weigh evenly, (sum w)² / sum w², so that one heavy value among light ones is one value.

    Source: Efron 1987; Kish 1965 for the number of values.
    """
    import numpy as np

    data, weight = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    total = weight.sum() if len(data) else 0.0
    if total <= 0:
        return (math.nan, math.nan)
    mean = float((data * weight).sum() / total)
    found = None
    if np.ptp(data) > _SAME:
        if np.ptp(weight) == 0:
            found = _bca((data,), lambda x, axis=-1: np.mean(x, axis=axis), seed)
        else:
            found = _bca((data, weight), lambda x, w, axis=-1: (x * w).sum(axis=axis) / w.sum(axis=axis), seed)
    if found is None:
        even = float(total**2 / (weight**2).sum())
        return wilson(mean * even, even)
    return found


def clustered_interval(values: Sequence[float], groups: Sequence[Hashable], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean of scores in [0, 1] that do not vary on their own: whole groups are drawn.

    Of fewer than ten groups the bootstrap is too sure of itself: the interval then also takes in Wilson's, which counts
    as many values as there are groups of one size.

    Source: Davison and Hinkley 1997, 3.8 (the bootstrap of clusters); see `weighted_interval`.
    """
    found = _grouped(values, groups)
    return _of_groups([math.fsum(one) / len(one) for one in found], [float(len(one)) for one in found], seed)


def _of_groups(means: Sequence[float], sizes: Sequence[float], seed: int) -> tuple[float, float]:
    low, high = weighted_interval(means, sizes, seed)
    if not 0 < len(means) < _FEW:
        return low, high
    even = sum(sizes) ** 2 / sum(size**2 for size in sizes)
    ends = wilson(even * sum(m * size for m, size in zip(means, sizes, strict=True)) / sum(sizes), even)
    return min(low, ends[0]), max(high, ends[1])


def _grouped(values: Sequence[float], groups: Sequence[Hashable]) -> list[list[float]]:
    found: dict[Hashable, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        found.setdefault(group, []).append(value)
    return [*found.values()]


def _bca(data: tuple[Any, ...], statistic: Any, seed: int) -> tuple[float, float] | None:
    """The BCa interval; None where it cannot be told."""
    import warnings

    import numpy as np
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        result = stats.bootstrap(
            data, statistic, n_resamples=RESAMPLES, method="BCa", paired=len(data) > 1, vectorized=True,
            rng=np.random.default_rng(seed), batch=500,
        ).confidence_interval  # fmt: skip
    low, high = float(result.low), float(result.high)
    return None if math.isnan(low) or math.isnan(high) else (low, high)


def wilson(right: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share `right / n`."""
    if n == 0:
        return (math.nan, math.nan)
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return (0.0 if right <= 0 else low, 1.0 if right >= n else high)  # exactly, whatever the rounding


def paired(a: Sequence[float], b: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Compare two cells on the same sentences: `a` minus `b`, its 95 % BCa interval, and the exact McNemar test.

    Where the cells differ on fewer than ten sentences the bootstrap is too sure of itself: the interval then also takes
    in Clopper and Pearson's for who is right on these, which agrees with the test. Where they differ on none, or by the
    same on all, it is as wide as that for none of n sentences.

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
    change = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    only_a, only_b = _signs(change)
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    middle, unseen = float(change.mean()), 1 - 0.025 ** (1 / n)
    found = _bca((change,), lambda x, axis=-1: np.mean(x, axis=axis), seed) if np.ptp(change) > _SAME else None
    ends = found or (max(-1.0, middle - unseen), min(1.0, middle + unseen))
    low, high = _as_the_test(ends, change, [1.0] * n)
    counts = {"n": n, "only_a": only_a, "only_b": only_b}
    return {**counts, "difference": middle, "low": low, "high": high, "p": p}


def _signs(change: Sequence[float]) -> tuple[int, int]:
    return sum(bool(x > _SAME) for x in change), sum(bool(x < -_SAME) for x in change)


def _as_the_test(ends: tuple[float, float], change: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """An interval of a weighted mean of changes that is no surer than the test of signs: where fewer than ten are other
    than 0, it takes in the interval of Clopper and Pearson for whom these are in favour of."""
    from scipy import stats

    up, down = _signs(change)
    if not 0 < up + down < _FEW:
        return ends
    exact = stats.binomtest(up, up + down).proportion_ci(0.95)
    most = sum(abs(x) * w for x, w in zip(change, weights, strict=True))  # if all of them were in favour of one
    low, high = ((2 * float(end) - 1) * most / sum(weights) for end in (exact.low, exact.high))
    return min(ends[0], low), max(ends[1], high)


def clustered_paired(
    a: Sequence[float], b: Sequence[float], groups: Sequence[Hashable], seed: int = 0
) -> dict[str, Any]:
    """The same of scores in [0, 1] that do not vary on their own: whole groups are drawn, and the test, of signs,
    counts the groups in which one is better.

    Returns:
        n (scores), groups; only_a, only_b (groups that one is better in); difference, low, high; p (two-sided).
    """
    one, other = _grouped(a, groups), _grouped(b, groups)
    means = [[math.fsum(group) / len(group) for group in of] for of in (one, other)]
    found = paired(means[0], means[1], seed)
    found["groups"], found["n"] = found["n"], len(a)
    if not a:
        return found
    change, sizes = [x - y for x, y in zip(*means, strict=True)], [float(len(group)) for group in one]
    found["difference"] = (math.fsum(a) - math.fsum(b)) / len(a)
    if max(change) - min(change) > _SAME:
        low, high = _of_groups([(x + 1) / 2 for x in change], sizes, seed)  # in [0, 1], as intervals are of
        found["low"], found["high"] = _as_the_test((2 * low - 1, 2 * high - 1), change, sizes)
    return found


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


def calibration(sure: Sequence[float], right: Sequence[float], bins: int = 10) -> list[dict[str, float | int]]:
    """How sure against how right, in bins of equal width over [0, 1]: `said`, `was`, `n` of each that is not empty."""
    found: dict[int, list[tuple[float, float]]] = {}
    for p, r in zip(sure, right, strict=True):
        found.setdefault(min(int(p * bins), bins - 1), []).append((p, r))
    return [
        {"said": sum(p for p, _ in b) / len(b), "was": sum(r for _, r in b) / len(b), "n": len(b)}
        for _, b in sorted(found.items())
    ]


def cohen_kappa(
    a: Sequence[Hashable], b: Sequence[Hashable], groups: Sequence[Hashable] | None = None, seed: int = 0
) -> dict[str, float | int]:
    """How far two judges agree beyond chance, with a 95 % percentile bootstrap interval.

    Args:
        a, b: the judges' labels of the same items, in the same order.
        groups: what each item belongs to; items of one group are drawn together, as they do not vary on their own.

    Returns:
        n, agreement (share), kappa, low, high. Kappa is NaN where both give one and the same label to everything.

    Source: Cohen 1960.
    """
    import numpy as np

    if len(a) != len(b) or (groups is not None and len(groups) != len(a)):
        raise ValueError(f"{len(a)} and {len(b)} labels are not of the same items")
    if not a:
        return {"n": 0, "agreement": math.nan, "kappa": math.nan, "low": math.nan, "high": math.nan}
    label = {value: i for i, value in enumerate(dict.fromkeys([*a, *b]))}
    group = {value: i for i, value in enumerate(dict.fromkeys(range(len(a)) if groups is None else groups))}
    tables = np.zeros((len(group), len(label), len(label)))
    for x, y, of in zip(a, b, range(len(a)) if groups is None else groups, strict=True):
        tables[group[of], label[x], label[y]] += 1
    table = tables.sum(axis=0)
    # groups with the same table are drawn as one, as often as there are of them: the same, and few are different
    kinds, counts = np.unique(tables.reshape(len(group), -1), axis=0, return_counts=True)
    kinds = kinds.reshape(len(kinds), len(label), len(label))
    rng, step = np.random.default_rng(seed), max(1, min(KAPPA_DRAWS, 4_000_000 // len(kinds)))  # in some 32 MB
    sizes = [min(step, KAPPA_DRAWS - done) for done in range(0, KAPPA_DRAWS, step)]
    drawn = [np.tensordot(rng.multinomial(len(group), counts / len(group), size=n), kinds, axes=1) for n in sizes]
    found = _kappa(np.concatenate(drawn))
    found = found[~np.isnan(found)]
    low, high = np.percentile(found, [2.5, 97.5]) if len(found) and len(group) > 1 else (math.nan, math.nan)
    agreement = float(np.trace(table) / table.sum())
    return {"n": len(a), "agreement": agreement, "kappa": float(_kappa(table)), "low": float(low), "high": float(high)}


def _kappa(tables: Any) -> Any:
    """Kappa of tables of counts, by their last two axes."""
    import numpy as np

    total = tables.sum(axis=(-1, -2))
    observed = np.trace(tables, axis1=-2, axis2=-1) / total
    expected = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected < 1, (observed - expected) / (1 - expected), math.nan)
