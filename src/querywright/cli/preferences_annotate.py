"""`querywright preferences annotate`: rendered prompts to a judge's answers, through a Batch API or a local model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from querywright.engines.prices import Price
    from querywright.preferences.annotate.convert import Judge
    from querywright.preferences.annotate.report import Outcome, Report
    from querywright.preferences.annotate.upload import Limits

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Judgements by a Batch API, or by a local judge.")

Input = Annotated[Path, typer.Option("--input", help="a mix: what `preferences mix` wrote, DIR/NAME")]
Folder = Annotated[Path, typer.Option("--dir", help="what `annotate convert` wrote into")]
Model = Annotated[str, typer.Option("--model", help="the judge, as the server knows it")]
Aspect = Annotated[list[str] | None, typer.Option("--aspect", help="only this one; several times for several")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="of an answer")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, max=2.0, help="of an answer")]
Body = Annotated[
    str, typer.Option("--body", help='more keys of each request, as JSON; {"temperature": null} takes one away')
]
PriceIn = Annotated[float | None, typer.Option("--price-in", min=0.0, help="money for a million tokens of prompts")]
PriceOut = Annotated[float | None, typer.Option("--price-out", min=0.0, help="money for a million tokens of answers")]
BaseUrl = Annotated[str, typer.Option("--base-url", help="of the server, up to the version; default: OpenAI's own")]
Poll = Annotated[float, typer.Option("--poll-s", min=0.0, help="seconds between two looks")]
Tries = Annotated[int, typer.Option("--most-tries", min=1, help="how often a row is asked in all")]
Failed = Annotated[bool, typer.Option("--failed", help="ask the rows without an answer once more")]
Waiting = Annotated[
    int | None, typer.Option("--most-waiting", min=1, help="tokens of prompts that the server may have at once, about")
]
Budget = Annotated[
    float | None, typer.Option("--budget", min=0.0, help="money never exceeded, earlier runs in --dir included")
]
RowsPerShard = Annotated[int, typer.Option("--rows-per-shard", help="requests of a file, at most 50,000")]


def register(group: typer.Typer) -> None:
    """Put the group into another one."""
    group.add_typer(app, name="annotate")


@app.command()
def convert(
    input: Input,
    model: Model,
    output: Annotated[Path | None, typer.Option(help="folder; not needed for an estimate")] = None,
    rows_per_shard: RowsPerShard = 5000,
    tokens_per_shard: Annotated[
        int | None, typer.Option(min=1, help="tokens of a file's prompts, about, where the server limits them")
    ] = None,
    aspect: Aspect = None,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.0,
    body: Body = "",
    estimate_tokens: Annotated[
        bool, typer.Option("--estimate-tokens", help="print tokens and cost as JSON, write nothing")
    ] = False,
    tokenizer: Annotated[
        str, typer.Option(help="for the estimate: a tokenizer.json or tiktoken:NAME; else reckoned from the bytes")
    ] = "",
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    base_url: BaseUrl = "",
) -> None:
    """Write the requests of a mix as files for the Batch API, or say what they would cost."""
    from querywright.errors import QuerywrightError
    from querywright.preferences.annotate.convert import convert as run
    from querywright.preferences.annotate.convert import estimate
    from querywright.progress import say

    judge = _judge(model, max_tokens, temperature, body)
    if estimate_tokens:
        price = _price(f"{_url(base_url)}#{model}", price_in, price_out)
        if price is None:
            say(f"no price of {model} is known, so no cost: --price-in and --price-out, or data/prices.yaml")
        count = {"count": _counter(tokenizer)} if tokenizer else {}
        typer.echo(json.dumps(estimate(input, judge, aspects=aspect or (), price=price, **count), indent=2))
        return
    if output is None:
        raise QuerywrightError("no folder for the requests", hint="--output DIR, or --estimate-tokens")
    run(
        input, output, judge, rows_per_shard=rows_per_shard, tokens_per_shard=tokens_per_shard, aspects=aspect or ()
    )  # fmt: skip


@app.command()
def upload(
    dir: Folder,
    base_url: BaseUrl = "",
    failed: Failed = False,
    most_tries: Tries = 3,
    most_waiting: Waiting = None,
    budget: Budget = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """Send the files of requests, a batch of each; what was sent is not sent again.

    The key is read from OPENAI_API_KEY (OpenAI's own server) or QUERYWRIGHT_SERVER_KEY (any other).
    """
    from querywright.preferences.annotate.upload import upload as run

    limits = _limits(dir, base_url, most_waiting, budget, price_in, price_out)
    run(dir, _url(base_url), limits=limits, failed=failed, most_tries=most_tries)


@app.command()
def status(
    dir: Folder,
    watch: Annotated[bool, typer.Option("--watch", help="look again until no batch is under way")] = False,
    poll_s: Poll = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="counts as JSON instead of a table")] = False,
) -> None:
    """Ask for the batches' states, write batches.csv, and show it."""
    from querywright.preferences.annotate.status import status as run

    report = run(dir, watch=watch, poll_s=poll_s)
    _show(report, report.outcome(), as_json)


@app.command()
def download(
    dir: Folder,
    wait: Annotated[
        bool, typer.Option("--wait", help="until all is there; held-back files are sent meanwhile")
    ] = False,
    resend: Annotated[bool, typer.Option("--resend", help="send rows without an answer again")] = False,
    most_tries: Tries = 3,
    most_waiting: Waiting = None,
    budget: Budget = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    poll_s: Poll = 30.0,
) -> None:
    """Get the results of batches that are done; rows without an answer are listed in failed.csv."""
    from querywright.preferences.annotate.download import download as run

    limits = _limits(dir, "", most_waiting, budget, price_in, price_out)
    run(dir, watch=wait, resend=resend, most_tries=most_tries, limits=limits, poll_s=poll_s)


@app.command()
def local(
    output: Annotated[Path, typer.Option("--output", "--dir", help="folder of requests and results")],
    model: Annotated[str, typer.Option(help="base, a GGUF file, a checkpoint, or a server's URL#NAME")] = "base",
    input: Annotated[
        Path | None, typer.Option(help="a mix; where --output holds its requests already, not needed")
    ] = None,
    rows_per_shard: RowsPerShard = 500,
    aspect: Aspect = None,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.0,
    in_form: Annotated[
        bool, typer.Option("--in-form", help="hold the judge to the form that the shipped template asks for")
    ] = False,
    failed: Failed = False,
    most_tries: Tries = 3,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="requests that are worked on at once")] = 4,
    threads: Annotated[int | None, typer.Option(min=1, help="of a local model")] = None,
    budget: Budget = None,
    max_tokens_total: Annotated[int | None, typer.Option(min=0, help="the same in tokens, in and out")] = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """Ask a judge without a batch service, request by request; the results are as of a batch."""
    from querywright.engines.budget import Budget as Purse
    from querywright.engines.ledger import Ledger
    from querywright.engines.sender import Sender
    from querywright.errors import QuerywrightError
    from querywright.preferences.annotate.convert import Judge
    from querywright.preferences.annotate.convert import convert as make
    from querywright.preferences.annotate.local import ANSWERS, judge
    from querywright.preferences.ratings import form

    if input is not None:
        make(input, output, Judge(model, max_tokens, temperature), rows_per_shard=rows_per_shard, aspects=aspect or ())
    price = _price(model, price_in, price_out)
    if budget is not None and price is None:
        raise QuerywrightError("--budget needs a price", hint="--price-in and --price-out, or data/prices.yaml")
    purse = Purse(price.tokens_in if price else 0.0, price.tokens_out if price else 0.0, budget, max_tokens_total)
    sender = Sender(_engines(model, concurrency, threads), Ledger(output / ANSWERS), purse)
    try:
        judge(output, sender, failed=failed, most_tries=most_tries, form=form() if in_form else None)
    finally:
        sender.close()


def _engines(model: str, concurrency: int, threads: int | None) -> list[Any]:
    """The judge, as often as it may be asked at once."""
    from querywright.engines.sender import open_many
    from querywright.finetune.shipped import located

    return open_many(located(model), concurrency, threads=threads, slots=concurrency, isolated=True, hang_s=600.0)


def _judge(model: str, max_tokens: int, temperature: float, body: str) -> Judge:
    from querywright.errors import QuerywrightError
    from querywright.preferences.annotate.convert import Judge

    try:
        extra = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise QuerywrightError(f"--body is no JSON: {error}", hint='such as \'{"reasoning_effort": "low"}\'') from error
    if not isinstance(extra, dict):
        raise QuerywrightError("--body is no JSON object", hint='such as \'{"reasoning_effort": "low"}\'')
    return Judge(model, max_tokens, temperature, extra)


def _url(base_url: str) -> str:
    from querywright.engines.host import OPENAI

    return base_url or OPENAI


def _price(model: str, price_in: float | None, price_out: float | None) -> Price | None:
    """The price of a judge: as given, else as the table has it; None where it is not known."""
    from querywright.engines.prices import Price, price_of

    if price_in is not None or price_out is not None:
        return Price(price_in or 0.0, price_out or 0.0)
    return price_of(model)


def _limits(
    folder: Path, base_url: str, waiting: int | None, budget: float | None, price_in: float | None,
    price_out: float | None,
) -> Limits:  # fmt: skip
    from querywright.preferences.annotate.report import Report, model_of
    from querywright.preferences.annotate.upload import Limits

    if budget is None:
        return Limits(waiting)
    report = Report(folder)
    model = model_of(report.requests(report.shards[0]))
    return Limits(waiting, _price(f"{_url(base_url)}#{model}", price_in, price_out), budget)


def _counter(tokenizer: str) -> Any:
    from querywright.engines.tokens import encoder

    encode = encoder(tokenizer)
    return lambda messages: sum(len(encode(m["content"])) + 4 for m in messages)


def _show(report: Report, outcome: Outcome, as_json: bool) -> None:
    """The report as a table, and what is known of the rows."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from querywright.preferences.annotate.report import summary

    facts = summary(report, outcome)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    rows = [
        (s.file, f"{s.rows:,}", f"{s.tokens:,}", s.state, f"{s.done:,}", f"{s.failed:,}", s.batch_id, s.note)
        for s in report.shards
    ]
    names = ("file", "rows", "tokens", "state", "done", "failed", "batch", "note")
    shown = [i for i in range(len(names)) if i < 6 or any(row[i] for row in rows)]  # on a narrow screen each counts
    table = Table()
    for i in shown:
        table.add_column(names[i], overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[i]) for i in shown))
    console.print(table)
    words = f"{facts['done']:,} of {facts['rows']:,} rows have an answer, {facts['failed']:,} failed, "
    words += f"{facts['waiting']:,} are to come"
    spent = facts["tokens_in"] + facts["tokens_out"]
    words += f"; {facts['tokens_in']:,} tokens in, {facts['tokens_out']:,} out" if spent else ""
    console.print(words, markup=False, highlight=False)
    for reason in outcome.reasons():
        console.print(f"  failed: {reason}", markup=False, highlight=False)
