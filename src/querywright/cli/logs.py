"""`querywright logs`: access logs to kept calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Access logs to kept calls.")


@app.callback()
def group() -> None:
    """Access logs to kept calls."""


@app.command("build")
def build(
    logs: Annotated[
        list[str],
        typer.Argument(metavar="LOG...", help="Log files or patterns, plain, gzip or zstd; - is standard input."),
    ],
    api: Annotated[str, typer.Option("--api", help="A shipped API's name, or a definition file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for calls.jsonl, candidates.jsonl, dropped.json.")],
    server: Annotated[str | None, typer.Option("--server", help="Run the calls over HTTP at this base URL.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Run the calls over HTTP at the definition's address.")] = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0, help="Requests a second; 5 unless given, 0 is no limit.")
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="The service may have an address inside a network.")
    ] = False,
    proxy: Annotated[
        str | None, typer.Option("--proxy", help="Send requests through it; those of the environment are not used.")
    ] = None,
    records: Annotated[
        Path | None, typer.Option("--records", help="Run the calls on an index of these records.")
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Run the calls; keep those with hits.")
    ] = True,
    rejects: Annotated[
        Path | None, typer.Option("--rejects", help="Write one JSON line for each rejected line or URL.")
    ] = None,
    per_signature: Annotated[int, typer.Option("--per-signature", min=1, help="Calls kept of one signature.")] = 30,
    per_client: Annotated[
        int, typer.Option("--per-client", min=1, help="Of these, calls that one client alone sent.")
    ] = 10,
    keep_single_client: Annotated[
        bool, typer.Option("--keep-single-client", help="Keep signatures that one client alone sent.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Decides which calls of a frequent signature are kept.")] = 0,
    log_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="combined, common, alb, elb, w3c, json, csv, tsv, paths, or an nginx log_format; else found out.",
        ),
    ] = "",
    path_key: Annotated[str, typer.Option("--path-key", help="JSON lines: the key that holds the request.")] = "path",
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="JSON lines, CSV: role=name of a key or column, as status=code; may be repeated."),
    ] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="JSON lines: only those with key=value.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=512, help="Processes; all cores unless given.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", help="A Dask scheduler, tcp://HOST:8786: its workers do the work.")
    ] = None,
    requests: Annotated[int, typer.Option("--requests", min=1, max=32, help="Requests at once, with --server.")] = 2,
    json_report: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read logs, drop what is no call, sample per kind of request, run the sample, keep what has hits.

    The lines read equal the lines accepted plus the lines rejected, by reason. Interrupted while calls are run, the
    same command goes on with those; before that it begins anew.
    """
    import os

    from querywright.api.definition import load
    from querywright.errors import QuerywrightError
    from querywright.logs import build as stage
    from querywright.logs.formats import Options
    from querywright.logs.validate import Runs, executor_for

    if (server or http) and records:
        raise QuerywrightError("--server and --records exclude each other", hint="leave one of them out")
    options = Options(path_key, _pairs("--where", "api=mygene", where), log_format, _pairs("--key", "status=code", key))
    definition = load(api)
    executor: Runs | None = None
    name = "none"
    if validate:
        executor, name = executor_for(
            definition, server, records, http=http, rate=rate, allow_private=allow_private, proxy=proxy
        )
    report = stage.build(
        definition, logs, out, executor=executor, executor_id=name, options=options, per_signature=per_signature,
        per_client=per_client, keep_single_client=keep_single_client, seed=seed, rejects=rejects,
        workers=workers or os.cpu_count() or 1, dask=dask, requests=requests if server or http else 1,
    )  # fmt: skip
    if json_report:
        print(json.dumps(report))
    else:
        show(report)


def _pairs(option: str, example: str, given: list[str] | None) -> tuple[tuple[str, str], ...]:
    from querywright.errors import QuerywrightError

    pairs = tuple((k, v) for k, _, v in (text.partition("=") for text in given or []))
    if any(not k or not v for k, v in pairs):
        what = "role=name" if option == "--key" else "key=value"
        raise QuerywrightError(f"{option} takes {what}", hint=f"{option} {example}")
    return pairs


def show(report: dict[str, Any]) -> None:
    """The report as a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    from querywright.logs.filter import REASONS

    table = Table(title="What became of the lines", title_justify="left")
    for column, side in (("", "left"), ("lines", "right"), ("why", "left")):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    table.add_row("read", f"{report['lines']:,}", "")
    for reason, why in REASONS.items():
        if report["rejected"][reason]:
            codes = ", ".join(f"{n} {code}" for code, n in report["bad_call"].items()) if reason == "bad_call" else ""
            table.add_row(f"- {reason}", f"{report['rejected'][reason]:,}", f"{why}{f' ({codes})' if codes else ''}")
    masked = ", ".join(f"{n} {what}" for what, n in report["masked"].items())
    table.add_row("accepted", f"{report['accepted']:,}", f"masked: {masked}" if masked else "")
    calls = Table(title="What became of the calls", title_justify="left")
    for column, side in (("", "left"), ("calls", "right"), ("", "left")):
        calls.add_column(column, justify=side)  # type: ignore[arg-type]
    calls.add_row("distinct", f"{report['calls']:,}", f"{report['signatures']:,} signatures")
    single = report["single_client"]
    if single["calls"]:
        what = f"{single['signatures']:,} signatures that one client alone sent; --keep-single-client"
        calls.add_row("- single client", f"{single['calls']:,}", what)
    beyond = f"beyond {report['per_signature']} of one signature or {report['per_client']} of one client"
    calls.add_row("- not sampled", f"{report['not_sampled']:,}", beyond)
    why = f"in candidates.jsonl; {report['uncovered']:,} search fields that no record has"
    calls.add_row("- no hits", f"{report['no_hits']:,}", why if report["uncovered"] else "in candidates.jsonl")
    calls.add_row("- failed", f"{report['failed']:,}", "refused when run; in candidates.jsonl")
    calls.add_row("kept", f"{report['kept']:,}", f"{report['kept_signatures']:,} signatures; in calls.jsonl")
    console = Console()
    console.print(table)
    console.print(calls)
