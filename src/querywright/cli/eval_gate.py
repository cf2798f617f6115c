"""`querywright eval gate`: whether a model that was trained further, by DPO for example, is still as good as before."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Option


def gate(
    api: Annotated[str, Option("--api", help="A shipped API's name, or a definition file.")],
    before: Annotated[
        str, Option("--before", help="What it was trained from: a GGUF file, a folder, URL#NAME, `base` or `tuned`.")
    ],
    after: Annotated[str, Option("--after", help="What came out of it; best a file of the same kind.")],
    pairs: Annotated[
        Path | None, Option("--pairs", help="The frozen test set; default: test.jsonl in work/API/pairs.")
    ] = None,
    decoding: Annotated[
        str, Option("--decoding", help="The one that is served, then others, with commas between them.")
    ] = "grounded,free",
    limit: Annotated[int | None, Option("--limit", min=1, help="Only so many sentences, always the same.")] = None,
    trained_on: Annotated[
        list[Path] | None, Option("--trained-on", help="What it learnt, to refuse sentences that are in it.")
    ] = None,
    margin: Annotated[float, Option("--margin", min=0, max=1, help="How much worse is not worse.")] = 0.05,
    shape_bound: Annotated[
        float, Option("--shape-bound", min=0, max=1, help="How much worse a shape of query may get.")
    ] = 0.15,
    shape_rows: Annotated[
        int, Option("--shape-rows", min=1, help="Sentences from which on a shape is looked at.")
    ] = 10,
    alpha: Annotated[float, Option("--alpha", min=0, max=1, help="Of the test that it is better.")] = 0.05,
    better: Annotated[bool, Option("--better", help="Keep it only if it is better, too.")] = False,
    records: Annotated[str, Option("--records", help="What calls are run on; else the definition's records.")] = "",
    execute: Annotated[bool, Option("--execute/--no-execute", help="Also compare what the calls find.")] = True,
    max_tokens: Annotated[int, Option("--max-tokens", min=8, max=2048, help="Of an answer.")] = 200,
    threads: Annotated[int | None, Option("--threads", min=1, help="Half of the cores by default.")] = None,
    out: Annotated[Path | None, Option("--out", help="Folder of gate.json; default: one in work/API/gate.")] = None,
    answers: Annotated[
        Path | None, Option("--answers", help="Folder of the answers, each asked for once; default: in --out's.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print the decision as JSON.")] = False,
) -> None:
    """Keep a model that was trained further, or drop it: both answer the frozen test set, before and after.

    It is kept only if it is not worse, within bounds, in right and in valid answers, under the decoding that is served
    and under free decoding, and no shape of query got worse. Exit code 0: keep; 1: drop. Stopped, the same command goes
    on. Every figure: OUT/gate.json.
    """
    from rich.console import Console

    from querywright.api.definition import load
    from querywright.api.records import source_of
    from querywright.artefacts import alone, write_json
    from querywright.cli.eval_models import records as opened
    from querywright.cli.eval_models import sources_of
    from querywright.evaluate import gate as room
    from querywright.evaluate import suite
    from querywright.evaluate.decision import Bounds
    from querywright.evaluate.learnt import refuse_learnt
    from querywright.evaluate.score import finite
    from querywright.progress import say

    definition = load(api)
    home = Path("work") / definition.name / "gate"
    kept = answers or (home if out is None else out) / "answers"
    config = room.plan(
        api, before, after, kept, pairs=str(pairs or home.parent / "pairs" / "test.jsonl"), decodings=decoding,
        limit=limit, max_tokens=max_tokens, threads=threads, records=records, execute=execute,
    )  # fmt: skip
    room.look_for(config)
    folder = out or home / room.label(after)
    if trained_on:
        refuse_learnt(suite.load(definition, config.pairs, config.seed)[: config.limit], trained_on)
    if config.execute and config.records:
        source_of(definition, config.records)  # a misspelt file is said now, not after all answers
    with alone(kept):
        bounds = Bounds(alpha, margin, shape_bound, shape_rows)
        found = partial(opened, config, definition)
        made = finite(room.gate(definition, config, sources_of, bounds, must_gain=better, records=found))
        write_json(folder / room.FILE, made)
    if as_json:
        print(json.dumps({key: value for key, value in made.items() if key != "changed"}))
    else:
        console = Console()
        (console if console.is_terminal else Console(width=130)).print(room.table(made))
    for reason in made["reasons"]:
        say(f"drop: {reason}")
    say(f"{'keep' if made['keep'] else 'drop'}; every figure, and the sentences won and lost: {folder / room.FILE}")
    if not made["keep"]:
        raise typer.Exit(1)
