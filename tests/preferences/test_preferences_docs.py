"""docs/preferences.md: its commands exist with their options, its tables of options are those of the commands.

QUERYWRIGHT_WRITE_DOCS=1 writes the tables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from querywright.artefacts import data_dir, repo_dir, write_text
from querywright.cli import cli
from querywright.cli.many_values import repeat
from querywright.engines.catalogue import Entry, read_catalogue
from querywright.preferences.choose import choose
from querywright.preferences.levels import RATINGS
from querywright.preferences.rating_values import RATED, STATES

PAGE = repo_dir() / "docs" / "preferences.md"
SECTION = re.compile(r"(### preferences ([a-z ]+)\n\n<!-- options -->\n)(.*?)(\n<!-- end -->)", re.S)
WRITE = "QUERYWRIGHT_WRITE_DOCS"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words begin with, and the words that are left."""
    found: Any = cli
    context = click.Context(cli)
    while hasattr(found, "list_commands"):
        names = found.list_commands(context)
        if "here" in names and words[0] not in names:  # `finetune CONFIG`
            words = ["here", *words]
        assert words[0] in names, f"no command {words[0]}"
        found, words = found.get_command(context, words[0]), words[1:]
    return found, words


def leaves(group: Any, name: str = "") -> list[str]:
    if not hasattr(group, "list_commands"):
        return [name]
    context = click.Context(group)
    inside = ((one, group.get_command(context, one)) for one in group.list_commands(context))
    return [leaf for one, found in inside for leaf in leaves(found, f"{name} {one}".strip())]


def table(found: click.Command) -> str:
    """The options of a command, a row each."""
    rows = ["| option | what | default |", "| --- | --- | --- |"]
    for option in found.params:
        if getattr(option, "hidden", False):
            continue
        names = ", ".join(f"`{name}`" for name in sorted((*option.opts, *option.secondary_opts), key=len, reverse=True))
        default = "required" if option.required else option.default
        if default is None or default is False or default == "" or callable(default):
            default = ""
        default = "yes" if default is True else default
        what = " ".join((getattr(option, "help", "") or "").split()).replace("|", r"\|")
        rows.append(f"| {names} | {what} | {default} |".replace("  ", " "))
    return "\n".join(rows) + "\n"


def test_the_tables_are_those_of_the_commands() -> None:
    page = text()
    written = SECTION.sub(lambda m: m[1] + "\n" + table(command(["preferences", *m[2].split()])[0]) + m[4], page)
    if os.environ.get(WRITE):
        write_text(PAGE, written)
        page = written
    assert page == written, f"{WRITE}=1 pytest {Path(__file__).name} writes the tables"


def test_every_command_has_a_table() -> None:
    group, _ = command(["preferences", "parse"])
    assert group is not None
    preferences = cli.get_command(click.Context(cli), "preferences")
    assert sorted(m[2] for m in SECTION.finditer(text())) == sorted(leaves(preferences))


LINES = re.findall(r"^(?:\$|>) (querywright .*)$", re.sub(r"\\\n>? *", "", PAGE.read_text(encoding="utf-8")), re.M)


@pytest.mark.parametrize("line", LINES)
def test_the_commands_are_right(line: str) -> None:
    """Each has its options, with values of their kinds, and all that it needs. None is run."""
    found, words = command(shlex.split(line)[1:])
    many = {name for p in found.params if getattr(p, "multiple", False) for name in p.opts}
    found.make_context(found.name, repeat(words, many) if many else words)


def test_there_are_commands() -> None:
    assert len(LINES) >= 15


def test_words_of_the_page_are_those_of_the_code() -> None:
    page = text()
    told = set(re.findall(r"^\| `([a-z/ ]+)` \|", page, re.M))
    assert set(STATES) - {RATED} <= told
    ratings = {int(n) for n in re.findall(r"^\| ([1-5]) \|", page, re.M)}
    assert ratings == {int(r) for r in RATINGS.values()}


def test_the_example_row_is_one_that_comes_out() -> None:
    example = json.loads(re.search(r"```json\n(.*?)```", text(), re.S)[1])  # type: ignore[index]
    responses = [
        {"model": m, "sample": 0, "response": t, "ratings": {"helpfulness": r}, "rating": r}
        for m, t, r in (("served", "a", 4.5), ("small", "b", 1.75))
    ]
    row = choose([{"prompt_hash": "0", "text": "x", "topic": "home", "responses": responses}]).rows[0]
    assert list(example) == list(row)


def test_the_catalogue_on_the_page_is_one(tmp_path: Path) -> None:
    yaml = re.search(r"```yaml\n(.*?)```", text(), re.S)[1]  # type: ignore[index]
    file = tmp_path / "models.yaml"
    file.write_text(yaml)
    assert all(isinstance(entry, Entry) for entry in read_catalogue(file).values())
    assert (data_dir() / "preferences" / "models.yaml").is_file()
