"""Files of requests to a server, a batch of each: sent once, also by a client that was killed in the middle.

The file's name at the server and the batch's metadata are made of the content. What the server has already is found
there, so neither a file nor a batch is made twice, even where `batches.csv` was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, sha256
from querywright.engines.budget import most_tokens
from querywright.engines.files import files_at, listed, send_file
from querywright.engines.host import OPENAI, Host, line
from querywright.engines.keys import bare
from querywright.engines.prices import Price
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.again import ask_again
from querywright.preferences.annotate.convert import ENDPOINT
from querywright.preferences.annotate.report import NEW, Report, Shard, max_tokens_of, reported
from querywright.preferences.annotate.results import answers_in
from querywright.progress import say

_WINDOW = "24h"  # the only one that OpenAI has


@dataclass(frozen=True)
class Limits:
    """What is not gone beyond.

    Attributes:
        waiting: tokens of prompts that the server has at once, about; servers refuse batches beyond their own limit.
        price: of the model, where `budget` is given.
        budget: money that everything sent from this folder may cost at most.
    """

    waiting: int | None = None
    price: Price | None = None
    budget: float | None = None


def upload(
    folder: Path, url: str = OPENAI, *, limits: Limits | None = None, failed: bool = False, most_tries: int = 3,
    wait: Callable[[float], None] = time.sleep,
) -> Report:  # fmt: skip
    """Send the files that were not sent yet.

    Args:
        url: the server's address up to and including the version.
        failed: first put the rows that have no answer into files of their own, to be asked once more.
        most_tries: how often a row is asked in all.
        wait: how to sleep between tries; a test's own takes no time.

    Raises:
        QuerywrightError: there are no requests, the server refuses, or does not answer; what was sent is noted.
    """
    checked(url)
    with reported(folder) as report:
        report.complete()
        if failed:
            ask_again(report, most_tries)
        report.save()
        host = Host(url, wait=wait)
        sent, held = send(report, host, limits or Limits())
        under_way = sum(s.under_way for s in report.shards)
        say(f"annotate: {sent} files sent, {under_way} under way" + (f"; {held}" if held else ""))
        if not sent and not held and not under_way:
            say(f"annotate: nothing to send in {folder}; rows without an answer: --failed")
    return report


def send(report: Report, host: Host, limits: Limits) -> tuple[int, str]:
    """Send what is new, as far as the limits allow; notes each step.

    Returns:
        How many files were sent, and why the others were held back; empty where none was.
    """
    sent = 0
    spent = _spent(report, limits)
    files: list[Any] | None = None
    batches: list[Any] | None = None
    for shard in report.shards:
        if shard.state != NEW or shard.batch_id or report.results(shard).is_file():
            continue
        spent += _most(report, shard, limits)
        if why := _held_back(report, shard, limits, spent):
            return sent, why
        if shard.url != host.url:
            shard.url, shard.file_id = host.url, ""
        data = report.requests(shard).read_bytes()
        files = files_at(host, "batch") if files is None else files
        shard.file_id = send_file(host, data, "batch", f"requests/{shard.file}", shard.file_id, files)
        report.save()
        batches = _batches(host) if batches is None else batches
        batch = _batch(host, shard, sha256(report.requests(shard)), batches)
        shard.batch_id, shard.state, shard.note = str(batch.id), line(batch.status), ""
        shard.tries += 1
        shard.sent_at = datetime.now(UTC).isoformat(timespec="seconds")
        report.save()
        say(f"annotate: {shard.file}: {shard.rows:,} rows, batch {line(batch.id)}, {shard.state}")
        sent += 1
    return sent, ""


def checked(url: str) -> None:
    """Refuse an address that holds a password: it would stand in `batches.csv`.

    Raises:
        QuerywrightError: it does.
    """
    if not bare(url):
        raise QuerywrightError(
            "--base-url holds a name, a password or a query", hint="export QUERYWRIGHT_SERVER_KEY=... instead"
        )


def _held_back(report: Report, shard: Shard, limits: Limits, spent: float) -> str:
    """Why a file can't be sent now; `spent` is what everything will have cost with it, at most."""
    waiting = [s for s in report.shards if s.under_way]
    if limits.waiting is not None and sum(s.tokens for s in waiting) + shard.tokens > limits.waiting:
        if not waiting:
            raise QuerywrightError(
                f"{shard.file} alone has about {shard.tokens:,} tokens, more than --most-waiting {limits.waiting:,}",
                hint="annotate convert --tokens-per-shard makes smaller files",
            )
        return f"the others wait until fewer than {limits.waiting:,} tokens are under way (annotate download --wait)"
    if limits.budget is not None and spent > limits.budget:
        return f"the budget of {limits.budget:g} does not allow {shard.file}: {spent:.4f} with it, at most"
    return ""


def _spent(report: Report, limits: Limits) -> float:
    """Money that what was sent has cost: as the server counted where it has answered, else at most.

    Raises:
        QuerywrightError: there is a budget and no price.
    """
    if limits.budget is None:
        return 0.0
    if limits.price is None:
        raise QuerywrightError("--budget needs a price", hint="--price-in and --price-out, or data/prices.yaml")
    total = 0.0
    for shard in report.shards:
        if report.results(shard).is_file():
            found = answers_in(report.results(shard)).values()
            total += limits.price.cost(sum(a.tokens_in for a in found), sum(a.tokens_out for a in found))
        elif shard.batch_id:
            total += _most(report, shard, limits)
    return total


def _most(report: Report, shard: Shard, limits: Limits) -> float:
    if limits.price is None:
        return 0.0
    answer = max_tokens_of(report.requests(shard))
    if not answer:
        raise QuerywrightError(
            f"the requests in {shard.file} may be answered at any length, so --budget can't hold",
            hint="annotate convert --max-tokens; and no null for it in --body",
        )
    return limits.price.cost(most_tokens(shard.tokens), shard.rows * answer)


def _batches(host: Host) -> list[Any]:
    """The batches that a server lists; none where it can't."""
    return host.optional("list of batches", lambda: listed(host.client.batches.list(limit=100)), [])


def _batch(host: Host, shard: Shard, digest: str, there: list[Any]) -> Any:
    """The server's batch of a file: one that it has under our key, or a new one.

    Args:
        there: the server's batches; after a failure they are listed again.
    """
    key = content_id(f"{digest}\n{shard.file}\n{shard.tries}", 24)
    looked = [there]

    def create() -> Any:
        for batch in looked.pop() if looked else _batches(host):
            if (getattr(batch, "metadata", None) or {}).get("querywright") == key:
                say(f"annotate: {shard.file}: the server has this batch already: {line(batch.id)}")
                return batch
        made = host.client.batches.create(
            input_file_id=shard.file_id, endpoint=ENDPOINT, completion_window=_WINDOW, metadata={"querywright": key}
        )
        if not getattr(made, "id", "") or not getattr(made, "status", ""):
            raise ValueError("an answer without a batch's id and status")
        return made

    return host.ask(f"batch of {shard.file}", create)
