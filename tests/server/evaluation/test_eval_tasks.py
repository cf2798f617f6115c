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
from server.evaluation.tracking import Away, Run, Upload
from server.jobs.task import Job, Later
from tests.protocol import Chat, Fault, serve

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

    def run(self, team: str, run_id: str) -> Run:
        return Run(run_id, "data_generation", "", "FINISHED", team, "", self.upload)

    def rows(self, team: str, run_id: str, posts: int | None = None) -> list[dict[str, Any]]:
        self._tell("rows", run_id)
        return self.rows_[:posts]  # each came as a file of its own

    def evaluation(
        self, key: str, team: str, data_run: str, folder: Path, found: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> str:
        return self._tell("evaluation", (found, settings))


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
    assert "POST /v1/evaluation/synthetic?" in error.value.hint


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


def test_what_was_asked_for_is_evaluated_though_rows_came_since(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "questions", lambda settings, args, rows, *rest: ({"cells": []}, {"rows": len(rows)}))
    told = Told(rows_=[{"question": f"Who is {n}?", "answer": "Ada"} for n in range(3)])
    do(settings, told, job(tmp_path, "evaluation", {"run_id": "r1", "posts": 2, "models": ["smollm2_greedy"]}))
    assert told.said[-1] == ("evaluation", ({"cells": []}, {"rows": 2}))


def test_answers_are_scored_once_where_mlflow_is_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    found = {"cells": [{"name": "a · closed", "scores": {"f1": {"mean": 0.5, "low": None}}}], "seconds": 1.5}

    def questions(*given: Any) -> Any:
        scored.append(1)
        told.away = 3
        return found, {"models": ["a"]}

    monkeypatch.setattr(asked, "questions", questions)
    told = Told(rows_=[{"question": "Who?", "answer": "Ada"}])
    made = job(tmp_path, "evaluation", {"run_id": "r1", "models": ["a"]})
    for _ in range(3):
        with pytest.raises(Later):
            do(settings, told, made)
    there = {"run_id": "evaluation-run", "rows": 1, "cells": ["a · closed"], "left_out": [], "notes": []}
    assert do(settings, told, made) == there
    assert scored == [1]
    assert told.said[-1] == ("evaluation", (found, {"models": ["a"]}))


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
        ("POST /v1/evaluation/synthetic?run_id=... adds some", "POST /v1/evaluation/synthetic?run_id=... adds some"),
        ("got /v3/gene/1017?fields=symbol for it", "got /v3/gene/1017?fields=symbol for it"),
        ("loading big: outlines:/srv/models/x", "loading big: outlines:x"),
        ("could not open sqlite:////srv/jobs/a.sqlite", "could not open sqlite:a.sqlite"),
        ("no model file /srv/our models/bob's own/m.gguf", "no model file m.gguf"),
        ("helper (/srv/a/x.gguf), terse (/srv/b/y.gguf)", "helper (x.gguf), terse (y.gguf)"),
        ("/srv/a/x.gguf is no /srv/b/y.gguf", "x.gguf is no y.gguf"),
    ],
)
def test_teams_read_no_folders_and_no_addresses(text: str, shown: str) -> None:
    assert plain(text) == shown
    log = Log()
    with heard(log), discreetly():
        say(text)
        list(track([1], text))
    assert log.lines == [shown, f"{shown} 0/1", f"{shown} 1/1"]


@pytest.mark.parametrize(
    ("hint", "shown"),
    [("run the same command again to go on", "{} to go on"),
     ("what was answered is kept: run the same again to go on", "what was answered is kept: {} to go on"),
     ("correct that; then run it again", "correct that; then {}")],
)  # fmt: skip
def test_a_hint_of_the_command_line_is_one_of_the_service(
    settings: Settings, tmp_path: Path, hint: str, shown: str
) -> None:
    def gone(step: Any) -> Any:
        raise QuerywrightError("the model is gone: /srv/m.gguf", hint=hint)

    with pytest.raises(QuerywrightError) as error:
        steps._done(gone, settings, Told(), job(tmp_path, "upload", {}))  # type: ignore[arg-type]
    assert str(error.value) == "the model is gone: m.gguf"
    assert error.value.hint == shown.format("POST /v1/evaluation/jobs/0123456789abcdef/retry")


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
    assert found["left_out"] == []
    assert told["api"] == "mygene"
    assert told["temperature"] == 0
    asks = {"model": "small", "strategies": ["zero_shot"], "decodings": ["free"], "max_tokens": 512}
    assert told["entries"] == {"helper": asks}
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"s3cret" in text for text in (*kept, json.dumps(told).encode()))


@pytest.mark.parametrize("api", [None, "mygen", "../mygene"])
def test_calls_of_no_shipped_api_are_refused(settings: Settings, tmp_path: Path, api: str | None) -> None:
    with pytest.raises(QuerywrightError) as error:
        asked.calls(settings, {"models": ["smollm2_greedy"], "api": api}, [{"instruction": "x", "path": "/"}], tmp_path)
    assert "mygene" in error.value.hint


CALL = [{"instruction": "Find CDK2", "path": "/v3/query?q=symbol:CDK2"}]


@pytest.mark.parametrize(
    ("asks", "said", "hint"),
    [
        ({"models": ["smollm2_greedy", "smollm2_hot"]}, "smollm2_hot is sampled at", "smollm2_greedy can"),
        ({"models": ["smollm2_terse"], "n": 3}, "smollm2_terse has a system message", "smollm2_warm, smollm2_hot can"),
        ({"models": ["smollm2_warm", "smollm2_hot"], "n": 3}, "smollm2_warm 0.7, smollm2_hot 1.2", "for each"),
        ({"models": ["smollm2_greedy"], "judge": "smollm2_greedy"}, "not judged", "without judge"),
    ],
)  # fmt: skip
def test_calls_are_asked_as_the_catalogue_says_or_not_at_all(
    settings: Settings, tmp_path: Path, asks: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(QuerywrightError) as error:
        asked.calls(settings, {"api": "mygene", **asks}, CALL, tmp_path / "evaluation")
    assert said in str(error.value)
    assert hint in error.value.hint
    assert not [*tmp_path.iterdir()], "nothing was begun"


def test_calls_are_sampled_at_their_entries_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from querywright.cli import eval_models

    catalogue = tmp_path / "models.yaml"
    one = {"model": "/srv/models/m.gguf", "temperature": 1.2, "seed": 2, "max_tokens": 96}
    catalogue.write_text(json.dumps({"models": {"a": {**one, "threads": 3}, "b": {**one, "threads": 2}}}))
    configs: list[Any] = []
    monkeypatch.setattr(eval_models, "scored", lambda config, **more: configs.append(config) or ({"cells": []}, []))
    settings = settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path), "QUERYWRIGHT_MODELS": str(catalogue)})
    asks = {"api": "mygene", "models": ["a", "b"], "n": 3}
    found, told = asked.calls(settings, asks, CALL, tmp_path / "evaluation")
    (config,) = configs
    assert (config.temperature, config.n, config.threads, config.models["a"].max_tokens) == (1.2, (3,), 2, 96)
    assert told["temperature"] == 1.2
    entry = {"model": "m.gguf", "strategies": ["zero_shot"], "decodings": ["grammar"], "max_tokens": 96}
    assert told["entries"] == {"a": entry, "b": entry}
    assert found["left_out"] == ["a.zero_shot.grammar.n3", "b.zero_shot.grammar.n3"], "no cell was scored"


def test_questions_are_for_no_api(settings: Settings, tmp_path: Path) -> None:
    asks = {"models": ["smollm2_greedy"], "api": "mygene"}
    with pytest.raises(QuerywrightError, match="these rows are questions"):
        asked.questions(settings, asks, [{"question": "Who?", "answer": "Ada"}], list, tmp_path / "evaluation")


def test_of_rows_without_a_document_what_nobody_asked_for_by_name_is_left_out_and_told(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.yaml"
    settings = {"QUERYWRIGHT_EVALUATION": str(tmp_path / "service"), "QUERYWRIGHT_MODELS": str(catalogue)}
    told = Told(rows_=[{"question": f"What is {n}?", "answer": "that"} for n in range(4)])
    asks = {"run_id": "r1", "models": ["helper"], "strategies": None}
    with serve(Chat(lambda body: "that")) as service:
        catalogue.write_text(json.dumps({"models": {"helper": {"model": f"{service.url}#small"}}}))
        with pytest.raises(QuerywrightError, match="rag needs a document"):
            do(settings_of(settings), told, job(tmp_path, "evaluation", {**asks, "strategies": ["closed", "rag"]}))
        done = do(settings_of(settings), told, job(tmp_path, "evaluation", asks))
    assert done["cells"] == ["helper · closed"]
    assert done["left_out"] == [
        "rag: there are no documents to search",
        "helper · window: no row has a window of these documents, or evidence",
    ]


@pytest.mark.parametrize(
    ("rows", "more"),
    [([{"question": f"What is {n}?", "answer": "that"} for n in range(4)], {"strategies": ["closed"]}),
     (CALL, {"strategies": ["zero_shot"], "api": "mygene"})],
)  # fmt: skip
def test_a_models_server_that_is_away_fails_the_job_and_a_retry_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    monkeypatch.setattr("querywright.engines.server._rest", lambda *given: None)  # between tries
    asked_before = min(3, len(rows))
    catalogue = tmp_path / "models.yaml"
    given = {"QUERYWRIGHT_EVALUATION": str(tmp_path / "service"), "QUERYWRIGHT_MODELS": str(catalogue)}
    told, made = Told(rows_=rows), job(tmp_path, "evaluation", {"run_id": "r1", "models": ["helper"], **more})
    with serve(Chat(lambda body: "that"), faults=[Fault(status=503)] * (3 * asked_before)) as service:
        entry = {"model": f"{service.url}#small", "concurrency": 1}
        catalogue.write_text(json.dumps({"models": {"helper": entry}}))
        with pytest.raises(QuerywrightError, match=rf"{asked_before} in a row got no answer: a server") as error:
            do(settings_of(given), told, made)
        assert error.value.retryable
        assert "POST /v1/evaluation/jobs/0123456789abcdef/retry" in error.value.hint
        assert do(settings_of(given), told, made)["rows"] == len(rows)


@pytest.mark.parametrize("kind", ["generation", "evaluation"])
def test_a_writer_or_a_judge_that_is_away_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posted: dict[str, Any], kind: str
) -> None:
    monkeypatch.setattr("querywright.engines.sender._WAITS", (0.0, 0.0))
    monkeypatch.setattr("querywright.engines.server._rest", lambda *given: None)  # between an engine's own tries
    catalogue = tmp_path / "models.yaml"
    given = {"QUERYWRIGHT_EVALUATION": str(tmp_path / "service"), "QUERYWRIGHT_MODELS": str(catalogue)}
    told = Told(rows_=[{"question": f"What is {n}?", "answer": "that"} for n in range(4)])
    writes = {**posted, "model": "helper", "questions": 1}
    judges = {"run_id": "r1", "models": ["helper"], "judge": "helper", "strategies": ["closed"]}
    answered, refused = (0, 3) if kind == "generation" else (len(told.rows_), 9)
    made = job(tmp_path, kind, writes if kind == "generation" else judges)
    with serve(Chat(lambda body: "that"), faults=[*[None] * answered, *[Fault(status=503)] * refused]) as service:
        entry = {"model": f"{service.url}#small", "concurrency": 1}
        catalogue.write_text(json.dumps({"models": {"helper": entry}}))
        with pytest.raises(QuerywrightError, match=r"HTTP 503.* 0 answers are kept") as error:
            do(settings_of(given), told, made)
        assert error.value.retryable
        assert "POST /v1/evaluation/jobs/0123456789abcdef/retry" in error.value.hint
        assert do(settings_of(given), told, made)["run_id"] == f"{kind}-run"
