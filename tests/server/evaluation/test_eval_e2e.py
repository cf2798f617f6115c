"""The whole chain for real: a server's process, its worker, MLflow; and each of them killed in the middle of a job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import data_dir
from server.evaluation.tracking import EXPERIMENTS
from tests.protocol import Chat, serve
from tests.server.evaluation.live import REPO, Live, mlflow_server, serving, until
from tests.server.evaluation.mlflow_made import copied
from tests.server.evaluation.model import Model

for _package in ("mlflow", "fastapi", "uvicorn", "httpx", "sqlalchemy", "faiss", "psutil"):
    pytest.importorskip(_package, reason=f"needs {_package}")
pytestmark = pytest.mark.slow
SAMPLES = data_dir() / "evaluation"
WINDOWS = [[1, 4], [3, 6], [5, 8], [7, 10], [9, 12], [11, 14], [13, 16], [15, 17]]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    found = Model()
    with serve(Chat(found.answer)) as service:
        found.url = service.url
        yield found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Live]:
    """A service on one machine, over its own SQLite stores."""
    folder = tmp_path_factory.mktemp("evaluation")
    copied(folder / "service", tmp_path_factory)
    with serving(folder, model.catalogue) as found:
        yield found


@pytest.fixture(autouse=True)
def quick(model: Model) -> Iterator[None]:
    model.slow_s = 0.0
    yield
    model.slow_s = 0.0


@pytest.fixture(scope="module")
def generated(live: Live, model: Model) -> dict[str, Any]:
    """The handbook, posted with a model that writes questions: what the service said, and what the job gave."""
    posted = live.upload("handbook.json", (SAMPLES / "handbook.json").read_bytes(), 4, 2, model="helper", questions=3)
    return {**posted, **live.done(posted["job"])}


def tracked(live: Live) -> Any:
    """What MLflow has, read as any client of it does."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{live.folder / 'service' / 'mlflow.db'}")


def runs(live: Live) -> dict[str, list[Any]]:
    """The runs of the three experiments, without those that belong to another one."""
    client, found = tracked(live), {}
    for name in EXPERIMENTS:
        experiment = client.get_experiment_by_name(name)
        every = client.search_runs([experiment.experiment_id]) if experiment else []
        found[name] = [run for run in every if "mlflow.parentRunId" not in run.data.tags]
    return found


def evaluation(live: Live, run_id: str, **more: Any) -> dict[str, Any]:
    asked = {"run_id": run_id, "models": ["helper"], "strategies": ["closed", "window"], **more}
    return live.ask("POST", "/evaluations", json=asked, status=202)  # type: ignore[no-any-return]


def workers(live: Live) -> list[Any]:
    """The processes that the API started to work on jobs."""
    import psutil

    assert live.api.running is not None
    children = psutil.Process(live.api.running.pid).children()
    return [one for one in children if "server.evaluation.child" in " ".join(one.cmdline())]


FRESH = 24  # windows; a slow model takes far longer for them than a test to do what it does meanwhile


def fresh(live: Live, name: str) -> dict[str, Any]:
    """A generation over a document that nobody posted before; it is slow where the model is."""
    chunks = [f"In the year {1700 + 7 * place} the town of {name} built {place + 3} bridges over river {place}."
              for place in range(2 * FRESH)]  # fmt: skip
    return live.upload(f"{name}.json", json.dumps(chunks).encode(), 2, 2, model="helper", questions=2)


def test_windows_are_exactly_those_that_were_asked_for(live: Live, generated: dict[str, Any]) -> None:
    assert generated["windows"] == WINDOWS
    assert generated["chunks"] == 17
    again = live.upload("handbook.json", (SAMPLES / "handbook.json").read_bytes(), 4, 2)
    assert again["upload"] == generated["upload"]


def test_questions_are_verified_and_can_be_read(live: Live, generated: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in live.ask("GET", f"/runs/{generated['run_id']}/rows").splitlines()]
    assert len(rows) == generated["rows"] > 8
    chunks = json.loads((SAMPLES / "handbook.json").read_text())
    for row in rows:
        text = chunks[row["evidence_chunk"] - 1]["text"]
        start = row["evidence_start"]
        assert text[start : start + len(row["evidence"])] == row["evidence"]
        assert row["answer"] in row["evidence"]
        assert row["window"] in WINDOWS


def test_the_whole_chain_is_in_mlflow(live: Live, generated: dict[str, Any]) -> None:
    job = evaluation(live, generated["run_id"], models=["helper", "forgetful"],
                     strategies=["closed", "window", "rag"], judge="forgetful")  # fmt: skip
    found = live.done(job["id"])
    client = tracked(live)
    run = live.ask("GET", f"/runs/{found['run_id']}")
    assert run["experiment"] == "evaluation"
    assert run["upload"] == generated["upload"]
    assert run["links"]["data"] == generated["run_id"]
    cells = client.search_runs(
        [client.get_experiment_by_name("evaluation").experiment_id],
        f"tags.`mlflow.parentRunId` = '{found['run_id']}'",
    )  # fmt: skip
    assert len(cells) == len(found["cells"]) == 6
    exact = {cell.info.run_name: next(v for k, v in cell.data.metrics.items() if k.endswith("exact")) for cell in cells}
    assert exact["helper · closed"] == 0 < 0.9 < exact["helper · window"]
    assert exact["helper · rag"] > 0.5
    assert exact["forgetful · window"] == 0
    held = runs(live)
    document = [run for run in held["data_upload"] if run.info.run_name == "handbook.json"]
    assert len(document) == 1
    inputs = [file.path for file in client.list_artifacts(document[0].info.run_id, "input")]
    assert len(inputs) == 1
    assert "tables" in [file.path for file in client.list_artifacts(generated["run_id"])]


def test_the_same_request_twice_is_the_same_job(live: Live) -> None:
    posted = live.upload("hits.json", (SAMPLES / "hits.json").read_bytes(), 3, 2)
    asked = {"upload": posted["upload"], "model": "rules", "questions": 2}
    one, two = (live.ask("POST", "/generations", json=asked, status=(200, 202)) for _ in range(2))
    assert one["id"] == two["id"]
    live.wait(one["id"])


def test_an_apis_response_is_asked_about_without_a_model(live: Live) -> None:
    posted = live.upload("hits.json", (SAMPLES / "hits.json").read_bytes(), 3, 2, model="rules", questions=4)
    made = live.done(posted["job"])
    assert posted["chunks"] == 8
    assert made["rows"] >= 4
    rows = [json.loads(line) for line in live.ask("GET", f"/runs/{made['run_id']}/rows").splitlines()]
    assert {row["writer"] for row in rows} == {"rules"}


def test_sentences_with_calls_are_scored_as_calls(live: Live) -> None:
    headers = {"content-type": "application/x-ndjson", "file-name": "calls.jsonl"}
    posted = live.ask("POST", "/synthetic", content=(SAMPLES / "calls.jsonl").read_bytes(), headers=headers)
    assert posted["rows"] == 4
    job = evaluation(live, posted["run_id"], strategies=["zero_shot"], api="mygene")
    run = live.ask("GET", f"/runs/{live.done(job['id'])['run_id']}")
    assert run["links"]["data"] == posted["run_id"]
    without = {"run_id": posted["run_id"], "models": ["helper"]}
    assert "no API was named" in live.ask("POST", "/evaluations", json=without, status=422)["error"]["message"]


def test_a_cancelled_job_ends_soon_and_a_retry_asks_only_what_is_left(live: Live, model: Model) -> None:
    model.slow_s = 2.0
    before = model.written
    job = fresh(live, "Cancelton")["job"]
    until(lambda: live.job(job)["done"] >= 1, 120, "a window")
    live.ask("POST", f"/jobs/{job}/cancel")
    live.wait(job, "cancelled")
    asked = model.written - before
    assert asked < FRESH
    model.slow_s = 0.0
    live.ask("POST", f"/jobs/{job}/retry")
    assert live.done(job)["rows"] > 0
    assert model.written - before <= FRESH + 1  # what was under way when it ended is asked again


def test_a_job_goes_on_where_its_worker_and_the_api_were_killed(live: Live, model: Model) -> None:
    model.slow_s = 0.5
    before = model.written
    job = fresh(live, "Killham")["job"]
    until(lambda: live.job(job)["done"] >= 1, 120, "a window")
    for worker in workers(live):
        os.kill(worker.pid, signal.SIGKILL)
    until(lambda: live.job(job)["tries"] == 2 and live.job(job)["done"] >= 3, 120, "the next try")
    live.api.kill()
    model.slow_s = 0.0
    live.api.start()
    found = live.done(job)
    assert model.written - before <= FRESH + 2  # what was under way at each kill is asked again, and nothing else
    assert [run.info.run_id for run in runs(live)["data_generation"]].count(found["run_id"]) == 1


def test_status_tells_of_jobs_and_of_what_is_away(live: Live, generated: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "querywright", "evaluation", "status"]
    ran = subprocess.run([*command, "--json"], cwd=REPO, env={**os.environ, **live.api.env}, capture_output=True,
                         text=True, timeout=300)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["jobs"]["done"] >= 2
    assert {part["wrong"] for part in found["parts"].values()} == {None}
    env = {**os.environ, **live.api.env, "QUERYWRIGHT_MLFLOW": "http://me:s3cret@127.0.0.1:9/"}
    ran = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 1
    assert "nobody answers" in ran.stdout
    assert "s3cret" not in ran.stdout + ran.stderr


def test_jobs_wait_for_mlflow_and_go_on_when_it_is_back(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, model: Model
) -> None:
    with mlflow_server(copied(tmp_path / "mlflow", tmp_path_factory)) as mlflow:
        env = {"QUERYWRIGHT_MLFLOW": mlflow.url}
        with serving(tmp_path, model.catalogue, **env) as live:
            model.slow_s = 0.5
            before = model.written
            posted = fresh(live, "Awaymouth")
            live.done(posted["recording"])
            until(lambda: live.job(posted["job"])["done"] >= 2, 120, "two windows")
            mlflow.kill(group=True)
            model.slow_s = 0.0
            until(lambda: "put off" in live.logs(posted["job"]), 300, "put off")
            assert live.job(posted["job"])["tries"] <= 1
            mlflow.start()
            assert live.done(posted["job"])["rows"] > 0
            assert model.written - before == FRESH
            run = live.ask("GET", f"/runs/{live.job(posted['job'])['result']['run_id']}")
            assert run["status"] == "FINISHED"
