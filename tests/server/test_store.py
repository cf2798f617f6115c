"""The store: what goes in comes out, whoever writes at the same time, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from querywright.errors import QuerywrightError
from server.keep.clients import client_of
from server.keep.pruning import pruned
from server.keep.store import FILE, KeptEnough, NotYours, Store

QUOTED = "Robert'); DROP TABLE answer;-- %s :x \U0001f9ec"
VERSION_1 = """
CREATE TABLE answer (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, api TEXT NOT NULL, question TEXT NOT NULL, path TEXT NOT NULL,
    ok INTEGER NOT NULL, reason TEXT NOT NULL, ms REAL NOT NULL, model TEXT NOT NULL, source TEXT NOT NULL,
    rating INTEGER CHECK (rating IN (-1, 1))
);
CREATE TABLE correction (
    id INTEGER PRIMARY KEY, answer INTEGER NOT NULL REFERENCES answer (id), time TEXT NOT NULL, path TEXT NOT NULL,
    ok INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX correction_answer ON correction (answer);
CREATE INDEX answer_api ON answer (api);
INSERT INTO answer VALUES
    (3, '2026-01-02T03:04:05.678+00:00', 'mygene', 'the CDK2 gene', '/v3/query?q=x', 1, '', 1.5, 'm', 'page', -1),
    (4, '2026-01-02T03:04:06.000+00:00', 'mygene', 'the weather', 'nil topic', 0, 'no', 2.0, 'm', 'rest', NULL);
INSERT INTO correction VALUES (7, 3, '2026-01-02T03:05:00.000+00:00', '/v3/query?q=symbol:CDK2', 1, '');
PRAGMA user_version = 1;
"""


def add(store: Store, question: str = "q", client: str = "c", path: str = "/v3/query?q=x", **more: Any) -> int:
    row: dict[str, Any] = {"api": "mygene", "ok": True, "reason": "", "ms": 1.0, "model": "m", "source": "page"}
    return store.add_answer(**{**row, "question": question, "path": path, "client": client, **more})


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """An empty place for a store, of either kind."""
    if request.param == "sqlite":
        return tmp_path / FILE
    url: str = request.getfixturevalue("postgres")
    import sqlalchemy as sa

    from querywright import database
    from server.keep import tables

    found = database.connect(url)
    with found.writer.begin() as db:
        for table in reversed(tables.metadata.sorted_tables):
            db.execute(sa.schema.DropTable(table, if_exists=True))
    found.writer.dispose()
    return url


@pytest.fixture
def stored(where: str | Path) -> Iterator[Store]:
    opened = Store(where)
    yield opened
    opened.close()


def test_what_goes_in_comes_out_after_reopening(stored: Store, where: str | Path) -> None:
    turns = [{"role": "user", "content": QUOTED}, {"role": "assistant", "content": "/v3/query?q=x"}]
    answer = add(stored, QUOTED, turns=turns, conversation="k", refused="", confidence=0.25, config="f00")
    made = stored.add_correction(answer, path="/v3/query?q=" + QUOTED, ok=False, reason="it's no call", client="c")
    stored.rate(answer, -1, client="c")
    stored.rate(answer, 1, client="c")
    again = Store(where)
    (correction,) = again.corrections("mygene")
    assert (correction.id, correction.api, correction.question, correction.answer, correction.model) == (
        made, "mygene", QUOTED, "/v3/query?q=x", "m",
    )  # fmt: skip
    assert (correction.path, correction.ok, correction.reason, correction.client) == (
        "/v3/query?q=" + QUOTED, False, "it's no call", "c",
    )  # fmt: skip
    one = correction.of
    assert (one.turns, one.conversation, one.confidence, one.config, one.rating) == (tuple(turns), "k", 0.25, "f00", 1)
    assert [one] == again.ratings("mygene") == again.history("c", "mygene") == again.history(None, "mygene")
    assert again.answer(answer) == again.answer(answer, client="c") == one
    assert again.answer(answer, client="d") is None
    assert again.counts("mygene") == {
        "answers": 1, "up": 1, "down": 0, "corrections": 1, "valid_corrections": 0, "preferences": 0,
    }  # fmt: skip
    assert again.corrections("other") == again.history("c", "other") == again.history("d", "mygene") == []
    again.close()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\0b", "a\ufffdb"),  # PostgreSQL has no NUL
        ("a\ud800b", "a\ufffdb"),  # UTF-8 has no halves of a pair
        ("x" * 1_000_000 + "é", "x" * 1_000_000 + "é"),
        ("'; DELETE FROM answer; --", "'; DELETE FROM answer; --"),
        ("", ""),
    ],
    ids=["nul", "surrogate", "megabyte", "sql", "empty"],
)
def test_any_text_is_stored(stored: Store, text: str, kept: str) -> None:
    client = f"c{text[:40]}"
    answer = add(stored, text, client=client, path=text, turns=[{"role": "user", "content": text}], model=text)
    stored.add_correction(answer, path=text, ok=False, reason=text, client=client)
    (correction,) = stored.corrections("mygene")
    said = (correction.path, correction.reason, correction.of.question, correction.of.path, correction.of.model)
    assert {*said, correction.of.turns[0]["content"]} == {kept}
    assert [one.id for one in stored.history(client, "mygene")] == [answer]


def test_nobody_corrects_rates_or_prefers_what_another_got(stored: Store) -> None:
    mine, too, theirs = add(stored, "q"), add(stored, "q", path="/v3/query?q=y"), add(stored, "q", client="d")
    for id in (theirs, 99, 0, -1, 10**30, True, None, "1", 1.0):
        with pytest.raises(NotYours, match="there is no answer"):
            stored.add_correction(id, path="x", ok=True, reason="", client="c")  # type: ignore[arg-type]
        with pytest.raises(NotYours):
            stored.rate(id, 1, client="c")  # type: ignore[arg-type]
        with pytest.raises(NotYours):
            stored.add_preference(mine, id, client="c")  # type: ignore[arg-type]
    assert stored.answer(10**30) is None
    for rating in (0, 5, True + 1):
        with pytest.raises(QuerywrightError, match="1 or -1"):
            stored.rate(mine, rating, client="c")
    other = add(stored, "another question")
    for rejected in (mine, other):
        with pytest.raises(QuerywrightError, match="not two answers to one question"):
            stored.add_preference(mine, rejected, client="c")
    assert stored.counts("mygene")["preferences"] == stored.counts("mygene")["corrections"] == 0
    made = stored.add_preference(mine, too, client="c")
    (choice,) = stored.preferences("mygene")
    assert (choice.id, choice.chosen.id, choice.rejected.path, choice.client) == (made, mine, "/v3/query?q=y", "c")
    assert stored.preferences("other") == []


def test_old_rows_are_deleted(stored: Store) -> None:
    one, two = add(stored), add(stored)
    stored.add_correction(one, path="x", ok=True, reason="", client="c")
    stored.add_preference(one, two, client="c")
    add(stored, client="d")
    assert stored.prune(1) == 0
    assert stored.counts("mygene")["corrections"] == 1
    assert stored.prune(-1) == 3
    assert set(stored.counts("mygene").values()) == {0}


def test_one_client_does_not_fill_the_store(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.per_hour = 4
    one, two = add(stored), add(stored)
    stored.add_correction(one, path="x", ok=True, reason="", client="c")
    stored.add_preference(one, two, client="c")
    for more in (
        lambda: add(stored),
        lambda: stored.add_correction(one, path="x", ok=True, reason="", client="c"),
        lambda: stored.add_preference(two, one, client="c"),
    ):
        with pytest.raises(KeptEnough, match="kept_per_hour") as error:
            more()
        assert 3590 < error.value.retry_after <= 3600
    stored.rate(one, 1, client="c")  # nothing grows by that
    add(stored, client="d")
    assert stored.counts("mygene") == {
        "answers": 3, "up": 1, "down": 0, "corrections": 1, "valid_corrections": 1, "preferences": 1
    }  # fmt: skip
    monkeypatch.setattr("server.keep.store._HOUR_S", 0.0)  # an hour later
    time.sleep(0.002)
    add(stored)


def test_a_server_deletes_what_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "feedback.sqlite")
    add(store)
    monkeypatch.setattr("server.keep.store._now", lambda ago=0.0: _ago(ago, days=40))
    with pruned(store, None):
        assert store.counts("mygene")["answers"] == 1
    with pruned(store, 30, every_s=0.01):
        assert store.counts("mygene")["answers"] == 1
        monkeypatch.undo()
        monkeypatch.setattr("server.keep.store._now", lambda ago=0.0: _ago(ago, days=-40))  # it is 40 days later
        until = time.monotonic() + 60
        while store.counts("mygene")["answers"] and time.monotonic() < until:
            time.sleep(0.01)
        assert store.counts("mygene")["answers"] == 0
        monkeypatch.undo()
    store.close()


def _ago(seconds: float, *, days: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds, days=days)).isoformat(timespec="milliseconds")


def test_two_stores_and_many_threads_write_at_once(where: str | Path) -> None:
    stores = [Store(where) for _ in range(2)]
    failed = []

    def work(store: Store) -> None:
        try:
            for _ in range(25):
                store.rate(add(store), 1, client="c")
        except QuerywrightError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(stores[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert stores[0].counts("mygene")["up"] == 200
    for store in stores:
        store.close()


WRITER = """
import sys
from server.keep.store import Store
store, row = Store(sys.argv[1]), {"api": "mygene", "path": "", "ok": True, "reason": "", "ms": 1.0, "model": "m"}
for n in range(int(sys.argv[2])):
    print(store.add_answer(question=str(n), source="page", client="c", **row), flush=True)
"""


def writer(where: str | Path, n: int) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(where), str(n)], cwd=root, text=True, stdout=subprocess.PIPE
    )


def test_two_processes_open_an_empty_place_and_write_at_once(where: str | Path) -> None:
    said = [process.communicate(timeout=300)[0].split() for process in [writer(where, 40), writer(where, 40)]]
    ids = [int(id) for one in said for id in one]
    assert len(ids) == len(set(ids)) == 80
    store = Store(where)
    assert store.counts("mygene")["answers"] == 80
    store.close()


def test_killed_while_it_writes_it_loses_nothing_that_was_said_to_be_stored(where: str | Path) -> None:
    process = writer(where, 100_000)
    assert process.stdout is not None
    ids = [int(process.stdout.readline()) for _ in range(20)]
    process.kill()
    ids += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    store = Store(where)
    assert {one.id for one in store.history(None, "mygene", 100_000)} >= set(ids)
    assert add(store) > max(ids)  # and it goes on
    store.close()


def test_the_salt_is_made_once_and_clients_are_hashes(stored: Store, where: str | Path) -> None:
    again = Store(where)
    assert stored.salt == again.salt
    assert len(stored.salt) == 32
    again.close()

    def known(who: object, address: str | None, salt: bytes = stored.salt) -> str:
        return client_of(salt, who, address)  # type: ignore[arg-type]

    behind = {"user": "", "address": "10.0.0.1"}  # a proxy at 127.0.0.1
    assert known("ann", "10.0.0.1") == known({**behind, "user": "ann"}, None) != known("bob", "10.0.0.1")
    assert (
        known(None, "10.0.0.1") == known({}, "::ffff:10.0.0.1") == known("", "10.0.0.1") == known(behind, "127.0.0.1")
    )
    assert known(None, "10.0.0.1") != known("10.0.0.1", None)  # a user may have any name
    assert known(None, "2001:db8::1") == known(None, "2001:db8::ffff") != known(None, "2001:db8:0:1::1")
    assert known("ann", None) != known("ann", None, b"another salt")
    assert "ann" not in known("ann", None)
    assert len(known(None, None)) == len(known("\ud800" * 9999, None)) == 32


def test_a_file_of_layout_1_keeps_its_data(tmp_path: Path) -> None:
    path = tmp_path / FILE
    old = sqlite3.connect(path)
    old.executescript(VERSION_1)
    old.close()
    store = Store(path)
    (correction,) = store.corrections("mygene")
    asked = correction.of
    assert (correction.id, correction.path, correction.ok, correction.client) == (
        7,
        "/v3/query?q=symbol:CDK2",
        True,
        "",
    )
    assert (asked.id, asked.question, asked.ms, asked.rating, asked.turns) == (3, "the CDK2 gene", 1.5, -1, ())
    assert (asked.confidence, asked.conversation, asked.config, asked.refused) == (None, "", "", "")
    refusal = store.answer(4)
    assert refusal is not None
    assert (refusal.refused, refusal.rating, refusal.source) == ("topic", None, "rest")
    one, two = add(store), add(store, path="y")
    store.add_preference(one, two, client="c")
    with pytest.raises(NotYours):
        store.rate(3, 1, client="")
    store.close()
    fresh = Store(tmp_path / "fresh")
    fresh.close()
    assert layout(path) == layout(tmp_path / "fresh")


def layout(path: Path) -> Any:
    """Version, columns in any order and indexes of a file."""
    db = sqlite3.connect(path)
    tables = sorted(name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
    columns = {
        t: sorted((name, null, key) for _, name, _, null, _, key in db.execute(f"PRAGMA table_info({t})"))
        for t in tables
    }
    for found in columns.values():
        found[:] = [(name, null or key, key) for name, null, key in found]  # a key is never NULL
    indexes = {
        name: db.execute(f"PRAGMA index_info({name})").fetchall()
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    }
    keys = {t: sorted(k[2:5] for k in db.execute(f"PRAGMA foreign_key_list({t})")) for t in tables}
    version = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return version, columns, indexes, keys


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from server.keep import tables

    path = tmp_path / FILE
    old = sqlite3.connect(path)
    old.executescript(VERSION_1)
    old.close()
    before = layout(path)
    monkeypatch.setitem(tables.MIGRATIONS, 1, (*tables.MIGRATIONS[1], "SELECT nothing"))
    with pytest.raises(QuerywrightError, match="could not open"):
        Store(path)
    assert layout(path) == before
    monkeypatch.undo()
    store = Store(path)
    assert len(store.corrections("mygene")) == 1
    store.close()


def test_it_is_wal_private_and_one_file_when_closed(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE)
    add(store, "a secret question")
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert store.prune(-1) == 1
    assert all(b"secret question" not in path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_what_is_no_store_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("something else, and long enough to be read as a header of a file")
    with pytest.raises(QuerywrightError, match="could not open"):
        Store(tmp_path / "f")
    with pytest.raises(QuerywrightError, match="could not open"):
        Store(tmp_path / "f" / "below a file")
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(QuerywrightError, match="a newer Querywright"):
        Store(tmp_path / "newer")
    others = sqlite3.connect(tmp_path / "others")
    others.execute("CREATE TABLE answer (text TEXT)")
    others.close()
    with pytest.raises(QuerywrightError, match="already exists"):
        Store(tmp_path / "others")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:hunter2@localhost/db",
        "postgresql://ann:hunter2@127.0.0.1:notaport/db",
        "postgresql://ann:hunter2@127.0.0.1:1/db",
        "postgresql://ann@127.0.0.1:1/db?password=hunter2",
        "postgresql://ann@127.0.0.1:1/db?password=hunter2&hunter2=1",
        "sqlite://",
        "://hunter2",
    ],
)
def test_a_password_is_in_no_message(url: str) -> None:
    pytest.importorskip("psycopg", reason="needs psycopg")
    with pytest.raises(QuerywrightError) as raised:
        Store(url)
    assert "hunter2" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"
    assert raised.value.hint


def test_postgresql_says_where_it_is_without_the_password(postgres: str) -> None:
    store = Store(postgres)
    assert store.path is None
    assert store.where.startswith("postgresql://")
    store.close()
    if "QUERYWRIGHT_TEST_POSTGRES" in os.environ:
        return
    assert store.where.startswith("postgresql://tester:***@127.0.0.1:")
    wrong = postgres.replace("tester:", "tester:hunter2")
    with pytest.raises(QuerywrightError, match="password authentication failed") as raised:
        Store(wrong)
    assert "hunter2" not in str(raised.value)


def test_a_sqlite_url_names_a_file(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/elsewhere")
    assert store.path == tmp_path / "elsewhere"
    store.close()
