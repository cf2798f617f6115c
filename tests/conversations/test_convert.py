"""Conversations into databases and out of them, killed in between; as prompts, as preferences."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from querywright.conversations import convert as converting
from querywright.conversations import document, store, tables
from querywright.conversations.convert import Config, convert
from querywright.database import connect, sa
from querywright.errors import QuerywrightError
from querywright.finetune.preferences import read_preferences
from tests.conversations.talks import HEAD, judgement, talk, write

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
KILL = """
import os, signal, sys
import sqlalchemy as sa
left = int(os.environ["KILL_AT"])
moment = os.environ["KILL_WHEN"]

def seen(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if moment == "commit":
    sa.event.listen(sa.engine.Engine, "commit", seen)
elif moment == "insert":  # SQLite; PostgreSQL's COPY goes by the driver
    def looked(*a):
        if "INSERT INTO chat_r" in a[2]:
            seen()
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", looked)
    try:
        import psycopg
        copy = psycopg.Cursor.copy
        psycopg.Cursor.copy = lambda self, *a, **k: (seen() if "chat_r" in str(a[0]) else None, copy(self, *a, **k))[1]
    except ImportError:
        pass
else:  # while it is read
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", lambda *a: seen() if "chat_turn" in a[2] else None)
from querywright.cli import main
sys.argv = ["querywright", *sys.argv[1:]]
main()
"""


def emptied(url: str) -> str:
    database = connect(url)
    with database.writer.begin() as db:
        for table in reversed(tables.metadata.sorted_tables):
            db.execute(sa.schema.DropTable(table, if_exists=True))
    database.close()
    return url


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of either kind."""
    if request.param == "sqlite":
        yield str(tmp_path / "chats.sqlite")
    else:
        yield emptied(request.getfixturevalue("postgres"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of ten conversations, some judged, one of them there twice."""
    talks = [talk(n, 1 + n % 3, {"persona": "a nurse"} if n % 2 else None) for n in range(9)]
    talks.append(talk(9, 2, judgements=[judgement(1), judgement("tie", "k"), judgement(None, "l", orders=[0, 1])]))
    return write(tmp_path / "talks.json", [*talks, talks[3]])


def held(where: str) -> dict[str, Any]:
    with store.opened(where) as database, store.reading(database) as db:
        return {one["id"]: one for _, one in store.stored(db)}


def run(*args: object, kill: tuple[str, int] | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """The command, killed (in a process of its own) the n-th time that something happens; else in this process."""
    words = ["conversations", "convert", *map(str, args)]
    if kill:
        told = {**os.environ, "KILL_WHEN": kill[0], "KILL_AT": str(kill[1]), **env}
        return subprocess.run(
            [sys.executable, "-c", KILL, *words], capture_output=True, text=True, timeout=120, env=told
        )
    from querywright.cli import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["querywright", *words])
        for name, value in env.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
    code = end.value.code
    return subprocess.CompletedProcess(words, code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())


@BOTH
def test_what_goes_in_comes_out(database: str, source: Path, tmp_path: Path) -> None:
    done = convert(str(source), "json", database, "db", Config(batch_size=4))
    assert (done.read, done.twice) == (11, 1)
    assert done.rows == done.new == done.total
    assert done.rows == {"chat_conversation": 10, "chat_turn": 20, "chat_response": 40, "chat_judgement": 6}
    back = tmp_path / "back.json"
    convert(database, "db", str(back), "json", Config())
    before, after = document.read(source), document.read(back)
    assert {c["id"]: c for c in before["conversations"]} == {c["id"]: c for c in after["conversations"]}
    assert {key: after[key] for key in HEAD} == HEAD
    assert [c["id"] for c in after["conversations"]] == sorted(c["id"] for c in after["conversations"])


@BOTH
def test_again_adds_nothing_and_later_judgements_are_added(database: str, tmp_path: Path) -> None:
    talks = [talk(n) for n in range(3)]
    first = write(tmp_path / "a.json", talks)
    convert(str(first), "json", database, "db", Config())
    again = convert(str(first), "json", database, "db", Config())
    assert (again.new, again.rows["chat_turn"]) == ({}, 6)
    judged = write(tmp_path / "b.json", [talk(n, judgements=[judgement(0)]) for n in range(4)])
    third = convert(str(judged), "json", database, "db", Config())
    assert third.new == {"chat_conversation": 1, "chat_turn": 2, "chat_response": 4, "chat_judgement": 8}
    assert third.total["chat_conversation"] == 4
    assert all(t["judgements"][0]["preferred"] == 0 for one in held(database).values() for t in one["turns"])


@BOTH
@pytest.mark.parametrize("moment", [("insert", 4), ("commit", 6)])
def test_killed_while_inserting_and_run_again_nothing_is_lost_or_doubled(
    database: str, source: Path, tmp_path: Path, moment: tuple[str, int]
) -> None:
    config = tmp_path / "c.json"
    config.write_text('{"batch_size": 2, /* small */ "database": "env:CHATS"}')
    args = ("-c", config, "-it", "json", "-i", source, "-ot", "db")
    killed = run(*args, kill=moment, CHATS=database)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    whole = {c["id"]: c for c in document.read(source)["conversations"]}
    found = _left(database)
    left = len(found)
    assert left in (0, 2, 4, 6, 8)  # whole batches
    assert found == {id_: whole[id_] for id_ in found}
    done = run(*args, CHATS=database)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["new"]["chat_conversation"] == 10 - left
    assert report["total"] == {"chat_conversation": 10, "chat_turn": 20, "chat_response": 40, "chat_judgement": 6}
    assert held(database) == whole


def _left(where: str) -> dict[str, Any]:
    try:
        return held(where)
    except QuerywrightError:  # before the tables were there
        return {}


@BOTH
def test_killed_while_reading_back_leaves_no_half_file(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "talks.json", [talk(n, 1) for n in range(210)])  # two pages
    convert(str(source), "json", database, "db", Config())
    out = tmp_path / "out" / "back.json"
    out.parent.mkdir()
    out.write_text("before")
    args = ("-it", "db", "-i", "env:CHATS", "-ot", "json", "-o", out)
    killed = run(*args, kill=("read", 2), CHATS=database)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert out.read_text() == "before"
    done = run(*args, CHATS=database)
    assert done.returncode == 0, done.stderr
    assert held(database) == {c["id"]: c for c in document.read(out)["conversations"]}
    assert len(document.read(out)["conversations"]) == 210


@BOTH
def test_two_at_once_insert_each_conversation_once(database: str, source: Path, tmp_path: Path) -> None:
    one = tmp_path / "c.json"
    one.write_text('{"batch_size": 1}')
    args = [sys.executable, "-m", "querywright", "conversations", "convert", "-c", str(one), "-i", str(source), "-o"]
    both = [
        subprocess.Popen([*args, database], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"
    ]
    ends = [process.communicate(timeout=120) for process in both]
    assert [p.returncode for p in both] == [0, 0], ends
    new = [json.loads(out).get("new", {}).get("chat_conversation", 0) for out, _ in ends]
    assert sum(new) == 10
    assert len(held(database)) == 10


def test_from_one_database_into_another(tmp_path: Path, source: Path) -> None:
    other = write(tmp_path / "other.json", [talk(77)], models={"one": {"provider": "local", "name": "else"}}, user={})
    a, b = str(tmp_path / "a.sqlite"), str(tmp_path / "b.sqlite")
    convert(str(source), "json", a, "db", Config())
    convert(str(other), "json", a, "db", Config())
    convert(a, "db", b, "db", Config(batch_size=3))
    assert held(a) == held(b)
    back = tmp_path / "back.json"
    convert(b, "db", str(back), "json", Config())
    found = document.read(back)
    assert found["config"] == {"several": [{"seed": 0}, {"seed": 0}]}
    names = {found["models"]["one"]["name"], *(m["name"] for m in found["models"]["one"]["also"])}
    assert names == {"else", "/models/one.gguf"}


def test_what_no_database_can_hold_is_replaced_once_and_for_all(tmp_path: Path) -> None:
    odd = talk(1, 1, extra={"n\0": ["\ud800", {"deep": 1e400}]}, tokens=True)
    odd["turns"][0]["responses"][0] |= {"text": "a\0b\ud83d", "tokens_in": 2**70, "ms": "fast", "finish": ["x"]}
    where = str(tmp_path / "x.sqlite")
    done = convert(str(write(tmp_path / "odd.json", [odd])), "json", where, "db", Config())
    assert done.renamed == 1
    (kept,) = held(where).values()
    answer = kept["turns"][0]["responses"][0]
    assert answer["text"] == "a\ufffdb\ufffd"
    assert (answer["tokens_in"], answer["ms"], answer["finish"]) == (2**70, "fast", ["x"])
    assert kept["extra"] == {"n\ufffd": ["\ufffd", {"deep": float("inf")}]}
    lines = tmp_path / "lines.jsonl"
    convert(where, "db", str(lines), "jsonl", Config())
    again = convert(str(lines), "jsonl", where, "db", Config())
    assert (again.new, again.renamed) == ({}, 0)


def test_prompts_are_rows_that_respond_reads(tmp_path: Path, source: Path) -> None:
    from querywright.preferences.prompts import chat_of, read_prompts

    out = tmp_path / "prompts.jsonl"
    done = convert(str(source), "json", str(out), "prompts", Config(system="Be brief."))
    rows = read_prompts([str(out)])
    assert len(rows) == done.rows["prompts"] == 20
    talks = {c["id"]: c for c in document.read(source)["conversations"]}
    for row in rows:
        one = talks[row["conversation"]]
        assert chat_of(row) == [
            {"role": "system", "content": "Be brief."}, *document.history(one, row["turn"]),
            {"role": "user", "content": one["turns"][row["turn"]]["user"]},
        ]  # fmt: skip
        assert row["id"] == f"{one['id']}-{row['turn']}"
    convert(str(source), "json", str(out), "prompts", Config(turns="first"))
    assert len(read_prompts([str(out)])) == 10


def test_a_sentence_that_comes_twice_is_one_prompt_and_a_protected_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from querywright import protected

    talks = [talk(n, 2) for n in range(3)]
    for one in talks[:2]:
        one["turns"][0]["user"] = "Which genes are known?"
    talks[2]["turns"][1]["user"] = "find the secret gene"
    hashes = tmp_path / "hashes.txt"
    protected.protect(["Find the secret gene!"], hashes)
    monkeypatch.setenv(protected.VARIABLE, str(hashes))
    source = tmp_path / "t.jsonl"
    source.write_text("".join(json.dumps({**one, "id": ""}) + "\n" for one in talks))
    out = tmp_path / "p.jsonl"
    done = convert(str(source), "jsonl", str(out), "prompts", Config())
    assert done.rows == {"prompts": 4, "asked_before": 1, "protected": 1}


def test_judged_turns_become_preferences(tmp_path: Path) -> None:
    judged = [
        talk(0, 1, judgements=[judgement(1)]),
        talk(1, 2, judgements=[judgement(0), judgement(0, "k")]),
        talk(2, 1, judgements=[judgement("tie")]),
        talk(3, 1, judgements=[judgement(None)]),
        talk(4, 1, judgements=[judgement(0), judgement(1, "k")]),  # two judges against each other
        talk(5, 1),
    ]
    out = tmp_path / "dpo.jsonl"
    done = run("-i", write(tmp_path / "t.json", judged), "-ot", "preferences", "-o", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == {"preferences": 3}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(r["chosen_model"], r["rejected_model"]) for r in rows] == [("two", "one"), ("one", "two"), ("one", "two")]
    second = read_preferences(out)[2]
    assert second.prompt == [
        *document.history(judged[1], 1), {"role": "user", "content": judged[1]["turns"][1]["user"]},
    ]  # fmt: skip
    assert second.chosen == [{"role": "assistant", "content": "one says 1.1\nand more"}]
    assert rows[1]["ratings"]["chosen"] == {"judge:j": 5.0, "judge:k": 5.0}


def test_preferences_of_an_api_are_asked_as_its_tuned_model_is(tmp_path: Path) -> None:
    out = tmp_path / "dpo.jsonl"
    source = write(tmp_path / "t.json", [talk(0, 2, judgements=[judgement(1)])])
    done = run("-i", source, "-ot", "preferences", "-o", out, "--api", "mygene")
    assert done.returncode == 0, done.stderr
    second = read_preferences(out)[1]
    assert [m["role"] for m in second.prompt] == ["system", "user", "assistant", "user"]
    assert "mygene" in second.prompt[0]["content"]


def test_nothing_judged_says_what_to_do(tmp_path: Path) -> None:
    done = run("-i", write(tmp_path / "t.json", [talk(0)]), "-ot", "preferences", "-o", tmp_path / "x")
    assert done.returncode == 2
    assert "conversations judge" in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-i", "SOURCE"], "-o is missing"),
        (["-o", "x.sqlite"], "-i is missing"),
        (["-i", "nothing.json", "-o", "x.sqlite"], "could not read nothing.json"),
        (["-it", "db", "-i", "nothing.sqlite", "-ot", "json", "-o", "x"], "no database at nothing.sqlite"),
        (["-it", "db", "-i", "SOURCE", "-ot", "json", "-o", "x"], "not a database"),
        (["-it", "db", "-i", "env:NO_SUCH_CHATS", "-ot", "json", "-o", "x"], "variable NO_SUCH_CHATS"),
        (["-i", "SOURCE", "-ot", "json", "-o", "SOURCE"], "is the source"),
        (["-i", "SOURCE", "-o", "mysql://a:hunter2@h/db"], "can't be kept in 'mysql'"),
        (["-i", "SOURCE", "-o", "postgresql://a:hunter2@127.0.0.1:1/db"], "could not open"),
        (["-c", "CONFIG", "-i", "SOURCE"], "batch_sizes"),
        (["-i", "SOURCE", "--api", "mygene", "-o", "x"], "--api is for"),
        (["-it", "jsonl", "-i", "SOURCE", "-o", "x"], "it has no turns"),
    ],
)
def test_mistakes_say_what_to_do(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], said: str
) -> None:
    config = tmp_path / "c.json"
    config.write_text('{"batch_sizes": 3, "database": "postgresql://ann:hunter2@h/d", "turns": "some"}')
    monkeypatch.chdir(tmp_path)
    names = {"SOURCE": str(source), "CONFIG": str(config)}
    done = run(*(names.get(a, a) for a in args))
    err = done.stderr
    assert (done.returncode, said in err, "try:" in err) == (2, True, True), err
    assert "hunter2" not in err
    assert "Traceback" not in err
    if "CONFIG" in args:
        assert all(part in err for part in ("'batch_size'", "turns", "env:NAME"))


@pytest.mark.parametrize("named", ["postgresql://me:s3cret@h/chats", "env:CHATS"])
def test_a_database_where_a_file_is_said_is_not_a_file(tmp_path: Path, source: Path, named: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    for words in ((named, "json", str(tmp_path / "x.json"), "jsonl"), (str(source), "json", named, "preferences")):
        with pytest.raises(QuerywrightError, match="names a database") as failed:
            convert(*words, Config())
        assert "s3cret" not in str(failed.value)
        assert "t db" in failed.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_a_database_is_not_written_over_by_its_own_file(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "x.sqlite"
    convert(str(source), "json", str(path), "db", Config())
    before = path.read_bytes()
    for words in ((f"sqlite:///{path}", "db", str(path), "json"), (f"sqlite:///{path}", "db", str(path), "db")):
        with pytest.raises(QuerywrightError, match="is the source"):
            convert(*words, Config())
    assert path.read_bytes() == before


def test_a_newer_layout_is_left_alone(tmp_path: Path, source: Path) -> None:
    where = tmp_path / "x.sqlite"
    convert(str(source), "json", str(where), "db", Config(), limit=2)
    with sqlite3.connect(where) as db:
        db.execute("UPDATE chat_meta SET value = '99'")
    for args in (("-it", "db", "-i", where, "-ot", "json", "-o", tmp_path / "y"), ("-i", source, "-o", where)):
        done = run(*args)
        assert (done.returncode, "layout 99" in done.stderr) == (2, True), done.stderr


def test_what_was_changed_in_the_database_is_found(tmp_path: Path, source: Path) -> None:
    where = tmp_path / "x.sqlite"
    convert(str(source), "json", str(where), "db", Config())
    with sqlite3.connect(where) as db:
        db.execute("UPDATE chat_response SET said = 'other' WHERE rowid = 3")
    with pytest.raises(QuerywrightError, match=r"not .* as it was inserted"):
        convert(str(source), "json", str(where), "db", Config())
    with sqlite3.connect(where) as db:
        db.execute("DELETE FROM chat_response WHERE rowid = 3")
    assert convert(str(source), "json", str(where), "db", Config()).new == {"chat_response": 1}


def test_a_database_of_something_else_holds_no_conversations(tmp_path: Path, source: Path) -> None:
    where = tmp_path / "other.sqlite"
    with sqlite3.connect(where) as db:
        db.execute("CREATE TABLE notes (x)")
    with pytest.raises(QuerywrightError, match="holds no conversations"):
        convert(str(where), "db", str(tmp_path / "y"), "json", Config())
    assert convert(str(source), "json", str(where), "db", Config()).total["chat_conversation"] == 10


def test_hostile_files_are_refused_or_kept(tmp_path: Path) -> None:
    import random

    chance, refused = random.Random(0), list[str]()
    whole = talk(0, 2, judgements=[judgement(0)])
    where = str(tmp_path / "x.sqlite")
    odd: list[Any] = [None, [], {}, "", -1, True, 1e308, 2**80, ["x"], {"a": None}, "\ud800", [[[]]]]
    for _ in range(60):
        raw = json.loads(json.dumps(whole))
        for _ in range(chance.randint(1, 3)):
            spot: Any = raw
            while True:
                keys: list[Any] = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
                key = chance.choice(keys)
                if chance.random() < 0.4 or not isinstance(spot[key], dict | list) or not spot[key]:
                    break
                spot = spot[key]
            spot[key] = chance.choice(odd)
        source = write(tmp_path / "odd.json", [raw])
        try:
            done = convert(str(source), "json", where, "db", Config())
        except QuerywrightError as error:
            refused.append(error.hint)
            continue
        assert done.rows["chat_conversation"] == 1
    for kind in ("json", "jsonl", "prompts"):
        convert(where, "db", str(tmp_path / f"out.{kind}"), kind, Config())
    for kind in ("json", "jsonl"):
        assert not convert(str(tmp_path / f"out.{kind}"), kind, where, "db", Config()).new
    assert len(held(where)) > 5
    assert 5 < len(refused) < 55
    assert all(refused)


def test_place_is_the_configs_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATS", "postgresql://u:p@h/d")
    place: Callable[..., str] = converting.place
    assert place("", "db", Config(database="env:CHATS"), "-o") == "postgresql://u:p@h/d"
    assert place("mine.sqlite", "db", Config(database="env:CHATS"), "-o") == "mine.sqlite"
