"""`querywright preferences parse`: what judges wrote, to chosen and rejected answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from querywright.cli.many_values import ManyValues, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from querywright.preferences.choose import Message, Row


def register(app: typer.Typer) -> None:
    """Put the command into its group."""
    app.command("parse", cls=ManyValues)(parse)


def parse(
    source: Annotated[Path, typer.Option("--input", "-i", help="What `mix` wrote (OUT/NAME).")],
    annotations: Annotated[Path, typer.Option("--annotations", "-a", help="What `annotate` filled: its results/.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for rated/, preferences.jsonl and report.json.")],
    execution: Annotated[
        Path | None, typer.Option("--execution", help="What `execute` wrote: its ratings count as well.")
    ] = None,
    combine: Annotated[
        str, typer.Option("--combine", help="mean: each aspect and execution count the same; execution: it decides.")
    ] = "mean",
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help="Rated rows of other judges, for the agreement only.")
    ] = None,
    rejected: Annotated[str, typer.Option("--rejected", help="sample: one of the worse ones; all: each.")] = "sample",
    margin: Annotated[float, typer.Option("--margin", min=0, help="Least difference of ratings (1 to 5).")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="For what is drawn.")] = 0,
    api: Annotated[
        str | None, typer.Option("--api", help="The prompts are sentences for this API: asked as its tuned model is.")
    ] = None,
) -> None:
    """Read the judges' answers: ratings of each response by aspect, their mean, the best and a worse response.

    What can't be read is dropped and counted. The report has the agreement of the judges (Cohen's kappa), too.
    """
    from querywright.preferences.parse import PREFERENCES, Options
    from querywright.preferences.parse import parse as run
    from querywright.preferences.prompts import chat_of
    from querywright.progress import say

    render: Callable[[Row], list[Message]] = chat_of
    asked_as = ""
    if api:
        from querywright.api.definition import load
        from querywright.api.identity import definition_id
        from querywright.cli.preferences_execute import tuned_prompt

        definition = load(api)
        render, asked_as = tuned_prompt(definition), definition_id(definition)
    others = [Path(one) for one in values(compare)]
    options = Options(source, annotations, out, execution, combine, others, rejected, seed, margin, asked_as)
    if run(options, render)["preferences"]["rows"]:
        say(f"in {out}; train on it: dataset.source={out / PREFERENCES}")
    else:
        say(f"no pair to train on; {out} has the ratings. A judge that is larger, or held to the form: --in-form")
