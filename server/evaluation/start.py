"""The evaluation service's processes: the API with the workers of one machine, or with a broker the API alone; workers
alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from querywright.errors import QuerywrightError, need
from querywright.progress import say
from server.access.teams import Teams
from server.evaluation.settings import Settings, settings_of
from server.evaluation.status import transport
from server.settings import unknown

COMMAND = "querywright evaluation serve"
TEAMS = "querywright evaluation teams add NAME --file FILE, then QUERYWRIGHT_TEAMS=FILE"


def serve(host: str, port: int, workers: int) -> None:
    """Serve the API until Ctrl-C or SIGTERM; without a broker, keep `workers` processes at the jobs as well.

    Raises:
        QuerywrightError: settings are wrong, the port is taken, a network would be served without teams, or an extra
            is missing.
        KeyboardInterrupt: Ctrl-C.
    """
    from server import app as http
    from server.access.auth import requirements

    settings = settled()
    auth = Teams(settings.teams) if settings.teams else None
    requirements(host, auth, False, hint=TEAMS)
    for module in ("fastapi", "uvicorn", "sqlalchemy"):
        need(module, extra="serve")
    need("mlflow", extra="evaluation")
    with ExitStack() as opened:
        opened.enter_context(terminable())
        sock = opened.enter_context(http.bind(host, port, COMMAND))  # first: it fails at once, opening may take long
        application = opened.enter_context(service(settings, host, auth))
        if not settings.broker:
            opened.enter_context(at_work(settings, workers))
            say(f"jobs are worked on here, {workers} at once")
        else:
            say("jobs go to Celery's workers: querywright evaluation worker")
            _tell_away(settings)
        if auth is None:
            say("whoever is on this machine is the team 'local'; others need QUERYWRIGHT_TEAMS")
        say(f"uploads and jobs are in {settings.folder}")
        print(f"Querywright's evaluation service is at {http.url(sock, host)}", flush=True)
        say("Ctrl-C stops it")
        http.run(application, sock, settings.limits)


def work(concurrency: int) -> int:
    """Work on jobs until Ctrl-C or SIGTERM; returns the exit code. With a broker over Celery, else out of the table.

    Raises:
        QuerywrightError: settings are wrong, or an extra is missing.
    """
    from server.evaluation.child import opened

    settings = settled()
    if settings.broker:
        from server.jobs.celery_worker import serve as serve_celery

        _tell_away(settings)
        return serve_celery(settings.broker, settings.results, lambda: opened(settings), concurrency=concurrency)
    stop = threading.Event()
    with terminable(), at_work(settings, concurrency):
        say(f"working on the jobs of {settings.folder}, {concurrency} at once; Ctrl-C stops it")
        while not stop.wait(3600):
            pass
    return 0


def settled() -> Settings:
    """The environment's settings; variables that nobody reads are told."""
    for told in unknown():
        say(told)
    return settings_of(make=True)


@contextmanager
def service(settings: Settings, host: str = "127.0.0.1", auth: Teams | None = None) -> Iterator[Any]:
    """The application with what it stands on; with a broker, also who sends again what was lost on its way."""
    from server.evaluation import api
    from server.evaluation.desk import Desk
    from server.evaluation.receive import keep_sweeping
    from server.evaluation.shelf import Shelf
    from server.evaluation.tracking import Tracking
    from server.jobs.queue import Queue, TableQueue, keep_looking
    from server.jobs.table import Table

    with ExitStack() as opened:
        table = opened.enter_context(closing(Table(settings.jobs, settings.job_folders)))
        shelf = opened.enter_context(closing(Shelf(settings)))
        queue: Queue = TableQueue()
        if settings.broker:
            from server.jobs.celery_app import CeleryQueue

            queue = CeleryQueue(settings.broker, table)
            opened.callback(queue.close)
            queue.check()
            opened.enter_context(_thread(keep_looking, table, queue))
        opened.enter_context(_thread(keep_sweeping, shelf))
        tracking = Tracking(settings.mlflow, settings.artefacts)
        desk = Desk(settings, table, queue, shelf, tracking)
        desk.mlflow.submit(_warm, tracking)
        yield api.build(desk, host=host, auth=auth)


def _warm(tracking: Any) -> None:
    """Load MLflow and open its store, which takes seconds: before the first request has to wait for it."""
    try:
        tracking.ready()
    except QuerywrightError as error:
        say(f"MLflow is away for now: {error}")


def _tell_away(settings: Settings) -> None:
    """Say which of RabbitMQ and Redis nobody answers for; both are waited for."""
    for name, part in transport(settings).items():
        if part["wrong"]:
            say(f"{name} is away for now: {part['where']}, {part['wrong']}")


@contextmanager
def at_work(settings: Settings, n: int) -> Iterator[None]:
    """Keep `n` processes at the jobs of the table."""
    from server.evaluation.child import COMMAND as CHILD
    from server.jobs.child import Workers
    from server.jobs.table import Table

    with closing(Table(settings.jobs, settings.job_folders)) as table:
        workers = Workers(table, CHILD, n)
        workers.start()
        try:
            yield
        finally:
            workers.close()


@contextmanager
def terminable() -> Iterator[None]:
    """Within it, SIGTERM ends the block in order, as Ctrl-C does: workers end first and give their jobs back."""

    def end(*_: object) -> None:
        sys.exit(143)

    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _thread(loop: Any, *args: Any) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=loop, args=(*args, stop), name=loop.__name__, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
