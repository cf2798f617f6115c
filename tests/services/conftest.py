"""RabbitMQ, Redis and PostgreSQL of `make services`, and workers that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server import services as machine
from server.jobs.celery_app import QUEUE, CeleryQueue, build
from server.jobs.table import Table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "work" / "services"
HINT = "make test-services starts RabbitMQ, Redis and PostgreSQL"


@pytest.fixture(scope="session")
def services() -> dict[str, str]:
    """The variables that point to the services; those that are not here are left out."""
    state = machine.read(FOLDER)
    if state is None:
        pytest.skip(os.environ.get("SERVICES_FAILED") or f"no services run; {HINT}")
    return machine.variables(state)


@pytest.fixture(scope="session")
def postgres(services: dict[str, str]) -> Iterator[str]:
    """A database of its own on that PostgreSQL."""
    with database(services) as url:
        yield url


@contextmanager
def database(services: dict[str, str]) -> Iterator[str]:
    psycopg = pytest.importorskip("psycopg")
    if "QUERYWRIGHT_JOBS" not in services:
        pytest.skip(_without("postgres"))
    url, name = services["QUERYWRIGHT_JOBS"], f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"create database {name}")
        try:
            yield url.rpartition("/")[0] + "/" + name
        finally:
            db.execute(f"drop database {name} with (force)")


def _without(name: str) -> str:
    state = machine.read(FOLDER) or {"missing": {}}
    return f"{name}: {state['missing'].get(name, 'not here')}"


@dataclass
class Place:
    """A job table, the queue to it, and its workers."""

    services: dict[str, str]
    where: str
    folder: Path
    table: Table
    queue: CeleryQueue
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    said: dict[int, Path] = field(default_factory=dict)
    started: int = 0

    def worker(self, concurrency: int = 1, grace_s: float = 2.0, wait: bool = True) -> subprocess.Popen[bytes]:
        """Start a worker; `wait` until it is ready."""
        self.started += 1
        log = self.folder / f"worker{self.started}.log"
        broker, results = self.services["QUERYWRIGHT_BROKER"], self.services["QUERYWRIGHT_RESULTS"]
        command = [sys.executable, str(Path(__file__).with_name("working.py"))]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, broker, results, self.where, str(self.folder), str(concurrency), str(grace_s)],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}, stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self.workers.append(process)
        self.said[process.pid] = log
        if wait:
            until(lambda: self.ready(process), 120, log.read_text)
        return process

    def ready(self, worker: subprocess.Popen[bytes]) -> bool:
        return b"is ready" in self.said[worker.pid].read_bytes()

    def submit(self, kind: str, *, send: bool = True, **args: Any) -> str:
        job = self.table.submit("team", kind, args)
        if send:
            self.queue.send(job)
            self.table.sent(job)
        return job

    def ends(self, job: str, within_s: float = 180) -> Any:
        """Wait for a job's end."""
        until(lambda: self.table.state(job).state not in ("queued", "running"), within_s, self.logs)
        return self.table.state(job)

    def logs(self) -> str:
        parts = [p.read_text(errors="replace")[-3000:] for p in sorted(self.folder.glob("worker*.log"))]
        return f"{self.table.counts()}\n" + "\n---\n".join(parts[-4:])

    def processes(self, worker: subprocess.Popen[bytes]) -> list[int]:
        """The processes of a worker that work on jobs."""
        found = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        return [int(pid) for pid in found.read_text().split()] if found.exists() else []

    def waiting(self) -> int:
        """Messages in RabbitMQ's queue that no worker holds."""
        app = build(self.services["QUERYWRIGHT_BROKER"])
        with app.connection_for_read() as connection:
            count = app.amqp.queues[QUEUE].bind(connection.default_channel).queue_declare(passive=True).message_count
        app.close()
        return int(count)


def until(true: Callable[[], object], within_s: float, why: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s\n{why()}")
        time.sleep(0.05)


@contextmanager
def placed(services: dict[str, str], where: str, folder: Path) -> Iterator[Place]:
    """A place on an empty queue; its workers end with the block."""
    pytest.importorskip("celery")
    pytest.importorskip("redis")
    for name, variable in (("rabbitmq", "QUERYWRIGHT_BROKER"), ("redis", "QUERYWRIGHT_RESULTS")):
        if variable not in services:
            pytest.skip(_without(name))
    app = build(services["QUERYWRIGHT_BROKER"])
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[QUEUE].bind(connection.default_channel)
        queue.declare()
        queue.purge()
    app.close()
    table = Table(where, folder, backoff_s=0.1)
    place = Place(services, where, folder, table, CeleryQueue(services["QUERYWRIGHT_BROKER"], table))
    try:
        yield place
    finally:
        for process in place.workers:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)  # its processes end with it
        for process in place.workers:
            process.wait(20)
        place.queue.close()
        table.close()


@pytest.fixture
def place(services: dict[str, str], tmp_path: Path) -> Iterator[Place]:
    """On SQLite."""
    with placed(services, str(tmp_path / "jobs.sqlite"), tmp_path) as one:
        yield one


@pytest.fixture
def big_place(services: dict[str, str], tmp_path: Path) -> Iterator[Place]:
    """On PostgreSQL."""
    with ExitStack() as open_, database(services) as where:
        yield open_.enter_context(placed(services, where, tmp_path))
