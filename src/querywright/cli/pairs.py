"""`querywright pairs`: make, verify, refine, check, leaks, split, export, import, protect, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from querywright.artefacts import apart, read_jsonl, write_jsonl

app = typer.Typer(add_completion=False, help="Instruction/query pairs, each step on files.", no_args_is_help=True)

Api = Annotated[str, typer.Option("--api", help="a shipped API's name, or a definition file")]

Out = Annotated[Path, typer.Option("--out", help="where the result goes")]
Pairs = Annotated[Path, typer.Argument(help="pairs, as `pairs make` writes them (pairs.jsonl)")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same result")]

_TEMPLATES, _LLM = "With --teacher templates", "With --teacher llm"


@app.command()
def make(
    api: Api,
    out: Annotated[Path, typer.Option(help="folder for pairs.jsonl")],
    calls: Annotated[Path | None, typer.Option(help="kept calls of `logs build` (calls.jsonl)")] = None,
    most: Annotated[int, typer.Option(help="at most so many kept calls, dealt out over their signatures")] = 2000,
    draw: Annotated[int, typer.Option(help="calls drawn from the schema beside the log's")] = 2000,
    per_call: Annotated[
        int | None, typer.Option(min=1, help="sentences for each kept call; 3, or 2 with a language model")
    ] = None,
    records: Annotated[
        str | None, typer.Option(help="where values come from: a JSONL file, or goatools; else the definition's")
    ] = None,
    personas: Annotated[
        str | None, typer.Option(help="who asks: JSON lines (name, role, interests, style), a number, or own (shipped)")
    ] = None,
    seed: Seed = 17,
    teacher: Annotated[
        Literal["templates", "llm"], typer.Option(help="what words the calls; llm is a language model (--model)")
    ] = "templates",
    style: Annotated[
        Literal["broad", "narrow"],
        typer.Option(
            help="broad: many ways to say a thing; narrow: one (to measure what variety is worth)",
            rich_help_panel=_TEMPLATES,
        ),
    ] = "broad",
    refusals: Annotated[
        int | None,
        typer.Option(
            min=0, help="sentences that no call answers; by default 6 % of the pairs", rich_help_panel=_TEMPLATES
        ),
    ] = None,
    conversations: Annotated[
        int,
        typer.Option(
            min=0,
            help="conversations of two to four turns that refine a call, beside the pairs",
            rich_help_panel=_TEMPLATES,
        ),
    ] = 0,
    model: Annotated[
        str,
        typer.Option(
            help="a GGUF file, a checkpoint, or a server's URL#NAME (key: QUERYWRIGHT_SERVER_KEY)", rich_help_panel=_LLM
        ),
    ] = "",
    batch: Annotated[
        int | None, typer.Option(min=1, help="calls of one prompt; 5, or 1 with a local model", rich_help_panel=_LLM)
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="prompts that a server has at once", rich_help_panel=_LLM)
    ] = 4,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="how freely the model words", rich_help_panel=_LLM)
    ] = 0.7,
    price_in: Annotated[
        float | None, typer.Option(min=0.0, help="money for a million tokens of prompts", rich_help_panel=_LLM)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0.0, help="money for a million tokens of answers", rich_help_panel=_LLM)
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0.0, help="money never exceeded, earlier runs into --out included", rich_help_panel=_LLM),
    ] = None,
    max_tokens_total: Annotated[
        int | None, typer.Option(min=0, help="the same in tokens, in and out", rich_help_panel=_LLM)
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="print what it would cost, as JSON, and stop", rich_help_panel=_LLM)
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="threads of a local model", rich_help_panel=_LLM)] = None,
) -> None:
    """Write sentences for kept and drawn calls, with templates or a language model."""
    from querywright.api.definition import load
    from querywright.errors import QuerywrightError
    from querywright.pairs.make import make as run
    from querywright.pairs.values import sample_records

    if teacher == "llm" and (conversations or refusals or style != "broad"):
        raise QuerywrightError(
            "a language model words calls; --conversations, --refusals and --style are the templates'",
            hint="make those with --teacher templates into a folder of their own",
        )
    if teacher != "llm" and (model or estimate or budget is not None or max_tokens_total is not None):
        raise QuerywrightError("--model, --estimate and limits are a language model's", hint="add --teacher llm")
    definition = load(api)
    source = records or definition.records
    sample = sample_records(definition, source, 20_000, seed) if source and (draw or conversations) else []
    options: dict[str, Any] = {"calls": calls, "most": most, "draw": draw, "seed": seed, "records": sample}
    if teacher == "llm":
        from querywright.pairs.llm_make import Options, make_llm

        asking = Options(
            model, batch, concurrency, price_in, price_out, budget, max_tokens_total, personas, temperature, threads
        )
        facts = make_llm(definition, out, asking, **options, per_call=per_call or 2, only_estimate=estimate)
        if estimate:
            typer.echo(json.dumps(facts, indent=2))
        return
    from querywright.pairs.personas import given

    cast = given(definition, personas, seed) if personas else []
    options |= {"refusals": refusals, "personas": cast, "conversations": conversations, "style": style}
    run(definition, out, **options, per_call=per_call or 3)


@app.command()
def verify(
    source: Pairs,
    api: Api,
    out: Out,
    rejects: Annotated[Path | None, typer.Option(help="where rows go that leave, with the reason")] = None,
) -> None:
    """Keep the pairs whose call parses and whose values stand in the sentence."""
    from querywright.api.definition import load
    from querywright.pairs.check import problem
    from querywright.pairs.split import verify as run
    from querywright.progress import say

    apart(source, out=out, rejects=rejects)
    definition = load(api)
    good, bad = run(lambda r: problem(definition, r), read_jsonl(source))
    write_jsonl(out, good)
    if rejects:
        write_jsonl(rejects, bad)
    say(f"verify: {len(good)} kept, {len(bad)} rejected")


@app.command()
def refine(
    source: Pairs,
    out: Out,
    api: Annotated[str | None, typer.Option("--api", help="needed where rows hold calls that are read back")] = None,
    rejects: Annotated[Path | None, typer.Option(help="where rows go that leave, with step and reason")] = None,
    report: Annotated[Path | None, typer.Option(help="counts and findings: .html, or .json")] = None,
    steps: Annotated[
        str, typer.Option(help="some of round_trip, fluff, classic, near, signal, in the order they run")
    ] = "round_trip,classic,near",
    hits: Annotated[bool, typer.Option("--hits", help="round_trip: a reading with the same hits will do")] = False,
    reader: Annotated[str, typer.Option(help="round_trip: a tuned model (path or URL) that reads sentences back")] = "",
    keep: Annotated[
        str, typer.Option(help="round_trip: reasons for which a row stays all the same, such as unread,differs")
    ] = "",
    judge: Annotated[str, typer.Option(help="signal: the model that judges: a path, or URL#NAME")] = "",
    labels: Annotated[Path | None, typer.Option(help="signal: 25 to 50 labelled rows, with signal: yes or no")] = None,
    about: Annotated[str, typer.Option(help="signal: what is asked for, in a sentence; else the API's own")] = "",
    weak: Annotated[str, typer.Option(help="signal: weak rows become nil, or drop")] = "nil",
    model: Annotated[str, typer.Option(help="classic: the model whose token limit counts (smollm2, gpt-4o, ...)")] = "",
    limit: Annotated[int, typer.Option(min=0, help="classic: most tokens of a row; 0: the model's")] = 0,
    tokenizer: Annotated[str, typer.Option(help="classic: a tokenizer.json, or tiktoken:NAME; else bytes count")] = "",
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="near: cosine from which two sentences of one call are one; 0: none")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="processes that read back; connections to a judging server")] = 1,
    seed: Seed = 17,
) -> None:
    """Make pairs true and clean, step by step; a step whose input and options are as before is not run again."""
    from querywright.api.definition import load
    from querywright.pairs.length import limit_of
    from querywright.pairs.refine import Options
    from querywright.pairs.refine import refine as run

    options = Options(
        load(api) if api else None, hits, reader, tuple(filter(None, keep.split(","))), judge, labels, about, weak,
        tokenizer, limit or (limit_of(model) if model else 0), threshold, workers, seed,
    )  # fmt: skip
    names = [name.strip() for name in steps.split(",") if name.strip()]
    run(source, out, steps=names, options=options, rejects=rejects, report=report)


@app.command()
def check(
    source: Annotated[Path, typer.Argument(help="pairs, or lines with prompt and completion")],
    fix: Annotated[bool, typer.Option("--fix", help="mend what can be, and leave out what can't")] = False,
    out: Annotated[Path | None, typer.Option(help="where the mended rows go")] = None,
    model: Annotated[str, typer.Option(help="the model whose token limit counts")] = "",
    limit: Annotated[int, typer.Option(min=0, help="most tokens of a row; 0: the model's")] = 0,
    tokenizer: Annotated[str, typer.Option(help="a tokenizer.json, or tiktoken:NAME; else bytes count")] = "",
) -> None:
    """The checks of the classic preparation tool, as JSON; exits 1 where it finds something and does not mend it."""
    from querywright.errors import QuerywrightError
    from querywright.pairs.classic import check as run
    from querywright.pairs.length import counter, limit_of

    if fix and out is None:
        raise QuerywrightError("--fix needs a file to write to", hint="--out FILE")
    apart(source, out=out)
    count = counter(tokenizer) if tokenizer else None
    most = limit or (limit_of(model) if model else 0)
    kept, rejected, found = run(read_jsonl(source), count=count, limit=most, fix=fix)
    left = {"rows": len(kept) + len(rejected), "left_out": len(rejected)}
    typer.echo(json.dumps({**left, "findings": [f.as_dict() for f in found]}, indent=2, ensure_ascii=False))
    if fix and out is not None:
        write_jsonl(out, kept)
    elif found:
        raise typer.Exit(1)


@app.command()
def leaks(
    folder: Annotated[Path, typer.Argument(help="a split: train.jsonl, valid.jsonl, test.jsonl, ...")],
    out: Annotated[Path | None, typer.Option(help="the report, as JSON with examples")] = None,
    api: Annotated[str | None, typer.Option("--api", help="masks this API's words in templates as well")] = None,
    meaning: Annotated[bool, typer.Option(help="compare by embeddings too (a few ms a row)")] = True,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="cosine from which two sentences are near")] = 0.95,
    most: Annotated[int, typer.Option(min=1, help="embed at most so many rows of a part")] = 20_000,
) -> None:
    """What stands on both sides of a split; exits 1 where a query does."""
    from querywright.api.definition import load
    from querywright.artefacts import write_json
    from querywright.pairs.leaks import leaks as run
    from querywright.pairs.leaks import lines, read_parts

    definition = load(api) if api else None
    found = run(read_parts(folder), api=definition, meaning=meaning, threshold=threshold, most=most)
    if out:
        write_json(out, found)
    typer.echo("\n".join(lines(found)))
    if found["leak"]:
        raise typer.Exit(1)


@app.command()
def split(
    source: Pairs,
    out: Out,
    valid: Annotated[float, typer.Option(min=0, max=1, help="share of the queries that are for validation")] = 0.03,
    test: Annotated[float, typer.Option(min=0, max=1, help="share of the queries that are for the test")] = 0.03,
    unseen: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="share of the signatures (shapes of calls) that stand in test_unseen only; 0: none"
        ),
    ] = 0.03,
    by: Annotated[
        Literal["canonical", "signature"], typer.Option(help="what stays together: canonical (a query), or signature")
    ] = "canonical",
    api: Annotated[str | None, typer.Option("--api", help="of an API that is not shipped: its definition")] = None,
    vary: Annotated[
        float, typer.Option(min=0, max=1, help="share of the training rows said of an API with other names")
    ] = 0.0,
    seed: Seed = 17,
) -> None:
    """Split by canonical query into train, valid, test and test_unseen; also as chat messages for training.

    A conversation whose earlier call is held out further than its last one goes to left_out.jsonl.
    """
    from querywright.api.definition import load
    from querywright.pairs.split import split as run

    given = load(api) if api else None
    run(source, out, valid=valid, test=test, seed=seed, by=by, unseen=unseen, api=given, vary=vary)


@app.command()
def export(
    source: Pairs,
    out: Out,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="chat, completion, alpaca, sharegpt, csv (torchtune's), hf (datasets), rows, prompts"
        ),
    ] = "chat",
    refusals: Annotated[
        str, typer.Option(help="code (nil CODE), nil, drop; by default nil, and code for chat, rows and prompts")
    ] = "",
    api: Annotated[str | None, typer.Option("--api", help="of an API that is not shipped: its definition")] = None,
) -> None:
    """Write pairs as trainers read them."""
    from querywright.api.definition import load
    from querywright.pairs.formats import export as run
    from querywright.pairs.read import read_pairs

    apart(source, out=out)
    run(read_pairs(source), out, form, refusals, source, load(api) if api else None)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="a file, or a folder of the datasets library")],
    api: Api,
    out: Out,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="chat, completion, alpaca, sharegpt, csv, hf, rows, prompts; auto tells by the keys"
        ),
    ] = "auto",
    rejects: Annotated[Path | None, typer.Option(help="where records go that are no pair, with the reason")] = None,
) -> None:
    """Read pairs of other tools: each answer must be a call of the API, or nil.

    Keys: chat and hf messages (role, content); sharegpt conversations (from, value); completion prompt, completion;
    alpaca instruction, input, output; csv input, output; rows instruction, path.
    """
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
def report(
    source: Annotated[Path, typer.Argument(help="a file of pairs, or a folder of pairs make or pairs split")],
    api: Api,
    out: Annotated[
        Path | None, typer.Option(help="folder for report.html, report.json and README.md; else JSON is printed")
    ] = None,
    rejects: Annotated[list[Path] | None, typer.Option(help="rejected rows, with their reasons; any number")] = None,
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json to count tokens with")] = "",
    licence: Annotated[str, typer.Option(help="of the rows, for the dataset card, such as apache-2.0")] = "unknown",
) -> None:
    """Report what pairs are and cover: a page, and a dataset card."""
    from querywright.api.definition import load
    from querywright.pairs.overview import overview
    from querywright.pairs.report import write

    found = overview(source, load(api), rejects=rejects or (), tokenizer=tokenizer)
    if out:
        write(found, out, source, licence)
    else:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
