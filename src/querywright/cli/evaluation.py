"""`querywright evaluation`: the evaluation service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

app = typer.Typer(no_args_is_help=True, add_completion=False)
teams = typer.Typer(no_args_is_help=True, help="Which teams may use the service.")
app.add_typer(teams, name="teams")
FILE = Path("work/teams")
_File = Annotated[Path, Option("--file", envvar="QUERYWRIGHT_TEAMS", help="The file of teams.")]
_Name = Annotated[str, typer.Argument(help="A letter, then letters, digits, dots, dashes, underscores.")]


@app.callback()
def group() -> None:
    """The evaluation service: documents to questions to scores, over REST, for several teams.

    Its settings come from the environment: see docs/evaluation.md."""


@app.command()
def serve(
    port: Annotated[int, Option("--port", min=0, max=65535, help="0 takes any free port.")] = 7870,
    host: Annotated[str, Option("--host", help="Where to listen; the default is this machine only.")] = "127.0.0.1",
    workers: Annotated[int, Option("--workers", min=1, max=64, help="Jobs at once, without a broker.")] = 1,
) -> None:
    """Serve the API under /v1/evaluation, with /docs. Jobs are worked on by child processes, or by Celery's workers
    where QUERYWRIGHT_BROKER and QUERYWRIGHT_RESULTS are set. Ctrl-C stops it."""
    from querywright.progress import say
    from server.evaluation.start import serve as run

    try:
        run(host, port, workers)
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(130) from None


@app.command()
def worker(
    concurrency: Annotated[int, Option("--concurrency", min=1, max=64, help="Jobs at once.")] = 1,
) -> None:
    """Work on the service's jobs, on this machine or another: over Celery with a broker, else out of the job table."""
    from querywright.progress import say
    from server.evaluation.start import work

    try:
        code = work(concurrency)
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(130) from None
    raise typer.Exit(code)


@app.command()
def mlflow(
    port: Annotated[int, Option("--port", min=1, max=65535)] = 5000,
    host: Annotated[str, Option("--host", help="Where to listen; the default is this machine only.")] = "127.0.0.1",
) -> None:
    """Serve MLflow's pages on the service's store. There is no login: keep it on this machine, or behind a proxy."""
    from server.evaluation.mlflow_server import serve as run
    from server.evaluation.settings import settings_of

    settings = settings_of()
    run(settings.mlflow, settings.artefacts, host, port)


@app.command()
def status(as_json: Annotated[bool, Option("--json", help="As JSON, on standard output.")] = False) -> None:
    """Show jobs, what waits or failed, and which of the services that it needs are away (then the exit code is 1)."""
    import json

    from server.evaluation.settings import settings_of
    from server.evaluation.status import away, shown
    from server.evaluation.status import status as look

    found = look(settings_of())
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        from rich.console import Console

        Console().print(shown(found))
    if away(found):
        raise typer.Exit(1)


@teams.command("add")
def add(name: _Name, file: _File = FILE) -> None:
    """Add a team, or give one a new token, which ends the old one. The token is printed, and kept nowhere."""
    from querywright.progress import say
    from server.access import teams as book

    token, new = book.add(file, name)
    say(f"{name} {'may use the service' if new else 'has a new token, and the old one ended'}; hashes are in {file}")
    say("this is the only time that the token is shown:")
    print(token)
    say(f"to serve teams: QUERYWRIGHT_TEAMS={file} querywright evaluation serve")


@teams.command("remove")
def remove(name: _Name, file: _File = FILE) -> None:
    """Take a team out; a server that runs lets it in no more. Its uploads and runs stay."""
    from querywright.progress import say
    from server.access import teams as book

    book.remove(file, name)
    say(f"{name} is no team any more")


@teams.command("list")
def list_(file: _File = FILE) -> None:
    """Print the teams' names, one a line."""
    from server.access import teams as book

    for name in sorted(book.read(file)):
        print(name)
