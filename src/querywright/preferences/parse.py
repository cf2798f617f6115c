"""What judges wrote, parsed: ratings of each response by aspect, then chosen and rejected responses.

`mix` asked a judge about the responses to a prompt once an aspect, `annotate` brought the answers back. Here each
answer becomes ratings (see `ratings`), a response's rating is their mean, and `choose` picks the pairs. What could not
be read is dropped and counted by reason; nothing is guessed. Judgements by execution can be put beside (see `execute`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, alone, apart, is_done, sha256, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError, did_you_mean
from querywright.preferences.agreement import agreements, by_model, with_others
from querywright.preferences.agreement import told as agreed
from querywright.preferences.annotate.results import RESULTS, answers
from querywright.preferences.choose import Choice, Message, choose
from querywright.preferences.judgements import Counts, aspects_of, judged, mixed, of_this_mix, requests_beside
from querywright.preferences.mixture import FULL, aspect_files
from querywright.preferences.prompts import chat_of, shards
from querywright.preferences.rated import EXECUTION, REFERENCE, Row, key, read_rated, together, write_rated
from querywright.preferences.rating_values import RATED
from querywright.progress import say, track

PREFERENCES, REPORT = "preferences.jsonl", "report.json"
COMBINE = {
    "mean": "every aspect, and execution, counts the same",
    "execution": "execution decides, and the aspects where it rates alike",
}
_MANY, _APART = 200, 0.4
"""Ratings from which on a judge's mean by place is known to 0.15 or so, and a difference that is worth a warning."""


@dataclass(frozen=True)
class Options:
    """What `querywright preferences parse` was asked for.

    Attributes:
        source: the folder that `mix` wrote (`OUT/NAME`).
        annotations: the folder that `annotate` filled, or one of results files.
        out: gets `rated/`, `preferences.jsonl`, `report.json` and the manifest.
        execution: a folder that `execute` wrote, whose ratings are put beside those of the aspects.
        combine: how, one of COMBINE.
        compare: folders of rated rows of other judges, for the agreement only.
        rejected, seed, margin: see `choose.choose`.
        asked_as: what `render` depends on, for the manifest.
    """

    source: Path
    annotations: Path
    out: Path
    execution: Path | None = None
    combine: str = "mean"
    compare: Sequence[Path] = ()
    rejected: str = "sample"
    seed: int = 0
    margin: float = 0.0
    asked_as: str = ""


def parse(options: Options, render: Callable[[Row], list[Message]] = chat_of) -> dict[str, Any]:
    """Read the judges' answers and choose; returns the report. Run again on the same, it does nothing.

    Args:
        render: the messages that a prompt row is asked with.

    Raises:
        QuerywrightError: no mix or no answers there, rows that are damaged, or answers of another mix.
    """
    if options.combine not in COMBINE:
        near = did_you_mean(options.combine, [*COMBINE])
        raise QuerywrightError(f"--combine {options.combine!r}{near}", hint=f"one of {', '.join(COMBINE)}")
    for read in (options.source, options.annotations, *_others(options)):
        apart(read, output=options.out)
    config = _config(options)
    aspects = config["aspects"]
    with alone(options.out):
        if is_done(options.out, config):
            say(f"{options.out}: parsed already")
            return dict(json.loads((options.out / REPORT).read_text(encoding="utf-8")))
        counts = Counts(aspects)
        said = of_this_mix(answers(options.annotations), options.source, options.annotations, counts)
        rows = list(track(judged(mixed(options.source), said, counts), "parsing judgements"))
        if not counts.answered:
            raise QuerywrightError(
                f"none of the {counts.foreign} answers in {options.annotations} is to a request of {options.source}",
                hint="--input is the mix that `annotate convert` was given",
            )
        if options.execution is not None:
            rows = list(combined(rows, read_rated(options.execution), options.combine))
        report = counts.report(rows)
        report["agreement"] = agreements(rows, report["aspects"])
        report["agreement"] += [with_others(rows, read_rated(folder), str(folder)) for folder in options.compare]
        choice = choose(rows, rejected=options.rejected, seed=options.seed, margin=options.margin, render=render)
        report["preferences"] = choice.report()
        (options.out / MANIFEST).unlink(missing_ok=True)
        names = write_rated(options.out, rows)
        write_jsonl(options.out / PREFERENCES, choice.rows)
        write_json(options.out / REPORT, report)
        files = [*names, PREFERENCES, REPORT]
        write_manifest(options.out, config, files, rows={"rated": len(rows), "preferences": len(choice.rows)})
    for line in told(report, choice):
        say(line)
    return report


def _config(options: Options) -> dict[str, Any]:
    """What decides the outcome: the options, and the hashes of all files that are read.

    Raises:
        QuerywrightError: there is no mix, or there are no answers.
    """
    mixed = shards(options.source / FULL)
    if not mixed:
        raise QuerywrightError(
            f"no mixed responses in {options.source}: no {FULL}/00000.jsonl",
            hint="querywright preferences mix --name N --output OUT writes OUT/N",
        )
    inside = options.annotations / RESULTS
    results = sorted((inside if inside.is_dir() else options.annotations).glob("*.jsonl"))
    begun = bool(requests_beside(options.annotations)) and not inside.is_dir()
    if begun and options.annotations.name != RESULTS:  # its other files are no answers
        raise QuerywrightError(
            f"no judge's answers in {options.annotations} yet: it holds requests only",
            hint="querywright preferences annotate local goes on; of a batch, annotate upload and download --wait",
        )
    if not results:
        raise QuerywrightError(
            f"no judge's answers in {options.annotations}: no {RESULTS}/*.jsonl",
            hint="querywright preferences annotate download, or annotate local, puts them there",
        )
    rest = [path for folder in _others(options) for path in sorted(folder.glob("**/*.jsonl"))]
    asked = [path for paths in aspect_files(options.source).values() for path in paths]
    asked += requests_beside(options.annotations)
    return {
        "stage": "preferences parse", "aspects": aspects_of(options.source), "combine": options.combine,
        "rejected": options.rejected, "seed": options.seed, "margin": options.margin, "asked_as": options.asked_as,
        "execution": str(options.execution or ""), "compare": [str(folder) for folder in options.compare],
        "source": {str(path): sha256(path) for path in [*mixed, *asked, *results, *rest]},
    }  # fmt: skip


def _others(options: Options) -> list[Path]:
    return [folder for folder in (options.execution, *options.compare) if folder is not None]


def combined(rows: Iterable[Row], executed: Iterable[Row], how: str) -> Iterator[Row]:
    """Rated rows with the ratings by execution beside, of the mix's prompts and responses; the expected call joins.

    With `how` = `execution` the rating is that of execution, and the aspects' mean orders what it rates alike; a prompt
    that could not be judged by execution keeps the aspects' ratings.

    Raises:
        QuerywrightError: they have no prompt in common.
    """
    rows = list(rows)
    known = {row["prompt_hash"]: {(key(r), r["response"]) for r in row["responses"]} for row in rows}
    kept = []
    for row in executed:
        ours = known.get(row["prompt_hash"])
        if ours is not None:
            beside = [r for r in row["responses"] if (key(r), r["response"]) in ours or r["model"] == REFERENCE]
            kept.append({**row, "responses": beside})
    if not kept:
        raise QuerywrightError(
            "none of the prompts judged by execution is in the mix", hint="execute and mix are given the same responses"
        )
    for row in together(rows, kept):
        exact = any(r["ratings"].get(EXECUTION) is not None for r in row["responses"])
        # two scales within a row would compare what can't be compared, so all of its responses go one way
        if how == "execution" and exact:
            yield {**row, "responses": _exact(row["responses"])}
        else:  # the shorter call of a level is no better where other things count
            yield {**row, "responses": [{k: v for k, v in r.items() if k != "tie"} for r in row["responses"]]}


def _exact(responses: Sequence[Row]) -> list[Row]:
    """Responses with the rating of execution, and a tie by the aspects' mean. One without such a mean is the expected
    call, which is right by definition: no worse than any other."""
    opinions = [by_model(r) for r in responses]
    best = max((value for value in opinions if value is not None), default=0.0)
    return [
        {**r, "rating": r["ratings"].get(EXECUTION), "tie": best if value is None else value}
        for r, value in zip(responses, opinions, strict=True)
    ]


def told(report: dict[str, Any], choice: Choice) -> Iterator[str]:
    """The report in a few lines."""
    yield f"{report['prompts']} prompts, judged by {', '.join(report['aspects'])}"
    if report["not_asked"]:
        yield f"no answers for {', '.join(report['not_asked'])}: a rating is the mean of the others"
    for aspect in report["aspects"]:
        read, texts = report["answers"][aspect], report["texts"].get(aspect, {})
        yield f"{aspect}: answers {_counted(read)}; texts {_counted(texts)}"
        places = [value for value in report["by_place"][aspect] if value is not None]
        if texts.get(RATED, 0) >= _MANY and max(places) - min(places) >= _APART:
            shown = ", ".join(f"{value:.1f}" for value in places)
            yield f"{aspect}: the judge goes by the place of a text, which is drawn: mean ratings {shown}"
    for why, n in report["failed"].items():
        yield f"{n} requests failed: {why}"
    if report["other_mix"]:
        yield f"{report['other_mix']} answers are to requests that are not of this mix, and are left alone"
    yield from agreed(report["agreement"])
    yield from choice.told()


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "none"
