"""Tracking: what is in MLflow afterwards, recorded once or again, killed at any call, by several at once."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from querywright.errors import QuerywrightError
from querywright.questions.windows import windows
from server.evaluation import charts, tracking_files
from server.evaluation.tracking import Away, Most, NoRun, OtherRows, RunFull, Tracking
from server.evaluation.tracking_notes import escaped
from server.evaluation.tracking_store import Store
from tests.server.evaluation.mlflow_made import evaluated, fresh, generated, open_at, upload

pytest.importorskip("mlflow", reason="needs mlflow")

SETTINGS = {"model": "small", "window_size": 4, "window_step": 2, "api_key": "sk-SECRET", "seed": 0,
            "entry": {"path": "https://me:sk-SECRET@models.example/v1?key=sk-SECRET#small"}}  # fmt: skip


@pytest.fixture
def tracking(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return fresh(tmp_path / "store", tmp_path_factory)


def everything(tracking: Tracking, folder: Path) -> tuple[str, str, str]:
    """A document, its questions, their evaluation: recorded."""
    document = upload(folder)
    (folder / "scores").mkdir(exist_ok=True)
    done = tracking.record_upload(document)
    data = tracking.generation("job1", "alpha", generated(folder), SETTINGS, document)
    models = {"models": ["small"], "seed": 0}
    return done, data, tracking.evaluation("job2", "alpha", data, folder / "scores", FOUND[folder], models)


FOUND: dict[Path, dict[str, Any]] = {}


def prepared(folder: Path, models: tuple[str, ...] = ("small",)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores").mkdir(exist_ok=True)
    FOUND[folder] = evaluated(folder / "scores", models, drawn=False)
    return folder


def whole(folder: Path) -> dict[str, Any]:
    """All that is in a store, without ids and times: runs with their parameters, tags and numbers of metric values,
    and files."""
    import sqlite3

    with sqlite3.connect(folder / "mlflow.db") as base:
        names = {run: f"{exp}/{name}" for run, name, exp in base.execute(
            "select r.run_uuid, r.name, e.name from runs r join experiments e using (experiment_id) "
            "where r.lifecycle_stage='active'")}  # fmt: skip

        def told(query: str) -> list[Any]:
            return sorted([names[row[0]], *row[1:]] for row in base.execute(query) if row[0] in names)

        found = {
            "runs": sorted(names.values()),
            "status": told("select run_uuid, status from runs"),
            "params": told("select run_uuid, key, value from params"),
            "metrics": told("select run_uuid, key, value from metrics"),
            "tags": [[run, key, re.sub(r"[0-9a-f]{32}", "ID", value)]
                     for run, key, value in told("select run_uuid, key, value from tags")],
            "inputs": base.execute("select count(*) from inputs").fetchone()[0],
        }  # fmt: skip
    base.close()
    found["files"] = []
    for path in filter(Path.is_file, (folder / "artefacts").rglob("*")):
        _, run, _, *inside = path.relative_to(folder / "artefacts").parts
        if run in names:
            found["files"].append(f"{names[run]}/{'/'.join(inside)}")
    found["files"].sort()
    return found


def test_what_is_recorded_can_be_found_and_is_linked(tracking: Tracking, tmp_path: Path) -> None:
    document, data, scores = everything(tracking, prepared(tmp_path / "work"))
    first, second, third = (tracking.run("alpha", run) for run in (document, data, scores))
    assert [one.experiment for one in (first, second, third)] == ["data_upload", "data_generation", "evaluation"]
    assert first.links == {"generations": [data], "evaluations": [scores]}
    assert second.links == {"upload": document, "evaluations": [scores]}
    assert third.links == {"upload": document, "data": data}
    assert first.metrics["chunks"] == 17
    assert first.metrics["windows"] == 8
    assert second.metrics["kept"] == 17
    assert second.metrics["dropped/duplicate"] == 3
    assert third.metrics["f1/small - window"] == 0.6
    assert third.metrics["cost"] == pytest.approx(0.102)
    assert {one.upload for one in (first, second, third)} == {"ab" * 32}
    assert [row["id"] for row in tracking.rows("alpha", data)][:2] == ["q0", "q1"]
    found = whole(tmp_path / "store")
    assert sum("/input/" in name for name in found["files"]) == 1  # the document is there once
    assert not [name for name in found["files"] if name.endswith(".pkl")]
    assert "SECRET" not in json.dumps(found)
    for file in (tmp_path / "store").rglob("*"):
        assert not file.is_file() or b"SECRET" not in file.read_bytes(), file
    notes = {run: value for run, key, value in found["tags"] if key == "mlflow.note.content"}
    assert "(#/experiments/2/runs/ID)" in notes["data_upload/gene fields.json"]
    assert "(#/experiments/1/runs/ID)" in notes["evaluation/gene fields.json · small · 1 model"]
    table = json.loads(next((tmp_path / "store").rglob("tables/questions.json")).read_text(encoding="utf-8"))
    assert table["columns"][:4] == ["question", "answer", "evidence", "window"]
    assert table["data"][0][3] == "1–4"


@pytest.mark.usefixtures("plain_pictures")
def test_recorded_again_nothing_changes(tracking: Tracking, tmp_path: Path) -> None:
    place = prepared(tmp_path / "work")
    runs = everything(tracking, place)
    before = whole(tmp_path / "store")
    assert everything(open_at(tmp_path / "store"), place) == runs
    assert whole(tmp_path / "store") == before


@pytest.mark.usefixtures("plain_pictures")
def test_another_team_sees_nothing(tracking: Tracking, tmp_path: Path) -> None:
    place = prepared(tmp_path / "work")
    document, data, _ = everything(tracking, place)
    for run in (document, data, "0" * 32, "x' OR 1=1 --", "../../etc", ""):
        with pytest.raises(NoRun):
            tracking.run("beta", run)
    with pytest.raises(NoRun):
        tracking.rows("beta", data)
    with pytest.raises(NoRun):
        tracking.rows("alpha", document)  # theirs, and no data
    with pytest.raises(NoRun):
        tracking.synthetic("beta", [{"question": "a", "answer": "b"}], data)
    with pytest.raises(NoRun):
        tracking.evaluation("job9", "beta", data, place / "scores", FOUND[place], {})
    assert tracking.record_upload(upload(place, "beta")) != document  # the same bytes, another team's run


def test_posted_rows(tracking: Tracking) -> None:
    one, two = {"question": "a?", "answer": "b"}, {"id": "7", "question": "c?", "answer": "d"}
    run, n = tracking.synthetic("alpha", [one, two, one])
    assert n == 2
    assert tracking.synthetic("alpha", [two, one, one]) == (run, 2)
    other = {"id": "7", "question": "e?", "answer": "f"}
    assert tracking.synthetic("alpha", [one, other], run) == (run, 3)
    assert tracking.synthetic("alpha", [one, other], run) == (run, 3)
    rows = tracking.rows("alpha", run)
    assert [row["question"] for row in rows] == ["a?", "c?", "e?"]
    assert len({row["id"] for row in rows}) == 3
    assert rows[1]["id"] == "7"
    assert tracking.run("alpha", run).metrics["rows"] == 3
    assert tracking.run("alpha", run).posts == 2
    assert tracking.rows("alpha", run, 1) == rows[:2]
    assert tracking.rows("alpha", run, 0) == []


def test_a_run_holds_so_many_rows_whoever_posts_them_how(tracking: Tracking) -> None:
    rows = [{"question": f"{n}?", "answer": "b"} for n in range(4)]
    run, n = tracking.synthetic("alpha", rows[:2], most=Most(3, 1000))
    assert n == 2
    for most in Most(3, 1000), Most(10, 200):
        with pytest.raises(RunFull, match="4 rows"):
            tracking.synthetic("alpha", rows[2:], run, most=most)
        assert len(tracking.rows("alpha", run)) == 2
    assert tracking.synthetic("alpha", rows[:2], run, most=Most(2, 1)) == (run, 2)  # they are there
    assert tracking.synthetic("alpha", rows[1:3], run, most=Most(3, 1000)) == (run, 3)


def test_a_run_holds_questions_or_calls(tracking: Tracking, tmp_path: Path) -> None:
    question, call = {"question": "a?", "answer": "b"}, {"instruction": "find a", "path": "/query?q=a"}
    asked, called = (tracking.synthetic("alpha", [row])[0] for row in (question, call))
    written = tracking.generation("job1", "alpha", generated(tmp_path), SETTINGS)
    for run, row, holds in (asked, call, "questions"), (called, question, "calls"), (written, call, "questions"):
        there = tracking.rows("alpha", run)
        with pytest.raises(OtherRows, match=f"holds {holds}") as refused:
            tracking.synthetic("alpha", [row], run)
        assert "without run_id" in refused.value.hint
        assert tracking.rows("alpha", run) == there
    assert tracking.synthetic("alpha", [call], called) == (called, 1)


def test_a_team_has_so_many_runs_of_posted_rows(tracking: Tracking) -> None:
    most = Most(10, 1000, runs=2)
    row = [{"question": f"{n}?", "answer": "b"} for n in range(4)]
    first, _ = tracking.synthetic("alpha", row[:1], most=most)
    second, _ = tracking.synthetic("alpha", row[1:2], most=most)
    with pytest.raises(RunFull, match="2 runs"):
        tracking.synthetic("alpha", row[2:3], most=most)
    assert tracking.synthetic("alpha", row[:1], most=most) == (first, 1)  # they are there
    assert tracking.synthetic("alpha", row[2:3], second, most=most) == (second, 2)
    tracking.synthetic("beta", row[2:3], most=most)
    tracking._store.client.delete_run(first)  # as in MLflow's pages
    tracking.synthetic("alpha", row[3:], most=most)
    tracking.delete("alpha", second)
    again, _ = tracking.synthetic("alpha", row[1:2], most=most)
    assert again != second


def test_runs_are_listed_and_posted_ones_deleted(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.evaluation.tracking.now_ms", lambda: 10**12)  # they begin in the same millisecond
    posted = [tracking.synthetic("alpha", [{"question": f"{n}?", "answer": "b"}])[0] for n in range(3)]
    written = tracking.generation("job1", "alpha", generated(tmp_path), SETTINGS)
    tracking.synthetic("beta", [{"question": "0?", "answer": "b"}])
    seen: list[Any] = []
    while found := tracking.listed("alpha", 1, seen[-1].id if seen else None):
        seen += found
    assert {run.id for run in seen} == {written, *posted}
    assert [run.id for run in tracking.listed("alpha", 9)] == [run.id for run in seen]
    assert {run.id for run in seen if run.posted} == set(posted)
    assert {run.holds for run in seen} == {"questions"}
    assert tracking.listed("alpha", 9, experiment="evaluation") == []
    for team, run in ("beta", posted[0]), ("alpha", written):
        with pytest.raises(NoRun):
            tracking.delete(team, run)
    tracking.delete("alpha", posted[0])
    with pytest.raises(NoRun):
        tracking.run("alpha", posted[0])
    assert posted[0] not in {run.id for run in tracking.listed("alpha", 9)}


def test_posts_at_once_to_an_mlflow_server_keep_within_the_limits(tracking: Tracking) -> None:
    """A server is not on this machine, so nothing on its disk is locked."""
    run, _ = tracking.synthetic("alpha", [{"question": "first?", "answer": "b"}])
    tracking._store.artefacts = None
    ready = threading.Barrier(4)

    def post(i: int) -> int:
        ready.wait()
        with suppress(RunFull):
            posted = [{"question": f"{i}-{k}?", "answer": "b", "id": f"r{k}"} for k in range(2)]
            return tracking.synthetic("alpha", posted, run, most=Most(5, 10**6))[1]
        return 0

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(post, range(4))) == [0, 0, 3, 5]
    rows = tracking.rows("alpha", run)
    assert len(rows) == len({row["id"] for row in rows}) == 5
    assert tracking.run("alpha", run).posts == 3


def test_posts_of_one_team_wait_for_each_other_and_not_for_another_team(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.evaluation.tracking_store.PATIENCE_S", 0.0)
    tracking._store.artefacts = None
    with tracking._store.posting("alpha"):
        with pytest.raises(Away, match="other posts of your team"):
            tracking.synthetic("alpha", [{"question": "a?", "answer": "b"}])
        assert tracking.synthetic("beta", [{"question": "a?", "answer": "b"}])[1] == 1
    assert tracking.synthetic("alpha", [{"question": "a?", "answer": "b"}])[1] == 1


class Deadly:
    """MLflow's client, at whose `n`-th call this process dies: before it, or just after."""

    def __init__(self, client: Any, n: int) -> None:
        self.client, self.left = client, n

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*args: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and name < "m":  # some before, some after
                os.kill(os.getpid(), signal.SIGKILL)
            found = getattr(self.client, name)(*args, **named)
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return called


def child(do: Callable[[], None]) -> int:
    """Run in a child process; the exit status as `waitpid` has it."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    code = 1
    try:
        for engine in SqlAlchemyStore._engine_map.values():  # connections of the parent
            engine.dispose(close=False)
        do()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn elsewhere; here they take the time of the test."""

    def drawn(*args: Any) -> Path:
        stem = next(arg for arg in args if isinstance(arg, Path))
        path = stem.with_suffix(".png")
        path.write_bytes(b"picture")
        return path

    for name in ("document", "questions", "spread", "spent"):
        monkeypatch.setattr(charts, name, drawn)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("plain_pictures")
def test_killed_at_every_call(tracking: Tracking, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = prepared(tmp_path / "work")
    everything(fresh(tmp_path / "calm", tmp_path_factory), place)

    def attempt(n: int) -> None:
        mine = open_at(tmp_path / "store")
        mine._store._client = Deadly(mine._store.client, n)
        everything(mine, place)

    tracking.ready()  # imported, so that children need not
    for n in range(1, 200):  # the next one dies a call later, after what is recorded already
        status = child(partial(attempt, n))
        if status == 0:
            break
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert n > 25
    assert whole(tmp_path / "store") == whole(tmp_path / "calm")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("plain_pictures")
def test_several_processes_at_once(tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.evaluation.tracking_store.PATIENCE_S", 1800.0)  # on a busy machine all take long
    tracking.ready()
    tracking._store.closed()
    place = prepared(tmp_path / "work")

    def one(i: int) -> None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for engine in SqlAlchemyStore._engine_map.values():
            engine.dispose(close=False)
        mine = open_at(tmp_path / "store")
        everything(mine, place)  # the same runs as all others
        mine.synthetic("alpha", [{"question": f"{i}?", "answer": "b"}])  # and one of its own

    pids = []
    for i in range(4):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                one(i)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0, 0]
    runs = whole(tmp_path / "store")["runs"]
    assert len(runs) == len(set(runs)) == 1 + 1 + 4 + 4  # a document, questions, an evaluation of 3 cells, posted rows


def test_a_run_made_twice_by_two_at_once_is_one(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tracking._store
    with store.talking():
        first = store.begun("data_upload", "k", "one", {}, 5)
        # what another recorder that saw no run yet, or a request that was sent twice, leaves
        store.client.create_run(store.experiment("data_upload"), start_time=3, tags=first.data.tags, run_name="one")
        monkeypatch.setattr(store, "find", lambda *_: None)
        assert store.begun("data_upload", "k", "one", {}, 9).info.start_time == 3
        monkeypatch.undo()
        assert store.find("data_upload", "k").info.start_time == 3
        assert len(store._with_key("data_upload", "k")) == 1


def test_a_store_killed_while_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed one left beside its place is nobody's store."""
    from server.evaluation import tracking_store

    def filled(path: Path, artefacts: str) -> None:
        assert not path.exists()  # what was left is gone
        path.write_bytes(b"tables")
        if len(died) == 0:
            died.append(1)
            raise KeyboardInterrupt

    died: list[int] = []
    monkeypatch.setattr(tracking_store, "_fill", filled)
    store = Store(f"sqlite:///{tmp_path}/deep/mlflow.db", tmp_path / "artefacts")
    with pytest.raises(KeyboardInterrupt):
        store._make_sqlite(tmp_path / "deep" / "mlflow.db")
    assert not (tmp_path / "deep" / "mlflow.db").exists()
    store._make_sqlite(tmp_path / "deep" / "mlflow.db")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mlflow.db"]


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://me:sk-SECRET@127.0.0.1:{taken.getsockname()[1]}"


def test_mlflow_is_away(nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")  # put back afterwards
    tracking = Tracking(nobody, None)
    with pytest.raises(Away) as error:
        tracking.record_upload(upload(tmp_path))
    assert "SECRET" not in f"{error.value} {error.value.hint}"
    assert error.value.retryable
    assert error.value.__cause__ is None
    base = Tracking("postgresql+psycopg://me:sk-SECRET@127.0.0.1:1/none", tmp_path / "artefacts")
    start = time.monotonic()
    with pytest.raises(Away) as error:
        base.ready()
    assert "SECRET" not in str(error.value)
    assert time.monotonic() - start < 60


@pytest.mark.usefixtures("plain_pictures")
def test_a_store_that_cannot_be_written_is_waited_for(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a file of another user, another program that holds it: what was made is not lost for that."""
    document = upload(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "/srv/private")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", full)
        with pytest.raises(Away, match="No space left") as error:
            tracking.record_upload(document)
    assert "/srv" not in str(error.value)
    with sqlite3.connect(tmp_path / "store" / "mlflow.db") as base:
        base.execute("CREATE TRIGGER no BEFORE INSERT ON params BEGIN SELECT RAISE(FAIL, 'readonly'); END")
        with pytest.raises((Away, QuerywrightError), match="readonly") as refused:
            tracking.record_upload(document)
        assert "INSERT" not in str(refused.value)
        base.execute("DROP TRIGGER no")
    base.close()
    run = tracking.run("alpha", tracking.record_upload(document))
    assert run.status == "FINISHED"


def test_a_file_that_is_no_store_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"x" * 9000)
    (tmp_path / "folder").mkdir()
    for name, said in ("garbage", "damaged"), ("folder", "is a folder"):
        with pytest.raises(QuerywrightError, match=said) as error:
            Tracking(f"sqlite:///{tmp_path / name}", tmp_path / "artefacts").ready()
        assert not error.value.retryable
        assert "QUERYWRIGHT_MLFLOW" in error.value.hint


def test_settings_without_secrets() -> None:
    shown = tracking_files.public(SETTINGS | {"password": "x", "max_tokens": 5, "keys": ["a"], "token": "t"})
    assert shown["entry"] == {"path": "https://models.example/v1#small"}
    assert not {"api_key", "password", "token"} & {*shown}
    assert shown["max_tokens"] == 5
    assert tracking_files.parameters(SETTINGS)["entry.path"] == "https://models.example/v1#small"
    assert tracking_files.parameters({"models": ["a", "b"], "limit": None}) == {"models": "a, b"}


def test_a_table_of_chunks_names_few_windows_however_many_there_are() -> None:
    rows = tracking_files.chunk_rows([str(n) for n in range(17)], windows(17, 4, 2))
    assert [row["windows"] for row in rows[:3]] == ["1–4", "1–4", "1–4, 3–6"]
    assert rows[16]["windows"] == "15–17"
    rows = tracking_files.chunk_rows(["a"] * 50_000, windows(50_000, 40_001, 1))
    assert len(rows) == tracking_files.TABLE_ROWS
    assert rows[0]["windows"] == "1–40001"
    assert rows[-1]["windows"] == "1–40001 to 2000–42000, 2,000 windows"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b\\c.json", "", "…", "x" * 300, ".hidden", "a\nb.html"])
def test_names_of_files(name: str) -> None:
    safe = tracking_files.safe_name(name, "json")
    assert re.fullmatch(r"\w[\w.-]*\.json", safe, re.ASCII)
    assert len(safe) <= 106


def test_odd_documents(tracking: Tracking, tmp_path: Path) -> None:
    """Whatever a name or a text says, it is data."""
    from dataclasses import replace

    name = "a](https://evil.example) <img src=https://evil.example/x> *b*\n# $\\x$ \ud800 c\0" + "é" * 500
    odd = replace(upload(tmp_path), name=name, texts=["\ud800 half", "", "x" * 10**5, "</script>"], size=1, step=1)
    run = tracking.run("alpha", tracking.record_upload(odd))
    assert run.status == "FINISHED"
    assert run.metrics["windows"] == 4
    shown = escaped(name)
    assert "<" not in shown
    assert "](" not in shown.replace("\\]\\(", "")


def test_a_deleted_experiment_is_an_error_with_a_hint(tracking: Tracking) -> None:
    store = tracking._store
    with store.talking() as client:
        client.delete_experiment(store.experiment("evaluation"))
    store._ids.clear()
    with pytest.raises(QuerywrightError, match="deleted in MLflow") as error:
        tracking.ready()
    assert "restore" in error.value.hint
