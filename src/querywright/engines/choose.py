"""One step of decoding: the next token out of a row of logits, and how likely it was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Step(NamedTuple):
    """A token, the natural log of its probability under the model, and of that under the model and the mask: the
    probabilities of the tokens that the mask allows add up to 1 (NaN where it is not known what those are)."""

    token: int
    logprob: float
    masked: float


def pick(logits: np.ndarray, bits: bytes | None, temperature: float, rng: np.random.Generator) -> Step:
    """Choose a token.

    Args:
        logits: float32, one for each token of the vocabulary; not changed.
        bits: the mask, one bit a token, lowest first; None allows all.
        temperature: 0 takes the most likely token. The probabilities that are told are those at temperature 1.

    Raises:
        ValueError: the mask allows nothing, or the logits are not numbers.
    """
    import numpy as np

    allowed = _allowed(logits, bits)
    values = logits if allowed is None else logits[allowed]
    place = int(np.argmax(values)) if len(values) else -1
    if place < 0 or not np.isfinite(values[place]) or not np.isfinite(logits.max()):
        raise ValueError("no token can follow")
    if temperature > 0:
        chances = np.exp((values.astype(np.float64) - float(values[place])) / temperature)
        place = int(rng.choice(len(chances), p=chances / chances.sum()))
    return _step(place if allowed is None else int(allowed[place]), logits, values)


def given(logits: np.ndarray, bits: bytes | None, token: int) -> Step:
    """How likely a token is that is known already; see `pick`."""
    allowed = _allowed(logits, bits)
    return _step(token, logits, logits if allowed is None else logits[allowed])


def _allowed(logits: np.ndarray, bits: bytes | None) -> np.ndarray | None:
    """The tokens that a mask allows, in order; None where it allows all."""
    import numpy as np

    if bits is None:
        return None
    return np.flatnonzero(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little", count=len(logits)))


def _step(token: int, logits: np.ndarray, values: np.ndarray) -> Step:
    chosen, total = float(logits[token]), _log_sum(logits)
    return Step(token, chosen - total, chosen - (total if values is logits else _log_sum(values)))


def _log_sum(values: np.ndarray) -> float:
    import numpy as np

    top = float(values.max())
    return top + float(np.log(np.sum(np.exp(values - top))))


@dataclass
class Odds:
    """How likely a text is, step by step; tokens that the grammar forces are no steps."""

    logprob: float = 0.0
    masked: float = 0.0
    weakest: float = 0.0

    def add(self, step: Step) -> None:
        """Count a step in."""
        self.logprob += step.logprob
        self.masked += step.masked
        self.weakest = min(self.weakest, step.masked)  # a NaN is seen in `masked`

    def known(self) -> dict[str, float | None]:
        """As `base.Completion` holds them."""
        unknown = math.isnan(self.masked)
        return {
            "logprob": self.logprob,
            "grammar_logprob": None if unknown else self.masked,
            "weakest": None if unknown else self.weakest,
        }
