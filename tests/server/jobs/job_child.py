"""A worker's process for tests: `python job_child.py DATABASE FOLDER`. Its tasks do as their arguments say."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.progress import say, track
from server.jobs.table import Table
from server.jobs.task import Job, Later
from server.jobs.worker import child_main


def add(job: Job) -> dict[str, Any]:
    """The job's number doubled; it writes that it ran."""
    time.sleep(job.args.get("s", 0))
    with open(job.folder / "ran", "a", encoding="utf-8") as out:
        out.write(f"{job.attempt}\n")
    return {"twice": 2 * job.args["n"]}


def poison(job: Job) -> dict[str, Any]:
    """Kills the worker."""
    say("about to die")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def steps(job: Job) -> dict[str, Any]:
    """Goes on where it was killed: each step once, slowly until it may hurry."""
    kept, hurry = job.folder / "steps", job.folder / "hurry"
    seen = kept.read_text(encoding="utf-8").split() if kept.exists() else []
    for n in track(range(len(seen), job.args["n"]), "steps"):
        if not hurry.exists():
            time.sleep(0.02)
        with open(kept, "a", encoding="utf-8") as out:
            out.write(f"{n}\n")
    return {"steps": kept.read_text(encoding="utf-8").split(), "attempt": job.attempt}


def deaf(job: Job) -> dict[str, Any]:
    """Says nothing, hears nothing."""
    (job.folder / "began").touch()
    time.sleep(job.args.get("s", 600))
    return {}


def wrong(job: Job) -> dict[str, Any]:
    """Raises what its argument names."""
    if job.args["what"] == "later":
        raise Later(job.args.get("s", 0.0), "the other side is away")
    if job.args["what"] == "user":
        raise QuerywrightError("no such model", hint="choose another")
    raise RuntimeError("out of luck")


TASKS = {task.__name__: task for task in (add, poison, steps, deaf, wrong)}

if __name__ == "__main__":
    where, folder = sys.argv[1:3]
    sys.exit(child_main(lambda: (Table(where, Path(folder), backoff_s=0.05), TASKS), beat_s=0.2, grace_s=1.0))
