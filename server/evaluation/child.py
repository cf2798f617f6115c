"""A process that works on the service's jobs: `python -m server.evaluation.child`, started by `server.jobs.child`."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from server.evaluation.settings import Settings, settings_of
from server.jobs.table import Table
from server.jobs.task import Task

COMMAND = (sys.executable, "-m", "server.evaluation.child")


def opened(settings: Settings | None = None) -> tuple[Table, Mapping[str, Task]]:
    """The table and the tasks of the environment's settings."""
    from server.evaluation.tasks import tasks

    settings = settings or settings_of()
    return Table(settings.jobs, settings.job_folders), tasks(settings)


def main() -> int:
    """The process's main function."""
    import logging

    from server.jobs.worker import child_main

    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    return child_main(opened)


if __name__ == "__main__":
    sys.exit(main())
