"""What people asked, what they got, and what they made of it: one SQLite file in the workspace.

WAL, so that an export reads while the server writes. Every statement has its values as parameters.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from querywright.errors import QuerywrightError

FILE = "feedback.sqlite"
VERSION = 1
SCHEMA = """
CREATE TABLE answer (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,                -- UTC, ISO 8601
    api TEXT NOT NULL,
    question TEXT NOT NULL,
    path TEXT NOT NULL,                -- what the model wrote
    ok INTEGER NOT NULL,
    reason TEXT NOT NULL,
    ms REAL NOT NULL,
    model TEXT NOT NULL,
    source TEXT NOT NULL,              -- page or rest
    rating INTEGER CHECK (rating IN (-1, 1))
);
CREATE TABLE correction (
    id INTEGER PRIMARY KEY,
    answer INTEGER NOT NULL REFERENCES answer (id),
    time TEXT NOT NULL,
    path TEXT NOT NULL,                -- as the person wrote it
    ok INTEGER NOT NULL,               -- whether it is a call to the API; others are never trained on
    reason TEXT NOT NULL
);
CREATE INDEX correction_answer ON correction (answer);
CREATE INDEX answer_api ON answer (api);
"""


@dataclass(frozen=True)
class Correction:
    """One correction, with the question and the answer that it corrects."""

    id: int
    time: str
    api: str
    question: str
    answer: str
    model: str
    path: str
    ok: bool
    reason: str


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Store:
    """The feedback file of one workspace. One connection, used by one thread at a time."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Questions are people's own words: for the owner's eyes only.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(self.path, check_same_thread=False, timeout=10)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise QuerywrightError(
                f"could not open {self.path}: {error}", hint="check its rights, or choose another --workspace"
            ) from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")  # two servers may start at once
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise sqlite3.DatabaseError(f"written by another version of Querywright (layout {version})")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                raise QuerywrightError(
                    f"could not write {self.path}: {error}", hint="free some space and try again", retryable=True
                ) from error

    def add_answer(
        self, *, api: str, question: str, path: str, ok: bool, reason: str, ms: float, model: str, source: str
    ) -> int:
        """Keep one answer; returns its id."""
        row = (_now(), api, question, path, int(ok), reason, ms, model, source)
        with self._write() as db:
            cursor = db.execute(
                "INSERT INTO answer (time, api, question, path, ok, reason, ms, model, source)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )  # fmt: skip
            return int(cursor.lastrowid or 0)

    def add_correction(self, answer: int, *, path: str, ok: bool, reason: str) -> int:
        """Keep what a person says the call should have been; returns its id."""
        with self._write() as db:
            cursor = db.execute(
                "INSERT INTO correction (answer, time, path, ok, reason) VALUES (?, ?, ?, ?, ?)",
                (answer, _now(), path, int(ok), reason),
            )
            return int(cursor.lastrowid or 0)

    def rate(self, answer: int, rating: int) -> None:
        """Thumbs up (1) or down (-1); the last one counts."""
        with self._write() as db:
            db.execute("UPDATE answer SET rating = ? WHERE id = ?", (rating, answer))

    def corrections(self, api: str) -> list[Correction]:
        """All corrections of an API's answers, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT c.id, c.time, a.api, a.question, a.path, a.model, c.path, c.ok, c.reason"
                " FROM correction c JOIN answer a ON a.id = c.answer WHERE a.api = ? ORDER BY c.id", (api,)
            ).fetchall()  # fmt: skip
        return [Correction(*said, bool(ok), reason) for *said, ok, reason in rows]  # type: ignore[call-arg]

    def counts(self, api: str) -> dict[str, int]:
        """How many answers, ratings and corrections an API has."""
        with self._lock:
            answers, up, down = self._db.execute(
                "SELECT count(*), count(nullif(rating, -1)), count(nullif(rating, 1)) FROM answer WHERE api = ?", (api,)
            ).fetchone()
            made, ok = self._db.execute(
                "SELECT count(*), coalesce(sum(c.ok), 0) FROM correction c JOIN answer a ON a.id = c.answer"
                " WHERE a.api = ?", (api,)
            ).fetchone()  # fmt: skip
        return {"answers": answers, "up": up, "down": down, "corrections": made, "valid_corrections": ok}

    def close(self) -> None:
        """Write everything back into the one file and close it."""
        with self._lock:
            self._db.close()
