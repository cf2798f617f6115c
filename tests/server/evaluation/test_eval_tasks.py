"""What each job does, without processes: MLflow is a list, the writer has no model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import data_dir, sha256
from querywright.engines.catalogue import public
from querywright.errors import QuerywrightError
from querywright.progress import heard, say, track
from server.evaluation import asked
from server.evaluation import tasks as steps
from server.evaluation.chosen import taken
from server.evaluation.discreet import discreetly, plain
from server.evaluation.settings import Settings, settings_of
from server.evaluation.tracking import Away, Upload
from server.jobs.task import Job, Later
from tests.protocol import Chat, serve

RECORDS = [{"symbol": symbol, "chromosome": str(place), "taxid": 9606}
           for symbol, place in (("CDK2", 12), ("TP53", 17), ("EGFR", 7), ("INS", 11))]  # fmt: skip


@dataclass
class Told:
    """Remembers what MLflow was told; `away` makes it refuse so often."""

    rows_: list[dict[str, Any]] = field(default_factory=list)
    said: list[tuple[str, Any]] = field(default_factory=list)
    away: int = 0
    upload: str | None = None

    def _tell(self, what: str, value: Any) -> str:
        if self.away:
            self.away -= 1
            raise Away("MLflow at http://10.1.2.3:5000 does not answer")
        self.said.append((what, value))
        return f"{what}-run"

    def record_upload(self, upload: Upload) -> str:
        return self._tell("upload", upload)

    def generation(
        self, key: str, team: str, folder: Path, settings: Mapping[str, Any], upload: Upload | None = None
    ) -> str:
        self.rows_ = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
        return self._tell("generation", dict(settings))

    def rows(self, team: str, run_id: str) -> list[dict[str, Any]]:
        self._tell("rows", run_id)
        return self.rows_


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)

    def moved(self, what: str, done: int, total: int | None) -> None:
        self.lines.append(f"{what} {done}/{total}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path / "service")})


@pytest.fixture
def posted(settings: Settings, tmp_path: Path) -> dict[str, Any]:
    """An upload as a request leaves it, as a job's arguments name it."""
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(RECORDS))
    sha = sha256(draft)
    settings.upload_file(sha).parent.mkdir(parents=True)
    draft.rename(settings.upload_file(sha))
    return {"upload": sha, "name": "genes.json", "kind": "json", "window_size": 2, "window_step": 1}


def job(tmp_path: Path, kind: str, args: dict[str, Any]) -> Job:
    folder = tmp_path / "jobs" / "0123456789abcdef" / "work"
    folder.mkdir(parents=True, exist_ok=True)
    return Job("0123456789abcdef", kind, "apes", args, 1, folder)


def do(settings: Settings, tracking: Told, made: Job) -> dict[str, Any]:
    step = {"upload": steps.upload, "generation": steps.generation, "evaluation": steps.evaluation}[made.kind]
    return partial(steps._done, step, settings, tracking)(made)  # type: ignore[arg-type]


def test_there_is_a_task_for_each_kind_and_none_is_opened_before_it_is_used(settings: Settings) -> None:
    assert set(steps.tasks(settings)) == {"upload", "generation", "evaluation"}
    assert not settings.folder.exists()


def test_an_upload_is_recorded_with_its_chunks(settings: Settings, posted: dict[str, Any], tmp_path: Path) -> None:
    told = Told()
    assert do(settings, told, job(tmp_path, "upload", posted)) == {"run_id": "upload-run", "chunks": 4}
    (_, upload), = told.said
    assert (upload.team, upload.name, upload.size, upload.step, len(upload.texts)) == ("apes", "genes.json", 2, 1, 4)


def test_questions_are_made_once_where_mlflow_is_away(
    settings: Settings, posted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from querywright.questions import make

    calls: list[int] = []
    whole = make.make
    monkeypatch.setattr(make, "make", lambda *a, **k: calls.append(1) or whole(*a, **k))
    told, made = Told(away=2), job(tmp_path, "generation", {**posted, "model": "rules", "questions": 1, "seed": 3})
    for _ in range(2):
        with pytest.raises(Later) as put_off:
            do(settings, told, made)
        assert "10.1.2.3" not in str(put_off.value)
    found = do(settings, told, made)
    assert found["run_id"] == "generation-run"
    assert found["rows"] == len(told.rows_) > 0
    assert calls == [1]
    assert told.said[-1][1]["upload"] == posted["upload"]


def test_an_upload_that_was_deleted_is_told_by_its_name(
    settings: Settings, posted: dict[str, Any], tmp_path: Path
) -> None:
    settings.upload_file(posted["upload"]).unlink()
    with pytest.raises(QuerywrightError, match=r"genes\.json was deleted"):
        do(settings, Told(), job(tmp_path, "generation", posted))


def test_a_model_that_left_the_catalogue_is_named(settings: Settings, posted: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no model 'smollm2_greddy'; did you mean 'smollm2_greedy'"):
        do(settings, Told(), job(tmp_path, "generation", {**posted, "model": "smollm2_greddy"}))


def test_an_evaluation_of_a_run_without_rows_says_how_to_add_some(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no rows") as error:
        do(settings, Told(), job(tmp_path, "evaluation", {"run_id": "r1", "models": ["smollm2_greedy"]}))
    assert "synthetic" in error.value.hint


def test_rows_that_are_added_meanwhile_change_nothing_in_a_job_that_goes_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[Any]] = []

    def interrupted(settings: Settings, args: Any, rows: Sequence[Any], *rest: Any) -> Any:
        seen.append(rows)
        raise Away("away")

    monkeypatch.setattr(asked, "questions", interrupted)
    told = Told(rows_=[{"question": "Who?", "answer": "Ada"}])
    made = job(tmp_path, "evaluation", {"run_id": "r1", "models": ["smollm2_greedy"]})
    for _ in range(2):
        with pytest.raises(Later):
            do(settings, told, made)
        told.rows_.append({"question": "When?", "answer": "1843"})
    assert [len(rows) for rows in seen] == [1, 1]


def test_what_teams_see_of_a_model_is_neither_a_key_nor_an_address(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.yaml"
    catalogue.write_text(
        "models:\n"
        '  hosted: {model: "http://10.9.8.7:8000/v1#big", api_key: "env:HIDDEN_KEY"}\n'
        "  local: {model: /srv/secret/place/model.gguf, temperature: 0.5}\n"
    )
    told = {name: public(entry) for name, entry in taken(catalogue, ["local", "hosted"]).items()}
    assert told["hosted"]["model"] == "big"
    assert told["local"]["model"] == "model.gguf"
    assert not any(word in json.dumps(told) for word in ("HIDDEN", "10.9", "srv"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loading base: /opt/models/m.gguf", "loading base: m.gguf"),
        ("http://10.0.0.1:8000/v1#x answered 500", "a server answered 500"),
        ("could not write /a/b/c: no space", "could not write c: no space"),
        ("3/4 windows, and/or", "3/4 windows, and/or"),
        ("postgresql://u:p@host/db is away", "a server is away"),
    ],
)
def test_teams_read_no_folders_and_no_addresses(text: str, shown: str) -> None:
    assert plain(text) == shown
    log = Log()
    with heard(log), discreetly():
        say(text)
        list(track([1], text))
    assert log.lines == [shown, f"{shown} 0/1", f"{shown} 1/1"]


def test_a_hint_of_the_command_line_is_one_of_the_service(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(step: Any) -> Any:
        raise QuerywrightError("the model is gone: /srv/m.gguf", hint="run the same command again to go on")

    with pytest.raises(QuerywrightError) as error:
        steps._done(gone, settings, Told(), job(tmp_path, "upload", {}))  # type: ignore[arg-type]
    assert str(error.value) == "the model is gone: m.gguf"
    assert error.value.hint == "POST /v1/evaluation/jobs/0123456789abcdef/retry goes on where it was"


def test_what_nobody_foresaw_is_tried_again_and_names_no_folder(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(step: Any) -> Any:
        raise OSError(28, "No space left on device", "/srv/private/rows.jsonl")

    with pytest.raises(QuerywrightError, match="No space left") as error:
        steps._done(full, settings, Told(), job(tmp_path, "upload", {}))  # type: ignore[arg-type]
    assert error.value.retryable
    assert "/srv" not in str(error.value)
    assert "/srv/private/rows.jsonl" in caplog.text  # who runs the service has it


def test_sentences_with_calls_are_asked_as_querywright_eval_does(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data_dir() / "evaluation" / "calls.jsonl").read_text().splitlines()]
    known = {row["instruction"]: row["path"] for row in rows[:3]}

    def answer(body: dict[str, Any]) -> str:
        said = body["messages"][-1]["content"]
        return next((path for sentence, path in known.items() if sentence in said), "/v3/query?q=symbol:nothing")

    with serve(Chat(answer, key="s3cret-of-a-server")) as service:
        catalogue = tmp_path / "models.yaml"
        entry = {"model": f"{service.url}#small", "api_key": "env:CALLS_KEY"}
        catalogue.write_text(json.dumps({"models": {"helper": entry}}))
        given = {"QUERYWRIGHT_EVALUATION": str(tmp_path / "service"), "QUERYWRIGHT_MODELS": str(catalogue)}
        settings = settings_of(given)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CALLS_KEY", "s3cret-of-a-server")
            asks = {"models": ["helper"], "api": "mygene", "strategies": ["zero_shot"], "seed": 0}
            found, told = asked.calls(settings, asks, rows, tmp_path / "work" / "evaluation")
    (cell,) = found["cells"]
    assert cell["metrics"]["same"]["mean"] == 0.75
    assert told["api"] == "mygene"
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"s3cret" in text for text in (*kept, json.dumps(told).encode()))


@pytest.mark.parametrize("api", [None, "mygen", "../mygene"])
def test_calls_of_no_shipped_api_are_refused(settings: Settings, tmp_path: Path, api: str | None) -> None:
    with pytest.raises(QuerywrightError) as error:
        asked.calls(settings, {"models": ["smollm2_greedy"], "api": api}, [{"instruction": "x", "path": "/"}], tmp_path)
    assert "mygene" in error.value.hint
