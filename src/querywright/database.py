"""A connection to a database: a SQLite file, or PostgreSQL by its URL; what a text needs to be held by both; errors
without a password in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, need

try:
    import sqlalchemy as sa
    from sqlalchemy.engine import URL, make_url
except ImportError:
    need("sqlalchemy", extra="conversations")  # which says how to install it
    raise

WAIT_S = 10
"""Seconds that a statement waits for other writers, and a connection for its server."""
FILE_HINT = "it has to be a database of Querywright that you may write; or choose another file"
SERVER_HINT = "check that the server runs, the database's name, the user and the password"
HINT = "a file, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class OtherLayout(Exception):
    """The database holds a layout that this version can't read."""


def storable(text: str) -> str:
    """A text that both databases can hold: NUL (PostgreSQL has none) and lone surrogates (no UTF-8) become U+FFFD,
    with which no call parses."""
    return _UNSTORABLE.sub("\ufffd", text)


class Words(sa.types.TypeDecorator[str]):
    """Text, made storable on its way in."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return storable(value) if isinstance(value, str) else value


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

    @contextmanager
    def told(self, what: str, hint: str) -> Iterator[None]:
        """Turn what a driver raises into an error that says what could not be done, without statement or password.

        Raises:
            QuerywrightError: the block raised.
        """
        try:
            yield
        except (sa.exc.SQLAlchemyError, OtherLayout, OSError) as error:
            # SQLAlchemy's message holds the statement, the driver's second line the row, a connection's the password
            text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise QuerywrightError(
                f"could not {what} {self.shown}: {self.masked(text)}",
                hint=hint, retryable=isinstance(error, sa.exc.OperationalError | OSError),
            ) from None  # fmt: skip

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self.reader.dispose()

    def checkpoint(self) -> None:
        """Move what stands in SQLite's log into the file, so that what was deleted is in neither."""
        if self.path is not None:
            with self.reader.connect() as db:
                db.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect(where: Path | str, what: str = "store", file_hint: str = FILE_HINT) -> Database:
    """Open a database, lazily: errors of its server come with the first statement.

    Args:
        where: a file, or the URL of a database.
        what: how messages call it.
        file_hint: what to do where its file can't be opened.

    Raises:
        QuerywrightError: the file can't be made, the URL is none, or names another kind of database.
    """
    if isinstance(where, str) and not where.strip():
        raise QuerywrightError(f"the {what}'s name is empty", hint=HINT)
    if isinstance(where, Path) or "://" not in where:
        return _sqlite(Path(where), file_hint)
    try:
        url = make_url(where)
    except (sa.exc.ArgumentError, ValueError):
        raise QuerywrightError(f"the {what}'s URL can't be read", hint=HINT) from None  # it may hold a password
    kind = url.drivername.partition("+")[0]
    if kind == "sqlite" and url.database:
        return _sqlite(Path(url.database), file_hint)
    if kind in ("postgresql", "postgres"):
        return _postgresql(url.set(drivername="postgresql+psycopg"))
    raise QuerywrightError(f"a {what} can't be kept in {url.drivername[:40]!r}", hint=HINT)


def alone(db: sa.Connection, what: str) -> None:
    """Keep other transactions that ask for the same out, until this one ends. SQLite's writers are alone anyway."""
    if db.dialect.name != "sqlite":
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def lay_out(
    db: sa.Connection, tables: sa.MetaData, meta: sa.Table, version: int, migrations: Mapping[int, Sequence[str]]
) -> int:
    """Make tables, or bring older ones to this layout, in the transaction that `db` is in.

    SQLite keeps the layout's version as `user_version`, PostgreSQL as `layout` in `meta`.

    Args:
        meta: a table of names and values, one of `tables`.
        version: the layout's, from 1.
        migrations: a version: what makes the next one of it. Literal SQL: it must not change when the tables do.

    Returns:
        The version that was found, 0 for an empty database.

    Raises:
        OtherLayout: a newer one, or another program's database.
    """
    alone(db, f"layout of {meta.name}")  # two servers may start at once
    sqlite = db.dialect.name == "sqlite"
    if sqlite:
        found = int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
    elif sa.inspect(db).has_table(meta.name):
        found = int(db.execute(sa.select(meta.c.value).where(meta.c.name == "layout")).scalar() or 0)
    else:
        found = 0
    if found > version:
        raise OtherLayout(f"written by a newer Querywright (layout {found}; this one reads up to {version})")
    if found == 0:
        tables.create_all(db, checkfirst=False)  # tables of these names that are not ours are an error
    for older in range(found or version, version):
        for statement in migrations[older]:
            db.exec_driver_sql(statement)
    there = set(sa.inspect(db).get_table_names()) if found else {*tables.tables}
    if missing := [name for name in tables.tables if name not in there and (name != meta.name or not sqlite)]:
        raise OtherLayout(f"it has no table {missing[0]}: something else wrote it")
    if found != version and sqlite:
        db.exec_driver_sql(f"PRAGMA user_version = {version}")
    elif found != version:
        db.execute(sa.delete(meta).where(meta.c.name == "layout"))
        db.execute(sa.insert(meta).values(name="layout", value=str(version)))
    return found


def insert(db: sa.Connection, table: sa.Table) -> Any:
    """An INSERT of the database's own dialect, which knows `on_conflict_do_nothing`."""
    if db.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _sqlite(path: Path, hint: str) -> Database:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # people's own words: for the owner's eyes only
    except OSError as error:
        raise QuerywrightError(f"could not open {path}: {error.strerror}", hint=hint) from error
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

    return Database(engine, engine.execution_options(writes=True), path, str(path), hint)


def _postgresql(url: URL) -> Database:
    need("psycopg", extra="postgres")
    engine = sa.create_engine(
        url, hide_parameters=True, pool_pre_ping=True,
        connect_args={"connect_timeout": WAIT_S, "client_encoding": "utf8", "application_name": "querywright"},
    )  # fmt: skip
    named = url.query.get("password", ())
    secrets = [str(url.password or ""), *([named] if isinstance(named, str) else named)]
    shown = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    return Database(engine, engine, None, shown, SERVER_HINT, tuple(s for s in secrets if s))
