"""`querywright eval`: a sweep over models, strategies, decodings, engines; and what fine-tuning has made forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from querywright.cli.calibrate import calibrate
from querywright.cli.eval_gate import gate

if TYPE_CHECKING:
    from rich.console import Console

    from querywright.evaluate.config import Config


class _Default(TyperGroup):
    """A group whose command `sweep` need not be named: `querywright eval CONFIG`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["sweep", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Default, no_args_is_help=True, add_completion=False, help=__doc__)


@app.command("sweep")
def command(
    config: Annotated[Path, typer.Argument(help="A sweep, such as eval_configs/mygene_quick.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the file.")] = None,
    api: Annotated[str | None, typer.Option(help="Only this API of several.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model: a name in CONFIG, or a path.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only this strategy.")] = None,
    decoding: Annotated[str | None, typer.Option(help="Only this decoding.")] = None,
    n: Annotated[str | None, typer.Option("-n", "--n", help="Only so many samples a sentence.")] = None,
    engine: Annotated[str | None, typer.Option(help="Only this engine: llama, hf, outlines, server.")] = None,
    json_scores: Annotated[bool, typer.Option("--json", help="Print the scores of all cells as JSON.")] = False,
) -> None:
    """Ask every model of CONFIG the same sentences, score the calls, and report.

    An option takes several values with commas between them. Stopped, the same command goes on where it was. External
    sentences: pairs=FILE with rows of api, instruction, path.
    """
    from querywright.evaluate.config import load, select

    flags = {"api": api, "model": model, "strategy": strategy, "decoding": decoding, "n": n, "engine": engine}
    run(select(load(config, overrides or []), flags), json_scores=json_scores)


app.command("calibrate")(calibrate)
app.command("gate")(gate)


@app.command()
def forgetting(
    after: Annotated[Path, typer.Argument(help="What was fine-tuned: a checkpoint, an adapter or a GGUF file.")],
    before: Annotated[
        Path | None, typer.Option(help="What it was tuned from, of the same kind; the packaged base model by default.")
    ] = None,
    tasks: Annotated[
        list[Path] | None, typer.Option(help="lm-evaluation-harness tasks: YAML files or folders; ours by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: `forgetting` beside AFTER.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions of each task.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure what a model still knows after fine-tuning: lm-evaluation-harness on local tasks, before and after."""
    from querywright.evaluate import forgetting as measure
    from querywright.finetune.base import ensure_base, packaged_gguf
    from querywright.progress import say

    base = packaged_gguf if after.suffix == ".gguf" else ensure_base
    folder = out or after.parent / "forgetting"
    found = measure.run(before or base(), after, folder, tasks=tasks or [], limit=limit)
    if as_json:
        print(json.dumps(found))
    else:
        _console().print(measure.table(found))
    say(f"written to {folder}: forgetting.json")


def run(config: Config, *, json_scores: bool = False) -> dict[str, Any]:
    """Run a sweep and print its report; returns the scores: of one API as `score.score` gives them, of several as
    `several.together` does."""
    from querywright.evaluate import several

    if len(config.apis) == 1:
        from querywright.evaluate.score import finite

        scores = _one(config.of(config.apis[0]), shown=not json_scores)
        if json_scores:
            print(json.dumps(finite({"cells": scores["cells"], "paired": scores["paired"]})))
        return scores
    from querywright.evaluate.models import Absent
    from querywright.progress import say

    scored: dict[str, dict[str, Any]] = {}
    for api in config.apis:
        part = config.of(api)
        try:
            scored[api] = _one(part, shown=not json_scores, among=config.apis)
        except Absent as error:
            say(f"left out: {error}")
    found = several.together(config, scored)
    if json_scores:
        print(json.dumps(found))
    else:
        _console().print(several.table(found))
    say(f"written to {config.out}: {', '.join(path.name for path in several.write(config, found))}")
    return found


def _one(config: Config, *, shown: bool, among: tuple[str, ...] = ()) -> dict[str, Any]:
    """A sweep of one API, out of several where `among` names them; its report on the terminal where it is `shown`."""
    from querywright.api.definition import load
    from querywright.cli.eval_models import scored
    from querywright.evaluate import report
    from querywright.progress import say

    scores, files = scored(config, among=among)
    if shown:
        title = f"{load(config.apis[0]).title}: {config.name}"
        console = _console()
        console.print(report.table(scores, title, narrow=console.width < 100))
        if (refusals := report.refusals(scores)) is not None:
            console.print(refusals)
        console.print(report.problems(scores))
    say(f"written to {config.out}: {', '.join(path.name for path in files)}")
    return scores


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=120)
