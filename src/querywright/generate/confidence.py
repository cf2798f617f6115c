"""How sure an answer is: what speaks for and against it, as numbers, and a chance of being right out of them.

The signs are what is at hand when an answer is there: how likely the model found it under the grammar, what the
deterministic reader reads, how many samples mean the same, whether it finds anything. A calibration weighs them: a
logistic function that `querywright eval calibrate` fits on held-out pairs, stored as plain JSON beside the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.query import Bool, walk
from querywright.artefacts import MANIFEST, data_dir, sha256
from querywright.engines.base import Completion
from querywright.errors import QuerywrightError
from querywright.progress import say

FILE = "calibration.json"
VERSION = 1
Readings = tuple[Sequence[Call], bool]  # of the reader, the likeliest first; whether it explains every word
Mode = Literal["one", "several"]  # one pass, or a choice among several answers
SIGNS = {
    "grammar": "natural log of the answer's probability under the grammar, at least -20",
    "weakest": "the lowest of its steps, at least -8",
    "barred": "how much of the model's own probability the grammar took away, as a natural log, at most 20",
    "unknown": "the engine tells no probabilities",
    "agrees": "the reader's first reading means the same; of a refusal: it reads no call",
    "among": "a later reading of it does",
    "differs": "it reads other calls only; of a refusal: it reads one",
    "surely_agrees": "`agrees`, and the reader explains every word of the sentence",
    "surely_differs": "`among` or `differs`, and it explains every word",
    "refused": "the answer is a refusal",
    "length": "natural log of 1 + the answer's tokens",
    "clauses": "conditions and parameters of the call",
    "no_hits": "it was run and found nothing",
    "share": "how many of the model's answers mean the same, 0 to 1 (of several)",
    "most_likely": "the model's most likely answer means the same (of several)",
    "lead": "`grammar` above that of the best answer that means something else, -10 to 10 (of several)",
}


@dataclass(frozen=True)
class Fit:
    """A logistic function of signs.

    Attributes:
        usual: what stands in for a sign that is not known, such as hits of an answer that was not run.
        threshold: from this confidence on `target` of the held-out answers were right; None where none did that.
        facts: how it was fitted, for people.
    """

    bias: float
    weights: Mapping[str, float]
    usual: Mapping[str, float] = field(default_factory=dict)
    target: float = 0.95
    threshold: float | None = None
    facts: Mapping[str, object] = field(default_factory=dict, repr=False)

    def chance(self, signs: Mapping[str, float]) -> float:
        """The chance that an answer with these signs is right."""
        z = self.bias + sum(
            weight * signs.get(name, self.usual.get(name, 0.0)) for name, weight in self.weights.items()
        )
        return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def read_calibration(path: Path) -> dict[Mode, Fit]:
    """The calibration in a file; empty where there is none.

    Raises:
        QuerywrightError: the file is no calibration, or one of another version.
    """
    if not path.is_file():
        return {}
    data = _data(path)
    try:
        if data["version"] != VERSION:
            raise _broken(path, f"version {data['version']}, not {VERSION}")
        fits: dict[Mode, Fit] = {}
        for mode, one in data["fits"].items():
            strange = set(one["weights"]) - set(SIGNS)
            if mode not in ("one", "several") or strange:
                raise _broken(path, f"unknown: {', '.join(sorted(strange)) or mode}")
            weights = {name: float(weight) for name, weight in one["weights"].items()}
            usual = {name: float(value) for name, value in one.get("usual", {}).items()}
            if not all(map(math.isfinite, [float(one["bias"]), *weights.values(), *usual.values()])):
                raise _broken(path, "a weight is no number")
            threshold = one.get("threshold")
            fits[mode] = Fit(
                float(one["bias"]), weights, usual, float(one.get("target", 0.95)),
                None if threshold is None else float(threshold), one.get("facts", {}),
            )  # fmt: skip
        return fits
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, f"{type(error).__name__}: {error}") from None


def calibration_of(api: API, model: str | Path) -> dict[Mode, Fit]:
    """The calibration of a model: the one beside it, or the one that its shipped adapter comes with; empty where there
    is none. One that was fitted for an earlier model in the same folder is passed over, and that is said.

    Raises:
        QuerywrightError: the file is no calibration.
    """
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError):
        made = {}
    if (folder / FILE).is_file() and "://" not in str(model):
        if made.get("adapter_sha256") == _data(folder / FILE).get("adapter"):
            return read_calibration(folder / FILE)
        say(f"{folder / FILE} is of an earlier model and not used; querywright eval calibrate fits a new one")
    elif made.get("source") == "shipped":
        for shipped in (data_dir() / "adapters" / name for name in (api.name, "general")):
            weights = shipped / "adapter_model.safetensors"
            if (shipped / FILE).is_file() and sha256(weights) == made.get("adapter_sha256"):
                return read_calibration(shipped / FILE)
    return {}


def word(confidence: float) -> str:
    """A confidence in a word: `sure` where nine of ten are right, `unsure` where it is more often wrong."""
    if confidence >= 0.9:
        return "sure"
    return "fairly sure" if confidence >= 0.5 else "unsure"


def _data(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from None
    if not isinstance(data, dict):
        raise _broken(path, "no JSON object")
    return data


def _broken(path: Path, why: str) -> QuerywrightError:
    return QuerywrightError(f"{path} is no calibration: {why}", hint="querywright eval calibrate writes one")


def likelihood(done: Completion) -> dict[str, float]:
    """The signs of what an engine wrote."""
    signs = {"length": math.log1p(done.tokens_out)}
    if done.grammar_logprob is None:
        return signs | {"unknown": 1.0, "grammar": -20.0, "weakest": -8.0}
    own = done.grammar_logprob if done.logprob is None else done.logprob
    return signs | {
        "grammar": max(-20.0, done.grammar_logprob),
        "weakest": max(-8.0, done.weakest or 0.0),
        "barred": min(20.0, max(0.0, done.grammar_logprob - own)),
    }


def agreement(call: Call | None, refused: bool, readings: Readings | None) -> dict[str, float]:
    """The signs of what the reader made of the sentence; none where there is no reader."""
    signs = {"refused": 1.0} if refused else {}
    if readings is None or (call is None and not refused):
        return signs
    calls, sure = readings
    if refused:
        return signs | ({"differs": 1.0, "surely_differs": float(sure)} if calls else {"agrees": 1.0})
    if call is None or not calls:
        return signs
    means = [reading.canonical for reading in calls]
    where = means.index(call.canonical) if call.canonical in means else -1
    how = "agrees" if where == 0 else "among" if where > 0 else "differs"
    return {how: 1.0, "surely_agrees" if where == 0 else "surely_differs": float(sure)}


def size(call: Call | None) -> float:
    """Conditions and parameters of a call."""
    if call is None:
        return 0.0
    leaves = sum(not isinstance(node, Bool) for node in walk(call.query)) if call.query else 0
    return float(leaves + len(call.params))


def confidence(signs: Mapping[str, float], mode: Mode, calibration: Mapping[Mode, Fit]) -> float | None:
    """The chance of being right, 0 to 1.

    Without a calibration for the mode it is the answer's share of the samples, or with one pass its probability under
    the grammar: an order, no promise. None where nothing is known.
    """
    fit = calibration.get(mode)
    if fit is not None:
        return fit.chance(signs)
    if mode == "several" and "share" in signs:
        return signs["share"]
    return None if signs.get("unknown") else math.exp(signs["grammar"])
