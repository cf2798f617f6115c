"""What people see of jobs: states, lists, logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from querywright.database import sa
from querywright.errors import QuerywrightError
from server.jobs.tables import job as J
from server.jobs.tables import line as L


class NoJob(QuerywrightError):
    """A job that is not there, or another team's; which of the two is not said."""

    def __init__(self, job: str) -> None:
        super().__init__(f"there is no job {job[:40]!r}", hint="list the jobs")


@dataclass(frozen=True)
class State:
    """A job as people see it.

    Attributes:
        tries: tries so far that count.
        created, started, ended: seconds since 1970; started: of the last try.
        ready: a queued job is not tried before.
        cancelling: it was asked to end.
        what, done, total: how far it is.
        result: of a job that is done.
        error, hint: why it failed or was parked; of one that goes on, why its last try ended.
    """

    id: str
    team: str
    kind: str
    args: dict[str, Any]
    state: str
    tries: int
    attempt: int
    created: float
    started: float | None
    ended: float | None
    ready: float
    cancelling: bool
    what: str
    done: int
    total: int | None
    result: dict[str, Any] | None
    error: str
    hint: str

    def plain(self) -> dict[str, Any]:
        """As JSON: times in ISO 8601 (UTC), without the team."""
        out = asdict(self)
        del out["team"], out["attempt"]
        for name in ("created", "started", "ended", "ready"):
            out[name] = out[name] and iso(out[name])
        return out


@dataclass(frozen=True)
class Line:
    """A line of a job's log; `n` counts from 1 and leaves gaps where old lines went."""

    n: int
    time: float
    text: str


def iso(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def one(db: sa.Connection, job: str, team: str | None) -> sa.Row[Any]:
    """A job's row.

    Args:
        team: whose it has to be; None for any.

    Raises:
        NoJob: there is none.
    """
    mine = sa.true() if team is None else J.c.team == team
    row = db.execute(sa.select(J).where(J.c.id == job, mine)).one_or_none()
    if row is None:
        raise NoJob(job)
    return row


def state_of(row: sa.Row[Any]) -> State:
    """A row as people see it."""
    same = {name: getattr(row, name) for name in State.__dataclass_fields__ if name in J.c}
    result = None if row.result is None else json.loads(row.result)
    return State(**{**same, "args": json.loads(row.args), "result": result, "cancelling": bool(row.cancel)})


def several(
    db: sa.Connection, team: str | None, states: Sequence[str], kind: str | None, most: int, before: str | None
) -> list[State]:
    """Jobs, the newest first."""
    query = sa.select(J).order_by(J.c.seq.desc()).limit(most)
    if team is not None:
        query = query.where(J.c.team == team)
    if states:
        query = query.where(J.c.state.in_(states))
    if kind is not None:
        query = query.where(J.c.kind == kind)
    if before is not None:
        query = query.where(J.c.seq < one(db, before, team).seq)
    return [state_of(row) for row in db.execute(query)]


def lines(db: sa.Connection, seq: int, after: int, most: int) -> list[Line]:
    """Lines of a job's log after number `after`."""
    query = sa.select(L.c.n, L.c.time, L.c.text).where(L.c.job == seq, L.c.n > after).order_by(L.c.n).limit(most)
    return [Line(*row) for row in db.execute(query)]


def counts(db: sa.Connection, team: str | None) -> dict[str, int]:
    """How many jobs are in which state."""
    query = sa.select(J.c.state, sa.func.count()).group_by(J.c.state)
    found = db.execute(query if team is None else query.where(J.c.team == team))
    return {str(state): int(n) for state, n in found}
