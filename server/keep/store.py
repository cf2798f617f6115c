"""What people asked, what they got, and what they made of it: one SQLite file in the workspace, or PostgreSQL.

SQLite is in WAL mode, so that an export reads while servers write; the file is its owner's alone. PostgreSQL is named
by a URL, `postgresql://USER:PASSWORD@HOST/DATABASE`, best in the environment (`QUERYWRIGHT_STORE`); its password is
never shown. Several threads and several processes may write at once.
"""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from querywright import database
from querywright.database import sa  # imported there, with word of how to install it
from querywright.errors import QuerywrightError
from server.keep import tables
from server.keep.entries import Answer, Correction, Preference, Turn
from server.keep.tables import answer as A
from server.keep.tables import correction as C
from server.keep.tables import preference as P

FILE = "feedback.sqlite"
FILE_HINT = "it has to be a store of Querywright that you may write; or choose another --store or --workspace"
_HOUR_S = 3600.0
VARIABLE = "QUERYWRIGHT_STORE"
"""The environment's name for a store elsewhere: a file, or a URL."""


class NotYours(QuerywrightError):
    """An answer that is not there, or that somebody else got; which of the two is not said."""

    def __init__(self, answer: object) -> None:
        shown = answer if isinstance(answer, int) else "?"
        super().__init__(f"there is no answer {str(shown)[:20]} of yours", hint="ask again, and correct that answer")


class KeptEnough(QuerywrightError):
    """A client had as much kept within an hour as is taken of one; `retry_after`: seconds until there is room."""

    def __init__(self, most: int, retry_after: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        super().__init__(
            f"{most:,} of your answers and corrections were kept within an hour, and that is the most (limit "
            "kept_per_hour)",
            hint=f"it is kept again in {math.ceil(self.retry_after / 60)} min",
        )


def _now(ago: float = 0.0) -> str:
    """Seconds ago, as stored: one width, so that it sorts as text."""
    return (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="milliseconds")


class Store:
    """The feedback of one workspace.

    Args:
        where: a file, or the URL of a database.
        per_hour: rows that one client may add within an hour, so that none fills the disk; None is any number.

    Attributes:
        path: the file; None where a server holds the data.
        where: the same in words: the file, or the URL without its password.

    Raises:
        QuerywrightError: it can't be opened, is no store, or a newer version of Querywright wrote it.
    """

    def __init__(self, where: Path | str, *, per_hour: int | None = None) -> None:
        self.per_hour = per_hour
        self._database = database.connect(where, file_hint=FILE_HINT)
        self.path, self.where = self._database.path, self._database.shown
        # writers of one process take turns here: SQLite's own waiting is by chance, and may starve one
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.path else nullcontext()
        try:
            with self._write("open", self._database.hint) as db:
                tables.prepare(db)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._database.told("read", "check that it can be reached"), self._database.reader.begin() as db:
            yield db

    @contextmanager
    def _write(
        self, what: str = "write", hint: str = "check that it can be reached and has space"
    ) -> Iterator[sa.Connection]:
        with self._database.told(what, hint), self._turn, self._database.writer.begin() as db:
            yield db

    @cached_property
    def salt(self) -> bytes:
        """What clients are hashed with: made once, the same for all who open this store."""
        with self._write() as db:
            query = sa.select(tables.meta.c.value).where(tables.meta.c.name == "salt")
            found = db.execute(query).scalar()
            if found is None:
                insert = database.insert(db, tables.meta).values(name="salt", value=secrets.token_hex(32))
                db.execute(insert.on_conflict_do_nothing())  # another server may have been first
                found = db.execute(query).scalar_one()
        return bytes.fromhex(found)

    def _make_room(self, db: sa.Connection, client: str) -> None:
        """Refuse a row of a client that has added `per_hour` of them within the last hour."""
        if self.per_hour is None:
            return
        added = [sa.select(table.c.time).where(table.c.client == client, table.c.time >= _now(_HOUR_S))
                 for table in (A, C, P)]  # fmt: skip
        times = sa.union_all(*added).subquery()
        count, first = db.execute(sa.select(sa.func.count(), sa.func.min(times.c.time))).one()
        if count >= self.per_hour:
            since = datetime.fromisoformat(first) if first else datetime.now(UTC)
            raise KeptEnough(self.per_hour, _HOUR_S - (datetime.now(UTC) - since).total_seconds())

    def add_answer(
        self,
        *,
        api: str,
        question: str,
        path: str,
        ok: bool,
        reason: str,
        ms: float,
        model: str,
        source: str,
        client: str,
        turns: Sequence[Turn] = (),
        conversation: str = "",
        refused: str = "",
        confidence: float | None = None,
        config: str = "",
    ) -> int:
        """Keep one answer; returns its id. See `server.keep.entries.Answer` for what each value is.

        Raises:
            KeptEnough: this client had as many rows kept within the last hour as it may (`per_hour`). So it is with
                `add_correction` and `add_preference`.
        """
        said = [{"role": t["role"], "content": database.storable(t["content"])} for t in turns]
        row = {
            "time": _now(), "api": api, "question": question, "turns": json.dumps(said, ensure_ascii=False),
            "conversation": conversation, "path": path, "ok": int(ok), "reason": reason, "refused": refused,
            "confidence": confidence if confidence is not None and math.isfinite(confidence) else None,
            "ms": ms if math.isfinite(ms) else 0.0, "model": model, "config": config, "source": source,
            "client": client,
        }  # fmt: skip
        with self._write() as db:
            self._make_room(db, client)
            return _inserted(db, A, row)

    def add_correction(self, answer: int, *, path: str, ok: bool, reason: str, client: str) -> int:
        """Keep what a person says the call should have been; returns its id.

        Raises:
            NotYours: this client got no such answer.
        """
        row = {"answer": answer, "time": _now(), "path": path, "ok": int(ok), "reason": reason, "client": client}
        with self._write() as db:
            _own(db, client, answer)
            self._make_room(db, client)
            return _inserted(db, C, row)

    def rate(self, answer: int, rating: int, *, client: str) -> None:
        """Thumbs up (1) or down (-1); the last one counts.

        Raises:
            NotYours: this client got no such answer.
            QuerywrightError: another rating.
        """
        if rating not in (1, -1):
            raise QuerywrightError("a rating is 1 or -1", hint="1 for right, -1 for wrong")
        with self._write() as db:
            _own(db, client, answer)
            db.execute(sa.update(A).where(A.c.id == answer).values(rating=rating))

    def add_preference(self, chosen_answer: int, rejected_answer: int, *, client: str) -> int:
        """Keep which of two answers to one question a person liked better; returns its id.

        Raises:
            NotYours: this client got no such answer.
            QuerywrightError: the answers are not two to one question.
        """
        with self._write() as db:
            chosen, rejected = (_own(db, client, one) for one in (chosen_answer, rejected_answer))
            same = (chosen.api, chosen.question, chosen.turns) == (rejected.api, rejected.question, rejected.turns)
            if not same or chosen.id == rejected.id:
                raise QuerywrightError(
                    f"answers {chosen.id} and {rejected.id} are not two answers to one question",
                    hint="choose between two answers that were given side by side",
                )
            self._make_room(db, client)
            row = {"time": _now(), "chosen": chosen.id, "rejected": rejected.id, "client": client}
            return _inserted(db, P, row)

    def answer(self, id: int, *, client: str | None = None) -> Answer | None:
        """An answer by its id; with `client`, only one that this client got."""
        if not _is_id(id):
            return None
        query = sa.select(A).where(A.c.id == id)
        with self._read() as db:
            row = db.execute(query if client is None else query.where(A.c.client == client)).one_or_none()
        return _answer(row) if row else None

    def history(self, client: str | None, api: str, n: int = 20) -> list[Answer]:
        """The last `n` answers that a client (None: anybody) got from an API, the newest first."""
        query = sa.select(A).where(A.c.api == api).order_by(A.c.id.desc()).limit(n)
        with self._read() as db:
            return [_answer(row) for row in db.execute(query if client is None else query.where(A.c.client == client))]

    def corrections(self, api: str, *, client: str | None = None) -> list[Correction]:
        """All corrections of an API's answers, or those of one client, oldest first."""
        query = sa.select(C, *_named(A, "a")).join(A, A.c.id == C.c.answer).where(A.c.api == api).order_by(C.c.id)
        if client is not None:
            query = query.where(C.c.client == client)
        with self._read() as db:
            return [
                Correction(row.id, row.time, _answer(row, "a"), row.path, bool(row.ok), row.reason, row.client)
                for row in db.execute(query)
            ]

    def preferences(self, api: str) -> list[Preference]:
        """All choices between two of an API's answers, oldest first."""
        one, other = A.alias("one"), A.alias("other")
        query = (
            sa.select(P.c.id, P.c.time, P.c.client, *_named(one, "a"), *_named(other, "b"))
            .join(one, one.c.id == P.c.chosen)
            .join(other, other.c.id == P.c.rejected)
            .where(one.c.api == api)
            .order_by(P.c.id)
        )
        with self._read() as db:
            return [
                Preference(row.id, row.time, _answer(row, "a"), _answer(row, "b"), row.client)
                for row in db.execute(query)
            ]

    def ratings(self, api: str) -> list[Answer]:
        """All answers of an API that somebody rated, oldest first."""
        query = sa.select(A).where(A.c.api == api, A.c.rating.is_not(None)).order_by(A.c.id)
        with self._read() as db:
            return [_answer(row) for row in db.execute(query)]

    def counts(self, api: str) -> dict[str, int]:
        """How many answers, ratings, corrections and choices between answers an API has."""
        up, down = (sa.func.count().filter(A.c.rating == rating) for rating in (1, -1))
        answers = sa.select(sa.func.count().label("answers"), up.label("up"), down.label("down")).where(A.c.api == api)
        made = sa.select(
            sa.func.count().label("corrections"), sa.func.count().filter(C.c.ok == 1).label("valid_corrections")
        ).select_from(C.join(A, A.c.id == C.c.answer)).where(A.c.api == api)  # fmt: skip
        chosen = sa.select(sa.func.count().label("preferences")).select_from(P.join(A, A.c.id == P.c.chosen))
        with self._read() as db:
            found = [db.execute(query).one() for query in (answers, made, chosen.where(A.c.api == api))]
        return {name: int(n) for row in found for name, n in row._mapping.items()}

    def prune(self, days: float) -> int:
        """Delete answers that are older than `days`, and what was said of them; returns how many answers went.

        In SQLite what is deleted is overwritten too.
        """
        old = A.c.time < _now(days * 86400)
        gone = sa.select(A.c.id).where(old)
        with self._write() as db:
            db.execute(sa.delete(P).where(sa.or_(P.c.chosen.in_(gone), P.c.rejected.in_(gone))))
            db.execute(sa.delete(C).where(C.c.answer.in_(gone)))
            n = db.execute(sa.delete(A).where(old)).rowcount
        with self._database.told("write", "try again later"):
            self._database.checkpoint()
        return n

    def close(self) -> None:
        """Close all connections; SQLite's is then one file."""
        self._database.close()


def _is_id(value: object) -> bool:
    """Whether a value can be a row's id: what comes from a page may be anything."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def _own(db: sa.Connection, client: str, id: object) -> Any:
    """The row of an answer that a client got. Ids are small numbers, so others' answers could be named by guessing;
    those of layout 1, which knew no clients, are nobody's."""
    query = sa.select(A).where(A.c.id == id, A.c.client == client)
    row = db.execute(query).one_or_none() if client and _is_id(id) else None
    if row is None:
        raise NotYours(id)
    return row


def _inserted(db: sa.Connection, table: sa.Table, row: dict[str, Any]) -> int:
    key = db.execute(sa.insert(table).values(**row)).inserted_primary_key
    return int(key[0]) if key else 0


def _named(table: Any, mark: str) -> list[Any]:
    return [column.label(f"{mark}_{column.name}") for column in table.c]


def _answer(row: Any, mark: str = "") -> Answer:
    prefix = f"{mark}_" if mark else ""
    said = {column.name: row._mapping[prefix + column.name] for column in A.c}
    return Answer(**{**said, "turns": tuple(json.loads(said["turns"])), "ok": bool(said["ok"])})
