"""Answers judged by running them: rated rows, and preference rows, of what models answered to an API's prompts.

No model judges here, so it costs nothing, takes milliseconds an answer, and two judgements of the same answers are the
same. See `levels` for what is better than what.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.hits import Found, Run, Runs, run_cached
from querywright.api.identity import definition_id
from querywright.artefacts import (
    MANIFEST,
    alone,
    apart,
    content_id,
    is_done,
    numbered_jsonl,
    sha256,
    write_json,
    write_jsonl,
    write_manifest,
)
from querywright.engines.ledger import Ledger
from querywright.errors import QuerywrightError
from querywright.preferences.choose import Choice, Message, choose
from querywright.preferences.draw import PROMPTS, RESPONSES
from querywright.preferences.draw import answers as answers_of
from querywright.preferences.levels import RATINGS, SHORTER, Expected, Judgement, expected_of, judge, tie
from querywright.preferences.mixture import FULL
from querywright.preferences.prompts import chat_of, read_shards, shards
from querywright.preferences.rated import EXECUTION, RATED, REFERENCE, Row, rated, write_rated, wrong
from querywright.progress import say, track
from querywright.rows import turns_of

PREFERENCES, REPORT, RAN = "preferences.jsonl", "report.json", "ran.jsonl"


@dataclass(frozen=True)
class Options:
    """What `querywright preferences execute` was asked for.

    Attributes:
        source: a folder that `respond` or `mix` wrote, or of rated rows.
        out: gets `rated/`, `preferences.jsonl`, `report.json` and the manifest.
        reference: whether the expected call counts as one more answer.
        shorter: where the shorter answer of a level is the better; see `levels.SHORTER`.
        rejected, seed, margin: see `choose.choose`.
        remember: keep what each call found in `ran.jsonl`, so that a run over a network that was stopped goes on.
    """

    source: Path
    out: Path
    reference: bool = True
    shorter: str = "right"
    rejected: str = "sample"
    seed: int = 0
    margin: float = 0.0
    remember: bool = False


def execute(
    api: API,
    options: Options,
    executor: Runs | None,
    ran_on: str = "",
    render: Callable[[Row], list[Message]] = chat_of,
) -> dict[str, Any]:
    """Judge the answers in a folder and choose; returns the report. Run again on the same, it does nothing.

    Args:
        executor: runs the calls; None compares meanings only.
        ran_on: what the executor answers from, for the manifest.
        render: the messages that a prompt row is asked with.

    Raises:
        QuerywrightError: no answers there, rows that are damaged, no prompt that expects anything and nothing to run
            calls on, or a service that can't be reached.
    """
    apart(options.source, output=options.out)
    read = answer_files(options.source)
    if _models(options.source) and not (options.source / MANIFEST).is_file():
        say(f"note: `respond` was stopped before the end of {options.source}: only what is there is judged")
    tie(Judgement(""), "", options.shorter)  # a word that is none of its choices is said before anything is run
    choose([], rejected=options.rejected, margin=options.margin)
    config = {
        "stage": "preferences execute", "api": api.name, "definition": definition_id(api), "ran_on": ran_on,
        "reference": options.reference, "shorter": options.shorter, "rejected": options.rejected,
        "seed": options.seed, "margin": options.margin,
        "source": {str(path.relative_to(options.source)): sha256(path) for path in read},
    }  # fmt: skip
    with alone(options.out):
        if is_done(options.out, config):
            say(f"{options.out}: judged already")
            return dict(json.loads((options.out / REPORT).read_text(encoding="utf-8")))
        rows = answers(options.source)
        counts = _Counts()
        with _running(executor, options, f"{ran_on} {config['definition']}") as run:
            judged = [judge_row(api, row, run, options, counts) for row in track(rows, "judging prompts by execution")]
        (options.out / MANIFEST).unlink(missing_ok=True)
        names = write_rated(options.out, judged)
        choice = choose(
            judged, rejected=options.rejected, seed=options.seed, margin=options.margin, render=render
        )  # fmt: skip
        write_jsonl(options.out / PREFERENCES, choice.rows)
        report = {"api": api.name, "ran_on": ran_on, **counts.report(), "preferences": choice.report()}
        report["preferences"]["pairs"] = _kinds(choice)
        write_json(options.out / REPORT, report)
        files = [*names, PREFERENCES, REPORT]
        write_manifest(options.out, config, files, rows={"rated": len(judged), "preferences": len(choice.rows)})
    for line in (*told(report, options), *choice.told()):
        say(line)
    return report


@contextmanager
def _running(executor: Runs | None, options: Options, ran_on: str) -> Iterator[Run | None]:
    """What runs calls, each once; where it is asked for, once over all runs of the command."""
    if executor is None:
        yield None
        return
    run = run_cached(executor, patient=False)
    if not options.remember:
        yield run
        return
    ledger = Ledger(options.out / RAN)

    def once(call: Call) -> Found | None:
        key = content_id(f"{ran_on}\n{call.canonical}", 32)
        if (text := ledger.get(key)) is None:
            found = run(call)
            ledger.put(key, json.dumps(found and [found[0], sorted(found[1])]))
            return found
        known = json.loads(text)
        return known and (int(known[0]), frozenset(known[1]))

    try:
        yield once
    finally:
        ledger.close()


def answer_files(source: Path) -> list[Path]:
    """The files of answers in a folder: what `respond` wrote (`responses/MODEL/`), `mix` (`full/`), or rated rows.

    Raises:
        QuerywrightError: there are none.
    """
    if models := _models(source):
        return [*shards(source / PROMPTS), *(path for m in models for path in shards(source / RESPONSES / m))]
    found = shards(source / FULL) or shards(source / RATED)
    if not found:
        raise QuerywrightError(
            f"no answers in {source}: no {RESPONSES}/MODEL/, no {FULL}/, no {RATED}/",
            hint="querywright preferences respond --name N --target OUT writes OUT/N",
        )
    return found


def answers(source: Path) -> list[Row]:
    """Each prompt with the answers of all models that have some.

    Raises:
        QuerywrightError: there are none, or a row is no answer (file and row are named).
    """
    files = answer_files(source)
    if models := _models(source):
        prompts = {str(row.get("prompt_hash")): row for row in read_shards(source / PROMPTS)}
        found = answers_of(source, models, prompts)
        rows = [{**row, "responses": _of_all(found.get(key, {}))} for key, row in prompts.items()]
        return [_checked(row, f"{source / PROMPTS}, prompt {key}") for key, row in zip(prompts, rows, strict=True)]
    return [_checked(row, f"{path}:{number}") for path in files for number, row in numbered_jsonl(path)]


def _models(source: Path) -> list[str]:
    folder = source / RESPONSES
    return sorted(p.name for p in folder.iterdir() if shards(p)) if folder.is_dir() else []


def _of_all(found: Mapping[str, Sequence[Row]]) -> list[Row]:
    return [{**response, "model": model} for model, mine in found.items() for response in mine]


def _checked(row: Row, where: str) -> Row:
    """A row whose answers have a place for ratings; those of other judges stay."""
    responses = row.get("responses")
    if isinstance(responses, list) and all(isinstance(r, dict) for r in responses):
        row = {**row, "responses": [{"sample": 0, "ratings": {}, **r} for r in responses]}
    if reason := wrong(row):
        raise QuerywrightError(f"{where}: {reason}", hint="querywright preferences respond or mix writes such rows")
    return {**row, "turns": turns_of(row, where)} if row.get("turns") else row


class _Counts:
    """What was judged."""

    def __init__(self) -> None:
        self.prompts = self.expecting = 0
        self.damaged: list[str] = []
        self.levels: dict[str, Counter[str]] = {}
        self.best: Counter[str] = Counter()

    def report(self) -> dict[str, Any]:
        order = sorted(RATINGS, key=lambda level: -RATINGS[level])
        levels = {
            model: {level: counts[level] for level in [*order, ""] if counts[level]}
            for model, counts in sorted(self.levels.items())
        }
        return {
            "prompts": self.prompts, "expecting": self.expecting, "no_call_expected": len(self.damaged),
            "examples": self.damaged[:5], "levels": levels,
            "best_of_models": {level: self.best[level] for level in order if self.best[level]},
        }  # fmt: skip


def judge_row(api: API, row: Row, run: Run | None, options: Options, counts: _Counts | None = None) -> Row:
    """A prompt row whose answers have the rating `execution`; with the expected answer among them where it is wanted.

    A row whose own `path` is no call to the API keeps its answers unrated: nothing is known of what was meant.
    """
    counts = counts or _Counts()
    counts.prompts += 1
    try:
        expected: Expected | None = expected_of(api, row)
    except QuerywrightError as error:
        expected = None
        counts.damaged.append(f"{row['prompt_hash']}: {error}")
    responses = [r for r in row["responses"] if r["model"] != REFERENCE]
    if expected is not None and expected.text:
        counts.expecting += 1
        if options.reference:
            responses.append({"model": REFERENCE, "sample": 0, "response": expected.text})
    done = []
    levels = []
    for response in responses:
        if expected is None:
            done.append(rated(response, {EXECUTION: None}, why={EXECUTION: "what is expected is no call"}))
            continue
        found = judge(api, expected, response, run)
        better = tie(found, response["response"], options.shorter)
        done.append(rated(response, {EXECUTION: found.rating}, why={EXECUTION: found.why}))
        done[-1] |= {} if better is None else {"tie": better}
        counts.levels.setdefault(response["model"], Counter())[found.level] += 1
        if response["model"] != REFERENCE and found.level:
            levels.append(found.level)
    if levels:
        counts.best[max(levels, key=RATINGS.__getitem__)] += 1
    return {**row, "responses": done}


def _kinds(choice: Choice) -> dict[str, int]:
    """Preference rows by the levels of their two answers, the commonest first."""
    names = {rating: level for level, rating in RATINGS.items()}
    kinds: Counter[str] = Counter()
    for row in choice.rows:
        sides = (names.get(row["ratings"][side].get(EXECUTION), "unjudged") for side in ("chosen", "rejected"))
        kinds[" over ".join(sides)] += 1
    return dict(kinds.most_common())


def told(report: dict[str, Any], options: Options) -> Iterator[str]:
    """The judgement in a few lines: how good each model is, and what could not be judged."""
    yield f"{report['prompts']} prompts judged, {report['expecting']} with a call or a refusal that is expected"
    for model, levels in report["levels"].items():
        if model == REFERENCE:
            continue
        total = sum(levels.values())
        shares = (f"{n} {level or 'not judged'} ({100 * n / total:.0f} %)" for level, n in levels.items())
        yield f"{model}: {total} answers: {', '.join(shares)}"
    if report["no_call_expected"]:
        yield f"{report['no_call_expected']} prompts not judged: {report['examples'][0]}"
    if report["expecting"] < report["prompts"] - report["no_call_expected"]:
        yield "prompts without `path`: valid answers beat invalid ones there, nothing else can be compared"
    if options.shorter != "off":
        yield f"of answers of one level the shorter is better {SHORTER[options.shorter]} (--shorter off: nowhere)"
