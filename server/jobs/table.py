"""The table of jobs: the only truth about what there is to do, who does it, and what came of it.

A SQLite file or PostgreSQL. Jobs go queued → running → done, failed, parked or cancelled. A claim has a number
(`Job.attempt`), and whatever is written for a job is written only while that is the number of its last claim: a worker
that was taken for dead and comes back changes nothing.

Which workers are dead is seen in two ways, neither by the clock on the wall, which may jump: a process of this machine
is looked for, and of others a job's beats are counted: unchanged for `lease_s` of this process's own time, it is taken
back. A try counts from its claim, so a job that kills its worker is parked after TRIES of them, also if nobody lives
to tell; a worker that ends in order gives its job back, and the try does not count. A worker has one job: who claims
has lost what it had (no answer came, no end could be written), so that is given back with the claim, uncounted, and
who is ended for one job's silence has no other. Nor does time count in which nobody could write. So an innocent job is
parked only where its worker is killed, or alone cut off for a lease, TRIES times while it runs; `retry` begins again.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from querywright.artefacts import content_id
from querywright.database import insert, sa
from querywright.errors import QuerywrightError
from server.jobs import logs, moves, shown, who
from server.jobs.door import Door
from server.jobs.moves import TooMany
from server.jobs.shown import Line, NoJob, State
from server.jobs.tables import job as J
from server.jobs.task import CANCELLED, DONE, FAILED, LATER_MOST_S, PARKED, QUEUED, RUNNING, TRIES, Job
from server.jobs.watch import Watch

__all__ = ["KeyTaken", "Line", "NoJob", "State", "Table", "TooMany", "WrongState"]

FILE = "jobs.sqlite"
ARGS_MOST = 256 * 1024
RESULT_MOST = 256 * 1024
"""Characters of a result's JSON; what is larger belongs into the job's folder."""
LEASE_S = 60.0
BACKOFF_S = 2.0
"""Seconds until a second try; until a third four times that."""
WORKED_S = 600.0
"""Seconds after which a try has done something: what it then waits for is a new wait."""
RESEND_S = 60.0
"""Seconds after which a message is taken for lost; doubled with each, or a long queue were sent over and over."""
_DIED = ("the worker died while it worked on this job", "look at its log, then retry the job")
Beat = Literal["on", "cancel", "lost"]


class KeyTaken(QuerywrightError):
    """The key names another request of the team."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key[:80]!r} was given with another request", hint="another key, or none")


class WrongState(QuerywrightError):
    """What was asked for is not possible in the job's state."""

    def __init__(self, job: str, state: str, what: str) -> None:
        self.state = state
        super().__init__(f"job {job} is {state} and can't be {what}", hint="look at its state")


class Table:
    """The jobs of one database. Several threads and several processes may use it at once.

    Args:
        where: a file, or the URL of a database.
        folder: holds the jobs' folders, each under its id.
        tries: tries after which a job is parked.
        lease_s: seconds without a beat after which a worker that can't be seen from here is taken for dead.
        clock: gives seconds since 1970; `ticks` seconds of a clock that never jumps.

    Raises:
        QuerywrightError: it can't be opened, or a newer version of Querywright wrote it.
    """

    def __init__(
        self, where: Path | str, folder: Path, *, tries: int = TRIES, lease_s: float = LEASE_S,
        backoff_s: float = BACKOFF_S, clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._door = Door(where)
        self.path, self.where, self.folder = self._door.path, self._door.where, Path(folder)
        self.tries, self.lease_s, self.backoff_s = tries, lease_s, backoff_s
        self._clock = clock
        self._watch = Watch(lease_s, ticks)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # teams' documents: for the owner's eyes only
        except OSError as error:
            reason = error.strerror or error
            raise QuerywrightError(f"could not make {folder}: {reason}", hint="choose another folder") from error

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self._door.close()

    # --- who wants work done

    def submit(
        self, team: str, kind: str, args: dict[str, Any], key: str = "", *, most: int | None = None,
        free: Sequence[str] = (),
    ) -> str:  # fmt: skip
        """Queue a job; returns its id. The same team and key is the same job, whatever became of it.

        Args:
            key: what makes the request the same as an earlier one; empty: its kind and arguments.
            most: jobs that the team may have queued and running, not counting those of the kinds in `free`.

        Raises:
            KeyTaken: the key was given with another kind or other arguments.
            TooMany: the team has its most.
            QuerywrightError: the arguments are no JSON, or more than ARGS_MOST characters.
        """
        text = moves.as_json(args, ARGS_MOST, "the job's arguments")
        key = key or content_id(f"{kind}\n{text}", 32)

        def work(db: sa.Connection) -> str:
            known = sa.select(J.c.id, J.c.kind, J.c.args).where(J.c.team == team, J.c.key == key)
            found = db.execute(known).one_or_none()
            if found is None:
                moves.room(db, team, most, free)
                now = self._clock()
                row = {"id": secrets.token_hex(8), "team": team, "kind": kind, "key": key, "args": text}
                db.execute(insert(db, J).values(**row, state=QUEUED, created=now, ready=now).on_conflict_do_nothing())
                found = db.execute(known).one()
            if (found.kind, found.args) != (kind, text):
                raise KeyTaken(key)
            return str(found.id)

        return self._door.write(work)

    def cancel(self, job: str, team: str | None = None) -> State:
        """End a job: at once where it is queued, soon where it runs. Idempotent.

        Raises:
            NoJob: there is none of this team.
            WrongState: it has ended in another way.
        """

        def work(db: sa.Connection) -> State:
            row = moves.held(db, job, team)
            if row.state == QUEUED:
                moves.end(db, row, self._clock(), CANCELLED, line="cancelled")
            elif row.state == RUNNING and not row.cancel:
                moves.change(db, row, cancel=1)
                logs.add(db, row.seq, self._clock(), ["asked to end"])
            elif row.state not in (RUNNING, CANCELLED):
                raise WrongState(job, row.state, "cancelled")
            return shown.state_of(shown.one(db, job, team))

        return self._door.write(work)

    def retry(
        self, job: str, team: str | None = None, *, most: int | None = None, free: Sequence[str] = ()
    ) -> State:  # fmt: skip
        """Queue a job again that failed, was parked or cancelled; its tries begin anew, its folder is kept.

        Args:
            most: jobs that its team may have queued and running, not counting those of the kinds in `free`.

        Raises:
            NoJob: there is none of this team.
            WrongState: it waits, runs, or is done.
            TooMany: the team has its most.
        """

        def work(db: sa.Connection) -> State:
            row = moves.held(db, job, team)
            if row.state not in (FAILED, PARKED, CANCELLED):
                raise WrongState(job, row.state, "tried again")
            moves.room(db, row.team, most, free)
            moves.put_back(
                db, row, self._clock(), 0.0, line="queued again", tries=0, error="", hint="", put_off=None, ended=None,
                cancel=0,
            )  # fmt: skip
            return shown.state_of(shown.one(db, job, team))

        return self._door.write(work)

    # --- who looks

    def state(self, job: str, team: str | None = None) -> State:
        """A job; of this team, where one is given.

        Raises:
            NoJob: there is none.
        """
        return self._door.read(lambda db: shown.state_of(shown.one(db, job, team)))

    def listed(
        self, team: str | None = None, *, states: Sequence[str] = (), kind: str | None = None, most: int = 100,
        before: str | None = None,
    ) -> list[State]:  # fmt: skip
        """Jobs, the newest first; `before` a job's id: those that are older."""
        return self._door.read(lambda db: shown.several(db, team, states, kind, most, before))

    def logs(self, job: str, team: str | None = None, *, after: int = 0, most: int = 500) -> list[Line]:
        """Lines of a job's log after number `after`, the oldest first.

        Raises:
            NoJob: there is none of this team.
        """
        return self._door.read(lambda db: shown.lines(db, shown.one(db, job, team).seq, after, most))

    def counts(self, team: str | None = None) -> dict[str, int]:
        """How many jobs are in which state; states without any are left out."""
        return self._door.read(lambda db: shown.counts(db, team))

    # --- who works

    def claim(self, worker: str = "", job: str | None = None) -> Job | None:
        """Take a job to work on it: this one, or the next one (of the team that has the fewest running, the oldest).
        What the worker had is given back.

        Args:
            worker: who takes it; empty: this process (`who.me`).

        Returns:
            None where there is none to take; of a named one: it is not queued, not there, or too early to try again.
        """
        worker = worker or who.me()
        if job is not None:
            self.reclaim(job)  # its message came again because the one who had it died

        def work(db: sa.Connection) -> Job | None:
            now = self._clock()
            moves.let_go(db, worker, now, "its worker lost it")  # in here: this may run again, its answer lost
            row = moves.next_job(db, now, job)
            if row is None:
                return None
            attempt, tries = row.attempt + 1, row.tries + 1
            moves.change(
                db, row, state=RUNNING, attempt=attempt, tries=tries, worker=worker, started=now, ended=None, beats=0,
                cancel=0, what="", done=0, total=None,
            )  # fmt: skip
            if row.put_off is None:
                logs.add(db, row.seq, now, [f"try {tries} began"])
            return Job(row.id, row.kind, row.team, json.loads(row.args), attempt, self.folder / row.id / "work")

        return self._door.write(work)

    def beat(self, job: Job, what: str = "", done: int = 0, total: int | None = None) -> Beat:
        """Say that the worker lives and how far it is.

        Returns:
            "on", "cancel" where somebody wants the job cancelled, "lost" where the job is not the caller's any more.
        """
        values = {"beats": J.c.beats + 1, **({"what": what[:200], "done": done, "total": total} if what else {})}

        def work(db: sa.Connection) -> Beat:
            if not db.execute(sa.update(J).where(moves.mine(job)).values(values)).rowcount:
                return "lost"
            asked = db.execute(sa.select(J.c.cancel).where(J.c.id == job.id)).scalar_one()
            return "cancel" if asked else "on"

        return self._door.write(work)

    def log(self, job: Job, texts: Sequence[str]) -> None:
        """Add lines to the job's log, while it is the caller's; the newest `logs.LINES_MOST` are kept."""
        if texts:
            self._end(job, lambda db, row: logs.add(db, row.seq, self._clock(), texts))

    def finish(self, job: Job, result: dict[str, Any]) -> bool:
        """The job is done; True where it was the caller's to say, False where it was taken away: then nothing changed.

        Raises:
            QuerywrightError: the result is no JSON, or more than RESULT_MOST characters.
        """
        text = moves.as_json(result, RESULT_MOST, "the job's result")
        return self._end(job, lambda db, row: moves.end(db, row, self._clock(), DONE, result=text, error="", hint=""))

    def fail(self, job: Job, error: str, hint: str = "", *, again: bool = False) -> bool:
        """The try failed; `again`: another may help, so the job is tried again, or parked after its last try."""

        def work(db: sa.Connection, row: Any) -> None:
            wait = self.backoff_s * 4 ** (row.tries - 1)
            moves.fail(db, row, self._clock(), error, hint, self.tries if again else 0, wait)

        return self._end(job, work)

    def later(self, job: Job, seconds: float, why: str) -> bool:
        """The job is tried again after some seconds, and this try does not count; it fails where that lasts too
        long."""

        def work(db: sa.Connection, row: Any) -> None:
            now = self._clock()
            again = row.put_off is not None and row.put_off <= now and now - row.started < WORKED_S
            since = row.put_off if again else now
            if now - since > LATER_MOST_S:
                return moves.fail(db, row, now, f"{why}, for {LATER_MOST_S / 3600:.0f} hours", "retry the job", 0)
            # said once: hours of it would drive the rest out of the log
            line = "" if again and row.error == why else f"put off, tried again every {seconds:.0f} s: {why}"
            return moves.put_back(
                db, row, now, seconds, line=line, tries=row.tries - 1, put_off=since, error=why, hint=""
            )

        return self._end(job, work)

    def give_back(self, job: Job, why: str = "its worker ends") -> bool:
        """The job is another worker's to do, at once, and this try does not count."""
        return self._end(job, lambda db, row: moves.give_back(db, row, self._clock(), why))

    def let_go(self, worker: str = "") -> None:
        """Give back whatever a worker has; empty: this process."""
        worker = worker or who.me()
        self._door.write(lambda db: moves.let_go(db, worker, self._clock(), "its worker ends"))

    def cancelled(self, job: Job) -> bool:
        """The job has ended because somebody wanted it to."""
        return self._end(job, lambda db, row: moves.end(db, row, self._clock(), CANCELLED, line="cancelled"))

    def _end(self, job: Job, work: Callable[[sa.Connection, Any], Any]) -> bool:
        """Do `work` with the job's row, where the job is still the caller's; whether it was and did not say False."""

        def held(db: sa.Connection) -> bool:
            row = moves.held(db, job.id, None, missing_ok=True)
            if row is None or row.state != RUNNING or row.attempt != job.attempt:
                return False
            return work(db, row) is not False

        return self._door.write(held)

    # --- who minds the workers

    def running(self) -> list[Any]:
        """Rows of the jobs that run: `seq`, `id`, `attempt`, `worker`, `beats`, `cancel`, `tries`."""
        columns = (J.c.seq, J.c.id, J.c.attempt, J.c.worker, J.c.beats, J.c.cancel, J.c.tries)
        return self._door.read(lambda db: list(db.execute(sa.select(*columns).where(J.c.state == RUNNING))))

    def reclaim(self, job: str | None = None) -> list[str]:
        """Take jobs back from workers that are dead: queued again, parked after their last try, or cancelled where
        that was wanted. To be called again and again: a lease ends by what earlier calls saw. A worker of this machine
        that hangs is killed.

        Args:
            job: only this one; leases are not looked at.

        Returns:
            The ids of the jobs that were taken back.
        """
        rows = self.running()
        if job is not None:
            return [row.id for row in rows if row.id == job and who.gone(row.worker) and self._take_back(row)]
        silent = self._watch.silent(rows)
        try:
            return [row.id for row in rows if (row.seq in silent or who.gone(row.worker)) and self._take_back(row)]
        except QuerywrightError:
            self._watch.forget()
            raise

    def _take_back(self, row: Any) -> bool:
        def work(db: sa.Connection, held: Any) -> bool:
            # this had to wait until it could write, as had the beats
            if not who.gone(held.worker) and (held.beats != row.beats or not self._watch.current()):
                return False
            moves.fail(db, held, self._clock(), *_DIED, self.tries, self.backoff_s * (held.tries - 1))
            return True

        return self._end_both(row, work)

    def overdue(self, grace_s: float) -> list[str]:
        """Running jobs that somebody has wanted cancelled for `grace_s` seconds, as earlier calls saw it."""
        return self._watch.overdue(self.running(), grace_s)

    def end_worker(self, row: Any, error: str, hint: str) -> bool:
        """End a job, one of `running`, and the worker that does not: it is cancelled where that was wanted, else it
        failed. Whether the worker was still at it."""
        return self._end_both(row, lambda db, held: moves.fail(db, held, self._clock(), error, hint, 0))

    def _end_both(self, row: Any, work: Callable[[sa.Connection, Any], bool | None]) -> bool:
        def both(db: sa.Connection, held: Any) -> bool:
            if held.cancel:
                moves.end(db, held, self._clock(), CANCELLED, line="cancelled: its worker was ended")
            elif work(db, held) is False:
                return False
            who.end(held.worker)  # while the row is held: it can't claim another job now, which it would lose as well
            return True

        return self._end(Job(row.id, "", "", {}, row.attempt, self.folder), both)

    def unsent(self, most: int = 200, after_s: float = RESEND_S) -> list[str]:
        """Queued jobs, ready to be tried, of which no message is on its way, as far as is known; the oldest first."""
        now = self._clock()
        return self._door.read(lambda db: moves.unsent(db, now, most, after_s))

    def sent(self, job: str) -> None:
        """A message with this job is on its way."""
        values = {"sent": self._clock(), "sends": J.c.sends + 1}
        self._door.write(lambda db: db.execute(sa.update(J).where(J.c.id == job).values(values)).rowcount)

    def prune(self, older_s: float, most: int = 500) -> list[str]:
        """Forget jobs that ended more than `older_s` seconds ago, and their logs; returns their ids. Their folders
        are the caller's to delete (`prune.prune` does both)."""
        now = self._clock()
        return self._door.write(lambda db: moves.prune(db, now - older_s, most))
