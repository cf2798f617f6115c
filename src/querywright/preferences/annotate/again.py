"""Requests that have no answer, in files of their own, to be asked once more."""

from __future__ import annotations

import re

from querywright.artefacts import read_jsonl, replacing
from querywright.preferences.annotate.report import FAILED, Report, Shard, as_lines, request_tokens
from querywright.progress import say

_AGAIN = re.compile(r"again-(\d+)-(.+)-\d{5}\.jsonl")


def ask_again(report: Report, most_tries: int) -> list[Shard]:
    """Write `requests/again-N-ASPECT-00000.jsonl` for the rows that failed, no larger than the files they come from.

    Args:
        most_tries: rows that were asked so often are left alone; they stay in `failed.csv`.
    """
    outcome = report.outcome()
    report.write_failed(outcome)
    wanted = {name for name in outcome.failed if outcome.tries[name] < most_tries}
    spent = len(outcome.failed) - len(wanted)
    if spent:
        say(f"annotate: {spent} rows failed {most_tries} times and are not asked again (--most-tries); see {FAILED}")
    number = max(round_of(s.file) for s in report.shards) + 1
    made: list[Shard] = []
    for shard in list(report.shards):
        names = {name for name in wanted if outcome.failed[name][0] == shard.file}
        if not names:
            continue
        rows = [row for row in read_jsonl(report.requests(shard)) if row.get("custom_id") in names]
        aspect = _aspect(shard.file)
        part = sum(_aspect(s.file) == aspect for s in made)
        new = Shard(f"again-{number}-{aspect}-{part:05d}.jsonl", len(rows), tokens=sum(map(request_tokens, rows)))
        data = as_lines(rows)
        new.bytes = len(data)
        with replacing(report.requests(new), "wb") as file:
            file.write(data)
        report.shards.append(new)
        made.append(new)
    if made:
        report.save()
        say(f"annotate: {sum(s.rows for s in made)} rows without an answer are asked again, in {len(made)} files")
    return made


def round_of(file: str) -> int:
    """How often the rows of a file were asked before it."""
    found = _AGAIN.fullmatch(file)
    return int(found[1]) if found else 0


def _aspect(file: str) -> str:
    """`helpfulness` of `helpfulness-00000.jsonl` and of `again-1-helpfulness-00000.jsonl`."""
    found = _AGAIN.fullmatch(file)
    return found[2] if found else file.rpartition("-")[0]
