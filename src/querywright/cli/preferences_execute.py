"""`querywright preferences execute`: answers judged by running them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from querywright.api.definition import API
    from querywright.preferences.choose import Message, Row


def register(app: typer.Typer) -> None:
    """Put the command into its group."""
    app.command("execute")(execute)


def execute(
    api: Annotated[str, typer.Option("--api", help="A shipped API's name, or a definition file.")],
    source: Annotated[Path, typer.Option("--input", "-i", help="What `respond` (OUT/NAME) or `mix` wrote.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for rated/, preferences.jsonl and report.json.")],
    records: Annotated[
        str, typer.Option("--records", help="What calls are run on: FILE.jsonl; none: not run. Default: the API's own.")
    ] = "",
    server: Annotated[str | None, typer.Option("--server", help="Run calls on the service at this URL.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Run calls on the service itself.")] = False,
    rate: Annotated[float | None, typer.Option("--rate", min=0, help="Requests a second; 0: any number.")] = None,
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="The expected call counts as one more answer.")
    ] = True,
    shorter: Annotated[
        str, typer.Option("--shorter", help="Where the shorter of two equally good answers wins: right, any, off.")
    ] = "right",
    rejected: Annotated[str, typer.Option("--rejected", help="sample: one of the worse ones; all: each.")] = "sample",
    margin: Annotated[
        float,
        typer.Option("--margin", min=0, help="Least difference of ratings (1 to 5); 1: of levels, not of lengths."),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="For what is drawn.")] = 0,
) -> None:
    """Judge what models answered to an API's prompts by running it, and choose; no model judges, and nothing is paid.

    A call that means what the prompt row's `path` means beats one that only finds the same records, which beats a valid
    one that does not, which beats what is no call. The rows of preferences.jsonl are asked as a tuned model is.
    """
    from querywright.api.definition import load
    from querywright.errors import QuerywrightError
    from querywright.logs.validate import executor_for
    from querywright.preferences.execute import PREFERENCES, Options, answer_files
    from querywright.preferences.execute import execute as run
    from querywright.progress import say

    if (server or http) and records:
        raise QuerywrightError("--server and --records exclude each other", hint="leave one of them out")
    definition = load(api)
    answer_files(source)  # before records are indexed, which takes a minute the first time
    if not (server or http or records or definition.records):
        raise QuerywrightError(
            f"the definition of {definition.name} names no records to run calls on",
            hint="--records FILE.jsonl, --server URL, --http (the service itself), or --records none (meanings only)",
        )
    if records == "none":
        executor, ran_on = None, "nothing"
        say("no call is run (--records none): answers are compared by meaning only")
    else:
        given = Path(records) if records else None
        try:
            executor, ran_on = executor_for(definition, server, given, http=http, rate=rate)
        except QuerywrightError as error:
            if error.retryable:
                error.hint = "check the address, with curl; --records FILE.jsonl or none needs no service"
            raise
    run(
        definition,
        Options(source, out, reference, shorter, rejected, seed, margin, remember=bool(server or http)),
        executor,
        ran_on,
        render=tuned_prompt(definition),
    )
    say(f"in {out}; train on it: dataset.source={out / PREFERENCES}")


def tuned_prompt(api: API) -> Callable[[Row], list[Message]]:
    """What puts a prompt row as an API's tuned model is asked: its system message, the turns, the sentence."""
    from querywright.generate.prompts import strategy
    from querywright.generate.turns import after

    build = strategy("tuned", api)
    return lambda row: after(row.get("turns") or [], build(row["text"]))
