"""`querywright mcp`: the tools of the query assistant for one agent, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

app = typer.Typer(add_completion=False)


@app.command()
def mcp(
    api: Annotated[list[str] | None, Option("--api", help="A shipped API's name, or a definition file.")] = None,
    model: Annotated[list[str] | None, Option("--model", help="GGUF, checkpoint, server; default: the API's.")] = None,
    records: Annotated[list[str] | None, Option("--records", help="JSON lines, or none; default: the API's.")] = None,
    workspace: Annotated[Path | None, Option("--workspace", help="Model, index, feedback; default: work/API.")] = None,
    strategy: Annotated[str, Option("--strategy", help="How the prompt is built: tuned, zero_shot, rag.")] = "tuned",
    decoding: Annotated[str, Option("--decoding", help="grammar (valid calls only), grounded or free.")] = "grammar",
    refuse: Annotated[bool | None, Option("--refuse/--always-call", help="Whether the model may refuse.")] = None,
) -> None:
    """Offer write_call, run_call and list_apis to an agent over MCP. `querywright serve` offers them over HTTP."""
    from server.rest.mcp_stdio import run
    from server.start import Options

    given = {"apis": tuple(api or ()), "models": tuple(model or ()), "records": tuple(records or ())}
    run(
        Options(
            **{name: value for name, value in given.items() if value},  # type: ignore[arg-type]
            workspace=workspace, strategy=strategy, decoding=decoding, refuse=refuse,
        )
    )  # fmt: skip
