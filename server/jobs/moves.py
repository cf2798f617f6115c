"""How a job goes from one state to another: parts of transactions of `table`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from querywright.database import alone, sa
from querywright.errors import QuerywrightError
from server.jobs import logs
from server.jobs.shown import NoJob
from server.jobs.tables import job as J
from server.jobs.tables import line as L
from server.jobs.task import ENDED, FAILED, PARKED, QUEUED, RUNNING, Job

WAIT_MOST_S = 3600.0
"""Seconds that a job is put off at most. One that is to wait longer was put off before the clock was set back."""
TEXT_MOST = 4000
"""Characters of an error's message."""


class TooMany(QuerywrightError):
    """A team has as many jobs queued and running as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} jobs of yours wait or run, and that is the most", hint="wait, or cancel one")


def as_json(value: Any, most: int, what: str) -> str:
    """A value as JSON, the same for the same value.

    Raises:
        QuerywrightError: it is no JSON object, or longer than `most`.
    """
    try:
        if not isinstance(value, dict):
            raise TypeError(f"not an object but {type(value).__name__}")
        text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise QuerywrightError(f"{what} can't be written as JSON: {error}", hint="plain values only") from error
    if len(text) > most:
        raise QuerywrightError(f"{what}: {len(text):,} characters, more than {most:,}", hint="put them in a file")
    return text


def room(db: sa.Connection, team: str, most: int | None, free: Sequence[str]) -> None:
    """Refuse one more job of a team that has `most` queued and running; others who ask for the team wait.

    Raises:
        TooMany: it has.
    """
    if most is None:
        return
    alone(db, f"jobs of {team}")
    counted = (J.c.team == team, J.c.state.in_((QUEUED, RUNNING)), J.c.kind.not_in(free))
    if db.execute(sa.select(sa.func.count()).where(*counted)).scalar_one() >= most:
        raise TooMany(most)


def mine(job: Job) -> sa.ColumnElement[bool]:
    """That the job's last claim is the caller's, and not ended."""
    return sa.and_(J.c.id == job.id, J.c.attempt == job.attempt, J.c.state == RUNNING)


def held(db: sa.Connection, job: str, team: str | None, *, missing_ok: bool = False) -> Any:
    """A job's row, which nobody else changes until the transaction ends.

    Raises:
        NoJob: there is none, and that is not `missing_ok`.
    """
    row = db.execute(_HELD, {"job": job}).one_or_none()
    if row is not None and team is not None and row.team != team:
        row = None
    if row is None and not missing_ok:
        raise NoJob(job)
    return row


def change(db: sa.Connection, row: Any, **values: Any) -> None:
    """Set columns of a row that is held."""
    db.execute(sa.update(J).where(J.c.seq == row.seq).values(**values))


def end(db: sa.Connection, row: Any, now: float, state: str, *, line: str | None = None, **values: Any) -> None:
    """A job has ended."""
    change(db, row, state=state, ended=now, worker="", **values)
    logs.add(db, row.seq, now, [line or state])


def put_back(db: sa.Connection, row: Any, now: float, wait: float, *, line: str, **values: Any) -> None:
    """A job is queued again, not to be claimed for `wait` seconds."""
    if row.cancel and row.state == RUNNING:  # whatever ended the try: nobody wants another
        return end(db, row, now, "cancelled", line="cancelled")
    ready = now + min(max(wait, 0.0), WAIT_MOST_S)
    change(db, row, state=QUEUED, ready=ready, worker="", sent=None, sends=0, **values)
    if line:
        logs.add(db, row.seq, now, [line])


def give_back(db: sa.Connection, row: Any, now: float, why: str) -> None:
    """A running job is queued again, and its try does not count."""
    put_back(db, row, now, 0.0, line=f"given back: {why}", tries=row.tries - 1)


def let_go(db: sa.Connection, worker: str, now: float, why: str) -> None:
    """Give back whatever a worker has."""
    for row in list(db.execute(_ITS, {"whose": worker})):
        give_back(db, row, now, why)


def fail(db: sa.Connection, row: Any, now: float, error: str, hint: str, tries: int, wait: float = 0.0) -> None:
    """A try failed.

    Args:
        tries: how many the job has; 0: no other may help.
        wait: seconds until the next.
    """
    error, hint = error[:TEXT_MOST], hint[:TEXT_MOST]
    if not tries:
        return end(db, row, now, FAILED, error=error, hint=hint, line=f"failed: {error}")
    if row.tries >= tries:
        return end(db, row, now, PARKED, error=error, hint=hint, line=f"parked after {row.tries} tries: {error}")
    line = f"try {row.tries} of {tries} failed: {error}"
    return put_back(db, row, now, wait, line=line, error=error, hint=hint, put_off=None)


# built once: they are asked for every job, and building one takes longer than running it
_NOW: sa.BindParameter[float] = sa.bindparam("now", type_=sa.Double)
_READY = sa.and_(J.c.state == QUEUED, sa.or_(J.c.ready <= _NOW, J.c.ready > _NOW + WAIT_MOST_S))
_THIS = sa.select(J).where(J.c.id == sa.bindparam("job"), _READY).with_for_update()
_OLDEST = (
    sa.select(J).where(_READY, J.c.team == sa.bindparam("whose")).order_by(J.c.seq).limit(1)
    .with_for_update(skip_locked=True)
)  # fmt: skip
_HELD = sa.select(J).where(J.c.id == sa.bindparam("job")).with_for_update()
_ITS = sa.select(J).where(J.c.state == RUNNING, J.c.worker == sa.bindparam("whose")).with_for_update()


def _teams() -> sa.Select[Any]:
    """Teams with jobs to claim, those with the fewest running first, then who waits longest."""
    first = sa.select(J.c.team, sa.func.min(J.c.seq).label("seq")).where(_READY).group_by(J.c.team).subquery()
    busy = sa.select(J.c.team, sa.func.count().label("n")).where(J.c.state == RUNNING).group_by(J.c.team).subquery()
    n = sa.func.coalesce(busy.c.n, 0)
    return sa.select(first.c.team).outerjoin(busy, busy.c.team == first.c.team).order_by(n, first.c.seq)


_TEAMS = _teams()


def next_job(db: sa.Connection, now: float, job: str | None) -> Any:
    """The row of a job to claim, held; None where there is none."""
    if job is not None:
        return db.execute(_THIS, {"job": job, "now": now}).one_or_none()
    for team in list(db.execute(_TEAMS, {"now": now}).scalars()):
        if (row := db.execute(_OLDEST, {"now": now, "whose": team}).one_or_none()) is not None:
            return row
    return None


def unsent(db: sa.Connection, now: float, most: int, after_s: float) -> list[str]:
    """Queued jobs to send, the oldest first; see `Table.unsent`."""
    # after 1, 2, 4 … 32 times `after_s`; a time in the future is from before the clock was set back
    due = sa.or_(
        J.c.sent.is_(None), J.c.sent > now,
        *(sa.and_(J.c.sends == n, J.c.sent <= now - after_s * 2 ** (n - 1)) for n in range(1, 6)),
        sa.and_(J.c.sends >= 6, J.c.sent <= now - after_s * 32),
    )  # fmt: skip
    query = sa.select(J.c.id).where(_READY, due).order_by(J.c.seq).limit(most)
    return list(db.execute(query, {"now": now}).scalars())


def prune(db: sa.Connection, before: float, most: int) -> list[str]:
    """Delete jobs that ended before a time; see `Table.prune`."""
    old = sa.select(J.c.seq, J.c.id).where(J.c.state.in_(ENDED), J.c.ended < before).order_by(J.c.seq).limit(most)
    rows = list(db.execute(old.with_for_update()))
    seqs = [row.seq for row in rows]
    db.execute(sa.delete(L).where(L.c.job.in_(seqs)))
    db.execute(sa.delete(J).where(J.c.seq.in_(seqs)))
    return [row.id for row in rows]
