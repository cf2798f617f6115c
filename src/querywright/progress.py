"""What people see while they wait: a bar with an ETA on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")
LOG_EVERY_S = 15.0


class Listener(Protocol):
    """Who hears what is said, instead of the terminal: the log of a job in the background. Either may raise, which ends
    the work at that point (a job that was cancelled)."""

    def said(self, text: str) -> None: ...

    def moved(self, what: str, done: int, total: int | None) -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Within it, this thread's `say` and `track` go to the listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def hearing() -> Listener | None:
    """Who hears this thread now; None where the terminal does."""
    return _listener.get()


def say(text: str) -> None:
    """One line to standard error: what was derived, inherited or made. Standard output stays for results."""
    if listener := _listener.get():
        listener.said(text)
    else:
        print(text, file=sys.stderr, flush=True)


def track(
    items: Iterable[T], what: str, total: int | None = None, note: Callable[[], str] | None = None
) -> Iterator[T]:
    """Yield `items` and show how far we are and how long it will still take; `note` adds what else is to be known."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if listener := _listener.get():
        listener.moved(what, 0, total)
        for done, item in enumerate(items, 1):
            yield item
            listener.moved(what, done, total)
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("ETA"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            for item in items:
                yield item
                bar.update(task, advance=1, description=f"{what} ({note()})" if note else what)
        return
    start = last = time.monotonic()
    for n, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= LOG_EVERY_S:
            last = now
            eta = f", ETA {(now - start) / n * (total - n):.0f} s" if total else ""
            say(f"{what}: {n}{f'/{total}' if total else ''}, {now - start:.0f} s{eta}{f' ({note()})' if note else ''}")
