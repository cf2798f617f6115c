"""A connection to what the store is kept in: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from querywright.errors import QuerywrightError, need

WAIT_S = 10
"""Seconds that a statement waits for other writers, and a connection for its server."""
FILE_HINT = "it has to be a store of Querywright that you may write; or choose another --store or --workspace"
SERVER_HINT = "check that the server runs, the database's name, the user and the password"
HINT = "a file, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


@dataclass(frozen=True)
class Database:
    """An open database.

    Attributes:
        reader: begins transactions that read; `writer` begins those that write.
        path: the file, of SQLite.
        shown: where it is, in words, without a password.
        hint: what to do where it can't be opened.
        secrets: what no message may hold.
    """

    reader: sa.Engine
    writer: sa.Engine
    path: Path | None
    shown: str
    hint: str
    secrets: tuple[str, ...] = ()

    def masked(self, text: str) -> str:
        """A driver's message without what is secret, on one line."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())

    def checkpoint(self) -> None:
        """Move what stands in SQLite's log into the file, so that what was deleted is in neither."""
        if self.path is not None:
            with self.reader.connect() as db:
                db.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect(where: Path | str) -> Database:
    """Open a database, lazily: errors of its server come with the first statement.

    Raises:
        QuerywrightError: the file can't be made, the URL is none, or names another kind of database.
    """
    if isinstance(where, str) and not where.strip():
        raise QuerywrightError("the store's name is empty", hint=HINT)
    if isinstance(where, Path) or "://" not in where:
        return _sqlite(Path(where))
    try:
        url = make_url(where)
    except (sa.exc.ArgumentError, ValueError):
        raise QuerywrightError("the store's URL can't be read", hint=HINT) from None  # it may hold a password
    kind = url.drivername.partition("+")[0]
    if kind == "sqlite" and url.database:
        return _sqlite(Path(url.database))
    if kind in ("postgresql", "postgres"):
        return _postgresql(url.set(drivername="postgresql+psycopg"))
    raise QuerywrightError(f"a store can't be kept in {url.drivername[:40]!r}", hint=HINT)


def insert(db: sa.Connection, table: sa.Table) -> Any:
    """An INSERT of the database's own dialect, which knows `on_conflict_do_nothing`."""
    if db.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _sqlite(path: Path) -> Database:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # people's own words: for the owner's eyes only
    except OSError as error:
        raise QuerywrightError(f"could not open {path}: {error.strerror}", hint=FILE_HINT) from error
    engine = sa.create_engine(
        URL.create("sqlite+pysqlite", database=str(path)), hide_parameters=True, connect_args={"timeout": WAIT_S}
    )

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where `begin` says, not at the first change
        # NORMAL: what was committed outlives a killed process; a power cut may take the last seconds, never the file
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(db: sa.Connection) -> None:
        # a transaction that reads first and writes then could fail at once, without waiting, if another wrote between
        writes = db.get_execution_options().get("writes")
        db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return Database(engine, engine.execution_options(writes=True), path, str(path), FILE_HINT)


def _postgresql(url: URL) -> Database:
    need("psycopg", extra="serve")
    engine = sa.create_engine(
        url, hide_parameters=True, pool_pre_ping=True,
        connect_args={"connect_timeout": WAIT_S, "client_encoding": "utf8", "application_name": "querywright"},
    )  # fmt: skip
    named = url.query.get("password", ())
    secrets = [str(url.password or ""), *([named] if isinstance(named, str) else named)]
    shown = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    return Database(engine, engine, None, shown, SERVER_HINT, tuple(s for s in secrets if s))
