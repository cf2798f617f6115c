"""`querywright feedback`: corrections that people made, as training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querywright.cli.feedback_retrain import register

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Corrections that people made.")


@app.callback()
def group() -> None:
    """Corrections that people made."""


@app.command("export")
def export(
    api: Annotated[str, typer.Option("--api", help="A shipped API's name, or a definition file.")],
    out: Annotated[Path | None, typer.Option("--out", help="File of pairs to write; default: standard output.")] = None,
    workspace: Annotated[Path | None, typer.Option("--workspace", help="Default: work/API.")] = None,
) -> None:
    """Write the corrections that are calls as pairs, one JSON line each; say how many others there are."""
    import json

    from querywright.api.definition import load
    from querywright.artefacts import write_jsonl
    from querywright.errors import QuerywrightError
    from querywright.progress import say
    from server.feedback import pairs
    from server.store import FILE, Store

    definition = load(api)
    path = (workspace or Path("work") / definition.name) / FILE
    if not path.is_file():
        raise QuerywrightError(f"no feedback at {path}", hint=f"querywright serve --api {api} collects it")
    store = Store(path)
    try:
        rows, counts = pairs(definition, store.corrections(definition.name))
    finally:
        store.close()
    if out is None:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        write_jsonl(out, rows)
    say(
        f"{counts['pairs']} pairs{f' in {out}' if out else ''}; left out: {counts['invalid']} that are no calls, "
        f"{counts['repeated']} replaced by a later correction of the same question"
    )


register(app)
