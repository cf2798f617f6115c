"""What the server says of the batches, into `batches.csv`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from querywright.engines.host import Host, HostError, line
from querywright.preferences.annotate.report import ENDED, GONE, LOCAL, NEW, Report, Shard, reported
from querywright.progress import LOG_EVERY_S, say

_TOO_MUCH = "token_limit_exceeded"  # too many tokens wait already; the same file is taken later


def status(
    folder: Path, *, watch: bool = False, poll_s: float = 30.0, wait: Callable[[float], None] = time.sleep
) -> Report:
    """Ask for each batch that is under way; with `watch`, until none is.

    Args:
        poll_s: seconds between two looks.
        wait: how to sleep; a test's own takes no time.

    Raises:
        QuerywrightError: there are no requests, or a server refuses or does not answer; what is known is noted.
    """
    with reported(folder) as report:
        hosts = Hosts(wait)
        clock = Told()
        while True:
            look(report, hosts)
            under_way = any(s.under_way for s in report.shards)
            if not watch or not under_way:
                return report
            clock.tell(report)
            pause(wait, poll_s)


def pause(wait: Callable[[float], None], seconds: float) -> None:
    """Wait between two looks; who is stopped meanwhile hears that the batches are not."""
    try:
        wait(seconds)
    except KeyboardInterrupt:
        say("annotate: the batches go on at the server, and are paid for")
        raise


class Hosts:
    """A client for each server that the report names."""

    def __init__(self, wait: Callable[[float], None]) -> None:
        """Nothing is opened yet."""
        self.wait = wait
        self._open: dict[str, Host] = {}

    def of(self, shard: Shard) -> Host:
        """The client of the server that has a file."""
        if shard.url not in self._open:
            self._open[shard.url] = Host(shard.url, wait=self.wait)
        return self._open[shard.url]


def look(report: Report, hosts: Hosts) -> None:
    """Ask once for each batch that is under way; notes what has changed."""
    for shard in report.shards:
        if not shard.under_way:
            continue
        host = hosts.of(shard)
        try:
            batch = host.ask(f"look at {shard.batch_id}", lambda h=host, s=shard: _batch(h, s))  # type: ignore[misc]
        except HostError as error:
            if error.status != 404:
                report.save()
                raise
            shard.state, shard.note = GONE, "the server no longer has the batch"
            say(f"annotate: {shard.file}: {shard.note}: {shard.batch_id}")
            continue
        _note(shard, batch)
    report.save()


def _batch(host: Host, shard: Shard) -> Any:
    batch = host.client.batches.retrieve(shard.batch_id)
    if not isinstance(getattr(batch, "status", None), str) or not batch.status:
        raise ValueError("an answer that is no batch")
    return batch


def _note(shard: Shard, batch: Any) -> None:
    before, shard.state = shard.state, line(batch.status)
    counts = getattr(batch, "request_counts", None)
    shard.done = _count(counts, "completed", shard.done)
    shard.failed = _count(counts, "failed", shard.failed)
    shard.output_file = str(getattr(batch, "output_file_id", None) or "")
    shard.error_file = str(getattr(batch, "error_file_id", None) or "")
    errors = getattr(getattr(batch, "errors", None), "data", None) or []
    codes = [str(getattr(e, "code", "") or "") for e in errors]
    words = [line(getattr(e, "message", "") or getattr(e, "code", "") or "") for e in errors]
    shard.note = "; ".join(w for w in words if w)[:400]
    if shard.state == "failed" and codes and all(c == _TOO_MUCH for c in codes):
        shard.state, shard.batch_id = NEW, ""
        say(f"annotate: {shard.file}: {shard.note}; it is sent again when others are through")
    elif shard.state != before:
        say(f"annotate: {shard.file}: {shard.state}{f' ({shard.note})' if shard.note else ''}")


def _count(counts: Any, name: str, otherwise: int) -> int:
    value = getattr(counts, name, None)
    return value if isinstance(value, int) and value >= 0 else otherwise


class Told:
    """Says how far the batches are, now and then and when it changes, with the time that is left at this pace."""

    def __init__(self) -> None:
        """Begin to measure."""
        self._start = time.monotonic()
        self._first: int | None = None
        self._last = (0.0, "")

    def tell(self, report: Report) -> None:
        """Say it where it is time to."""
        now = time.monotonic()
        sent = [s for s in report.shards if s.batch_id and s.url != LOCAL]
        rows, done = sum(s.rows for s in sent), sum(s.done + s.failed for s in sent)
        self._first = done if self._first is None else self._first
        states = Counter(s.state for s in sent if s.state not in ENDED)
        text = f"annotate: {done:,} of {rows:,} rows; " + ", ".join(f"{n} {state}" for state, n in states.items())
        if text == self._last[1] and now - self._last[0] < LOG_EVERY_S * 4:
            return
        gained = done - self._first
        pace = f", ETA {(now - self._start) / gained * (rows - done):.0f} s" if gained > 0 and rows > done else ""
        say(text + pace)
        self._last = (now, text)
