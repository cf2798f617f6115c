"""`querywright feedback`: what people repaired, rated and chose; as training data, and as better models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querywright.cli.feedback_retrain import register

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Corrections that people made.")

Api = Annotated[str, typer.Option("--api", help="A shipped API's name, or a definition file.")]
Workspace = Annotated[Path | None, typer.Option("--workspace", help="Default: work/API.")]
Place = Annotated[
    str, typer.Option("--store", help="File or URL of the feedback; default: QUERYWRIGHT_STORE, else the workspace's.")
]


@app.callback()
def group() -> None:
    """Corrections that people made."""


@app.command("export")
def export(
    api: Api,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; default: feedback/ in the workspace.")] = None,
    workspace: Workspace = None,
    store: Place = "",
    per_client: Annotated[int, typer.Option("--per-client", min=0, help="Rows of one client; 0: any number.")] = 20,
    liked: Annotated[bool, typer.Option("--liked", help="Answers that were rated up are pairs as well.")] = False,
    records: Annotated[
        str, typer.Option("--records", help="What calls are run on; none: not run. Default: the API's own.")
    ] = "",
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Take calls that find nothing.")] = False,
    split: Annotated[
        Path | None, typer.Option("--split", help="Split to keep apart from; default: pairs/ in the workspace.")
    ] = None,
) -> None:
    """Write corrections as pairs and choices as preferences, and a report of what was left out and why.

    A correction is read anew, has to run and to find something; what stands in a split, personal data and protected
    sentences are left out; where clients contradict each other, most of them have to agree.
    """
    from querywright.api.definition import load
    from querywright.progress import say
    from server.flywheel.export import Options
    from server.flywheel.export import export as run

    definition = load(api)
    home = workspace or Path("work") / definition.name
    folder = out or home / "feedback"
    run(definition, Options(folder, home, store or None, per_client, liked, records or None, allow_empty, split))
    say(f"in {folder}")


@app.command("show")
def show(
    api: Api,
    n: Annotated[int, typer.Option("--last", "-n", min=1, help="How many answers.")] = 20,
    workspace: Workspace = None,
    store: Place = "",
) -> None:
    """Counts, and the last answers with their ratings and corrections."""
    from contextlib import ExitStack

    from rich.console import Console

    from querywright.api.definition import load
    from server.flywheel.export import opened
    from server.flywheel.show import answers, counted

    definition = load(api)
    with ExitStack() as stack:
        for one in opened(stack, workspace or Path("work") / definition.name, store or None):
            console = Console()
            console = console if console.is_terminal else Console(width=160)
            console.print(f"{one.where}: {counted(one.counts(definition.name))}", markup=False, highlight=False)
            console.print(answers(one.history(None, definition.name, n), one.corrections(definition.name)))


@app.command("prune")
def prune(
    days: Annotated[float, typer.Option("--days", min=0, help="Answers older than this are deleted.")],
    api: Annotated[str, typer.Option("--api", help="Whose workspace; its store may hold other APIs' too.")] = "mygene",
    workspace: Workspace = None,
    store: Place = "",
) -> None:
    """Delete old answers, and what was said of them, for good."""
    from contextlib import ExitStack

    from querywright.api.definition import load
    from querywright.progress import say
    from server.flywheel.export import opened

    with ExitStack() as stack:
        for one in opened(stack, workspace or Path("work") / load(api).name, store or None):
            say(f"{one.where}: {one.prune(days)} answers older than {days:g} days deleted")


register(app)
