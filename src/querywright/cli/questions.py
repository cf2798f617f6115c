"""`querywright questions`: documents to questions with answers and evidence, and models scored on them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import typer

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Documents to questions with answers and evidence; models on them."
)

PARTS = ("make", "eval")
for part in PARTS:  # each in a module of its own, whose `register` puts its commands in here
    if find_spec(f"querywright.cli.questions_{part}") is not None:
        importlib.import_module(f"querywright.cli.questions_{part}").register(app)
