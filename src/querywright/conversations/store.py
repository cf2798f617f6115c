"""Conversations into a database and out of it.

Each batch is one transaction: a run that is killed leaves whole batches, and what is inserted again is there already.
SQLite takes a batch as one statement for many rows, PostgreSQL by COPY into a table of the transaction's own and from
there.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from querywright.conversations import tables
from querywright.conversations.document import Conversation
from querywright.conversations.judgements import judgements
from querywright.database import Database, connect, insert, sa
from querywright.errors import QuerywrightError

BATCH = 200
"""Conversations of a transaction."""
_PAGE = 200  # conversations that are read at once
FILE_HINT = "it has to be a database that you may write; or choose another file"
READ_HINT = "querywright conversations convert -it json -i FILE -ot db -o THIS"

Counts = dict[str, int]
Item = tuple[tables.Source, Conversation]


@contextmanager
def opened(where: Path | str, *, write: bool = False) -> Iterator[Database]:
    """A database of conversations; with `write` its tables are made where they lack.

    Raises:
        QuerywrightError: it can't be opened, or holds what this version can't read.
    """
    file = str(where).removeprefix("sqlite:///")
    if not write and "://" not in file and not Path(file).is_file():  # to look is not to make one
        raise QuerywrightError(f"no database at {file}", hint=READ_HINT)
    database = connect(where, "database", FILE_HINT)
    try:
        if write:
            with database.told("open", database.hint), database.writer.begin() as db:
                tables.prepare(db)
        yield database
    finally:
        database.close()


def put(database: Database, conversations: Iterable[Item], batch: int = BATCH) -> Iterator[tuple[list[Item], Counts]]:
    """Insert conversations that are storable (`tables.storable_conversation`), a transaction a batch.

    Args:
        conversations: each with its source (`tables.source_row`).

    Yields:
        after each batch that is committed: the batch, and how many rows of each table were new.

    Raises:
        QuerywrightError: the database failed; the batches before are kept.
    """
    again = "run the same command again: what was inserted is kept, and not inserted twice"
    waiting = iter(conversations)
    while part := list(itertools.islice(waiting, max(1, batch))):
        rows = tables.rows_of(part)
        with database.told("write", again), database.writer.begin() as db:
            _insert(db, tables.source, rows[tables.source.name])
            new = {table.name: _insert(db, table, rows[table.name]) for table in tables.ROWS}
        yield part, new


def _insert(db: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert rows that are not there; returns how many those were."""
    if not rows:
        return 0
    if db.dialect.name == "sqlite":
        return max(0, db.execute(insert(db, table).on_conflict_do_nothing(), rows).rowcount)
    names = [column.name for column in table.columns]
    columns = ", ".join(f'"{name}"' for name in names)
    incoming = f"incoming_{table.name}"
    connection: Any = db.connection.driver_connection
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TEMP TABLE IF NOT EXISTS "{incoming}" (LIKE "{table.name}") ON COMMIT DROP')
        with cursor.copy(f'COPY "{incoming}" ({columns}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row([row[name] for name in names])
        # no two rows of a batch have the same key, so their order does not matter, but that of locks does
        key = ", ".join(f'"{c.name}"' for c in table.primary_key)
        cursor.execute(
            f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} FROM "{incoming}" ORDER BY {key} '
            "ON CONFLICT DO NOTHING"
        )
        new = int(cursor.rowcount)
        cursor.execute(f'TRUNCATE "{incoming}"')
    return new


@contextmanager
def reading(database: Database) -> Iterator[sa.Connection]:
    """A transaction that sees the database as it is now, whoever writes meanwhile.

    Raises:
        QuerywrightError: there are no conversations in it.
    """
    options = {} if database.path else {"isolation_level": "REPEATABLE READ"}
    reader = database.reader.execution_options(**options)
    with database.told("read", "check that it can be reached"), reader.begin() as db:
        if not tables.has_tables(db):
            raise QuerywrightError(f"{database.shown} holds no conversations", hint=READ_HINT)
        yield db


def counts(db: sa.Connection) -> Counts:
    """How many rows there are of each kind."""
    return {
        table.name: int(db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()) for table in tables.ROWS
    }


def sources(db: sa.Connection) -> list[tables.Source]:
    """Where the conversations come from, in the order of the ids."""
    return [dict(row) for row in db.execute(sa.select(tables.source).order_by(tables.source.c.id)).mappings()]


def stored(db: sa.Connection, limit: int | None = None) -> Iterator[Item]:
    """The conversations in the order of their ids, the first `limit` of them; a page at a time is in memory."""
    origins = {row["id"]: row for row in sources(db)}
    table, last, left = tables.conversation, "", limit
    while left is None or left > 0:
        n = _PAGE if left is None else min(left, _PAGE)
        query = sa.select(table).where(table.c.id > last).order_by(table.c.id).limit(n)
        found = [dict(row) for row in db.execute(query).mappings()]
        if not found:
            return
        origin = {row["id"]: origins[row["source"]] for row in found}
        yield from ((origin[one["id"]], one) for one in _whole(db, found))
        last = found[-1]["id"]
        left = None if left is None else left - len(found)


def those(db: sa.Connection, ids: Sequence[str]) -> Iterator[Conversation]:
    """The conversations of these ids, as far as they are there."""
    table = tables.conversation
    for start in range(0, len(ids), _PAGE):
        query = sa.select(table).where(table.c.id.in_(ids[start : start + _PAGE])).order_by(table.c.id)
        yield from _whole(db, [dict(row) for row in db.execute(query).mappings()])


def _whole(db: sa.Connection, rows: Sequence[dict[str, Any]]) -> Iterator[Conversation]:
    """Conversations' rows with what belongs to them."""
    ids = [row["id"] for row in rows]
    answers, judged = (_by_turn(db, table, ids) for table in (tables.response, tables.judgement))
    turns: dict[str, list[dict[str, Any]]] = {}
    for (id_, place), (row,) in _by_turn(db, tables.turn, ids).items():
        at = (id_, place)
        turns.setdefault(id_, []).append({**row, "responses": answers.get(at, []), "judgements": judged.get(at, [])})
    for row in rows:
        yield tables.conversation_of(row, turns.get(row["id"], []))


def _by_turn(db: sa.Connection, table: sa.Table, ids: Sequence[str]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    query = sa.select(table).where(table.c.conversation.in_(ids)).order_by(*table.primary_key)
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in db.execute(query).mappings():
        found.setdefault((row["conversation"], row["place"]), []).append(dict(row))
    return found


def check(database: Database, conversations: Sequence[Conversation]) -> Counts:
    """Read conversations back that were inserted, and count what is there of them, by table.

    Raises:
        QuerywrightError: one is missing, or is not what was inserted.
    """
    wanted = {one["id"]: one for one in conversations}
    found: Counter[str] = Counter()
    with reading(database) as db:
        for one in those(db, sorted(wanted)):
            before = wanted.pop(one["id"])
            if tables.storable_conversation(one)["id"] != one["id"]:
                raise QuerywrightError(
                    f"conversation {one['id']} is not in {database.shown} as it was inserted",
                    hint="somebody changed it there: delete it, and run the same command again",
                )
            missing = _judged(before) - _judged(one)
            if missing:
                raise QuerywrightError(
                    f"{len(missing)} judgements of conversation {one['id']} are not in {database.shown}",
                    hint="run the same command again",
                )
            found.update({"chat_conversation": 1, "chat_turn": len(one["turns"])})
            found["chat_response"] += sum(len(turn["responses"]) for turn in one["turns"])
            found["chat_judgement"] += len(_judged(one))
    if wanted:
        raise QuerywrightError(
            f"{len(wanted)} conversations are not in {database.shown}, the first {min(wanted)}",
            hint="run the same command again",
        )
    return {table.name: found[table.name] for table in tables.ROWS}


def _judged(one: Conversation) -> set[tuple[int, str, str]]:
    return {
        (place, j["judge"], str(j.get("settings", "")))
        for place, turn in enumerate(one["turns"]) for j in judgements(turn)
    }  # fmt: skip
