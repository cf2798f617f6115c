"""The job database's door: transactions that wait for each other, and are tried again where the database was busy."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from querywright import database
from querywright.database import sa  # imported there, with word of how to install it
from querywright.errors import QuerywrightError
from server.jobs import tables

T = TypeVar("T")
AGAIN = 5
"""Times that a transaction is tried: SQLite's wait for other writers is by chance and may starve one, and PostgreSQL
ends one of two that wait for each other."""
HINT = "it has to be a job table of Querywright that you may write; or set QUERYWRIGHT_JOBS"


class Door:
    """Reads and writes of one job database, by several threads. A forked process gets connections of its own.

    Raises:
        QuerywrightError: it can't be opened, or a newer version of Querywright wrote it.
    """

    def __init__(self, where: Path | str) -> None:
        self._database = database.connect(where, "job table", HINT)
        self.path, self.where = self._database.path, self._database.shown
        self._turn: AbstractContextManager[Any]
        self._take_turns()
        _forget_when_forked(self)
        self._file: tuple[int, int] | None = None
        try:
            self.write(_prepare, "open", self._database.hint)
            self._file = self._now()
        except BaseException:
            self.close()
            raise

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` finds."""
        self._there()
        with self._database.told("read", "check that it can be reached"), self._database.reader.begin() as db:
            return work(db)

    def write(
        self, work: Callable[[sa.Connection], T], what: str = "write", hint: str = "check that it can be reached"
    ) -> T:
        """What `work` gives, committed. It may run several times, each from the beginning."""
        self._there()
        with self._database.told(what, hint), self._turn:
            for again in range(AGAIN):
                try:
                    with self._database.writer.begin() as db:
                        return work(db)
                except sa.exc.OperationalError:
                    if again == AGAIN - 1:
                        raise
                    time.sleep(random.uniform(0.01, 0.05) * 2**again)
            raise AssertionError("unreachable")

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self._database.close()

    def _now(self) -> tuple[int, int] | None:
        """Which file of SQLite has the path."""
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _there(self) -> None:
        """See that the file is still the one that was opened: writes into a deleted one would be lost with the process,
        while others work on a new one.

        Raises:
            QuerywrightError: it is not.
        """
        if self._file is not None and self._now() != self._file:
            text = f"{self.where} was deleted or replaced while it was open"
            raise QuerywrightError(text, hint="put it back, or start the service again", retryable=True)

    def _take_turns(self) -> None:
        self._turn = threading.Lock() if self.path else nullcontext()


def _forget_when_forked(door: Door) -> None:
    """A child must not speak on its parent's connections, nor wait for a lock that a thread of the parent held."""
    me = weakref.ref(door)

    def forget() -> None:
        if (found := me()) is not None:
            found._database.reader.dispose(close=False)
            found._take_turns()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


def _prepare(db: sa.Connection) -> None:
    database.lay_out(db, tables.metadata, tables.meta, tables.VERSION, {})
