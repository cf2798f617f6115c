"""The settings of the evaluation service: defaults, all mistakes at once, and no password in what is shown."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from server.evaluation import start
from server.evaluation.quotas import Quotas
from server.evaluation.settings import settings_of
from server.settings import Limits, limits_of, unread


def test_defaults_need_no_other_service(tmp_path: Path) -> None:
    found = settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path)})
    assert (found.broker, found.results, found.teams) == ("", "", None)
    assert found.jobs == str(tmp_path / "jobs.sqlite")
    assert found.mlflow == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert found.artefacts == tmp_path / "artefacts"
    assert found.models.name == "models.yaml"
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_at_once_without_passwords(tmp_path: Path) -> None:
    wrong = {
        "QUERYWRIGHT_BROKER": "redis://user:secret@host", "QUERYWRIGHT_MLFLOW": "ftp://user:secret@host",
        "QUERYWRIGHT_JOBS": "mysql://user:secret@host/db", "QUERYWRIGHT_TEAMS": str(tmp_path / "none"),
        "QUERYWRIGHT_MODELS": str(tmp_path / "none.yaml"), "QUERYWRIGHT_EVALUATION": __file__,
        "QUERYWRIGHT_ENCODER": str(tmp_path),
        "QUERYWRIGHT_LIMIT_UPLOAD_BYTE": "3", "QUERYWRIGHT_LIMIT_ROWS": "many", "QUERYWRIGHT_LIMIT_CHUNKS": "0",
        "QUERYWRIGHT_BROKRE": "x", "QUERYWRIGHT_ORIGINS": "https://a/b, ftp://c", "QUERYWRIGHT_TRUSTED_PROXIES": "here",
    }  # fmt: skip
    with pytest.raises(QuerywrightError) as error:
        settings_of(wrong)
    said = str(error.value)
    for name in ("BROKER", "MLFLOW", "JOBS", "TEAMS", "EVALUATION", "ENCODER", "LIMIT_ROWS", "LIMIT_CHUNKS", "RESULTS",
                 "ORIGINS", "TRUSTED_PROXIES"):  # fmt: skip
        assert f"QUERYWRIGHT_{name}" in said
    assert "did you mean 'upload_bytes'" in said
    assert "none.yaml" in said
    assert "secret" not in said
    assert "BROKRE is set, and nothing reads it; did you mean QUERYWRIGHT_BROKER?" in said
    assert len(said.splitlines()) == 15  # ORIGINS has two wrong ones, BROKER also misses RESULTS
    assert ";" not in said.replace("; did you mean", "").replace("; minilm is", "")


def test_a_folder_that_can_not_be_made_is_one_of_the_mistakes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wrong = {"QUERYWRIGHT_EVALUATION": str(tmp_path / "file" / "folder"), "QUERYWRIGHT_RESULTS": "redis://host"}
    with pytest.raises(QuerywrightError, match=r"(?s)Celery needs both.*QUERYWRIGHT_EVALUATION: could not make"):
        settings_of(wrong, make=True)
    with pytest.raises(QuerywrightError) as error:
        settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path / "file")}, make=True)
    assert len(str(error.value).splitlines()) == 1
    settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path / "a" / "b")}, make=True)
    assert (tmp_path / "a" / "b").is_dir()


def test_what_others_set_for_themselves_is_no_mistake(tmp_path: Path) -> None:
    settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path), "QUERYWRIGHT_BUILD_NUMBER": "3"})


def test_no_limit_of_the_service_is_called_as_one_of_a_request() -> None:
    """One variable sets one of them: the other could not be set."""
    assert {field.name for field in fields(Limits)}.isdisjoint(field.name for field in fields(Quotas))
    assert settings_of({"QUERYWRIGHT_LIMIT_ROWS_PER_RUN": "2"}).quotas.rows_per_run == 2


@pytest.mark.parametrize("command", ["serve", "work"])
def test_a_broker_and_a_result_backend_that_are_away_are_said(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUERYWRIGHT_EVALUATION", str(tmp_path))
    monkeypatch.setenv("QUERYWRIGHT_BROKER", "amqp://user:s3cret@127.0.0.1:1//")
    monkeypatch.setattr("server.app.run", lambda *_: None)
    monkeypatch.setattr("server.evaluation.start.service", lambda *_: nullcontext())
    monkeypatch.setattr("server.jobs.celery_worker.serve", lambda *_, **__: 0)
    with socket.create_server(("127.0.0.1", 0)) as redis:
        monkeypatch.setenv("QUERYWRIGHT_RESULTS", f"redis://:s3cret@127.0.0.1:{redis.getsockname()[1]}/0")
        start.serve("127.0.0.1", 0, 1) if command == "serve" else start.work(1)
    said = capsys.readouterr().err
    assert "RabbitMQ is away for now: amqp://127.0.0.1:1, nobody answers" in said
    assert "Redis" not in said
    assert "s3cret" not in said


def test_more_chunks_than_are_read_can_not_be_allowed() -> None:
    at_most = {"QUERYWRIGHT_LIMIT_CHUNKS": "200000", "QUERYWRIGHT_LIMIT_ROWS_PER_RUN": "300000"}  # of many requests
    assert settings_of(at_most).quotas.chunks == 200_000
    with pytest.raises(QuerywrightError, match="LIMIT_CHUNKS=200001: no document of more than 200,000"):
        settings_of({"QUERYWRIGHT_LIMIT_CHUNKS": "200001"})


@pytest.mark.parametrize("name", ["BROKER", "RESULTS"])
def test_a_broker_needs_a_result_backend(name: str) -> None:
    url = {"BROKER": "amqp://host", "RESULTS": "redis://host"}[name]
    with pytest.raises(QuerywrightError, match="Celery needs both"):
        settings_of({f"QUERYWRIGHT_{name}": url})


def test_addresses_are_not_shown() -> None:
    found = settings_of({
        "QUERYWRIGHT_BROKER": "amqp://u:secret@host", "QUERYWRIGHT_RESULTS": "rediss://:secret@host",
        "QUERYWRIGHT_JOBS": "postgresql://u:secret@host/db", "QUERYWRIGHT_MLFLOW": "http://u:secret@host:5000",
    })  # fmt: skip
    assert "secret" not in repr(found)
    assert found.artefacts is None


def test_one_file_of_settings_serves_assistant_and_evaluation() -> None:
    both = {"QUERYWRIGHT_LIMIT_WAITING": "3", "QUERYWRIGHT_LIMIT_UPLOADS_PER_TEAM": "7", "QUERYWRIGHT_TEAMS": "x"}
    assert limits_of(both).waiting == 3
    assert unread(both) == []
    found = settings_of({name: value for name, value in both.items() if "LIMIT" in name})
    assert (found.limits.waiting, found.quotas.uploads_per_team) == (3, 7)


@pytest.mark.parametrize("name", ["0" * 63, "../" + "0" * 61, "A" * 64, ""])
def test_only_a_digest_names_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(QuerywrightError):
        settings_of({"QUERYWRIGHT_EVALUATION": str(tmp_path)}).upload_file(name)
