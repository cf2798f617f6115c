"""The feedback file: what goes in comes out, whoever writes at the same time, and becomes pairs."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from server.feedback import pairs
from server.store import Store

QUOTED = "Robert'); DROP TABLE answer;-- \U0001f9ec"


def add(store: Store, question: str, api: str = "mygene") -> int:
    return store.add_answer(
        api=api, question=question, path="/v3/query?q=x", ok=True, reason="", ms=1.0, model="m", source="page"
    )


def test_what_goes_in_comes_out_after_reopening(store: Store) -> None:
    answer = add(store, QUOTED)
    store.add_correction(answer, path="/v3/query?q=symbol:" + QUOTED, ok=False, reason="it's no call")
    store.rate(answer, -1)
    store.rate(answer, 1)
    again = Store(store.path)
    (correction,) = again.corrections("mygene")
    assert (correction.question, correction.answer, correction.model) == (QUOTED, "/v3/query?q=x", "m")
    assert (correction.path, correction.ok, correction.reason) == (
        "/v3/query?q=symbol:" + QUOTED,
        False,
        "it's no call",
    )
    assert again.counts("mygene") == {"answers": 1, "up": 1, "down": 0, "corrections": 1, "valid_corrections": 0}
    assert again.corrections("other") == []
    again.close()


def test_it_is_wal_and_private(store: Store) -> None:
    assert sqlite3.connect(store.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    if os.name == "posix":
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_two_servers_and_many_threads_write_at_once(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "f.sqlite") for _ in range(2)]
    threads = [
        threading.Thread(target=lambda s=stores[n % 2]: [add(s, "q") for _ in range(25)])  # type: ignore[misc]
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].counts("mygene")["answers"] == 200
    for store in stores:
        store.close()


def test_a_correction_of_nothing_and_a_wrong_rating_are_refused(store: Store) -> None:
    with pytest.raises(QuerywrightError):
        store.add_correction(99, path="x", ok=True, reason="")
    with pytest.raises(QuerywrightError):
        store.rate(add(store, "q"), 5)


def test_what_is_no_feedback_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("something else, and long enough to be read as a header of a file")
    with pytest.raises(QuerywrightError, match="could not open"):
        Store(tmp_path / "f")
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(QuerywrightError, match="another version"):
        Store(tmp_path / "newer")


def test_corrections_become_pairs_once_each(store: Store) -> None:
    api = load("mygene")
    one, two = add(store, "the CDK2 gene"), add(store, "The  CDK2 gene")
    other, bad = add(store, "another"), add(store, "third")
    store.add_correction(one, path="/v3/query?q=symbol:cdk", ok=True, reason="")
    store.add_correction(two, path="/v3/query?limit=5&q=symbol:CDK2", ok=True, reason="")
    store.add_correction(other, path="/v3/query?q=symbol:CDK2", ok=True, reason="")
    store.add_correction(bad, path="/v3/query?q=symbool:CDK2", ok=False, reason="unknown field")
    store.add_correction(bad, path="/v3/query?q=symbool:CDK2", ok=True, reason="")  # was a call once; is none now
    rows, counts = pairs(api, store.corrections("mygene"))
    assert counts == {"pairs": 2, "invalid": 2, "repeated": 1}
    assert [(row["instruction"], row["path"]) for row in rows] == [
        ("The CDK2 gene", "/v3/query?q=symbol:CDK2&size=5"),
        ("another", "/v3/query?q=symbol:CDK2"),
    ]
    assert set(rows[0]) == {"id", "api", "instruction", "path", "canonical", "signature", "source", "weight"}
    assert rows[0]["id"] != rows[1]["id"]


def test_the_command_exports_and_counts(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from querywright.cli.feedback import app

    answer = add(store, "the CDK2 gene")
    store.add_correction(answer, path="/v3/query?q=symbol:CDK2", ok=True, reason="")
    store.add_correction(answer, path="no call", ok=False, reason="unknown endpoint")
    out = tmp_path / "out.jsonl"
    arguments = ["export", "--api", "mygene", "--workspace", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "1 pairs" in result.output
    assert "1 that are no calls" in result.output
    (row,) = map(json.loads, out.read_text().splitlines())
    assert row["path"] == "/v3/query?q=symbol:CDK2"
    missing = CliRunner().invoke(app, ["export", "--api", "mygene", "--workspace", str(tmp_path / "none")])
    assert isinstance(missing.exception, QuerywrightError)
    assert not (tmp_path / "none").exists()
