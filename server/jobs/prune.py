"""Old jobs go, with their folders."""

from __future__ import annotations

import logging
import math
import re
import shutil
import time

from server.jobs.shown import NoJob
from server.jobs.table import Table

log = logging.getLogger("querywright.jobs")

KEEP_S = 90 * 86400.0
"""Seconds that jobs which have ended are kept."""
EVERY_S = 3600.0
_ID = re.compile("[0-9a-f]{16}")


def prune(table: Table, older_s: float) -> int:
    """Forget jobs that ended more than `older_s` seconds ago, delete their folders, and folders of that age that belong
    to no job (this was killed in between); returns how many jobs."""
    n = 0
    while ids := table.prune(older_s):
        n += len(ids)
        for job in ids:
            shutil.rmtree(table.folder / job, ignore_errors=True)
    if not table.folder.is_dir():
        return n
    for folder in table.folder.iterdir():
        if _ID.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir():
            old = time.time() - folder.stat().st_mtime > older_s
            if old and not _known(table, folder.name):
                shutil.rmtree(folder, ignore_errors=True)
    return n


class Pruning:
    """Prunes now and then: `look` is called often, and does it once an hour."""

    def __init__(self, table: Table, keep_s: float = KEEP_S) -> None:
        self._table, self._keep_s, self._last = table, keep_s, -math.inf

    def look(self) -> None:
        """Prune, if it is time to."""
        if time.monotonic() - self._last < EVERY_S:
            return
        self._last = time.monotonic()
        if n := prune(self._table, self._keep_s):
            log.info("%d jobs that ended more than %.0f days ago were deleted", n, self._keep_s / 86400)


def _known(table: Table, job: str) -> bool:
    try:
        table.state(job)
    except NoJob:
        return False
    return True
