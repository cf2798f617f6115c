"""The help of every command, as a narrow screen shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest

from querywright.cli import COMMANDS, cli


def below(command: Any) -> Iterator[Any]:
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from below(one)


@pytest.mark.parametrize("name", COMMANDS)
def test_paragraphs_are_one_line_each_that_the_screen_breaks(name: str) -> None:
    group = cli.get_command(click.Context(cli), name)
    assert group is not None
    for command in below(group):
        assert "\n" not in (command.help or "").replace("\n\n", ""), command.name
