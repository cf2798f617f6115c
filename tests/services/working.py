"""A worker of Celery for tests: `working.py BROKER RESULTS TABLE FOLDER CONCURRENCY GRACE_S`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery import platforms

from querywright.progress import say, track
from server.jobs.celery_worker import serve
from server.jobs.table import Table
from server.jobs.task import Job, Task


def small(job: Job) -> dict[str, Any]:
    """Leave word of each run, then a result."""
    with (job.folder.parent.parent / "runs").open("a") as runs:
        runs.write(f"{job.id} {job.attempt}\n")
    say(f"number {job.args['n']}")
    return {"square": job.args["n"] ** 2}


def poison(job: Job) -> dict[str, Any]:
    """Kill the process that works on it."""
    (job.folder / f"try{job.attempt}").touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def long(job: Job) -> dict[str, Any]:
    """Some steps, each kept, slowly until it may hurry; it goes on where it was killed."""
    kept, hurry = job.folder / "kept", job.folder / "hurry"
    done = len(kept.read_text()) if kept.exists() else 0
    for _ in track(range(done, job.args["steps"]), "steps"):
        if not hurry.exists():
            time.sleep(0.1)
        with kept.open("a") as file:
            file.write(".")
    return {"steps": len(kept.read_text()), "attempt": job.attempt}


def deaf(job: Job) -> dict[str, Any]:
    """Hear nothing for ten minutes."""
    (job.folder / "deaf").touch()
    time.sleep(600)
    return {}


TASKS: dict[str, Task] = {"small": small, "poison": poison, "long": long, "deaf": deaf}


def opened(where: str, folder: str) -> tuple[Table, dict[str, Task]]:
    return Table(where, Path(folder), backoff_s=0.1), TASKS


if __name__ == "__main__":
    platforms.set_pdeathsig("SIGKILL")  # no worker outlives a test run that is killed
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(message)s")
    broker, results, where, folder, concurrency, grace_s = sys.argv[1:]
    sys.exit(
        serve(
            broker, results, lambda: opened(where, folder), concurrency=int(concurrency), grace_s=float(grace_s),
            beat_s=0.2, look_s=0.5,
        )
    )  # fmt: skip
