"""What the routes share: the settings, uploads, jobs and MLflow, each asked in threads of its own, so that one that
hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import Request

from querywright.errors import QuerywrightError, did_you_mean
from server.access.auth import stamp_of
from server.evaluation.chosen import RULES
from server.evaluation.receive import Places, room
from server.evaluation.settings import LOCAL, Settings
from server.evaluation.shelf import Full, NoUpload, OtherKind, Shelf
from server.evaluation.tracking import Away, NoRun, OtherRows, RunFull, Tracking
from server.jobs.queue import Queue
from server.jobs.shown import State
from server.jobs.table import KeyTaken, NoJob, Table, TooMany, WrongState
from server.jobs.task import CANCELLED, FAILED, PARKED
from server.problems import Refused

log = logging.getLogger("querywright.server")
T = TypeVar("T")
_STATUS: dict[type[QuerywrightError], tuple[int, str, int | None]] = {
    NoUpload: (404, "unknown_upload", None), Full: (409, "uploads_full", None), OtherKind: (409, "other_kind", None),
    NoJob: (404, "unknown_job", None), KeyTaken: (409, "key_taken", None), TooMany: (429, "too_many_jobs", 30),
    WrongState: (409, "wrong_state", None), NoRun: (404, "unknown_run", None), Away: (503, "mlflow_away", 15),
    RunFull: (409, "run_full", None), OtherRows: (409, "other_rows", None),
}  # fmt: skip
MLFLOW_WAITING = 32
"""Requests that may wait for MLflow; one more is refused at once."""

FREE = ("upload",)
"""Kinds of jobs that count to no team's limit: while MLflow is away, uploads wait to be recorded."""
SENDING, SENDING_OF_A_TEAM = 16, 4
"""Answers with a run's rows that are sent at once: each is held in memory until its client has taken it."""


class Desk:
    """Where requests are brought to. Used by one event loop."""

    def __init__(self, settings: Settings, table: Table, queue: Queue, shelf: Shelf, tracking: Tracking) -> None:
        self.settings, self.quotas = settings, settings.quotas
        self.table, self.queue, self.shelf, self.tracking = table, queue, shelf, tracking
        self.places = Places(self.quotas.uploading, self.quotas.uploading_per_team)
        self.sending = Places(SENDING, SENDING_OF_A_TEAM, "answers with rows are being sent")
        self.reading = asyncio.Semaphore(self.quotas.reading)
        self.threads = ThreadPoolExecutor(8, "evaluation")
        self.readers = ThreadPoolExecutor(self.quotas.reading, "reading")
        self.mlflow = ThreadPoolExecutor(4, "mlflow")
        self._at_mlflow = 0
        self._models: tuple[Any, dict[str, Any]] = (None, {})

    async def do(self, work: Callable[..., T], *args: Any, **named: Any) -> T:
        """What a function of the table or of the shelf gives, called in a thread.

        Raises:
            Refused: it can't be done.
        """
        return await self._in(self.threads, work, args, named)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        """What a function gives that reads a posted file: few at once, since each may take much memory."""
        async with self.reading:
            return await self._in(self.readers, work, args, {})

    async def ask_mlflow(self, work: Callable[..., T], *args: Any, **named: Any) -> T:
        """What a function of the tracking gives.

        Raises:
            Refused: there is no such run, or MLflow is away or busy.
        """
        if self._at_mlflow >= MLFLOW_WAITING:
            raise Refused(503, "mlflow_busy", "MLflow is busy", retry_after=5)
        self._at_mlflow += 1
        try:
            return await self._in(self.mlflow, work, args, named)
        finally:
            self._at_mlflow -= 1

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., T], args: Any, named: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: work(*args, **named))
        except QuerywrightError as error:
            if (found := _STATUS.get(type(error))) is None:
                raise
            status, code, after = found
            raise Refused(status, code, str(error), error.hint, retry_after=after) from error

    async def submit(self, team: str, kind: str, args: dict[str, Any], key: str = "") -> State:
        """Queue a job, and tell the workers; the same request again is the same job.

        Args:
            key: what the client calls the request; empty: its content says what is the same.

        Raises:
            Refused: the team has too many, the key is another request's, or the disk is full.
        """

        most = self.quotas.jobs_per_team

        def work() -> State:
            room(self.settings.job_folders, self.quotas)
            try:
                job = self.table.submit(team, kind, args, f"given:{key}" if key else "", most=most, free=FREE)
            except KeyTaken as error:
                raise KeyTaken(key) from error  # as it was given
            state = self.table.state(job, team)
            self._send(state)
            return state

        return await self.do(work)

    async def see_to(self, team: str, kind: str, args: dict[str, Any]) -> State:
        """A job that the service itself wants done: outside the team's limit, and one that was given up is tried
        again."""

        def work() -> State:
            state = self.table.state(self.table.submit(team, kind, args), team)
            if state.state in (FAILED, PARKED, CANCELLED):
                with suppress(WrongState):  # another request was faster
                    state = self.table.retry(state.id, team)
            self._send(state)
            return state

        return await self.do(work)

    async def again(self, team: str, job: str) -> State:
        """Queue a job again that failed, was parked or cancelled; it counts like a new one."""

        def work() -> State:
            room(self.settings.job_folders, self.quotas)
            state = self.table.retry(job, team, most=self.quotas.jobs_per_team, free=FREE)
            self._send(state)
            return state

        return await self.do(work)

    def _send(self, state: State) -> None:
        if state.state != "queued":
            return
        try:
            self.queue.send(state.id)
            self.table.sent(state.id)
        except Exception as error:  # the broker is away: whoever looks after the queue sends it later
            log.warning("job %s waits for the broker: %s", state.id, type(error).__name__)

    def models(self) -> dict[str, Any]:
        """The catalogue's entries by name; read again when its file changes. For a thread."""
        from querywright.engines.catalogue import read_catalogue

        stamp = stamp_of(self.settings.models)
        if self._models[0] != stamp or stamp is None:
            self._models = stamp, read_catalogue(self.settings.models)
        return self._models[1]

    async def check_models(self, names: list[str], *also: str) -> None:
        """Refuse names that are in no catalogue, all at once.

        Raises:
            Refused: there is one (404).
        """
        known = [*also, *await self.do(self.models)]
        wrong = [
            f"{name} write questions, and answer none" if name == RULES
            else f"there is no model {name!r}{did_you_mean(name, known)}"
            for name in dict.fromkeys(names) if name not in known
        ]  # fmt: skip
        if wrong:
            raise Refused(404, "unknown_model", "; ".join(wrong), "GET /v1/evaluation/models lists them")

    def close(self) -> None:
        """End the threads; what runs in them ends first."""
        for pool in (self.threads, self.readers, self.mlflow):
            pool.shutdown(wait=False, cancel_futures=True)


def team_of(request: Request) -> str:
    """Which team asks, as the guard found."""
    return getattr(request.state, "user", "") or LOCAL
