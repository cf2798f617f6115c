"""How far a confidence can be trusted: reliability, risk against coverage, and where to stop answering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from querywright.statistics import calibration, interval

if TYPE_CHECKING:
    import numpy as np

TARGET = 0.95
FOLDS = 10
_RESAMPLES = 1000
_POINTS = 200  # of the curve that are kept


def reliability(rows: Sequence[dict[str, Any]], seed: int = 0, target: float = TARGET) -> dict[str, Any]:
    """The confidence of a cell's answers against whether they are right, under the key `reliability`.

    Args:
        rows: scored responses; `confidence` is 0 to 1, or None where none can be given: such an answer is never given
            to a person, and counts as not answered. Right is what means the same (`same`).

    Returns:
        Nothing where no row has a confidence. Else `n`, `known` (rows with a confidence), `calibrated` (False where a
        row says that its confidence only orders answers), `bins` (said, was, n), `ece` (expected calibration error over
        the bins, which is above 0 by chance in small samples), `brier` and
        `brier_base` (of always saying the share that is right), `auroc` (how often a right answer is surer than a
        wrong one; None where there are not both), `curve` (from the surest answer on: threshold, share answered,
        share right), `aurc` (mean share wrong along it), and two ways to answer so that `target` of it is right:
        `chosen` (threshold chosen on these rows, so a little hopeful; the interval of the share answered is of
        thresholds chosen anew in each of 1,000 resamples) and `held_out` (chosen on nine tenths, used on the tenth).

    Source: Naeini et al. 2015 (ECE), Brier 1950, Geifman and El-Yaniv 2017 (risk and coverage).
    """
    known = [row for row in rows if row.get("confidence") is not None]
    if not known:
        return {}
    import numpy as np

    sure = np.array([float(row["confidence"]) for row in known])
    right = np.array([float(row["same"]) for row in known])
    bins = calibration(sure.tolist(), right.tolist())
    base = float(right.mean())
    found = {
        "n": len(rows),
        "known": len(known),
        "calibrated": all(row.get("calibrated", True) for row in known),
        "bins": bins,
        "ece": sum(b["n"] * abs(b["said"] - b["was"]) for b in bins) / len(known),
        "brier": float(((sure - right) ** 2).mean()),
        "brier_base": base * (1 - base),
        "auroc": _auroc(sure, right),
        **_curve(sure, right, len(rows)),
        "target": target,
        "chosen": _chosen(sure, right, len(rows), target, seed),
        "held_out": _held_out(sure, right, len(rows), target, seed),
    }
    return {"reliability": found}


def threshold_for(sure: np.ndarray, right: np.ndarray, target: float = TARGET) -> float | None:
    """The lowest confidence from which on `target` of the answers are right; None where there is none.

    Args:
        sure, right: [n] confidences, and 1 where right, else 0.
    """
    import numpy as np

    order = np.argsort(-sure, kind="stable")
    ranked, share = sure[order], np.cumsum(right[order]) / np.arange(1, len(sure) + 1)
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal confidences are answered together or not at all
    good = np.flatnonzero(last & (share >= target))
    return float(ranked[good[-1]]) if len(good) else None


def _auroc(sure: np.ndarray, right: np.ndarray) -> float | None:
    from scipy import stats

    yes, no = sure[right == 1], sure[right == 0]
    if not len(yes) or not len(no):
        return None
    return float(stats.mannwhitneyu(yes, no).statistic / (len(yes) * len(no)))


def _curve(sure: np.ndarray, right: np.ndarray, n: int) -> dict[str, Any]:
    import numpy as np

    order = np.argsort(-sure, kind="stable")
    ranked, share = sure[order], np.cumsum(right[order]) / np.arange(1, len(sure) + 1)
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _POINTS)).astype(int))]
    curve = [
        {"threshold": float(ranked[i]), "answered": float((i + 1) / n), "right": float(share[i])} for i in kept.tolist()
    ]
    return {"curve": curve, "aurc": float((1 - share).mean())}


def _chosen(sure: np.ndarray, right: np.ndarray, n: int, target: float, seed: int) -> dict[str, Any]:
    import numpy as np

    threshold = threshold_for(sure, right, target)
    draws = np.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))  # rows without a confidence are drawn too
    shares = []
    for draw in draws:
        mine = draw[draw < len(sure)]
        again = threshold_for(sure[mine], right[mine], target) if len(mine) else None
        shares.append(0.0 if again is None else float((sure[mine] >= again).sum() / n))
    low, high = (float(x) for x in np.percentile(shares, [2.5, 97.5]))
    given = np.zeros(0, dtype=bool) if threshold is None else sure >= threshold
    answered = {"mean": float(given.sum() / n), "low": low, "high": high, "n": n}
    return {"threshold": threshold, "answered": answered, "right": _share(right[given] if len(given) else right[:0])}


def _held_out(sure: np.ndarray, right: np.ndarray, n: int, target: float, seed: int) -> dict[str, Any]:
    import numpy as np

    fold = np.random.default_rng(seed).permutation(len(sure)) % min(FOLDS, len(sure))
    given = np.zeros(len(sure), dtype=bool)
    for number in range(int(fold.max()) + 1):
        mine = fold == number
        threshold = threshold_for(sure[~mine], right[~mine], target) if (~mine).any() else None
        if threshold is not None:
            given[mine] = sure[mine] >= threshold
    return {"answered": _share(np.append(given, np.zeros(n - len(sure))), seed), "right": _share(right[given], seed)}


def _share(values: np.ndarray, seed: int = 0) -> dict[str, float | int] | None:
    if not len(values):
        return None
    low, high = interval([float(v) for v in values], seed)
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}
