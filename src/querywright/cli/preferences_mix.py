"""`querywright preferences mix`: four answers to each prompt, and what judges are asked about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from querywright.cli.many_values import ManyValues, values


def register(app: typer.Typer) -> None:
    """Put the command into a group."""
    app.command("mix", cls=ManyValues)(mix)


def mix(
    name: Annotated[str, Option("--name", help="Of this mix: its folder in --output.")],
    source: Annotated[Path, Option("--input", "-i", help="What `respond` wrote: OUT/N, or OUT with a set of --name.")],
    out: Annotated[Path, Option("--output", "-o", help="Folder of mixes.")],
    template: Annotated[
        str, Option("--template", help="What judges are asked: a shipped name, or a folder of ASPECT.md.")
    ] = "ultrafeedback",
    one_side_model: Annotated[
        str, Option("--one-side-model", help="Exactly one of the four answers is this model's.")
    ] = "",
    without: Annotated[
        list[str] | None, Option("-x", "--exclude", help="Models to leave out: NAME NAME, or NAME,NAME.")
    ] = None,
    only: Annotated[list[str] | None, Option("-y", "--only", help="Only these models, in the same way.")] = None,
    aspect: Annotated[list[str] | None, Option("--aspect", help="Only these aspects.")] = None,
    rows_per_shard: Annotated[int, Option("--rows-per-shard", min=1, help="Prompts a file.")] = 250,
    most_chars: Annotated[
        int, Option("--most-chars", min=200, help="Of a text, as judges see it; of longer ones the beginning.")
    ] = 20_000,
    api: Annotated[
        str | None, Option("--api", help="The prompts are sentences for this API: judges are told what it knows.")
    ] = None,
    seed: Annotated[int, Option("--seed", help="For what is drawn.")] = 0,
) -> None:
    """Draw four answers to each prompt that every model has answered, and render what judges are asked about them.

    In OUTPUT/NAME: full/ for `parse`, a folder for each aspect for `annotate`. Run again on the same, it does nothing.
    """
    from querywright.engines.catalogue import NAME
    from querywright.errors import QuerywrightError
    from querywright.preferences.aspects import template_folder, templates
    from querywright.preferences.mix import Options, source_folder
    from querywright.preferences.mix import mix as run

    if not NAME.fullmatch(name):
        raise QuerywrightError(f"--name {name!r} becomes a folder's name", hint="letters, digits, . _ + -")
    asked = templates(template_folder(template), values(aspect))
    context = ""
    if api is not None:
        from querywright.api.definition import load
        from querywright.generate.prompts import explain

        context = explain(load(api))
    run(
        Options(
            source_folder(source, name), out / name, values(only), values(without), one_side_model, seed,
            rows_per_shard, most_chars,
        ),
        asked,
        context,
    )  # fmt: skip
