"""The job table under kills: small jobs, a worker killed every N seconds, and jobs that kill their worker.

python benchmarks/jobs.py [--jobs 1000] [--workers 2] [--kill 2] [--poison 3] [--where URL]; prints the rate, what
became of the jobs, and how often a job had to be tried again. Exit code 1 where a result is missing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from server.jobs import who
from server.jobs.child import Workers
from server.jobs.table import FILE, Table
from server.jobs.task import Job
from server.jobs.worker import child_main


def add(job: Job) -> dict[str, Any]:
    """A small job."""
    return {"twice": 2 * job.args["n"]}


def poison(job: Job) -> dict[str, Any]:
    """Kills its worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def killed_while(table: Table, every_s: float, n: int) -> tuple[int, float]:
    """Kill a worker now and then until `n` jobs have ended; returns how many, and the seconds it took."""
    start = last = time.monotonic()
    kills = 0
    while sum(table.counts().get(state, 0) for state in ("done", "parked", "failed")) < n:
        time.sleep(0.1)
        pids = [int(row.worker.split(":")[2]) for row in table.running() if not who.gone(row.worker)]
        if every_s and pids and time.monotonic() - last > every_s:
            os.kill(random.choice(pids), signal.SIGKILL)
            kills, last = kills + 1, time.monotonic()
    return kills, time.monotonic() - start


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--kill", type=float, default=2.0, help="seconds; 0: none")
    options.add_argument("--poison", type=int, default=3)
    options.add_argument("--where", default="")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as home:
        where, folder = asked.where or f"{home}/{FILE}", Path(home) / "jobs"
        table = Table(where, folder, backoff_s=0.1)
        start = time.monotonic()
        ids = [table.submit("bench", "add", {"n": n, "at": time.time()}) for n in range(asked.jobs)]
        print(f"{asked.jobs} jobs submitted at {asked.jobs / (time.monotonic() - start):.0f}/s")
        bad = [table.submit("bench", "poison", {"n": n, "at": time.time()}) for n in range(asked.poison)]
        workers = Workers(table, [sys.executable, __file__, "child", where, str(folder)], asked.workers)
        workers.start()
        try:
            kills, seconds = killed_while(table, asked.kill, len(ids) + len(bad))
        finally:
            workers.close()
        states = [table.state(job) for job in ids]
        right = sum(state.result == {"twice": 2 * n} for n, state in enumerate(states))
        print(
            f"{len(ids) / seconds:.0f} jobs/s by {asked.workers} workers, {kills} of them killed; {right} right results"
        )
        print(f"tries: {dict(Counter(state.tries for state in states))}; poison: {[table.state(b).state for b in bad]}")
        table.close()
    return 0 if right == len(ids) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.exit(
            child_main(lambda: (Table(sys.argv[2], Path(sys.argv[3]), backoff_s=0.1), {"add": add, "poison": poison}))
        )
    sys.exit(main())
