"""The tables of jobs and of their logs."""

from __future__ import annotations

import sqlalchemy as sa

from querywright.database import Words

VERSION = 1
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
metadata = sa.MetaData()


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, Words, nullable=False, server_default="")


job = sa.Table(
    "job", metadata, sa.Column("seq", _ID, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    _words("team"), _words("kind"), _words("key"), sa.Column("args", Words, nullable=False),  # args: JSON
    sa.Column("state", sa.Text, nullable=False),
    # seconds since 1970: made, claimed last, ended, not to be claimed before, first put off, sent last
    sa.Column("created", sa.Double, nullable=False), sa.Column("started", sa.Double), sa.Column("ended", sa.Double),
    sa.Column("ready", sa.Double, nullable=False), sa.Column("put_off", sa.Double), sa.Column("sent", sa.Double),
    _count("attempt"),  # claims so far: who writes for a job has to know the number of its last one
    _count("tries"),  # those of them that count
    _count("beats"), _words("worker"), _count("cancel"), _count("sends"), _count("lines"),
    _words("what"), _count("done"), sa.Column("total", sa.Integer),  # how far it is
    sa.Column("result", Words), _words("error"), _words("hint"),
    sa.UniqueConstraint("team", "key"),
    sa.Index("job_state", "state", "team", "seq", "ready"), sa.Index("job_team", "team", "seq"),
)  # fmt: skip
line = sa.Table(
    "job_line", metadata,
    sa.Column("job", _ID, sa.ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),  # from 1; the oldest go first
    sa.Column("time", sa.Double, nullable=False), sa.Column("text", Words, nullable=False),
)  # fmt: skip
meta = sa.Table("job_meta", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text))
"""`layout`, in PostgreSQL."""
