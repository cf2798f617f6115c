"""The store's tables, their layout's version, and how older layouts become this one."""

from __future__ import annotations

import sqlalchemy as sa

from querywright.database import Words, lay_out

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


def prepare(db: sa.Connection) -> int:
    """Make the tables, or bring older ones to this layout; see `database.lay_out`."""
    return lay_out(db, metadata, meta, VERSION, MIGRATIONS)
