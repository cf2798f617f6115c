"""Train, valid and test by conversation and by time: what is learnt from lies before what it is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from querywright.errors import QuerywrightError
from querywright.events.examples import Example

PARTS = ("train", "valid", "test")


def split(
    found: Sequence[Example], starts: dict[str, float], window: float, valid: float, test: float
) -> tuple[dict[str, list[Example]], dict[str, float], Counter[str]]:
    """Deal groups of conversations out by their start: the first to train, then valid, the last to test.

    An example of an earlier part whose answer may still come after the next part has begun is left out (with the
    window, since `nobody answered` is known only at its end): so no event after the cut is learnt from.

    Args:
        starts: when each group's first message was posted.
        window: seconds within which an answer comes.
        valid, test: shares of the groups.

    Returns:
        Examples by part; when valid and test begin; how many examples reached over a cut, by part.

    Raises:
        QuerywrightError: a share leaves a part empty.
    """
    order = sorted(starts, key=lambda group: (starts[group], group))
    first_test = len(order) - round(test * len(order))
    first_valid = first_test - round(valid * len(order))
    if not 0 < first_valid < first_test < len(order):
        raise QuerywrightError(
            f"{len(order)} conversations are too few for train, {valid:.0%} valid and {test:.0%} test",
            hint="give a longer log, or larger --valid and --test",
        )
    cuts = {"valid": starts[order[first_valid]], "test": starts[order[first_test]]}
    part_of = {
        group: "train" if i < first_valid else "valid" if i < first_test else "test" for i, group in enumerate(order)
    }
    parts: dict[str, list[Example]] = {part: [] for part in PARTS}
    over: Counter[str] = Counter()
    for example in found:
        part = part_of[example.group]
        ends = cuts["valid"] if part == "train" else cuts["test"] if part == "valid" else float("inf")
        if example.time + window > ends:
            over[part] += 1
        else:
            parts[part].append(example)
    empty = [part for part in PARTS if not parts[part]]
    if empty:
        raise QuerywrightError(
            f"no examples left in {' and '.join(empty)} before the next part begins",
            hint="a shorter --window, or a longer log",
        )
    return parts, cuts, over
