"""What the prompt suggests."""

from __future__ import annotations

import pytest

from querywright.engines.lookup import drafted


@pytest.mark.parametrize(
    ("prompt", "text", "found"),
    [
        ([1, 2, 3, 4, 5], [9, 2], [3, 4]),
        ([1, 2, 3, 4, 5], [5], []),  # nothing follows it
        ([1, 2, 3, 7, 2, 4], [2], [4]),  # the last place counts
        ([1, 2, 3, 7, 2, 4], [1, 2], [3, 7]),  # more agreement counts more
        ([1, 2, 3], [8], []),
        ([1, 2, 3], [], []),
        ([], [1], []),
    ],
)
def test_drafted(prompt: list[int], text: list[int], found: list[int]) -> None:
    assert drafted(prompt, text, 2) == found


def test_short_agreement_can_be_refused() -> None:
    assert drafted([1, 2, 3], [9, 2], 2, shortest=2) == []
    assert drafted([1, 2, 3], [1, 2], 2, shortest=2) == [3]
