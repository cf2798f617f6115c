"""Conversations from one form into another: files of them, databases, prompts, preferences.

Into a database they go batch by batch, and each batch is read back and compared before the next. A run that was killed
is run again: what is there already is not inserted twice. A file is written whole or not at all.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from querywright import jsonc
from querywright.artefacts import apart, numbered_jsonl, write_jsonl
from querywright.conversations import document, read_back, tables
from querywright.conversations.document import Conversation
from querywright.conversations.llm import Strict, checked
from querywright.errors import QuerywrightError
from querywright.progress import say, track

DB, JSON, JSONL, PROMPTS, PREFERENCES = "db", "json", "jsonl", "prompts", "preferences"
_ENV = re.compile(r"env:([A-Za-z_]\w*)")
_PASSWORD = re.compile(r"://[^/@\s]*:[^@\s]+@|[?&]password=")

Item = tuple[tables.Source, Conversation]
Counts = dict[str, int]
Chooser = Callable[[Iterable[dict[str, Any]]], tuple[list[dict[str, Any]], list[str]]]
"""Preference rows of rated rows, and what is to be said of them."""


class Config(Strict):
    """How conversations are converted.

    Attributes:
        database: a file or a URL, where `-i` or `-o` names none; `env:NAME` reads it from the environment, which is
            the place for a URL with a password.
        batch_size: conversations of a transaction.
        turns: of `-ot prompts`: all, or the first of each conversation.
        system: of `-ot prompts` and `-ot preferences`: the system message.
        seed: of `-ot preferences`: for what is drawn.
    """

    database: str = ""
    batch_size: int = Field(default=200, ge=1, le=100_000)
    turns: Literal["all", "first"] = "all"
    system: str = ""
    seed: int = 0

    @field_validator("database")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if _PASSWORD.search(value):
            raise ValueError("a password in a file is soon in a copy of it: write env:NAME, and the URL into $NAME")
        return value


def load(path: Path | str | None) -> Config:
    """Read a config file; None is all defaults.

    Raises:
        QuerywrightError: it can't be read, or there are mistakes in it: all are named.
    """
    if path is None:
        return Config()
    return checked(Config, jsonc.read(path, '{"database": "chats.sqlite", "batch_size": 200}'), str(path))


@dataclass
class Done:
    """What became of the conversations.

    Attributes:
        read: how many were read; `twice`: how many of them were there already in the same input; `renamed`: how many
            had another id than their content's.
        rows: of files: rows written; of a database: rows of each table that were inserted or there before.
        new: of a database: those that were inserted.
        total: of a database: all that it holds now.
    """

    read: int = 0
    twice: int = 0
    renamed: int = 0
    rows: Counts = field(default_factory=dict)
    new: Counts = field(default_factory=dict)
    total: Counts = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Plain values, without what is empty."""
        return {key: value for key, value in vars(self).items() if value or key == "read"}


def convert(
    source: str, source_type: str, out: str, out_type: str, config: Config, *, limit: int | None = None,
    choose: Chooser | None = None,
) -> Done:  # fmt: skip
    """Convert conversations.

    Args:
        source: a file, or a database (file, URL, `env:NAME`); empty is the config's database.
        source_type: json, jsonl or db.
        out: the same for where they go.
        out_type: json, jsonl, db, prompts or preferences.
        limit: only the first so many; those of a database are in the order of their ids.
        choose: makes preference rows.

    Raises:
        QuerywrightError: something is missing, can't be read or written, or does not come back as it went in.
    """
    read_from, write_to = (
        place(where, kind, config, option)
        for where, kind, option in ((source, source_type, "-i"), (out, out_type, "-o"))
    )
    files = [where.removeprefix("sqlite:///") for where in (read_from, write_to)]
    if not any("://" in where for where in files):
        apart(files[0], out=files[1])
    elif read_from == write_to:
        raise QuerywrightError("-i and -o are the same database", hint="another one for -o")
    done = Done()
    with ExitStack() as stack:
        origins, items = _items(stack, read_from, source_type, limit)
        distinct = _distinct(items, done)
        if out_type == DB:
            _into_database(write_to, distinct, config, done)
        else:
            _into_file(Path(write_to), out_type, origins, (one for _, one in distinct), config, done, choose)
    if done.twice:
        say(f"{done.twice} of {done.read} conversations were there before in the same source: once is enough")
    if done.renamed:
        say(f"{done.renamed} conversations had an id that is not their content's: they have that now")
    return done


def place(where: str, kind: str, config: Config, option: str) -> str:
    """A file, or a database's file or URL.

    Raises:
        QuerywrightError: none is named, or the environment variable that names it is not set.
    """
    where = where or (config.database if kind == DB else "")
    if not where:
        also = ", or `database` in the config" if kind == DB else ""
        raise QuerywrightError(f"{option} is missing", hint=f"{option} {'FILE_OR_URL' if kind == DB else 'FILE'}{also}")
    named = _ENV.fullmatch(where)
    if kind != DB and (named or "://" in where):  # perhaps with a password in it: not shown
        raise QuerywrightError(
            f"{option} names a database, and {option}t says {kind}", hint=f"{option}t db, or a file for {option}"
        )
    if not named:
        return where
    found = os.environ.get(named[1], "")
    if not found:
        raise QuerywrightError(f"no database in the environment variable {named[1]}", hint=f"export {named[1]}=URL")
    return found


def _items(stack: ExitStack, where: str, kind: str, limit: int | None) -> tuple[list[tables.Source], Iterator[Item]]:
    """Where the conversations come from, and the conversations."""
    if kind == DB:
        from querywright.conversations import store

        db = stack.enter_context(store.reading(stack.enter_context(store.opened(where))))
        return store.sources(db), store.stored(db, limit)
    if kind == JSON:
        found = document.read(where)
        origin = tables.source_row(found)
        return [origin], itertools.islice(((origin, one) for one in found["conversations"]), limit)
    origin = tables.source_row({})
    return [origin], itertools.islice(((origin, one) for one in _lines(where)), limit)


def _lines(path: str) -> Iterator[Conversation]:
    for number, row in numbered_jsonl(path):
        if wrong := document.fault(row):
            raise QuerywrightError(f"{path}:{number}: {wrong}", hint="leave it out, or synthesize it again")
        yield row


def _distinct(items: Iterable[Item], done: Done) -> Iterator[Item]:
    """Each conversation once, storable, under its content's id."""
    seen: set[str] = set()
    for origin, raw in items:
        one = tables.storable_conversation(raw)
        done.read += 1
        done.renamed += raw.get("id", one["id"]) != one["id"]
        if one["id"] in seen:
            done.twice += 1
            continue
        seen.add(one["id"])
        yield origin, one


def _into_database(where: str, items: Iterable[Item], config: Config, done: Done) -> None:
    from querywright.conversations import store

    rows: Counter[str] = Counter()
    new: Counter[str] = Counter()
    with store.opened(where, write=True) as database:
        batches = store.put(database, items, config.batch_size)
        for part, added in track(batches, f"batches of {config.batch_size} conversations", note=lambda: f"{done.read}"):
            new.update(added)
            rows.update(store.check(database, [one for _, one in part]))
        with store.reading(database) as db:
            done.total = store.counts(db)
        say(f"{told(rows)} in {database.shown}, read back; new: {told(new)}; it holds {told(done.total)}")
    done.rows, done.new = dict(rows), {name: n for name, n in new.items() if n}


def told(counts: Mapping[str, int]) -> str:
    """Counts in words."""
    numbers = ((counts.get(table.name, 0), table.name.removeprefix("chat_")) for table in tables.ROWS)
    return ", ".join(f"{n:,} {name}{'s' * (n != 1)}" for n, name in numbers)


def _into_file(
    path: Path, kind: str, origins: list[tables.Source], conversations: Iterable[Conversation], config: Config,
    done: Done, choose: Chooser | None,
) -> None:  # fmt: skip
    if kind == JSON:
        done.rows = {"conversations": read_back.write_document(path, origins, conversations)}
    elif kind == JSONL:
        done.rows = {"conversations": write_jsonl(path, conversations)}
    elif kind == PROMPTS:
        left_out: Counter[str] = Counter()
        rows = read_back.prompts(conversations, left_out, turns=config.turns, system=config.system)
        done.rows = {"prompts": write_jsonl(path, rows), **left_out}
    else:
        assert choose is not None, "preferences need a function that chooses"
        chosen, lines = choose(read_back.rated(conversations, system=config.system))
        for line in lines:
            say(line)
        if not chosen:
            raise QuerywrightError(
                "no turn gives a preference",
                hint="a turn does where a judge says the same in both orders: `conversations judge`, or another judge",
            )
        done.rows = {"preferences": write_jsonl(path, chosen)}
    n = next(iter(done.rows.values()))
    more = "".join(f"; left out, {why.replace('_', ' ')}: {n}" for why, n in list(done.rows.items())[1:])
    say(f"{n:,} {next(iter(done.rows))} from {done.read:,} conversations in {path}{more}")
