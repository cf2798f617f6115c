"""`querywright conversations convert`: into a database, out of it, into prompts and preferences."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class From(StrEnum):
    """What is read."""

    json = "json"
    jsonl = "jsonl"
    db = "db"


class To(StrEnum):
    """What is written."""

    json = "json"
    jsonl = "jsonl"
    db = "db"
    prompts = "prompts"
    preferences = "preferences"


def register(app: typer.Typer) -> None:
    """Put the command into its group."""
    app.command("convert")(convert)


def convert(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="JSON: database, batch_size, turns, system, seed.")
    ] = None,
    source_type: Annotated[From, typer.Option("--input-type", "-it", help="What is read.")] = From.json,
    source: Annotated[
        str, typer.Option("--input", "-i", help="A file; of db a file, URL or env:NAME (default: the config's).")
    ] = "",
    out_type: Annotated[To, typer.Option("--output-type", "-ot", help="What is written.")] = To.db,
    out: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Where it goes: a file; of db a file, URL or env:NAME (default: the config's)."
        ),
    ] = "",
    limit: Annotated[int | None, typer.Option("-n", min=1, help="Only the first so many conversations.")] = None,
    api: Annotated[str, typer.Option("--api", help="Of preferences: prompts as this API's tuned model is asked.")] = "",
) -> None:
    """Insert conversations into a database, read them back, or make prompts and preferences of them.

    A database (SQLite, or PostgreSQL by its URL) gets whole batches, each of them read back; what is there already is
    not inserted twice, so a run that was killed is simply run again. Counts are printed as JSON.
    """
    import json

    from querywright.artefacts import apart
    from querywright.conversations.convert import convert as run
    from querywright.conversations.convert import load
    from querywright.errors import QuerywrightError

    if config is not None:
        apart(config, out=out.removeprefix("sqlite:///"))
    if api and out_type != To.preferences:
        raise QuerywrightError("--api is for -ot preferences", hint="leave it out; respond takes --api for prompts")
    found = load(config)
    choose = _chooser(api, found.seed) if out_type == To.preferences else None
    done = run(source, source_type.value, out, out_type.value, found, limit=limit, choose=choose)
    typer.echo(json.dumps(done.report()))


def _chooser(api: str, seed: int) -> Any:
    """What makes preference rows of rated ones."""
    from querywright.preferences.choose import choose
    from querywright.preferences.prompts import chat_of, prompt_hash

    render: Any = chat_of
    if api:
        from querywright.api.definition import load
        from querywright.generate.prompts import strategy
        from querywright.generate.turns import after

        build = strategy("tuned", load(api))

        def render(row: Any) -> Any:
            return after(row.get("turns") or [], build(row["text"]))

    def rows(rated: Any) -> tuple[list[dict[str, Any]], list[str]]:
        choice = choose(({"prompt_hash": prompt_hash(row), **row} for row in rated), seed=seed, render=render)
        return choice.rows, [*choice.told()]

    return rows
