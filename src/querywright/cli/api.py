"""`querywright api serve`: an API over local records, on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, help="Serve an API over local records.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Serve an API over local records."""


@app.command()
def serve(
    api: Annotated[str, typer.Option(help="A shipped API, or a definition file.")] = "mygene",
    records: Annotated[
        str | None, typer.Option(help="A .jsonl or .jsonl.gz file of records, or goatools; default: the definition's.")
    ] = None,
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    workspace: Annotated[Path | None, typer.Option(help="The folder that gets index/; default: work/API.")] = None,
) -> None:
    """Serve an API over local records. The address is printed when it is ready; Ctrl-C stops."""
    from querywright.api.definition import load
    from querywright.api.service import serve as run

    run(load(api), records, host, port, workspace)
