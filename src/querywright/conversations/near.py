"""Texts that are nearly the same, among many: MinHash over runs of three words, each find checked by the true share.

Broder 1997, "On the resemblance and containment of documents"; bands of rows as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

import re
from collections import defaultdict
from zlib import crc32

import numpy as np

WORDS = 3  # in a run
HASHES, BANDS = 96, 32  # three rows a band: a pair with 0.8 in common is found with 1 - (1 - 0.8**3)**32 > 0.999999999
_LONGEST = 20_000  # characters of a text that are looked at


class Near:
    """The texts seen so far, and which of them a new one is nearly the same as.

    Args:
        share: runs in common, of all runs of the two, from which on texts are one; 1 finds the same words only.
    """

    def __init__(self, share: float = 0.8) -> None:
        self._share = share
        draw = np.random.default_rng(20)
        self._a = draw.integers(0, 1 << 63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._b = draw.integers(0, 1 << 63, HASHES, dtype=np.uint64)
        self._runs: list[frozenset[int]] = []
        self._exact: dict[tuple[str, ...], int] = {}
        self._bands: list[dict[bytes, list[int]]] = [defaultdict(list) for _ in range(BANDS)]

    def add(self, text: str) -> tuple[int, bool] | None:
        """Take a text, unless one that was taken is the same or nearly so.

        Returns:
            that one's number, in the order of taking from 0, and whether its words are the very same; None for a text
            that is new.
        """
        words = tuple(re.findall(r"\w+", text[:_LONGEST].casefold()))
        if words in self._exact:
            return self._exact[words], True
        runs = frozenset(crc32(" ".join(words[i : i + WORDS]).encode("utf-8", "surrogatepass"))
                         for i in range(max(1, len(words) - WORDS + 1)))  # fmt: skip
        keys = self._keys(runs) if self._share < 1 else []
        for band, key in zip(self._bands, keys, strict=False):
            for number in band.get(key, ()):
                if _common(runs, self._runs[number]) >= self._share:
                    return number, False
        number = len(self._runs)
        self._exact[words] = number
        self._runs.append(runs)
        for band, key in zip(self._bands, keys, strict=False):
            band[key].append(number)
        return None

    def _keys(self, runs: frozenset[int]) -> list[bytes]:
        values = np.fromiter(runs, dtype=np.uint64, count=len(runs))
        # multiply and shift (Dietzfelbinger et al. 1997): the product's upper half is mixed, its lower half is not
        least = ((values[:, None] * self._a + self._b) >> np.uint64(32)).min(axis=0)  # [HASHES]
        return [part.tobytes() for part in least.reshape(BANDS, -1)]


def _common(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / max(1, len(one | other))
