"""`querywright conversations`: synthetic users talk with several models; judged, into databases and training data."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import typer

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Synthetic users who talk with several models at once."
)

PARTS = ("synthesize", "judge", "convert", "user")
for part in PARTS:  # each in a module of its own, whose `register` puts its commands in here
    if find_spec(f"querywright.cli.conversations_{part}") is not None:
        importlib.import_module(f"querywright.cli.conversations_{part}").register(app)
