"""Answers judged by running them: rated rows, and preference rows, of what models answered to an API's prompts.

No model judges here, so it costs nothing, takes milliseconds an answer, and two judgements of the same answers are the
same. See `levels` for what is better than what.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.api.hits import Run, Runs, run_cached
from querywright.api.identity import definition_id
from querywright.artefacts import MANIFEST, alone, is_done, read_jsonl, sha256, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.preferences.choose import Choice, Message, choose
from querywright.preferences.levels import RATINGS, SHORTER, Expected, expected_of, judge, tie
from querywright.preferences.prompts import chat_of
from querywright.preferences.rated import EXECUTION, REFERENCE, Row, rated, write_rated
from querywright.progress import say, track

PREFERENCES, REPORT = "preferences.jsonl", "report.json"
_OF_RESPONSE = ("model", "sample", "response", "finish", "tokens_in", "tokens_out", "ms")


@dataclass(frozen=True)
class Options:
    """What `querywright preferences execute` was asked for.

    Attributes:
        source: a folder that `respond` or `mix` wrote, or of rated rows.
        out: gets `rated/`, `preferences.jsonl`, `report.json` and the manifest.
        reference: whether the expected call counts as one more answer.
        shorter: where the shorter answer of a level is the better; see `levels.SHORTER`.
        rejected, seed, margin: see `choose.choose`.
    """

    source: Path
    out: Path
    reference: bool = True
    shorter: str = "right"
    rejected: str = "sample"
    seed: int = 0
    margin: float = 0.0


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
    shards = answer_files(options.source)
    tie(judge(api, Expected(), {"response": ""}), "", options.shorter)  # a word that is none of its choices
    config = {
        "stage": "preferences execute", "api": api.name, "definition": definition_id(api), "ran_on": ran_on,
        "reference": options.reference, "shorter": options.shorter, "rejected": options.rejected,
        "seed": options.seed, "margin": options.margin,
        "source": {str(path.relative_to(options.source)): sha256(path) for path in shards},
    }  # fmt: skip
    with alone(options.out):
        if is_done(options.out, config):
            say(f"{options.out}: judged already")
            return dict(json.loads((options.out / REPORT).read_text(encoding="utf-8")))
        (options.out / MANIFEST).unlink(missing_ok=True)
        rows = list(answers(options.source))
        run = run_cached(executor, patient=False) if executor is not None else None
        counts = _Counts()
        judged = [judge_row(api, row, run, options, counts) for row in track(rows, "judging prompts by execution")]
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


def answer_files(source: Path) -> list[Path]:
    """The files of answers in a folder: those of `mix` (`full/`), of `respond` (`responses/MODEL/`), or rated ones.

    Raises:
        QuerywrightError: there are none.
    """
    for inside in ("full/*.jsonl", "responses/*/*.jsonl", "rated/*.jsonl"):
        found = sorted(source.glob(inside))
        if found:
            return found
    raise QuerywrightError(
        f"no answers in {source}: no full/, no responses/MODEL/, no rated/",
        hint="querywright preferences respond --name N --target OUT writes OUT/N",
    )


def answers(source: Path) -> Iterator[Row]:
    """Each prompt with the answers of all models, in the order of the first model's files.

    Raises:
        QuerywrightError: there are none, or a row is no answer (file and row are named).
    """
    prompts: dict[str, Row] = {}
    for path in answer_files(source):
        for number, row in enumerate(read_jsonl(path), 1):
            try:
                prompt, found = _apart(row)
            except (KeyError, TypeError, ValueError) as error:
                raise QuerywrightError(
                    f"{path}, row {number}: no answer: {error}", hint="querywright preferences respond writes such rows"
                ) from None
            prompts.setdefault(prompt["prompt_hash"], prompt)["responses"] += found
    yield from prompts.values()


def _apart(row: Row) -> tuple[Row, list[Row]]:
    """A prompt row without answers, and the answers that stood in it; raises ValueError with what is wrong."""
    responses = row.get("responses")
    if responses is None:
        responses = [{name: row[name] for name in _OF_RESPONSE if name in row}]
    if not isinstance(row.get("prompt_hash"), str) or not isinstance(row.get("text"), str):
        raise ValueError("it has no prompt_hash or no text")
    if not isinstance(responses, list):
        raise ValueError("its responses are no list")
    for response in responses:
        if not isinstance(response, dict) or not isinstance(response.get("model"), str):
            raise ValueError("a response has no model")
        if not isinstance(response.get("response"), str) and response.get("finish") != "error":
            raise ValueError(f"the response of {response['model'][:40]!r} has no text")
    prompt = {k: v for k, v in row.items() if k not in _OF_RESPONSE}
    found = [{"sample": 0, **r, "response": r.get("response") or ""} for r in responses]
    return {**prompt, "responses": []}, found


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
