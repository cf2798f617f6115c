"""How good predictions of the next person are: accuracy, top 5, alerts, calibration, each beside what is for free."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from querywright.api.refusal import NIL
from querywright.rows import Row
from querywright.statistics import calibration, interval, paired

if TYPE_CHECKING:
    import numpy as np

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def measure(
    scores: np.ndarray, names: Sequence[str], rows: Sequence[Row], train: Sequence[Row], threshold: float
) -> dict[str, Any]:
    """All figures of one model on one part.

    Args:
        scores: [rows, names] natural logs of the probability that the answer begins with a name's token.
        names: labels, `nil` last.
        rows: what was asked, in the order of `scores`; an answer of several people counts as met by any of them.
        train: where baselines look up what is frequent.
        threshold: of alerts.

    Returns:
        Shares as {mean, low, high} with 95 % intervals; see the keys.
    """
    import numpy as np

    answers = [str(r["answer"]).split() for r in rows]
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = [[names[j] for j in line] for line in order]
    right = [float(line[0] in meant) for line, meant in zip(ranked, answers, strict=True)]
    ranks = [1 + min(line.index(a) for a in meant) for line, meant in zip(ranked, answers, strict=True)]
    sure = np.exp(scores.max(axis=1))
    people = [i for i, meant in enumerate(answers) if meant != [NIL]]
    persons = scores[:, [j for j, name in enumerate(names) if name != NIL]]
    only = [name for name in names if name != NIL]
    named = [float(only[int(persons[i].argmax())] in answers[i]) for i in people]
    guesses = baselines(rows, train)
    others = {
        name: [float(g in meant) for g, meant in zip(guess, answers, strict=True)] for name, guess in guesses.items()
    }
    best = max(others, key=lambda name: sum(others[name]))
    bins = calibration(sure.tolist(), right)
    return {
        "rows": len(rows),
        "nil": share([float(meant == [NIL]) for meant in answers]),
        "accuracy": share(right),
        "top 5": share([float(rank <= 5) for rank in ranks]),
        "who, where somebody answered": share(named),
        "mean reciprocal rank": share([1 / rank for rank in ranks]),
        "log loss": float(-np.mean([max(s[names.index(a)] for a in m) for s, m in zip(scores, answers, strict=True)])),
        "on labels": float(np.exp(scores).sum(axis=1).mean()),
        "baselines": {name: share(values) for name, values in others.items()},
        "against the best baseline": {"baseline": best, **paired(right, others[best])},
        "alerts": [alerts(ranked, sure, answers, t) for t in sorted({*THRESHOLDS, threshold})],
        "threshold": threshold,
        "calibration": bins,
        "calibration error": math.fsum(b["n"] * abs(b["said"] - b["was"]) for b in bins) / len(rows),
    }


def share(values: Sequence[float]) -> dict[str, float | int | None]:
    """A mean with its 95 % interval and the number of values; null of nothing."""
    if not values:
        return {"mean": None, "low": None, "high": None, "n": 0}
    low, high = interval(values)
    return {"mean": math.fsum(values) / len(values), "low": low, "high": high, "n": len(values)}


def baselines(rows: Sequence[Row], train: Sequence[Row]) -> dict[str, list[str]]:
    """What can be guessed without reading a word, for each row."""
    counts = Counter(str(r["answer"]).split()[0] for r in train)
    by_channel: dict[str, Counter[str]] = defaultdict(Counter)
    for r in train:
        by_channel[r["channel"]][str(r["answer"]).split()[0]] += 1
    common = _first(counts)
    person = _first(Counter({name: n for name, n in counts.items() if name != NIL})) or common
    before = []
    for r in rows:
        # the one who spoke before the last author, as in a dialogue
        other = [s for s in r["speakers"] if s != r["author"] and s.isdigit()]
        before.append(other[-1] if other else person)
    return {
        "most frequent": [common] * len(rows),
        "most frequent person": [person] * len(rows),
        "most frequent in the channel": [_first(by_channel[r["channel"]]) or common for r in rows],
        "last but one speaker": before,
    }


def alerts(
    ranked: Sequence[Sequence[str]], sure: np.ndarray, answers: Sequence[Sequence[str]], threshold: float
) -> dict[str, Any]:
    """Alerts at a threshold: a person, not `nil`, is the first choice with at least this probability.

    Returns:
        Their number; precision (share of alerts that name somebody who answered); recall (share of the rows that
        somebody answered with an alert that is right).
    """
    raised = [i for i, line in enumerate(ranked) if line[0] != NIL and sure[i] >= threshold]
    right = {i for i in raised if ranked[i][0] in answers[i]}
    asked = [i for i, meant in enumerate(answers) if list(meant) != [NIL]]
    return {
        "threshold": threshold,
        "alerts": len(raised),
        "precision": share([float(i in right) for i in raised]),
        "recall": share([float(i in right) for i in asked]),
    }


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda name: (-counts[name], name)) if counts else ""
