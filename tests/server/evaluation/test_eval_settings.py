"""The settings of the evaluation service: defaults, all mistakes at once, and no password in what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from server.evaluation.settings import settings_of
from server.settings import limits_of, unread


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
    }  # fmt: skip
    with pytest.raises(QuerywrightError) as error:
        settings_of(wrong)
    said = str(error.value)
    for name in ("BROKER", "MLFLOW", "JOBS", "TEAMS", "EVALUATION", "ENCODER", "LIMIT_ROWS", "LIMIT_CHUNKS", "RESULTS"):
        assert f"QUERYWRIGHT_{name}" in said
    assert "did you mean 'upload_bytes'" in said
    assert "none.yaml" in said
    assert "secret" not in said


def test_more_chunks_than_are_read_can_not_be_allowed() -> None:
    at_most = {"QUERYWRIGHT_LIMIT_CHUNKS": "200000", "QUERYWRIGHT_LIMIT_ROWS": "300000"}  # rows: of several requests
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
