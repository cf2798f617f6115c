"""`querywright users`: who may log in to the query assistant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Who may log in to the query assistant.")
FILE = Path("work/users")
_File = Annotated[Path, typer.Option("--file", envvar="QUERYWRIGHT_USERS", help="The file of users.")]
_Name = Annotated[str, typer.Argument(help="A letter, then letters, digits, dots, dashes, underscores.")]


@app.callback()
def group() -> None:
    """Who may log in to the query assistant."""


@app.command("add")
def add(name: _Name, file: _File = FILE) -> None:
    """Add a user, or give one a new password: asked for twice, or the first line of standard input."""
    from querywright.progress import say
    from server.access import users

    users.allowed(name)
    new = users.add(file, name, _password())
    say(f"{name} {'may log in' if new else 'has a new password'}; password hashes are in {file}")
    say(f"to serve with logins: QUERYWRIGHT_USERS={file} querywright serve")


@app.command("remove")
def remove(name: _Name, file: _File = FILE) -> None:
    """Take a user out; a server that runs lets nobody of that name in from then on."""
    from querywright.progress import say
    from server.access import users

    users.remove(file, name)
    say(f"{name} is no user any more")


@app.command("list")
def list_(file: _File = FILE) -> None:
    """Print the users' names, one a line."""
    from server.access import users

    for name in sorted(users.read(file)):
        print(name)


def _password() -> str:
    import sys

    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
