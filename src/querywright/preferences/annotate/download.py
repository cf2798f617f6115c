"""What is done, from the server into `results/`: whole files only, a line for each request that was sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.engines.host import Host, HostError
from querywright.preferences.annotate.again import ask_again
from querywright.preferences.annotate.report import (
    ENDED,
    FAILED,
    LOCAL,
    NEW,
    Outcome,
    Report,
    Shard,
    as_lines,
    names_in,
    reported,
)
from querywright.preferences.annotate.results import missing, read_line
from querywright.preferences.annotate.status import Hosts, Told, look, pause
from querywright.preferences.annotate.upload import Limits, send
from querywright.progress import say

_LOOKS = 3  # at a file that has fewer rows than the server says


def download(
    folder: Path, *, watch: bool = False, resend: bool = False, most_tries: int = 3, limits: Limits | None = None,
    poll_s: float = 30.0, wait: Callable[[float], None] = time.sleep,
) -> tuple[Report, Outcome]:  # fmt: skip
    """Get what is done; with `watch`, until all is: files that were held back are sent as soon as the limits allow.

    Args:
        resend: send rows without an answer again, until they have one or were asked `most_tries` times.
        poll_s: seconds between two looks.
        wait: how to sleep; a test's own takes no time.

    Raises:
        QuerywrightError: there are no requests, or a server refuses or does not answer; what came is kept.
    """
    with reported(folder) as report:
        hosts, clock, first = Hosts(wait), Told(), True
        while True:
            look(report, hosts)
            if fetch(report, hosts) or first:
                first, outcome = False, report.outcome()
                report.write_failed(outcome)
                if resend and any(outcome.tries[name] < most_tries for name in outcome.failed):
                    ask_again(report, most_tries)
            sent = _send(report, hosts, limits or Limits()) if watch or resend else 0
            if not watch or not (sent or any(s.under_way for s in report.shards)):
                break
            clock.tell(report)
            pause(wait, poll_s)
        outcome = report.outcome()
        report.write_failed(outcome)
        report.save()
    _tell(report, outcome)
    return report, outcome


def fetch(report: Report, hosts: Hosts) -> int:
    """Get the results of every batch that has ended; returns how many files came."""
    got = 0
    for shard in report.shards:
        ended = shard.batch_id and shard.url != LOCAL and shard.state in ENDED
        if not ended or report.results(shard).is_file():
            continue
        rows = _rows(report, shard, hosts)
        with replacing(report.results(shard), "wb") as file:
            file.write(as_lines(rows))
        report.note_results(shard)
        report.save()
        say(f"annotate: {shard.file}: {shard.done:,} answers" + (f", {shard.failed} without" if shard.failed else ""))
        got += 1
    return got


def _rows(report: Report, shard: Shard, hosts: Hosts) -> list[dict[str, Any]]:
    """A line for each request of a file: the server's, or one that says why there is none."""
    names = dict.fromkeys(names_in(report.requests(shard)))
    found: dict[str, dict[str, Any]] = {}
    strange = 0
    for look_number in range(_LOOKS):
        found, strange = {}, 0
        for file in (shard.error_file, shard.output_file):  # an answer beats an error
            for row in _lines(hosts.of(shard), file, shard) if file else ():
                answer = read_line(row)
                if answer is None or answer.custom_id not in names:
                    strange += 1
                elif answer.custom_id not in found or not answer.why:
                    found[answer.custom_id] = row
        if len(found) >= min(shard.done, len(names)) or look_number == _LOOKS - 1:
            break
        say(f"annotate: {shard.file}: {len(found)} rows came of {shard.done} that are done; once more")
        hosts.wait(2.0**look_number)
    if strange:
        say(f"annotate: {shard.file}: {strange} lines belong to no request of it and are left out")
    why = shard.note or f"the batch is {shard.state}; no answer in its files"
    return [found.get(name) or missing(name, f"batch_{shard.state}", why) for name in names]


def _lines(host: Host, file: str, shard: Shard) -> Iterator[dict[str, Any]]:
    """The rows of a file at the server; a file that came in part is asked for again."""
    size = host.optional(f"look at {file}", lambda: getattr(host.client.files.retrieve(file), "bytes", None), None)

    def get() -> bytes:
        data: bytes = host.client.files.content(file).read()
        if isinstance(size, int) and size > 0 and len(data) != size:
            raise ValueError(f"{len(data):,} of {size:,} bytes came")
        last = data.rstrip(b"\n").rpartition(b"\n")[2]
        if last and _object(last) is None:
            raise ValueError("the last line is cut")
        return data

    try:
        data = host.ask(f"download of {file}", get)
    except HostError as error:
        if error.status not in (404, 410):
            raise
        say(f"annotate: {shard.file}: the server no longer has {file}")
        return
    broken = 0
    for raw in data.split(b"\n"):
        row = _object(raw) if raw.strip() else {}
        broken += row is None
        if row:
            yield row
    if broken:
        say(f"annotate: {shard.file}: {broken} lines of {file} are no JSON and are left out")


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _send(report: Report, hosts: Hosts, limits: Limits) -> int:
    """Send what is new to the server that has the other files."""
    there = next((s for s in reversed(report.shards) if s.url not in ("", LOCAL)), None)
    if there is None:
        return 0
    sent, held = send(report, hosts.of(there), limits)
    if held and not any(s.under_way for s in report.shards):
        say(f"annotate: {held}")
    return sent


def _tell(report: Report, outcome: Outcome) -> None:
    say(
        f"annotate: {len(outcome.done):,} rows have an answer, {len(outcome.failed)} failed, "
        f"{len(outcome.waiting)} are to come"
    )
    unsent = sum(s.state == NEW for s in report.shards)
    if unsent and not any(s.under_way for s in report.shards):
        say(f"annotate: {unsent} files were not sent: querywright preferences annotate upload --dir {report.folder}")
    cut = sum(a.finish == "length" for a in outcome.done.values())
    if cut:
        say(f"annotate: {cut} answers were cut at the most tokens: convert --max-tokens allows longer ones")
    if outcome.failed:
        say(f"annotate: failed ({report.folder / FAILED}): {'; '.join(outcome.reasons())}")
        say("annotate: they are sent again by: querywright preferences annotate upload --failed")
