"""The log of a job: lines with numbers, limited in length and in number; the newest are kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

from querywright.database import sa
from server.jobs.tables import job as J
from server.jobs.tables import line as L

LINES_MOST = 2000
LINE_MOST = 2000
"""Characters."""
_COUNT = (
    sa.update(J).where(J.c.seq == sa.bindparam("job_seq")).values(lines=J.c.lines + sa.bindparam("more"))
    .returning(J.c.lines)
)  # fmt: skip
_ADD = sa.insert(L)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """A line as it is kept: without control characters (a terminal obeys them), cut where it is long."""
    text = _CONTROL.sub(" ", text.expandtabs(4).replace("\n", " ⏎ ")).rstrip()
    return text if len(text) <= LINE_MOST else f"{text[: LINE_MOST - 1]}…"


def add(db: sa.Connection, seq: int, now: float, texts: Sequence[str]) -> None:
    """Add lines to a job's log and let the oldest go. The caller holds the job's row."""
    texts = texts[-LINES_MOST:]
    end = db.execute(_COUNT, {"job_seq": seq, "more": len(texts)}).scalar_one()
    start = end - len(texts)
    db.execute(_ADD, [{"job": seq, "n": n, "time": now, "text": clean(t)} for n, t in enumerate(texts, start + 1)])
    if end > LINES_MOST and (end // 100 != start // 100):
        db.execute(sa.delete(L).where(L.c.job == seq, L.c.n <= end - LINES_MOST))
