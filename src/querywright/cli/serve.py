"""`querywright serve`: the query assistant in the browser, with REST."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    port: Annotated[int, Option("--port", min=0, max=65535, help="0 takes any free port.")] = 7860,
    host: Annotated[str, Option("--host", help="Where to listen; the default is this machine only.")] = "127.0.0.1",
    api: Annotated[
        list[str] | None, Option("--api", help="A shipped API's name, or a definition file; also several times.")
    ] = None,
    model: Annotated[
        list[str] | None,
        Option("--model", help="GGUF, checkpoint or server, also NAME=PATH and several times; default: the API's own."),
    ] = None,
    records: Annotated[
        list[str] | None,
        Option("--records", help="JSON lines, goatools or none, also API=FILE; default: the API's own."),
    ] = None,
    workspace: Annotated[
        Path | None, Option("--workspace", help="Model, index, feedback; default: work/API. Of several APIs: work.")
    ] = None,
    store: Annotated[
        str, Option("--store", help="File or database URL of questions and corrections; default: in the workspace.")
    ] = "",
    strategy: Annotated[str, Option("--strategy", help="How the prompt is built: tuned, zero_shot, rag.")] = "tuned",
    decoding: Annotated[str, Option("--decoding", help="grammar (valid calls only), grounded or free.")] = "grammar",
    refuse: Annotated[
        bool | None,
        Option("--refuse/--always-call", help="Whether the model may refuse what no call answers (tuned: yes)."),
    ] = None,
    n: Annotated[int, Option("--n", "-n", min=1, max=8, help="Answers of the model to choose from.")] = 1,
    min_confidence: Annotated[
        float, Option("--min-confidence", min=0.0, max=1.0, help="Mark answers that are less sure than this.")
    ] = 0.0,
    slots: Annotated[int, Option("--slots", min=1, max=64, help="Requests that a GGUF works on at once.")] = 1,
    open_: Annotated[bool, Option("--open", help="Serve a network without a login.")] = False,
    keep_days: Annotated[
        float | None, Option("--keep-days", min=1, help="Delete answers older than this, now and daily.")
    ] = None,
) -> None:
    """Serve the query assistant: a page at /, REST under /v1, MCP at /mcp, GET /health. Ctrl-C stops it.

    Limits, login and database come from the environment: see docs/serving.md."""
    from querywright.progress import say
    from server.start import Options
    from server.start import serve as run

    try:
        run(
            Options(
                tuple(api or ["mygene"]), host, port, tuple(model or ()), tuple(records or ()), workspace,
                store or None, strategy, decoding, refuse, n, min_confidence, slots, open_, keep_days,
            )
        )  # fmt: skip
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(130) from None
