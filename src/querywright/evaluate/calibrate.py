"""Fit how sure an answer is: a logistic function of its signs, on answers whose truth is known.

The rows are those of a sweep over pairs that the model was not trained on. One with several answers a sentence gives
every candidate's signs, each right or wrong; of these the model's most likely ones stand for one pass as well.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.api.definition import API
from querywright.artefacts import MANIFEST, write_json
from querywright.errors import QuerywrightError
from querywright.evaluate.reliability import reliability
from querywright.evaluate.score import score_row

if TYPE_CHECKING:
    import numpy as np

FILE = "calibration.json"
VERSION = 1  # of the format that `generate.confidence` reads
TARGET = 0.95
LEAST = 30  # sentences; fewer fit anything
FOLDS = 10
_RIDGE = 2.0  # L2 on standardised signs: a few hundred answers don't settle a dozen weights
_AMONG = ("share", "most_likely", "lead")  # signs that one pass does not have
_NOT_ALWAYS = ("no_hits",)  # known only of answers that were run
_MODES = {"one": "one pass", "several": "a choice among several answers"}


def calibrate(
    apis: Mapping[str, API], rows: Sequence[dict[str, Any]], out: Path, target: float = TARGET
) -> dict[str, Any]:
    """Fit on the rows of a sweep's cell and write the calibration.

    Args:
        apis: by name, those that the rows' `api` names; a model that serves several is calibrated on all of them.

    Returns:
        For each mode (one, several): what is known of the fit on sentences that it had not seen (ten-fold): `n`
        sentences, `right` (share), `brier`, `brier_base` (of always saying the share that is right), `ece`,
        `threshold` and `answered` (share) for `target` right.

    Raises:
        QuerywrightError: the rows have no signs, are of several cells, or too few of a kind.
    """
    cells = sorted({cell_of(row) for row in rows})
    if len(cells) != 1:  # two of them would have each sentence twice, and what is fitted on one is tested on the other
        raise QuerywrightError(
            f"a calibration is of one model, strategy and decoding; the rows are of {', '.join(cells) or 'none'}",
            hint="--cell takes one of these",
        )
    signed = [row for row in rows if row.get("signs")]
    if len(signed) < LEAST:
        raise QuerywrightError(
            f"{len(signed)} answers with signs: at least {LEAST} are needed", hint="ask more pairs: limit=200"
        )
    fits, facts = {}, {}
    for mode, groups in (("one", _one(apis, signed)), ("several", _several(apis, signed))):
        if len(groups) < LEAST:
            continue
        right = [label for group in groups for _, label in group]
        if min(sum(right), len(right) - sum(right)) < 5:
            raise QuerywrightError(
                f"{sum(right):.0f} of {len(right)} answers are right: there is nothing to tell apart",
                hint="calibrate on harder pairs, at best on sentences of the people who will ask",
            )
        fits[mode], facts[mode] = _fit(groups, target)
    made = {"version": VERSION, "api": ", ".join(apis), "cell": cells[0]}
    with contextlib.suppress(OSError, ValueError, KeyError):  # beside an exported model: whose it is
        made["adapter"] = json.loads((out.parent / MANIFEST).read_text(encoding="utf-8"))["config"]["adapter_sha256"]
    write_json(out, {**made, "fits": fits})
    return facts


def cell_of(row: Mapping[str, Any]) -> str:
    """The cell that a row answers for: MODEL.STRATEGY.DECODING.ENGINE, and `n5` for five samples."""
    parts = [str(row[key]) for key in ("model", "strategy", "decoding", "engine") if row.get(key)]
    return ".".join([*parts, *([f"n{row['n']}"] if row.get("n", 1) != 1 else [])])


Group = list[tuple[dict[str, float], float]]  # the candidates of one sentence: signs, and 1 where right


def _right(apis: Mapping[str, API], row: dict[str, Any], answer: dict[str, Any]) -> float:
    api = apis[row["api"]] if "api" in row else next(iter(apis.values()))
    return float(score_row(api, {**row, "path": answer["path"], "finish": answer.get("finish", "stop")})["same"])


def _one(apis: Mapping[str, API], rows: Sequence[dict[str, Any]]) -> list[Group]:
    groups: list[Group] = []
    for row in rows:
        given = [c for c in row.get("candidates") or [] if c["signs"].get("most_likely")] or [row]
        signs = {k: v for k, v in given[0]["signs"].items() if k not in _AMONG}
        if given[0].get("ok") or given[0].get("refused"):
            groups.append([(signs, _right(apis, row, given[0]))])
    return groups


def _several(apis: Mapping[str, API], rows: Sequence[dict[str, Any]]) -> list[Group]:
    """A sentence that was sure enough after one pass has no candidates, and is no example of a choice."""
    found = []
    for row in rows:
        group = [(c["signs"], _right(apis, row, c)) for c in row.get("candidates") or [] if c["ok"] or c.get("refused")]
        if group:
            found.append(group)
    return found


def _fit(groups: list[Group], target: float) -> tuple[dict[str, Any], dict[str, Any]]:
    import numpy as np

    names = sorted({name for group in groups for signs, _ in group for name in signs})
    flat = [signs for group in groups for signs, _ in group]
    usual = {name: _mean([signs[name] for signs in flat if name in signs]) for name in names if name in _NOT_ALWAYS}
    x = np.array([[signs.get(name, usual.get(name, 0.0)) for name in names] for signs in flat])
    y = np.array([label for group in groups for _, label in group])
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    fold = np.random.default_rng(0).permutation(len(groups)) % FOLDS
    chances = np.zeros(len(y))
    for number in range(FOLDS):  # a sentence's own answers have no say in how sure they are
        mine = fold[owner] == number
        weights, bias = _logistic(x[~mine], y[~mine])
        chances[mine] = 1 / (1 + np.exp(-(x[mine] @ weights + bias)))
    chosen = [max(np.flatnonzero(owner == g), key=lambda i: chances[i]) for g in range(len(groups))]
    rows = [{"confidence": float(chances[i]), "same": float(y[i])} for i in chosen]
    known = reliability(rows, target=target)["reliability"]
    threshold = known["chosen"]["threshold"]
    facts = {
        "n": len(groups), "right": float(np.mean([row["same"] for row in rows])), "brier": known["brier"],
        "brier_base": known["brier_base"], "ece": known["ece"], "auroc": known["auroc"], "target": target,
        "threshold": threshold, "answered": known["chosen"]["answered"]["mean"],
    }  # fmt: skip
    weights, bias = _logistic(x, y)
    fit = {
        "bias": round(bias, 5), "weights": {n: round(float(w), 5) for n, w in zip(names, weights, strict=True)},
        "usual": usual, "target": target, "threshold": threshold, "facts": facts,
    }  # fmt: skip
    return fit, facts


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 5)


def _logistic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights [signs] and bias of a logistic regression with an L2 penalty on the standardised weights.

    Args:
        x: [answers, signs]; y: [answers], 1 where right, else 0.
    """
    import numpy as np
    from scipy import optimize, special

    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 1e-9, spread, np.inf)  # what never changes has no weight
    z = (x - mean) / spread

    def loss(params: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = params[:-1], params[-1]
        score = z @ w + b
        off = special.expit(score) - y
        value = np.sum(np.logaddexp(0, score) - y * score) + _RIDGE * w @ w
        return float(value), np.append(z.T @ off + 2 * _RIDGE * w, off.sum())

    found = optimize.minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / spread
    return weights, float(found[-1] - mean @ weights)


def told(mode: str, facts: dict[str, Any]) -> str:
    """What a fit is worth, in a sentence."""
    words = (
        f"{_MODES[mode]}: {facts['n']} sentences, {facts['right']:.0%} right; Brier {facts['brier']:.3f} (always the "
        f"share: {facts['brier_base']:.3f}), calibration error {facts['ece']:.3f}; "
    )
    if facts["threshold"] is None:
        return words + f"no threshold has {facts['target']:.0%} right"
    return words + (
        f"from {facts['threshold']:.2f} on {facts['target']:.0%} are right, which is {facts['answered']:.0%} of them"
    )
