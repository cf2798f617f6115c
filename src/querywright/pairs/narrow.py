"""One way to say each thing: the narrow templates that broad ones are measured against.

The same speaker, with every choice of words taken away from it. It says all that the broad teacher says, in one
phrasing, so that what differs between the two is variety alone.
"""

from __future__ import annotations

import random
from collections.abc import MutableSequence, Sequence
from typing import TypeVar

T = TypeVar("T")


class NoChoice(random.Random):
    """Takes the first of every list, and no by-way: `random()` is always high."""

    def random(self) -> float:
        """Above every share that the templates give to a variant."""
        return 0.999

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        """The first."""
        return seq[0]

    def shuffle(self, x: MutableSequence[T]) -> None:  # type: ignore[override]
        """As it stands."""
