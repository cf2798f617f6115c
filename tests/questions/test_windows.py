"""Rolling windows: the example of the documentation, and what holds for all that fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querywright.errors import QuerywrightError
from querywright.questions import windows as stage
from querywright.questions.windows import Window, windows


def shown(n: int, size: int, step: int) -> str:
    return " ".join(map(str, windows(n, size, step)))


def test_seventeen_chunks_by_four_in_steps_of_two() -> None:
    assert shown(17, 4, 2) == "1–4 3–6 5–8 7–10 9–12 11–14 13–16 15–17"


@pytest.mark.parametrize(
    ("n", "size", "step", "expected"),
    [
        (17, 4, 4, "1–4 5–8 9–12 13–16 17–17"),  # nothing overlaps, so the last one is what is left
        (17, 17, 1, "1–17"),
        (17, 17, 17, "1–17"),
        (17, 16, 16, "1–16 17–17"),
        (18, 4, 2, "1–4 3–6 5–8 7–10 9–12 11–14 13–16 15–18"),  # fits exactly: no window of 17–18
        (5, 3, 3, "1–3 4–5"),
        (6, 4, 3, "1–4 4–6"),
        (3, 1, 1, "1–1 2–2 3–3"),
        (1, 1, 1, "1–1"),
    ],
)
def test_other_windows(n: int, size: int, step: int, expected: str) -> None:
    assert shown(n, size, step) == expected


@st.composite
def fitting(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 300))
    size = draw(st.integers(1, n))
    return n, size, draw(st.integers(1, size))


@given(fitting())
def test_what_holds_for_all_windows(values: tuple[int, int, int]) -> None:
    n, size, step = values
    found = windows(n, size, step)
    assert [w.first for w in found] == [1 + step * place for place in range(len(found))]  # the step has priority
    assert {c for w in found for c in range(w.first, w.last + 1)} == {*range(1, n + 1)}  # every chunk, and no other
    assert all(w.last - w.first + 1 == size for w in found[:-1])
    assert 1 <= found[-1].last - found[-1].first + 1 <= size
    assert [w for w in found if w.last == n] == [found[-1]]  # the first that reaches the end is the last
    assert found == sorted(set(found))


@given(st.integers(-3, 12), st.integers(-3, 12), st.integers(-3, 12))
def test_all_others_are_refused_with_the_values(n: int, size: int, step: int) -> None:
    if 1 <= step <= size <= n:
        assert windows(n, size, step)[0] == Window(1, size)
        return
    with pytest.raises(QuerywrightError) as error:
        windows(n, size, step)
    assert error.value.hint
    assert any(str(value) in str(error.value) for value in (n, size, step)) or n == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((17, 4, 5), "window step 5 is greater than the window size 4"),
        ((3, 4, 2), "window size 4 is greater than the number of chunks, 3"),
        ((3, 0, 1), "window size is 0"),
        ((3, 2, 0), "window step is 0"),
        ((3, -2, 1), "window size is -2, less than 0"),
        ((3, 2, -1), "window step is -1, less than 0"),
        ((0, 1, 1), "no chunks"),
        ((3, 2.0, 1), "2.0, no whole number"),
        ((3, 2, "1"), "'1', no whole number"),
        ((3, True, 1), "True, no whole number"),
        ((3, None, 1), "None, no whole number"),
    ],
)
def test_refusals_say_what_and_what_would_do(values: tuple[Any, Any, Any], said: str) -> None:
    with pytest.raises(QuerywrightError, match=said) as error:
        windows(*values)
    assert error.value.hint


@pytest.mark.parametrize(
    ("n", "size", "step", "derived"),
    [
        (17, None, None, (4, 2)), (2, None, None, (2, 2)), (1, None, None, (1, 1)), (17, None, 6, (6, 6)),
        (17, 1, None, (1, 1)), (17, 8, None, (8, 2)), (3, 4, None, (4, 2)), (3, None, 0, (3, 0)), (3, None, 9, (3, 9)),
    ],
)  # fmt: skip
def test_what_is_not_said_is_derived_and_what_is_said_stays(
    n: int, size: int | None, step: int | None, derived: tuple[int, int]
) -> None:
    assert stage.fitting(n, size, step) == derived


def test_a_single_choice_is_no_range() -> None:
    with pytest.raises(QuerywrightError) as error:
        windows(2, 4, 2)
    assert error.value.hint == "a window size of 2"
