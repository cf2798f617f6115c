"""The API of the evaluation service: uploads, windows, jobs, runs, teams."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from querywright.errors import QuerywrightError
from server.access import teams
from server.evaluation import parameters, shelf
from server.evaluation.quotas import Quotas
from server.evaluation.receive import keep_sweeping
from server.evaluation.tracking import OtherRows
from server.problems import Refused
from tests.server.evaluation.api_parts import BASE, Served, served, settings_in

SEVENTEEN = json.dumps([{"name": f"chunk {n}"} for n in range(1, 18)]).encode()
ROLLING = [[1, 4], [3, 6], [5, 8], [7, 10], [9, 12], [11, 14], [13, 16], [15, 17]]
UPLOADS = f"{BASE}/uploads"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Served]:
    with served(settings_in(tmp_path), ("alpha", "beta")) as made:
        yield made


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Served]:
    with served(settings_in(tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For tests whose requests are all refused: nothing is left behind."""
    with served(settings_in(tmp_path_factory.mktemp("bare"))) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For tests that do not mind what is there."""
    with served(settings_in(tmp_path_factory.mktemp("shared"))) as made:
        yield made


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# --- uploads ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["headers", "params"])
def test_a_document_and_its_windows(alone: Served, where: str) -> None:
    asked: dict[str, Any] = {where: {"file-name": "chunks.json", "window-size": "4", "window-step": "2"}}
    answer = alone.client().post(UPLOADS, content=SEVENTEEN, **asked)
    told = answer.json()
    assert answer.status_code == 201
    assert told["windows"] == ROLLING
    digest = sha256(SEVENTEEN).hexdigest()
    assert (told["upload"], told["name"], told["kind"], told["chunks"]) == (digest, "chunks.json", "json", 17)
    assert answer.headers["location"] == f"{UPLOADS}/{digest}"
    assert alone.settings.upload_file(digest).read_bytes() == SEVENTEEN
    job = alone.table.state(told["recording"])
    assert (job.kind, job.args["window_size"], job.args["window_step"]) == ("upload", 4, 2)
    assert told["job"] is None


@pytest.mark.parametrize(
    ("size", "step", "words"),
    [("4", "5", "step 5 is greater"), ("18", "2", "18 is greater than the number of chunks, 17"), ("0", "1", "is 0"),
     ("4", "0", "is 0"), ("-4", "1", "-4"), ("4", "-1", "-1"), ("4.5", "1", "4.5"), ("four", "1", "four"),
     ("9999999999", "1", "9999999999 is greater than the number of chunks"), ("", "1", "''")],
)  # fmt: skip
def test_windows_that_do_not_fit_are_answered_with_the_values(bare: Served, size: str, step: str, words: str) -> None:
    answer = bare.client().post(UPLOADS, params={"window-size": size, "window-step": step}, content=SEVENTEEN)
    assert code(answer) == (422, "windows")
    assert words in answer.json()["error"]["message"]
    assert bare.files() == []
    assert bare.client().get(UPLOADS).json() == {"uploads": [], "next": None}


def test_what_is_said_twice_and_differs_is_refused(alone: Served) -> None:
    client, headers = alone.client(), {"window-size": "4"}
    assert code(client.post(UPLOADS, headers=headers, params={"window-size": "3"}, content=SEVENTEEN))[0] == 422
    assert client.post(UPLOADS, headers=headers, params={"window-size": "4"}, content=SEVENTEEN).status_code == 201
    assert code(client.post(UPLOADS, headers=headers, params={"window_size": "3"}, content=SEVENTEEN))[0] == 422
    misspelt = client.post(UPLOADS, params={"windowsize": "4"}, content=SEVENTEEN)
    assert code(misspelt) == (422, "unknown_parameter")
    assert "window-size" in misspelt.json()["error"]["message"]


@pytest.mark.parametrize("name", ["X-Window-Step", "filename", "WindowSize", "run-id", "X-Model"])
def test_headers_that_would_do_nothing_are_refused(bare: Served, name: str) -> None:
    answer = bare.client().post(UPLOADS, headers={name: "1"}, content=SEVENTEEN)
    assert code(answer) == (422, "unknown_header")
    assert repr(name.lower()) in answer.json()["error"]["message"]
    assert bare.files() == []


def test_names_may_have_underscores_or_hyphens(alone: Served) -> None:
    client, rows = alone.client(), [{"question": "Which gene?", "answer": "CDK2"}]
    for where in ("headers", "params"):
        asked: dict[str, Any] = {where: {"window_size": "3", "window_step": "1", "file_name": "x.json"}}
        told = client.post(UPLOADS, content=SEVENTEEN, **asked).json()
        assert (told["window_size"], told["window_step"], told["name"]) == (3, 1, "x.json")
    asked = {"upload": told["upload"], "window-size": 6, "window_step": 3}
    job = client.post(f"{BASE}/generations", json=asked).json()
    assert (job["args"]["window_size"], job["args"]["window_step"]) == (6, 3)
    assert code(client.post(f"{BASE}/generations", json=asked | {"window_size": 6})) == (422, "bad_request")
    misspelt = client.post(f"{BASE}/generations", json={"upload": told["upload"], "windowsize": 6})
    assert "did you mean 'window_size'" in misspelt.json()["error"]["message"]
    header = client.post(f"{BASE}/generations", json={"upload": told["upload"]}, headers={"window-size": "6"})
    assert code(header) == (422, "unknown_header")
    run = client.post(f"{BASE}/synthetic", json=rows).json()["run_id"]
    for name in ("run-id", "run_id"):
        for where in ("headers", "params"):
            more: dict[str, Any] = {where: {name: run}}
            assert client.post(f"{BASE}/synthetic", json=rows, **more).json()["run_id"] == run
    assert code(client.post(f"{BASE}/synthetic", json=rows, params={"run-id": run[:8]})) == (422, "run_id")


def test_what_stands_beside_posted_rows_is_refused(alone: Served) -> None:
    rows = [{"question": "Which gene?", "answer": "CDK2"}]
    answer = alone.client().post(f"{BASE}/synthetic", json={"run_id": "a" * 32, "rows": rows})
    assert code(answer) == (422, "rows")
    assert "'run_id'" in answer.json()["error"]["message"]
    assert "run-id" in answer.json()["error"]["hint"]
    assert alone.client().post(f"{BASE}/synthetic", json={"rows": rows}).status_code == 201


def test_errors_say_what_was_sent(bare: Served) -> None:
    client, jobs = bare.client(), f"{BASE}/evaluations"
    lost = client.post(UPLOADS, content='a,b"c"d,"e"', headers={"content-type": "text/csv"})  # as curl -d sends lines
    assert "--data-binary" in lost.json()["error"]["hint"]
    zero = client.post(UPLOADS, content=SEVENTEEN, params={"window-size": "0"}).json()["error"]["message"]
    assert zero == "the window size is 0 (17 chunks, size 0)"
    asked = {"run_id": "a" * 32, "models": ["gpt", "foo", "rules"]}
    several = client.post(jobs, json=asked).json()["error"]["message"]
    assert all(words in several for words in ("'gpt'", "'foo'", "rules write questions, and answer none"))
    broken = client.post(jobs, content='{"run_id": ', headers={"content-type": "application/json"})
    assert broken.json()["error"]["message"].startswith("body: no JSON: Expecting value at character")
    for path in (f"{UPLOADS}/abc", f"{BASE}/runs/abc"):
        message = client.get(path).json()["error"]["message"]
        assert "hex digits" in message
        assert "^" not in message


def test_a_document_of_more_chunks_than_a_limit_names_it(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, chunks=3, rows_per_run=2)) as made:
        for content in (json.dumps(["a"] * 4), "a\n1\n2\n3\n4\n"):
            assert "more than 3 chunks" in made.client().post(UPLOADS, content=content).json()["error"]["message"]
        rows = [{"question": f"{n}?", "answer": "a"} for n in range(3)]
        assert "more than 2 rows" in made.client().post(f"{BASE}/synthetic", json=rows).json()["error"]["message"]


def test_rules_do_not_take_texts(alone: Served) -> None:
    client, texts = alone.client(), json.dumps(["some text", "more of it"])
    answer = client.post(UPLOADS, content=texts, params={"model": "rules"})
    assert code(answer) == (422, "no_records")
    assert "/v1/evaluation/models" in answer.json()["error"]["hint"]
    assert alone.files() == []
    sha = client.post(UPLOADS, content=texts).json()["upload"]
    assert code(client.post(f"{BASE}/generations", json={"upload": sha})) == (422, "no_records")
    assert client.post(f"{BASE}/generations", json={"upload": sha, "model": "smollm2_greedy"}).status_code == 202


@pytest.mark.parametrize(
    ("content", "headers", "kind", "chunks"),
    [(b'["a", "b"]', {"content-type": "application/json; charset=utf-8"}, "json", 2),
     (b'{"text": "a"}\n{"text": "b"}\n', {"content-type": "application/x-ndjson"}, "jsonl", 2),
     (b"gene,name\nCDK2,x\n", {"content-type": "text/csv"}, "csv", 1),
     (b'{"a": 1}\n{"a": 2}\n', {"file-name": "x.JSONL"}, "jsonl", 2),
     (b'{"a": 1}\n{"a": 2}\n', {}, "jsonl", 2), (b'{\n"a": 1}', {}, "json", 1), (b'\xef\xbb\xbf["a"]', {}, "json", 1),
     (b"gene;name\nCDK2;x\nCDK3;y\n", {"content-type": "application/x-www-form-urlencoded"}, "csv", 2)],
)  # fmt: skip
def test_what_a_document_is(shared: Served, content: bytes, headers: dict[str, str], kind: str, chunks: int) -> None:
    told = shared.client().post(UPLOADS, content=content, headers=headers).json()
    assert (told["kind"], told["chunks"]) == (kind, chunks)


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [(b"", {}, 422, "empty"), (b"[]", {"content-type": "application/json"}, 422, "chunks"),
     (b'["a",', {"content-type": "application/json"}, 422, "no JSON"),
     (b"[" * 100_000, {"content-type": "application/json"}, 422, "deep"),
     (b"\xff\xfea\x00", {"content-type": "text/csv"}, 422, "UTF-16"), (b'["\xff"]', {}, 422, "UTF-8"),
     (b"x", {"content-type": "image/png"}, 415, "image/png"),
     (b"a,b\n1,2\n", {"content-type": "text/csv; charset=latin-1"}, 415, "UTF-8"),
     (b"x", {"content-type": "multipart/form-data; boundary=x"}, 415, "multipart"),
     (b"x", {"content-encoding": "gzip"}, 415, "content-encoding"),
     (b"x", {"content-encoding": "identity, gzip"}, 415, "content-encoding"),
     (b'[{"a": 1}]', {"content-type": "text/csv"}, 422, "looks like JSON"),
     (b"one line, and no more\n", {"file-name": "text.txt"}, 415, "'text.txt' does not say what it is"),
     (b"[]", {}, 422, "holds no chunks")],
)  # fmt: skip
def test_what_is_no_document_leaves_nothing(
    bare: Served, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = bare.client().post(UPLOADS, content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert str(bare.settings.folder) not in answer.text
    assert bare.files() == []
    assert bare.table.listed() == []


NAME = "../../caf\u00e9 \U0001f9ec%2e.json"


@pytest.mark.parametrize(
    "header",
    [NAME.encode(), quote(NAME).encode(), f"UTF-8''{quote(NAME)}".encode(), f"utf-8'de'{quote(NAME)}".encode()],
)
def test_a_name_is_text_and_no_path(alone: Served, header: bytes) -> None:
    headers: Any = {b"file-name": header}
    told = alone.client().post(UPLOADS, content=b'["a"]', headers=headers).json()
    assert told["name"] in (NAME, NAME.replace("%2e", "."))
    assert [path.name for path in alone.files()] == [told["upload"]]
    assert alone.client().get(UPLOADS).json()["uploads"][0]["name"] == told["name"]


def test_odd_names(alone: Served) -> None:
    client = alone.client()
    names = {"100%.json": "100%.json", "a\u202egnp.json": "a\ufffdgnp.json", "%00x": "\ufffdx", "%ff": "%ff"}
    for at, (given, shown) in enumerate({**names, "e\u0301.csv": "\u00e9.csv"}.items()):
        headers: Any = {b"file-name": given.encode(), b"content-type": b"application/json"}
        assert client.post(UPLOADS, content=json.dumps([f"text {at}"]), headers=headers).json()["name"] == shown
    assert code(client.post(UPLOADS, content=SEVENTEEN, params={"file-name": "x" * 201})) == (422, "file_name")
    unnamed = client.post(UPLOADS, content=SEVENTEEN).json()
    assert unnamed["name"] == f"{unnamed['upload'][:12]}.json"


def test_the_same_file_twice_is_one_file_and_each_teams_own(two: Served) -> None:
    alpha, beta = two.client("alpha"), two.client("beta")
    first = alpha.post(UPLOADS, content=SEVENTEEN, params={"file-name": "a.json"})
    again = alpha.post(UPLOADS, content=SEVENTEEN, params={"file-name": "b.json", "window-size": "5"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["name"] == "a.json"
    assert again.json()["windows"][0] == [1, 5]
    assert alpha.get(f"{UPLOADS}/{first.json()['upload']}").json()["window_size"] == 5
    job = alpha.post(f"{BASE}/generations", json={"upload": first.json()["upload"]}).json()
    assert (job["args"]["window_size"], job["args"]["window_step"]) == (5, again.json()["window_step"])
    silent = alpha.post(UPLOADS, content=SEVENTEEN).json()
    assert (silent["recording"], silent["windows"]) == (again.json()["recording"], again.json()["windows"])
    assert alpha.post(f"{BASE}/jobs/{job['id']}/cancel").status_code == 200
    sha = first.json()["upload"]
    assert code(beta.get(f"{UPLOADS}/{sha}")) == (404, "unknown_upload")
    assert code(beta.delete(f"{UPLOADS}/{sha}")) == (404, "unknown_upload")
    assert beta.post(UPLOADS, content=SEVENTEEN).status_code == 201
    assert len(two.files()) == 1
    assert alpha.delete(f"{UPLOADS}/{sha}").status_code == 204
    assert alpha.get(f"{UPLOADS}/{sha}").status_code == 404
    assert beta.get(f"{UPLOADS}/{sha}").json()["chunks"] == 17
    assert len(two.files()) == 1
    assert beta.delete(f"{UPLOADS}/{sha}").status_code == 204
    assert two.files() == []


def test_the_same_bytes_as_another_kind(alone: Served) -> None:
    client, line = alone.client(), b'{"a": 1}\n'
    assert client.post(UPLOADS, content=line, headers={"content-type": "application/json"}).status_code == 201
    answer = client.post(UPLOADS, content=line, headers={"content-type": "application/x-ndjson"})
    assert code(answer) == (409, "other_kind")
    assert len(alone.files()) == 1


def test_a_lost_file_is_put_back_by_the_next_upload(alone: Served) -> None:
    client = alone.client()
    sha = client.post(UPLOADS, content=SEVENTEEN).json()["upload"]
    alone.settings.upload_file(sha).unlink()
    assert client.post(UPLOADS, content=SEVENTEEN).status_code == 200
    assert alone.settings.upload_file(sha).read_bytes() == SEVENTEEN


@pytest.fixture
def full_disk(alone: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The job database does what it is asked, and can't commit it."""
    door = alone.shelf._door

    def write(work: Callable[[Any], Any]) -> None:
        with door._database.writer.begin() as db:
            work(db)
            raise QuerywrightError("disk I/O error", retryable=True)

    with monkeypatch.context() as patched:
        patched.setattr(door, "write", write)
        yield


def test_no_listing_is_left_without_its_file_by_a_full_disk(alone: Served, request: pytest.FixtureRequest) -> None:
    sha = alone.client().post(UPLOADS, content=SEVENTEEN).json()["upload"]
    request.getfixturevalue("full_disk")
    with pytest.raises(QuerywrightError, match="disk"):
        alone.shelf.remove("local", sha)
    assert [one.sha for one in alone.shelf.listed("local", 9)] == [sha]
    assert alone.settings.upload_file(sha).read_bytes() == SEVENTEEN


def test_a_file_that_could_not_be_listed_is_swept(
    alone: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, lost, fresh = alone.client(), "ab" * 32, "cd" * 32
    for sha in lost, fresh:  # as a full disk or a killed server leaves them
        alone.settings.upload_file(sha).parent.mkdir(parents=True)
        alone.settings.upload_file(sha).write_text("x")
    os.utime(alone.settings.upload_file(lost), (1, 1))
    stop = threading.Event()
    stop.set()
    keep_sweeping(alone.shelf, stop)
    assert alone.settings.upload_file(lost).exists(), "nothing is listed: it may be another database"
    kept = alone.settings.upload_file(client.post(UPLOADS, content=SEVENTEEN).json()["upload"])
    os.utime(kept, (1, 1))
    keep_sweeping(alone.shelf, stop)
    assert set(alone.files()) == {kept, alone.settings.upload_file(fresh)}
    alone.shelf._clear(kept.name)  # as if it had been listed just now
    assert kept.exists()


def test_lists_have_pages(alone: Served) -> None:
    client = alone.client()
    posted = [client.post(UPLOADS, content=json.dumps([f"text {n}"])).json()["upload"] for n in range(5)]
    seen, before = [], None
    for _ in range(3):
        page = client.get(UPLOADS, params={"limit": 2} | ({"before": before} if before else {})).json()
        seen += [one["upload"] for one in page["uploads"]]
        before = page["next"]
    assert (seen, before) == (posted[::-1], None)
    assert client.get(UPLOADS, params={"before": "0" * 64}).status_code == 404
    jobs = client.get(f"{BASE}/jobs", params={"limit": 3}).json()
    rest = client.get(f"{BASE}/jobs", params={"limit": 3, "before": jobs["next"]}).json()
    assert [job["args"]["upload"] for job in jobs["jobs"] + rest["jobs"]] == posted[::-1]
    assert rest["next"] is None


def test_caps_of_a_team(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, uploads_per_team=2, upload_bytes=2000, bytes_per_team=2500, chunks=20)) as made:
        client = made.client()
        large = client.post(UPLOADS, content=b"x" * 2001)
        assert code(large) == (413, "upload_too_large")
        assert "cut it into several" in large.json()["error"]["message"]
        assert code(client.post(UPLOADS, content=iter([b"x" * 1500] * 2))) == (413, "upload_too_large")
        assert code(client.post(UPLOADS, content=json.dumps(["x"] * 21))) == (422, "document")
        assert client.post(UPLOADS, content=json.dumps(["x" * 1900])).status_code == 201
        assert code(client.post(UPLOADS, content=json.dumps(["y" * 1900]))) == (409, "uploads_full")
        assert client.post(UPLOADS, content=b'["a"]').status_code == 201
        assert code(client.post(UPLOADS, content=b'["b"]')) == (409, "uploads_full")
        assert client.post(UPLOADS, content=b'["a"]').status_code == 200
        assert len(made.files()) == 2


def test_what_a_team_has_posted_counts_also_when_it_is_deleted(tmp_path: Path) -> None:
    """MLflow keeps its copies."""
    with served(settings_in(tmp_path, recorded_bytes=2500), ("alpha", "beta")) as made:
        client, first, second = made.client("alpha"), json.dumps(["x" * 1500]), json.dumps(["y" * 1500])

        def posted(content: str) -> Any:
            answer = client.post(UPLOADS, content=content)
            if answer.is_success:
                client.delete(f"{UPLOADS}/{answer.json()['upload']}")
            return answer

        assert [posted(first).status_code for _ in range(3)] == [201] * 3  # the same file counts once
        assert made.files() == []
        assert code(refused := posted(second)) == (409, "uploads_full")
        assert "1,504 bytes" in refused.json()["error"]["message"]
        assert "2,500" in refused.json()["error"]["message"]
        assert "QUERYWRIGHT_LIMIT_RECORDED_BYTES" in refused.json()["error"]["hint"]
        assert posted(first).status_code == 201
        assert made.client("beta").post(UPLOADS, content=second).status_code == 201


def test_a_database_that_remembers_no_deleted_uploads_is_taken_on(tmp_path: Path) -> None:
    first, second = json.dumps(["x" * 1500]), json.dumps(["y" * 1500])
    with served(settings_in(tmp_path)) as made:
        sha = made.client().post(UPLOADS, content=first).json()["upload"]
        made.shelf._door.write(lambda db: shelf.recorded.drop(db))  # as an earlier version left it
    with served(settings_in(tmp_path, recorded_bytes=2500)) as made:
        assert made.client().delete(f"{UPLOADS}/{sha}").status_code == 204
        assert code(made.client().post(UPLOADS, content=second)) == (409, "uploads_full")


def test_too_many_windows_are_refused(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, windows=10)) as made:
        answer = made.client().post(UPLOADS, content=SEVENTEEN, params={"window-step": "1"})
        assert code(answer) == (422, "windows")
        wrong = made.client().post(UPLOADS, content=SEVENTEEN, params={"window-size": "1", "window-step": "2"})
        assert "greater than the window size" in wrong.json()["error"]["message"]
        wrong = made.client().post(UPLOADS, content=SEVENTEEN, params={"window-size": "18", "window-step": "1"})
        assert "greater than the number of chunks" in wrong.json()["error"]["message"]
        sha = made.client().post(UPLOADS, content=SEVENTEEN).json()["upload"]
        windows = f"{UPLOADS}/{sha}/windows"
        assert made.client().get(windows, params={"window-size": 17, "window-step": 17}).json()["windows"] == [[1, 17]]
        assert made.client().get(windows).json()["windows"] == ROLLING


def test_windows_that_hold_too_much_together_are_refused(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, window_chunks=31)) as made:
        answer = made.client().post(UPLOADS, content=SEVENTEEN)
        assert code(answer) == (422, "windows")
        assert "8 windows of 4 chunks hold 32, and 31 are the most" in answer.json()["error"]["message"]
        assert made.files() == []
        assert made.client().post(UPLOADS, content=SEVENTEEN, params={"window-size": 3}).status_code == 201
    with pytest.raises(Refused, match="10,000 windows of 90,001 chunks hold 900,010,000, and 1,000,000 are the most"):
        parameters.windows(100_000, 90_001, 1, Quotas())
    assert len(parameters.windows(100_000, 100_000, 1, Quotas()).all) == 1


# --- jobs ---------------------------------------------------------------------------------------------------------
def test_a_generation_with_the_upload_or_after_it(alone: Served) -> None:
    client = alone.client()
    told = client.post(UPLOADS, content=SEVENTEEN, params={"model": "rules", "questions": "3"}).json()
    job = client.get(f"{BASE}/jobs/{told['job']}").json()
    assert (job["kind"], job["state"]) == ("generation", "queued")
    asked = {"upload": told["upload"], "model": "rules", "questions": 3}
    same = client.post(f"{BASE}/generations", json=asked)
    assert same.status_code == 202
    assert same.json()["id"] == told["job"]
    assert same.headers["location"] == f"{BASE}/jobs/{told['job']}"
    other = client.post(f"{BASE}/generations", json={**asked, "window_size": 5, "window_step": 5}).json()
    assert other["id"] != told["job"]
    assert other["args"] == {"upload": told["upload"], "name": told["name"], "kind": "json", "window_size": 5,
                             "window_step": 5, "model": "rules", "questions": 3, "seed": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [({"model": "gpt"}, 404, "unknown_model"), ({"model": "http://evil/v1#x"}, 422, "bad_request"),
     ({"upload": "0" * 64}, 404, "unknown_upload"), ({"window_size": 18}, 422, "windows"),
     ({"window_size": 4, "window_step": 5}, 422, "windows"), ({"questions": 99}, 422, "too_many"),
     ({"questions": 0}, 422, "bad_request"), ({"seed": -1}, 422, "bad_request"), ({"seed": "1"}, 422, "bad_request"),
     ({"modle": "rules"}, 422, "bad_request"), ({"upload": "../../etc/passwd"}, 422, "bad_request")],
)  # fmt: skip
def test_generations_that_can_not_be(shared: Served, change: dict[str, Any], status: int, word: str) -> None:
    client = shared.client()
    sha = client.post(UPLOADS, content=SEVENTEEN).json()["upload"]
    assert code(client.post(f"{BASE}/generations", json={"upload": sha} | change)) == (status, word)


def test_an_idempotency_key(alone: Served) -> None:
    client = alone.client()
    sha = client.post(UPLOADS, content=SEVENTEEN).json()["upload"]

    def ask(key: str, **more: Any) -> Any:
        return client.post(f"{BASE}/generations", json={"upload": sha, **more}, headers={"idempotency-key": key})

    first = ask("k1").json()["id"]
    assert ask("k1").json()["id"] == first
    assert ask("k2").json()["id"] != first
    assert code(taken := ask("k1", seed=2)) == (409, "key_taken")
    assert "'k1'" in taken.json()["error"]["message"]
    assert code(ask("a b")) == (422, "idempotency_key")


def test_a_job_that_is_tried_again_counts_like_a_new_one(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, jobs_per_team=2)) as made:
        client = made.client()
        told = client.post(UPLOADS, content=SEVENTEEN, params={"model": "rules"}).json()
        first = f"{BASE}/jobs/{told['job']}"
        assert client.post(f"{first}/cancel").status_code == 200
        asked = [{"upload": told["upload"], "seed": seed} for seed in (1, 2)]
        others = [client.post(f"{BASE}/generations", json=one).json()["id"] for one in asked]
        assert code(client.post(f"{first}/retry")) == (429, "too_many_jobs")
        assert client.get(first).json()["state"] == "cancelled"
        assert client.post(f"{BASE}/jobs/{others[0]}/cancel").status_code == 200
        assert client.post(f"{first}/retry").json()["state"] == "queued"


def test_jobs_are_looked_at_cancelled_and_tried_again(two: Served) -> None:
    alpha, beta = two.client("alpha"), two.client("beta")
    job = alpha.post(UPLOADS, content=SEVENTEEN, params={"model": "rules"}).json()["job"]
    place = f"{BASE}/jobs/{job}"
    for path in (place, f"{place}/logs"):
        assert code(beta.get(path)) == (404, "unknown_job")
    for path in (f"{place}/cancel", f"{place}/retry"):
        assert code(beta.post(path)) == (404, "unknown_job")
    assert beta.get(f"{BASE}/jobs").json()["jobs"] == []
    assert code(alpha.post(f"{place}/retry")) == (409, "wrong_state")
    assert alpha.post(f"{place}/cancel").json()["state"] == "cancelled"
    assert alpha.post(f"{place}/cancel").json()["state"] == "cancelled"
    assert alpha.post(f"{place}/retry").json()["state"] == "queued"
    claimed = two.table.claim(job=job)
    assert claimed is not None
    two.table.log(claimed, ["half <b>done</b>"])
    two.table.finish(claimed, {"rows": 3})
    assert alpha.get(place).json()["result"] == {"rows": 3}
    assert "half <b>done</b>" in [line["text"] for line in alpha.get(f"{place}/logs").json()["lines"]]
    told = alpha.get(f"{place}/logs", params={"after": alpha.get(f"{place}/logs").json()["next"]}).json()
    assert (told["lines"], told["state"]) == ([], "done")
    assert code(alpha.post(f"{place}/cancel")) == (409, "wrong_state")
    assert [one["id"] for one in alpha.get(f"{BASE}/jobs?state=done&state=failed").json()["jobs"]] == [job]
    assert alpha.get(f"{BASE}/jobs?kind=evaluation").json()["jobs"] == []
    assert alpha.get(f"{BASE}/jobs?state=odd").status_code == 422


def test_an_upload_in_use_stays(alone: Served) -> None:
    client = alone.client()
    told = client.post(UPLOADS, content=SEVENTEEN, params={"model": "rules"}).json()
    place = f"{UPLOADS}/{told['upload']}"
    assert code(client.delete(place)) == (409, "in_use")
    client.post(f"{BASE}/jobs/{told['job']}/cancel")
    assert client.delete(place).status_code == 204
    assert client.get(f"{BASE}/jobs/{told['recording']}").json()["state"] == "cancelled"
    again = client.post(UPLOADS, content=SEVENTEEN).json()
    assert client.get(f"{BASE}/jobs/{again['recording']}").json()["state"] == "queued"


def test_a_team_has_so_many_jobs(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, jobs_per_team=2), ("alpha", "beta")) as made:
        alpha, beta = made.client("alpha"), made.client("beta")
        sha, _ = [one.post(UPLOADS, content=SEVENTEEN).json()["upload"] for one in (alpha, beta)]
        for seed in (1, 2):
            assert alpha.post(f"{BASE}/generations", json={"upload": sha, "seed": seed}).status_code == 202
        refused = alpha.post(f"{BASE}/generations", json={"upload": sha, "seed": 3})
        assert code(refused) == (429, "too_many_jobs")
        assert int(refused.headers["retry-after"]) > 0
        assert beta.post(f"{BASE}/generations", json={"upload": sha}).status_code == 202


def test_recording_counts_to_no_limit(tmp_path: Path) -> None:
    """MLflow may be away for long: nobody works here, and the team may still ask."""
    with served(settings_in(tmp_path, jobs_per_team=2)) as made:
        client = made.client()
        for n in range(4):
            sha = client.post(UPLOADS, content=json.dumps({"n": n})).json()["upload"]
        assert made.table.counts() == {"queued": 4}
        asked = [client.post(f"{BASE}/generations", json={"upload": sha, "seed": n}) for n in range(3)]
        assert [one.status_code for one in asked] == [202, 202, 429]


def test_strategies_are_those_that_there_are(alone: Served) -> None:
    from typing import get_args

    from querywright.evaluate import models, questions_config
    from server.evaluation import shapes

    assert {*get_args(shapes.Strategy)} == {*get_args(models.Strategy), *get_args(questions_config.Strategy)}
    client = alone.client()
    asked = {"run_id": "a" * 32, "models": ["smollm2_greedy"], "strategies": ["windw"]}
    refused = client.post(f"{BASE}/evaluations", json=asked)
    assert refused.status_code == 422
    assert "strategies.0" in refused.json()["error"]["message"]
    assert "'window'" in refused.json()["error"]["message"]


# --- runs ---------------------------------------------------------------------------------------------------------
def test_rows_of_ones_own(two: Served) -> None:
    alpha, beta = two.client("alpha"), two.client("beta")
    rows = [{"question": "Which gene?", "answer": "CDK2", "evidence": "the gene CDK2", "window": [1, 4], "note": "x"}]
    made = alpha.post(f"{BASE}/synthetic", json=rows)
    assert made.status_code == 201
    run = made.json()["run_id"]
    assert made.json() == {"run_id": run, "rows": 1, "ignored": ["note"]}
    csv = b"question,answer,evidence,window\nWhere?,There,it is There,3-6\n"
    added = alpha.post(f"{BASE}/synthetic", params={"run_id": run}, content=csv, headers={"content-type": "text/csv"})
    assert added.json()["rows"] == 2
    found = [json.loads(line) for line in alpha.get(f"{BASE}/runs/{run}/rows").text.splitlines()]
    assert [row["window"] for row in found] == [[1, 4], [3, 6]]
    assert alpha.get(f"{BASE}/runs/{run}").json()["metrics"] == {"loss": None}
    for path in (f"runs/{run}", f"runs/{run}/rows"):
        assert code(beta.get(f"{BASE}/{path}")) == (404, "unknown_run")
    assert code(beta.post(f"{BASE}/synthetic", params={"run_id": run}, json=rows)) == (404, "unknown_run")
    assert code(beta.post(f"{BASE}/evaluations", json={"run_id": run, "models": ["smollm2_warm"]}))[0] == 404


def test_runs_are_listed_and_posted_ones_deleted(two: Served) -> None:
    alpha, beta = two.client("alpha"), two.client("beta")
    posted = [
        alpha.post(f"{BASE}/synthetic", json=[{"question": f"{n}?", "answer": "a"}]).json()["run_id"] for n in range(3)
    ]
    page = alpha.get(f"{BASE}/runs", params={"limit": 2}).json()
    rest = alpha.get(f"{BASE}/runs", params={"limit": 2, "before": page["next"]}).json()
    assert [run["id"] for run in page["runs"] + rest["runs"]] == posted[::-1]
    assert rest["next"] is None
    assert alpha.get(f"{BASE}/runs", params={"experiment": "evaluation"}).json()["runs"] == []
    assert alpha.get(f"{BASE}/runs", params={"experiment": "other"}).status_code == 422
    assert beta.get(f"{BASE}/runs").json() == {"runs": [], "next": None}
    assert code(beta.get(f"{BASE}/runs", params={"before": posted[0]})) == (404, "unknown_run")
    assert code(beta.delete(f"{BASE}/runs/{posted[0]}")) == (404, "unknown_run")
    job = alpha.post(f"{BASE}/evaluations", json={"run_id": posted[0], "models": ["smollm2_warm"]}).json()["id"]
    assert code(alpha.delete(f"{BASE}/runs/{posted[0]}")) == (409, "in_use")
    alpha.post(f"{BASE}/jobs/{job}/cancel")
    assert alpha.delete(f"{BASE}/runs/{posted[0]}").status_code == 204
    assert code(alpha.delete(f"{BASE}/runs/{posted[0]}")) == (404, "unknown_run")


@pytest.mark.parametrize(
    ("rows", "words"),
    [([{"question": "q?"}], "has no answer"), ([{"instruction": "i"}], "instruction without path"),
     (["text"], "row 1: a text"), ([{"questoin": "q?", "answer": "a"}], "did you mean 'questoin'"),
     ([{"question": "q?", "answer": "a"}, {"instruction": "i", "path": "/x"}], "in one file"),
     ([{"question": "q?", "answer": "a", "window": [4, 1]}], "no first and last"),
     ([{"question": "x" * 10_001, "answer": "a"}], "10,001"),
     ([{"question": "q?", "answer": {"a": 1}}], "has no answer"),
     ([{"question": "q?", "answer": "a", "window": [True, 2]}], "no number from 1 on"),
     ([{"question": "q?", "answers": ["a", " "]}], "answer is no text"), ([{"question": ""}], "question is empty"),
     ([{"instruction": " "}], "instruction is empty"), ([], "holds no rows"),
     ([{"question": "q?", "answers": ["x" * 5_000] * 3}], "15,000")],
)  # fmt: skip
def test_rows_that_are_none(bare: Served, rows: list[Any], words: str) -> None:
    answer = bare.client().post(f"{BASE}/synthetic", json=rows)
    assert code(answer) == (422, "rows")
    assert words in answer.json()["error"]["message"]
    assert bare.files() == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [({"answers": ["x"]}, {"answer": "x"}), ({"answer": 12}, {"answer": "12"}),
     ({"answers": [12, 13]}, {"answer": "12", "answers": ["12", "13"]}),
     ({"answer": "a", "answers": ["b"]}, {"answer": "b"}),
     ({"answer": ["x", "y"]}, {"answer": "x", "answers": ["x", "y"]}),
     ({"answers": {"text": ["x", "y"], "answer_start": [3, 0]}}, {"answer": "x", "answers": ["x", "y"]}),
     ({"answer": "a", "window": "[1, 4]", "evidence_chunk": "3"},
      {"answer": "a", "window": [1, 4], "evidence_chunk": 3})],
)  # fmt: skip
def test_rows_are_read_as_the_command_line_reads_them(
    alone: Served, tmp_path: Path, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    from querywright.evaluate.questions_rows import questions, read_rows

    body = json.dumps([{"question": "q?"} | given])
    run = alone.client().post(f"{BASE}/synthetic", content=body).json()["run_id"]
    (row,) = alone.tracking.rows("local", run)
    assert row == {"question": "q?"} | kept
    if not any(isinstance(one, int) for one in [given.get("answer"), *given.get("answers", [])]):  # texts alone, there
        (tmp_path / "rows.json").write_text(body)
        assert questions([row]) == questions(read_rows(tmp_path / "rows.json"))


def test_rows_of_the_other_kind_get_a_run_of_their_own(alone: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OtherRows("the run holds questions, and these are calls", hint="POST them without run_id")

    monkeypatch.setattr(alone.tracking, "synthetic", refuse)
    answer = alone.client().post(f"{BASE}/synthetic", json=[{"instruction": "i", "path": "/x"}])
    assert code(answer) == (409, "other_rows")
    assert "without run_id" in answer.json()["error"]["hint"]


def test_an_evaluation(alone: Served) -> None:
    client = alone.client()
    run = client.post(f"{BASE}/synthetic", json=[{"question": "q?", "answer": "a"}]).json()["run_id"]
    asked = {"run_id": run, "models": ["smollm2_warm"], "strategies": ["closed"], "judge": "smollm2_greedy"}
    job = client.post(f"{BASE}/evaluations", json=asked).json()
    assert (job["kind"], job["args"]["judge"], job["args"]["upload"]) == ("evaluation", "smollm2_greedy", None)
    assert client.post(f"{BASE}/evaluations", json=asked).json()["id"] == job["id"]
    for change, word in (({"models": []}, "bad_request"), ({"models": ["rules"]}, "unknown_model"),
                         ({"models": ["smollm2_warm"] * 2}, "twice"), ({"judge": "nobody"}, "unknown_model"),
                         ({"api": "mygene/../x"}, "bad_request"), ({"api": "yourgene"}, "unknown_api")):  # fmt: skip
        assert code(client.post(f"{BASE}/evaluations", json=asked | change))[1] == word
    for change in ({"api": "mygene"}, {"strategies": ["rag"]}, {"strategies": ["icl"]}):
        assert code(client.post(f"{BASE}/evaluations", json=asked | change)) == (422, "not_for_these_rows")
    calls = client.post(f"{BASE}/synthetic", json=[{"instruction": "i", "path": "/x"}]).json()["run_id"]
    fit = {"run_id": calls, "models": ["smollm2_greedy"], "api": "mygene"}
    assert client.post(f"{BASE}/evaluations", json=fit).status_code == 202
    for change in ({"api": None}, {"judge": "smollm2_greedy"}, {"strategies": ["closed"]},
                   {"models": ["smollm2_warm"]}):  # fmt: skip
        assert code(client.post(f"{BASE}/evaluations", json=fit | change)) == (422, "not_for_these_rows")
    alone.tracking.away = True
    away = client.post(f"{BASE}/evaluations", json=asked)
    assert code(away) == (503, "mlflow_away")
    assert away.headers["retry-after"]
    alone.tracking.away = False
    alone.tracking.runs["e" * 32] = ("local", "evaluation", [])
    assert code(client.post(f"{BASE}/evaluations", json=asked | {"run_id": "e" * 32})) == (422, "wrong_run")


def test_an_evaluation_asked_again_after_rows_were_added_is_another_one(alone: Served) -> None:
    client = alone.client()
    run = client.post(f"{BASE}/synthetic", json=[{"question": "q?", "answer": "a"}]).json()["run_id"]
    asked = {"run_id": run, "models": ["smollm2_warm"]}
    key = {"idempotency-key": "k"}
    first, named = (client.post(f"{BASE}/evaluations", json=asked, headers=more).json() for more in ({}, key))
    client.post(f"{BASE}/synthetic", params={"run_id": run}, json=[{"question": "r?", "answer": "b"}])
    again = client.post(f"{BASE}/evaluations", json=asked).json()
    assert first["id"] != again["id"] == client.post(f"{BASE}/evaluations", json=asked).json()["id"]
    assert [one["args"]["posts"] for one in (first, named, again)] == [1, 1, 2]
    assert code(client.post(f"{BASE}/evaluations", json=asked, headers=key)) == (409, "key_taken")


# --- who asks -----------------------------------------------------------------------------------------------------
def test_nobody_without_a_token(two: Served) -> None:
    nobody = two.client()
    for path in (UPLOADS, f"{BASE}/jobs", f"{BASE}/models"):
        answer = nobody.get(path)
        assert code(answer) == (401, "login_needed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert nobody.post(UPLOADS, content=SEVENTEEN).status_code == 401
    assert nobody.get(UPLOADS, headers={"authorization": "Bearer qw_wrong"}).status_code == 401
    assert nobody.get(UPLOADS, headers={"authorization": "Basic YWxwaGE6eA=="}).status_code == 401
    assert nobody.get("/health").json() == {"status": "ok", "version": None}
    assert [nobody.get(path).status_code for path in ("/docs", "/openapi.json")] == [200, 200]  # for a browser
    assert two.files() == []


def test_a_team_is_added_removed_and_given_a_new_token_while_the_server_runs(two: Served) -> None:
    file = two.settings.folder / "teams"
    old = two.client("alpha")
    assert old.get(UPLOADS).status_code == 200
    two.tokens["alpha"], new = teams.add(file, "alpha")
    assert not new
    assert old.get(UPLOADS).status_code == 401
    assert two.client("alpha").get(UPLOADS).status_code == 200
    teams.remove(file, "alpha")
    assert two.client("alpha").get(UPLOADS).status_code == 401
    file.write_text("what is this\n")
    os.utime(file, (1, 1))  # many disks' clocks stand still for milliseconds: the time could be that of the removal
    assert two.client("beta").get(UPLOADS).status_code == 401
    assert all(token not in file.read_text() for token in two.tokens.values())


def test_wrong_tokens_make_an_address_wait_and_right_ones_do_not(two: Served) -> None:
    answers = [two.client().get(UPLOADS, headers={"authorization": f"Bearer x{n}"}) for n in range(12)]
    assert [one.status_code for one in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) > 0
    assert two.client("beta").get(UPLOADS).status_code == 200


def test_other_sites_other_names_and_other_paths(alone: Served) -> None:
    client = alone.client()
    assert client.post(UPLOADS, content=SEVENTEEN, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get(UPLOADS, headers={"host": "evil.example"}).status_code == 421
    for path in (f"{UPLOADS}/../../../etc/passwd", f"{UPLOADS}/%2e%2e/x", "/gradio_api/info", "/", "/v1/call"):
        assert code(client.get(path)) in ((404, "not_found"), (422, "bad_request"))
    wrong = client.put(UPLOADS)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")
    assert client.get(UPLOADS).headers["x-content-type-options"] == "nosniff"


def test_metrics_are_for_this_machine(two: Served) -> None:
    two.client("alpha").post(UPLOADS, content=SEVENTEEN)
    text = two.client().get("/metrics").text
    assert 'querywright_jobs{state="queued"} 1.0' in text
    assert f"querywright_upload_bytes {len(SEVENTEEN)}.0" in text
    assert "alpha" not in text
    forwarded = two.client("alpha").get("/metrics", headers={"x-forwarded-for": "9.9.9.9"})
    assert code(forwarded) == (403, "not_yours")


def test_the_page_about_it(alone: Served) -> None:
    page = alone.client().get("/docs")
    assert page.status_code == 200
    assert "POST /v1/evaluation/uploads" in page.text
    assert "<script" not in page.text
    assert "<code>window-size</code> (query or header): integer. Chunks of a window" in page.text
    assert '<a href="#GenerationRequest">' in page.text
    assert "<code>window_step</code> (may be left out): integer or null" in page.text


def test_the_command_makes_teams(tmp_path: Path) -> None:
    from querywright.cli.evaluation import app as command

    file, run = tmp_path / "new" / "teams", CliRunner()
    added = run.invoke(command, ["teams", "add", "alpha", "--file", str(file)], catch_exceptions=False)
    token = added.stdout.split()[0]
    assert teams.read(file) == {"alpha": teams.hashed(token)}
    assert run.invoke(command, ["teams", "list", "--file", str(file)]).stdout.split() == ["alpha"]
    assert run.invoke(command, ["teams", "add", "local", "--file", str(file)]).exit_code != 0
    assert run.invoke(command, ["teams", "remove", "alpha", "--file", str(file)]).exit_code == 0
    assert teams.read(file) == {}
