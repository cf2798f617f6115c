"""`querywright grammar`: compile an API's grammar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, help="Compile the grammar of an API's calls.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Compile the grammar of an API's calls."""


@app.command("build")
def build(
    api: Annotated[str, typer.Option("--api", help="a shipped API's name or a definition file")],
    out: Annotated[Path, typer.Option("--out", help="folder of the two files")] = Path("grammars"),
) -> None:
    """Write NAME.lark (parser, mask and tests) and NAME.gbnf (llama.cpp and servers built on it)."""
    from querywright.api import gbnf, grammar
    from querywright.api.definition import load
    from querywright.artefacts import write_text

    definition = load(api)
    for suffix, text in (("lark", grammar.build(definition)), ("gbnf", gbnf.build_gbnf(definition))):
        path = out / f"{definition.name}.{suffix}"
        write_text(path, text)
        print(path)
