"""One step of decoding: the next token out of a row of logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def pick(logits: np.ndarray, bits: bytes | None, temperature: float, rng: np.random.Generator) -> tuple[int, float]:
    """Choose a token.

    Args:
        logits: float32, one for each token of the vocabulary; not changed.
        bits: the mask, one bit a token, lowest first; None allows all.
        temperature: 0 takes the most likely token.

    Returns:
        The token, and the natural log of its probability under the unmasked logits.

    Raises:
        ValueError: the mask allows nothing, or the logits are not numbers.
    """
    import numpy as np

    allowed = logits
    if bits is not None:
        may = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little", count=len(logits)).view(bool)
        allowed = np.where(may, logits, -np.inf)
    best = int(np.argmax(allowed))
    top = float(np.max(logits))
    if not np.isfinite(allowed[best]) or not np.isfinite(top):
        raise ValueError("no token can follow")
    if temperature > 0:
        scaled = (allowed.astype(np.float64) - float(allowed[best])) / temperature
        chances = np.exp(scaled)
        best = int(rng.choice(len(chances), p=chances / chances.sum()))
    return best, float(logits[best]) - top - float(np.log(np.sum(np.exp(logits - top))))
