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
def split(
    source: Path,
    out: Out,
    valid: Annotated[float, typer.Option(help="share of the queries that are for validation")] = 0.03,
    test: Annotated[float, typer.Option(help="share of the queries that are for the test")] = 0.03,
    unseen: Annotated[float, typer.Option(help="share of the signatures that stand in test_unseen only")] = 0.03,
    by: Annotated[str, typer.Option(help="what stays together: canonical (a query), or signature")] = "canonical",
    api: Annotated[str | None, typer.Option("--api", help="for conversations of an API that is not shipped")] = None,
    seed: int = 17,
) -> None:
    """Split by canonical query into train, valid, test and test_unseen; also as chat messages for training."""
    from querywright.api.definition import load
    from querywright.pairs.split import split as run

    run(source, out, valid=valid, test=test, seed=seed, by=by, unseen=unseen, api=load(api) if api else None)


@app.command()
def export(
    source: Path,
    out: Out,
    form: Annotated[
        str, typer.Option("--format", help="chat, completion, alpaca, sharegpt, csv (torchtune's), hf (datasets), rows")
    ] = "chat",
    refusals: Annotated[
        str, typer.Option(help="code (nil CODE), nil, drop; by default code for chat and rows, nil for the others")
    ] = "",
) -> None:
    """Write pairs as trainers read them."""
    from querywright.pairs.formats import export as run

    run(read_jsonl(source), out, form, refusals, source)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="a file, or a folder of the datasets library")],
    api: Api,
    out: Out,
    form: Annotated[
        str, typer.Option("--format", help="chat, completion, alpaca, sharegpt, csv, hf, rows; auto tells by the keys")
    ] = "auto",
    rejects: Annotated[Path | None, typer.Option(help="where records go that are no pair, with the reason")] = None,
) -> None:
    """Read pairs of other tools: each answer must be a call of the API, or nil."""
    from querywright.api.definition import load
    from querywright.pairs.imports import take_in

    take_in(source, load(api), out, form, rejects)


@app.command()
def protect(
    files: Annotated[list[Path], typer.Argument(help="JSON lines with instruction, or .txt with a sentence a line")],
    into: Annotated[Path | None, typer.Option(help="the file of hashes; by default the shipped one")] = None,
) -> None:
    """Put a development set's sentences under protection, by hash: they are refused as training data from then on."""
    from querywright.pairs.guard import guard

    guard(files, into)


@app.command()
def report(source: Path, api: Api) -> None:
    """Print what pairs cover, as JSON."""
    from querywright.api.definition import load
    from querywright.pairs.check import report as run

    typer.echo(json.dumps(run(load(api), read_jsonl(source)), indent=2))
