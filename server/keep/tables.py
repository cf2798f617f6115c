"""The store's tables, their layout's version, and how older layouts become this one.

SQLite keeps the version as `user_version`, PostgreSQL in the table `meta`. A migration is literal SQL: it must not
change when the tables do.
"""

from __future__ import annotations

import sqlalchemy as sa

from querywright.database import OtherLayout, Words

VERSION = 2

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
metadata = sa.MetaData()


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, primary_key=True, autoincrement=True)


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, Words, nullable=False, server_default="")


answer = sa.Table(
    "answer", metadata, _id(),
    sa.Column("time", Words, nullable=False),  # UTC, ISO 8601 to the millisecond: sorts as text
    _words("api"), _words("question"),
    sa.Column("turns", Words, nullable=False, server_default="[]"),  # chat messages, as JSON
    _words("conversation"), _words("path"), sa.Column("ok", sa.Integer, nullable=False), _words("reason"),
    _words("refused"), sa.Column("confidence", sa.Float), sa.Column("ms", sa.Float, nullable=False),
    _words("model"), _words("config"), _words("source"), _words("client"),
    sa.Column("rating", sa.Integer, sa.CheckConstraint("rating IN (-1, 1)")),
    sa.Index("answer_api", "api"), sa.Index("answer_client", "client", "time"),
)  # fmt: skip
correction = sa.Table(
    "correction", metadata, _id(),
    sa.Column("answer", _ID, sa.ForeignKey("answer.id"), nullable=False), sa.Column("time", Words, nullable=False),
    _words("path"), sa.Column("ok", sa.Integer, nullable=False), _words("reason"), _words("client"),
    sa.Index("correction_answer", "answer"), sa.Index("correction_client", "client", "time"),
)  # fmt: skip
preference = sa.Table(
    "preference", metadata, _id(), sa.Column("time", Words, nullable=False),
    sa.Column("chosen", _ID, sa.ForeignKey("answer.id"), nullable=False),
    sa.Column("rejected", _ID, sa.ForeignKey("answer.id"), nullable=False), _words("client"),
    sa.Index("preference_chosen", "chosen"), sa.Index("preference_rejected", "rejected"),
    sa.Index("preference_client", "client", "time"),
)  # fmt: skip
meta = sa.Table("meta", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text))
"""`salt`, by which clients are hashed; in PostgreSQL also `layout`."""

_TEXT = "TEXT NOT NULL DEFAULT ''"
MIGRATIONS = {  # layout: what makes the next one of it; layout 1 was SQLite only
    1: (
        "ALTER TABLE answer ADD COLUMN turns TEXT NOT NULL DEFAULT '[]'",
        *(f"ALTER TABLE answer ADD COLUMN {c} {_TEXT}" for c in ("conversation", "refused", "config", "client")),
        "ALTER TABLE answer ADD COLUMN confidence REAL",
        f"ALTER TABLE correction ADD COLUMN client {_TEXT}",
        "UPDATE answer SET refused = substr(path, 5) WHERE path IN ('nil chat', 'nil topic', 'nil missing',"
        " 'nil unsupported')",
        "CREATE INDEX answer_client ON answer (client, time)",
        "CREATE INDEX correction_client ON correction (client, time)",
        "CREATE TABLE preference (id INTEGER PRIMARY KEY, time TEXT NOT NULL,"
        " chosen INTEGER NOT NULL REFERENCES answer (id), rejected INTEGER NOT NULL REFERENCES answer (id),"
        f" client {_TEXT})",
        "CREATE INDEX preference_chosen ON preference (chosen)",
        "CREATE INDEX preference_rejected ON preference (rejected)",
        "CREATE INDEX preference_client ON preference (client, time)",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)",
    ),
}  # fmt: skip
_LOCK = 0x51575354  # any number that is ours: PostgreSQL's advisory locks are numbers


def prepare(db: sa.Connection) -> int:
    """Make the tables, or bring older ones to this layout, in the transaction that `db` is in; returns the layout that
    was found, 0 for an empty database.

    Raises:
        OtherLayout: a newer layout.
    """
    sqlite = db.dialect.name == "sqlite"
    if not sqlite:  # two servers may start at once; SQLite's transaction holds the file alone
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = _layout(db)
    if found > VERSION:
        raise OtherLayout(f"written by a newer Querywright (layout {found}; this one reads up to {VERSION})")
    if found == 0:
        metadata.create_all(db, checkfirst=False)  # tables of these names that are not ours are an error
    for version in range(found or VERSION, VERSION):
        for statement in MIGRATIONS[version]:
            db.exec_driver_sql(statement)
    if found != VERSION and sqlite:
        db.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
    elif found != VERSION:
        db.execute(sa.delete(meta).where(meta.c.name == "layout"))
        db.execute(sa.insert(meta).values(name="layout", value=str(VERSION)))
    return found


def _layout(db: sa.Connection) -> int:
    if db.dialect.name == "sqlite":
        return int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not sa.inspect(db).has_table("meta"):
        return 0
    return int(db.execute(sa.select(meta.c.value).where(meta.c.name == "layout")).scalar() or 0)
