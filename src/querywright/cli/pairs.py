"""`querywright pairs`: make, verify, split, export, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from querywright.artefacts import read_jsonl, write_jsonl

app = typer.Typer(help="Instruction/query pairs, each step on files.", no_args_is_help=True)

Api = Annotated[str, typer.Option("--api", help="a shipped API's name, or a definition file")]

Out = Annotated[Path, typer.Option("--out", help="where the result goes")]


@app.command()
def make(
    api: Api,
    out: Annotated[Path, typer.Option(help="folder for pairs.jsonl")],
    calls: Annotated[Path | None, typer.Option(help="kept calls of `logs build` (calls.jsonl)")] = None,
    most: Annotated[int, typer.Option(help="at most so many kept calls, dealt out over their signatures")] = 2000,
    draw: Annotated[int, typer.Option(help="calls drawn from the schema beside the log's")] = 2000,
    per_call: Annotated[int, typer.Option(help="sentences for each kept call")] = 3,
    records: Annotated[
        str | None, typer.Option(help="where values come from: a JSONL file, or goatools; else the definition's")
    ] = None,
    style: Annotated[
        str, typer.Option(help="broad: many ways to say a thing; narrow: one (to measure what variety is worth)")
    ] = "broad",
    refusals: Annotated[
        int | None, typer.Option(min=0, help="sentences that no call answers; by default 6 % of the pairs")
    ] = None,
    seed: int = 17,
) -> None:
    """Write sentences for kept and drawn calls, with templates."""
    from querywright.api.definition import load
    from querywright.pairs.make import make as run
    from querywright.pairs.values import sample_records

    definition = load(api)
    source = records or definition.records
    sample = sample_records(definition, source, 20_000, seed) if source else []
    options = {"calls": calls, "most": most, "draw": draw, "per_call": per_call, "seed": seed, "style": style}
    run(definition, out, **options, records=sample, refusals=refusals)  # type: ignore[arg-type]


@app.command()
def verify(source: Path, api: Api, out: Out, rejects: Path | None = None) -> None:
    """Keep the pairs whose call parses and whose literals stand in the sentence."""
    from querywright.api.definition import load
    from querywright.pairs.check import problem
    from querywright.pairs.split import verify as run
    from querywright.progress import say

    definition = load(api)
    good, bad = run(lambda r: problem(definition, r), read_jsonl(source))
    write_jsonl(out, good)
    if rejects:
        write_jsonl(rejects, bad)
    say(f"verify: {len(good)} kept, {len(bad)} rejected")


@app.command()
def split(source: Path, out: Out, valid: float = 0.03, test: float = 0.03, seed: int = 17) -> None:
    """Split by canonical query into train, valid and test; also as chat messages for training."""
    from querywright.pairs.split import split as run

    run(source, out, valid=valid, test=test, seed=seed)


@app.command()
def export(source: Path, out: Out) -> None:
    """Write pairs as chat messages (JSONL), as trainers read them."""
    from querywright.progress import say
    from querywright.rows import chat

    say(f"export: {write_jsonl(out, map(chat, read_jsonl(source)))} rows in {out}")


@app.command()
def report(source: Path, api: Api) -> None:
    """Print what pairs cover, as JSON."""
    from querywright.api.definition import load
    from querywright.pairs.check import report as run

    typer.echo(json.dumps(run(load(api), read_jsonl(source)), indent=2))
