"""`querywright preferences`: several models answer, answers are judged, chosen and rejected ones come out."""

from __future__ import annotations

import importlib

import typer

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Several models' answers, judged, into chosen and rejected."
)


@app.callback()
def group() -> None:
    """Several models' answers, judged, into chosen and rejected."""


PARTS = ("respond", "mix", "annotate", "parse", "execute")
for part in PARTS:  # each in a module of its own, whose `register` puts its command or group in here
    importlib.import_module(f"querywright.cli.preferences_{part}").register(app)
