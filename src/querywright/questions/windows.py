"""Rolling windows over numbered chunks.

Windows start at chunk 1, 1 + step, 1 + 2·step, …, and hold `size` chunks each. The first window that reaches the last
chunk is the last one. The step has priority over its size: it starts where the step puts it and is shorter where fewer
chunks are left. 17 chunks, size 4, step 2: 1–4, 3–6, 5–8, 7–10, 9–12, 11–14, 13–16, 15–17. A window at 17 would hold
nothing that 15–17 does not, so there is none.
"""

from __future__ import annotations

from typing import NamedTuple

from querywright.errors import QuerywrightError

RULE = "1 <= step <= size <= the number of chunks"
SIZE, STEP = 4, 2  # where nothing else is said


class Window(NamedTuple):
    """The chunks `first` to `last`, both included, counted from 1."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}–{self.last}"


def windows(n: int, size: int, step: int) -> list[Window]:
    """The windows over `n` chunks, in order; each chunk is in at least one of them.

    Raises:
        QuerywrightError: a value is no whole number, or the three do not fit each other (`RULE`).
    """
    check(size, step)
    n = _whole(n, "the number of chunks")
    if n == 0:
        raise QuerywrightError("there are no chunks, so there is no window", hint="a document with at least one chunk")
    if size > n:
        raise QuerywrightError(
            f"the window size {size} is greater than the number of chunks, {n}",
            hint=_sizes(step, n),
        )
    starts = range(1, n - size + 1 + step, step)  # the last start is the first from which `size` chunks reach n
    return [Window(first, min(first + size - 1, n)) for first in starts]


def fitting(n: int, size: int | None, step: int | None) -> tuple[int, int]:
    """Size and step for `n` chunks, where what was not said is derived: a size of `SIZE`, or all chunks where there are
    fewer, or the step where that is greater; a step of `STEP`, or the size where that is smaller. What was said
    stays."""
    size = max(min(SIZE, n), min(step or 0, n)) if size is None else size
    return size, min(STEP, size) if step is None else step


def check(size: int, step: int) -> None:
    """Refuse sizes and steps that fit no document.

    Raises:
        QuerywrightError: one is no whole number of at least 1, or the step is greater than the size.
    """
    for name, value in (("window size", size), ("window step", step)):
        if _whole(value, f"the {name}") == 0:
            raise QuerywrightError(f"the {name} is 0", hint=f"at least 1; {RULE}")
    if step > size:
        raise QuerywrightError(
            f"the window step {step} is greater than the window size {size}: chunks between windows would be left out",
            hint=f"a step from 1 to {size}, or a size of at least {step}",
        )


def _sizes(step: int, n: int) -> str:
    if step > n:
        return f"a window size and a step from 1 to {n}" if n > 1 else "a window size and a step of 1"
    return f"a window size from {step} to {n}" if step < n else f"a window size of {n}"


def _whole(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise QuerywrightError(f"{name} is {value!r}, no whole number", hint=f"for example 4; {RULE}")
    if value < 0:
        raise QuerywrightError(f"{name} is {value}, less than 0", hint=f"at least 1; {RULE}")
    return value
