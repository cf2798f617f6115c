"""A worker of Celery: a process for each job at once, and a parent that takes messages, replaces what dies, and sends
again what was lost.

SIGTERM ends it in order: running jobs are given back, so that another worker goes on with them.
"""

from __future__ import annotations

import logging
import os
import re
import select
import socket
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from querywright.progress import say
from server.jobs import who
from server.jobs.celery_app import TASK, CeleryQueue, build, check, waits_long_enough
from server.jobs.child import LONGEST_S
from server.jobs.queue import GRACE_S, LOOK_S, keep_looking
from server.jobs.table import Table
from server.jobs.task import Job, Task
from server.jobs.work import BEAT_S, insist, work

log = logging.getLogger("querywright.jobs")
Opened = Callable[[], tuple[Table, Mapping[str, Task]]]
_ID = re.compile("[0-9a-f]{16}")


class _Process:
    """A process that works on jobs: its table, its tasks, and a thread that ends it where it has to be ended."""

    def __init__(self, opened: Opened, told: int, grace_s: float, longest_s: float, beat_s: float) -> None:
        self.table, self.tasks = opened()
        self._told, self._grace_s, self._longest_s, self._beat_s = told, grace_s, longest_s, beat_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._late: threading.Timer | None = None
        threading.Thread(target=self._mind, name="stop", daemon=True).start()

    def do(self, job_id: str) -> dict[str, Any]:
        """Claim a job and work on it. What is returned is for Celery's tools."""
        if self._stop.is_set():
            return {"job": job_id, "claimed": False}
        # insisted on where the table is away: its answer may have been lost, and this message with it
        job = insist(lambda: self.table.claim(job=job_id), self._stop)
        if job is None:  # another one has it, or it was cancelled, or done, or is too early: the table knows
            return {"job": job_id, "claimed": False}
        late = threading.Timer(self._longest_s, self._give_up, (job,))
        late.daemon = True
        late.start()
        with self._lock:
            self._job = job
        try:
            work(self.table, self.tasks, job, self._stop, self._beat_s)
        finally:
            late.cancel()
            with self._lock:
                self._job = None
        return {"job": job_id, "claimed": True, "attempt": job.attempt}

    def _mind(self) -> None:
        """Where the parent ends: let the job end by itself, then give it back and go."""
        select.select([self._told], [], [])
        self._stop.set()
        threading.Event().wait(self._grace_s)
        with self._lock:
            if self._job is not None:
                log.warning("job %s did not stop within %.0f s", self._job.id, self._grace_s)
                self._leave(lambda job: self.table.give_back(job), self._job)

    def _give_up(self, job: Job) -> None:
        text = f"it took longer than {self._longest_s / 3600:.1f} hours"
        with self._lock:
            if self._job is job:
                self._leave(lambda job: self.table.fail(job, text, "make it smaller"), job)

    def _leave(self, write: Callable[[Job], object], job: Job) -> None:
        """End this process and what it started, in whatever it hangs."""
        try:
            write(job)
        except Exception as error:  # the table is away: whoever finds this process gone takes the job back
            log.warning("job %s: %s", job.id, error)
        who.leave()


def worker_app(
    broker: str, results: str, opened: Opened, *, grace_s: float = GRACE_S, longest_s: float = LONGEST_S,
    beat_s: float = BEAT_S, look_s: float = LOOK_S,
) -> Any:  # fmt: skip
    """Celery's application of a worker, with its one task.

    Args:
        opened: opens table and tasks; called in the parent and in each process, which share no connection.
        grace_s: seconds that a job has to end by itself where its worker ends or it was cancelled.
        longest_s: seconds that a job may take.
    """
    app = build(broker, results)
    from celery import signals

    heard, tell = os.pipe()  # readable for all processes, from the moment that this one is asked to end
    mine: dict[str, _Process] = {}
    over = threading.Event()

    @signals.worker_process_init.connect(weak=False)
    def begin(**_: Any) -> None:
        with suppress(OSError):
            os.setsid()  # so that what a job starts can be ended with it
        mine["process"] = _Process(opened, heard, grace_s, longest_s, beat_s)

    @signals.worker_shutting_down.connect(weak=False)
    def stop(**_: Any) -> None:
        over.set()
        os.write(tell, b"x")

    @signals.worker_ready.connect(weak=False)
    def ready(sender: Any, **_: Any) -> None:
        say(f"worker {os.getpid()} is ready: jobs come over RabbitMQ")
        with suppress(Exception):
            if told := waits_long_enough(sender.connection.connection.server_properties):
                say(told)
        if not any(thread.name == "look" for thread in threading.enumerate()):  # ready again after a lost connection
            threading.Thread(target=_look, args=(broker, opened, over, look_s), name="look", daemon=True).start()

    @app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator, unused-ignore]
    def job(self: Any, job_id: object) -> None:
        if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
            log.warning("a message that names no job: %.40r", job_id)
            return
        done = mine["process"].do(job_id)
        try:
            self.backend.store_result(self.request.id, done, "SUCCESS")
        except Exception as error:  # Redis is away: the table has the result
            log.warning("job %s: Redis was not told: %s", job_id, error)

    return app


def _look(broker: str, opened: Opened, stop: threading.Event, every_s: float) -> None:
    table, _ = opened()
    queue = CeleryQueue(broker, table)
    try:
        keep_looking(table, queue, stop, every_s)
    finally:
        queue.close()
        table.close()


def serve(
    broker: str, results: str, opened: Opened, *, concurrency: int = 1, level: str = "WARNING", **times: float
) -> int:
    """Work until SIGTERM or Ctrl-C; returns the exit code.

    Args:
        concurrency: jobs at once, each in a process of its own.
        times: see `worker_app`.

    Raises:
        QuerywrightError: Celery is not installed, the table can't be opened, or the broker refuses us.
    """
    # Celery warns, at each lost connection, that 6.0 will end the jobs then: here they go on, as is set
    warnings.filterwarnings("ignore", category=PendingDeprecationWarning, module="celery")
    # and of root, whom a message could make run anything if it were pickled: ours are JSON
    warnings.filterwarnings("ignore", message="You're running the worker with superuser", module="celery")
    opened()[0].close()  # errors of the settings are seen here, not in each process
    check(build(broker, results))
    app = worker_app(broker, results, opened, **times)
    worker = app.Worker(
        hostname=f"querywright-{os.getpid()}@{socket.gethostname()}", pool_cls="prefork", concurrency=concurrency,
        loglevel=level, without_gossip=True, without_mingle=True, quiet=True,
    )  # fmt: skip
    worker.start()
    return int(worker.exitcode or 0)
