"""What is older than so many days is deleted while the server runs: at its start, and once a day."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from querywright.errors import QuerywrightError
from querywright.progress import say
from server.keep.store import Store

log = logging.getLogger("querywright.server")
DAY_S = 86_400.0


@contextmanager
def pruned(store: Store, days: float | None, *, every_s: float = DAY_S) -> Iterator[None]:
    """Keep answers for `days` and no longer, as long as this is open; None keeps them for ever.

    Raises:
        QuerywrightError: the store can't be written at the start. Later that is logged, and tried again the next day.
    """
    if days is None:
        yield
        return
    say(f"answers are kept for {days:g} days; {store.prune(days):,} older ones deleted")
    stop = threading.Event()

    def daily() -> None:
        while not stop.wait(every_s):
            try:
                store.prune(days)
            except QuerywrightError as error:
                log.error("old answers were not deleted: %s", error)

    thread = threading.Thread(target=daily, name="prune", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
