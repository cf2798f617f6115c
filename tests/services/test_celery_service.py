"""The evaluation service over Celery, RabbitMQ, Redis and PostgreSQL: the API and a worker as people start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from server import services as machine
from tests.protocol import Chat, serve
from tests.server.evaluation.live import REPO, Live, serving
from tests.server.evaluation.live import until as found
from tests.server.evaluation.model import Model
from tests.services.conftest import FOLDER, database, until

for _package in ("mlflow", "fastapi", "uvicorn", "httpx", "psycopg", "celery", "redis", "faiss", "psutil"):
    pytest.importorskip(_package, reason=f"needs {_package}")
pytestmark = pytest.mark.services


class Worker:
    """`querywright evaluation worker`, which can be killed and started again."""

    def __init__(self, live: Live) -> None:
        self._env, self.log = {**os.environ, **live.api.env}, live.folder / "worker.log"
        self.start()

    def start(self) -> None:
        seen = self.said().count("is ready")
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "querywright", "evaluation", "worker"]
            self.process = subprocess.Popen(command, env=self._env, cwd=REPO, stdout=log, stderr=log)
        try:
            until(lambda: self.said().count("is ready") > seen, 120, self.said)
        except BaseException:
            self.kill()
            raise

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    one = Model()
    with serve(Chat(one.answer)) as service:
        one.url = service.url
        yield one


@pytest.fixture(scope="module")
def live(services: dict[str, str], model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    if len(services) < 3:
        pytest.skip(f"needs RabbitMQ, Redis and PostgreSQL; here are {', '.join(services)}")
    folder = tmp_path_factory.mktemp("service")
    with database(services) as where, serving(folder, model.catalogue, **services | {"QUERYWRIGHT_JOBS": where}) as one:
        yield one


@pytest.fixture(scope="module")
def worker(live: Live) -> Iterator[Worker]:
    one = Worker(live)
    yield one
    assert one.end() == 0, one.said()[-3000:]


def document(name: str) -> bytes:
    lines = [f'"In the year {1700 + 7 * n} {name} built {n + 3} bridges over river {n}."' for n in range(48)]
    return f"[{', '.join(lines)}]".encode()


def test_documents_to_scores_though_everything_is_killed(live: Live, worker: Worker, model: Model) -> None:
    """Worker, API, RabbitMQ and Redis, in the middle of a job: no window is asked for again but the one under way."""
    model.slow_s, before = 1.0, model.written
    try:
        job = live.upload("bridges.json", document("Bridgeham"), 2, 2, model="helper", questions=2)["job"]
        found(lambda: live.job(job)["done"] >= 1, 90, "a window")
        worker.kill()
        live.api.kill()
        model.slow_s = 0.0
        machine.restart(FOLDER, "rabbitmq")
        machine.restart(FOLDER, "redis")
        live.api.start()
        worker.start()
        made = live.done(job)
    finally:
        model.slow_s = 0.0
    assert made["rows"] > 3
    assert live.job(job)["tries"] == 2
    assert model.written - before <= 24 + 1
    asked = {"run_id": made["run_id"], "models": ["helper"], "strategies": ["window"]}
    scored = live.done(live.ask("POST", "/evaluations", json=asked, status=202)["id"])
    assert live.ask("GET", f"/runs/{scored['run_id']}")["links"]["data"] == made["run_id"]
