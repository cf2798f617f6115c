"""`querywright conversations judge`: models that took no part say which answer is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Put the command into its group."""
    app.command("judge")(judge)


def judge(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="JSON with comments: judge_llms, choice_strategy, timeout, ...")
    ],
    source: Annotated[Path, typer.Option("--input", "-i", help="What synthesize wrote, or JSON lines of it.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The same with judgements; answers lie beside.")],
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most so many conversations; the others pass through.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.0, help="Money never exceeded, earlier runs into --output included.")
    ] = None,
    max_tokens_total: Annotated[int | None, typer.Option(min=0, help="The same in tokens, in and out.")] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only print what would be asked and what it would cost.")
    ] = False,
) -> None:
    """Judge each turn of conversations: which of the two answers is better, asked in both orders.

    Only models that took no part judge, and a verdict counts only if both orders agree; how often a judge went by the
    place is reported. Run again, it goes on where it was. The report is printed as JSON.
    """
    import json

    from querywright.artefacts import apart
    from querywright.cli.conversations_synthesize import openers
    from querywright.conversations.judge import judge as run
    from querywright.conversations.judges import load

    apart(config, output=out)
    found = run(
        load(config), source, out, openers(), limit=limit, money=budget, tokens=max_tokens_total, dry=estimate
    )  # fmt: skip
    typer.echo(json.dumps(found))
