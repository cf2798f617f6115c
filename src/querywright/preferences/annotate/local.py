"""The same requests to a judge on this machine, or at a server without a Batch API; the same results files.

Every answer is on the disk before it counts (`answers.jsonl`), so a run that was killed, or stopped by its budget, goes
on; a results file appears when all its requests were asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from querywright.artefacts import read_jsonl, write_jsonl
from querywright.engines.base import Grammar
from querywright.engines.budget import Budget, ended
from querywright.engines.sender import Prompt, Sender
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.again import ask_again, round_of
from querywright.preferences.annotate.report import LOCAL, Outcome, Report, Shard, reported
from querywright.preferences.annotate.results import answered, missing
from querywright.progress import say, track

ANSWERS = "answers.jsonl"
_MAX_TOKENS = 512  # where a request does not say


def judge(
    folder: Path, sender: Sender, *, failed: bool = False, most_tries: int = 3, form: Grammar | None = None
) -> tuple[Report, Outcome]:
    """Ask a judge what was not asked yet.

    Args:
        sender: to the judge; its ledger is `answers.jsonl` in the folder.
        failed: first put the rows that have no answer into files of their own, to be asked once more.
        most_tries: how often a row is asked in all.
        form: what every answer has to match, such as `ratings.form()`.

    Raises:
        QuerywrightError: there are no requests, a server has them all, the judge is gone, or the budget ended; its
            answers are kept.
    """
    with reported(folder) as report:
        report.complete()
        if failed:
            ask_again(report, most_tries)
        report.save()
        todo = [s for s in report.shards if not report.results(s).is_file()]
        elsewhere = [s for s in todo if s.batch_id and s.url != LOCAL]
        if elsewhere:
            say(f"annotate: {len(elsewhere)} files are at {elsewhere[0].url}: annotate download gets them")
        todo = [s for s in todo if s not in elsewhere]
        left, named = 0, {s.file: s for s in todo}
        asked = track(
            _asked(report, todo, sender, form), "annotate", total=sum(s.rows for s in todo), note=sender.state
        )
        for file, answers in groupby(asked, key=lambda one: one[0].file):
            rows = [row for _, row in answers]
            if None in rows:
                left += rows.count(None)
            else:
                _keep(report, named[file], sender, [row for row in rows if row is not None])
        outcome = report.outcome()
        report.write_failed(outcome)
        report.save()
    _tell(outcome, sender.budget)
    if left:
        raise ended(left, "rows", folder)
    return report, outcome


def _prompt(row: dict[str, Any], form: Grammar | None, seed: int) -> tuple[str, Prompt]:
    body = row.get("body")
    try:
        name, messages = str(row["custom_id"]), list(body["messages"])  # type: ignore[index]
        most = int(body.get("max_completion_tokens") or body.get("max_tokens") or _MAX_TOKENS)  # type: ignore[union-attr]
        warmth = float(body.get("temperature") or 0.0)  # type: ignore[union-attr]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise QuerywrightError(f"a request has no {error}", hint="annotate convert makes them") from error
    return name, Prompt(messages, grammar=form, max_tokens=most, temperature=warmth, seed=seed)


def _asked(
    report: Report, todo: list[Shard], sender: Sender, form: Grammar | None
) -> Iterator[tuple[Shard, dict[str, Any] | None]]:
    """The lines of the results, shard by shard; None for requests that the budget left out."""
    for shard in todo:
        seed = round_of(shard.file)  # a row that failed is asked anew, not answered from the ledger
        requests = [_prompt(row, form, seed) for row in read_jsonl(report.requests(shard))]
        texts = sender.texts(prompt for _, prompt in requests)
        for (name, prompt), text in zip(requests, texts, strict=True):
            yield shard, None if text is None else _row(sender, name, prompt, text)


def _row(sender: Sender, name: str, prompt: Prompt, text: str) -> dict[str, Any]:
    key = sender.key(prompt)
    if not text.strip():
        return missing(name, "no_answer", sender.reasons.get(key) or "an empty answer")
    kept = sender.ledger.rows.get(key, {})
    tokens = {k: int(kept.get(k) or 0) for k in ("tokens_in", "tokens_out")}
    return answered(name, text, model=sender.model, finish=str(kept.get("finish") or "stop"), **tokens)


def _keep(report: Report, shard: Shard, sender: Sender, rows: list[dict[str, Any]]) -> None:
    write_jsonl(report.results(shard), rows)
    shard.batch_id = shard.url = LOCAL
    shard.state, shard.tries, shard.note = "completed", shard.tries + 1, sender.model
    report.note_results(shard)
    report.save()


def _tell(outcome: Outcome, budget: Budget) -> None:
    say(f"annotate: {len(outcome.done):,} rows have an answer, {len(outcome.failed)} failed; {budget}")
    if outcome.failed:
        say(f"annotate: failed: {'; '.join(outcome.reasons())}; --failed asks them again")
