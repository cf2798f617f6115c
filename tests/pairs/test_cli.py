"""`querywright pairs`: every option says what it is for, and one that would do nothing is refused."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from querywright.cli.pairs import app
from querywright.errors import QuerywrightError

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(name: str) -> None:
    command: click.Command = COMMANDS[name]
    assert command.help
    silent = [p.name for p in command.params if not getattr(p, "help", None)]
    assert silent == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--teacher", "llm", "--model", "m.gguf", "--conversations", "5"], "are the templates'"),
        (["--teacher", "llm", "--model", "m.gguf", "--refusals", "5"], "are the templates'"),
        (["--teacher", "llm", "--model", "m.gguf", "--style", "narrow"], "are the templates'"),
        (["--model", "m.gguf"], "a language model's"),
        (["--estimate"], "a language model's"),
        (["--budget", "1"], "a language model's"),
    ],
)
def test_options_of_the_other_teacher_are_refused(tmp_path: Path, options: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["make", "--api", "mygene", "--out", str(tmp_path / "out"), *options])
    assert isinstance(done.exception, QuerywrightError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_style_that_is_none_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["make", "--api", "mygene", "--out", str(tmp_path / "out"), "--style", "brood"])
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()
