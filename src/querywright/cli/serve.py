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
    api: Annotated[str, Option("--api", help="A shipped API's name, or a definition file.")] = "mygene",
    model: Annotated[str, Option("--model", help="GGUF, checkpoint or server; default: the API's own.")] = "",
    records: Annotated[str, Option("--records", help="JSON lines, goatools or none; default: the API's own.")] = "",
    workspace: Annotated[Path | None, Option("--workspace", help="Model, index, feedback; default: work/API.")] = None,
    strategy: Annotated[str, Option("--strategy", help="How the prompt is built: tuned, zero_shot, rag.")] = "tuned",
    decoding: Annotated[str, Option("--decoding", help="grammar (valid calls only), gbnf or free.")] = "grammar",
    refuse: Annotated[
        bool | None,
        Option("--refuse/--always-call", help="Whether the model may refuse what no call answers (tuned: yes)."),
    ] = None,
    n: Annotated[int, Option("--n", "-n", min=1, max=8, help="Answers of the model to choose from.")] = 1,
    min_confidence: Annotated[
        float, Option("--min-confidence", min=0.0, max=1.0, help="Mark answers that are less sure than this.")
    ] = 0.0,
) -> None:
    """Serve the query assistant: a page at /, POST /v1/call, GET /health. Ctrl-C stops it."""
    from querywright.progress import say
    from server.start import Options
    from server.start import serve as run

    try:
        run(
            Options(
                api, host, port, model or None, records or None, workspace, strategy, decoding, refuse, n,
                min_confidence,
            )
        )  # fmt: skip
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(130) from None
