"""What lies beside the server for those who deploy the evaluation service."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from server.jobs.celery_app import ACK_WITHIN_S
from server.settings import PREFIX, limits_of
from tests.server.evaluation.live import free_port
from tests.server.test_deploy import SERVER, composed, known_variables


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    return composed("compose.evaluation.yaml")


def test_the_parts_of_the_evaluation_service(evaluation: dict[str, Any]) -> None:
    services, networks = evaluation["services"], evaluation["networks"]
    assert set(services) == {"api", "worker", "nginx", "mlflow", "rabbitmq", "redis", "db"}
    assert networks["front"]["internal"] is networks["back"]["internal"] is True
    assert [name for name, one in services.items() if "ports" in one] == ["nginx"]
    assert {name for name, one in services.items() if "outside" in one["networks"]} == {"nginx"}
    assert "back" not in services["nginx"]["networks"], "nginx reaches no database and no broker"
    assert services["api"]["environment"]["QUERYWRIGHT_TRUSTED_PROXIES"] in str(networks["front"])
    kept = ("QUERYWRIGHT_EVALUATION", "QUERYWRIGHT_JOBS", "QUERYWRIGHT_BROKER", "QUERYWRIGHT_RESULTS",
            "QUERYWRIGHT_MLFLOW")  # fmt: skip
    api, worker = (services[name]["environment"] for name in ("api", "worker"))
    assert {name: api[name] for name in kept} == {name: worker[name] for name in kept}
    for name in ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD", "EVALUATION_NAME"):
        assert f"${{{name}:?" in str(api), name  # compose stops where it is empty
    assert {one["path"] for one in services["api"]["env_file"]} == {"limits.env"}, "keys are for workers"
    assert "keys.env" in str(services["worker"]["env_file"])
    sources = [v.partition(":")[0] for one in services.values() for v in one["volumes"]]
    for source in sources:  # what is mounted is there, or the reader's to make, or a volume
        known = source in evaluation["volumes"] or source in ("./tls", "./mlflow.users")
        assert known or (SERVER / source).is_file(), source


def test_the_example_has_every_setting_of_the_evaluation_service() -> None:
    text, example = ((SERVER / name).read_text() for name in ("compose.evaluation.yaml", ".env.evaluation.example"))
    used = set(re.findall(r"\$\{(\w+)", text))
    named = set(re.findall(r"^#? ?(\w+)=", example, re.MULTILINE))
    assert used <= named, used - named
    set_here = set(re.findall(r"^ +(QUERYWRIGHT_\w+):", text, re.MULTILINE))
    assert set_here <= named, set_here - named
    assert {name for name in named if name.startswith("QUERYWRIGHT_")} <= known_variables()
    for name in re.findall(r"^(\w+_PASSWORD)=(.*)$", example, re.MULTILINE):
        assert name[1] == "", "no secret stands in a file"
    limits_of(dict(re.findall(rf"({PREFIX}\w+)=(\d+)", example)))


def test_rabbitmq_waits_longer_than_a_job_takes() -> None:
    found = re.search(r"^consumer_timeout = (\d+)$", (SERVER / "rabbitmq.conf").read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) / 1000 > ACK_WITHIN_S


def test_redis_takes_its_configuration(tmp_path: Path) -> None:
    """With its password by standard input, as compose.evaluation.yaml has it."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("no redis-server on this machine")
    port = free_port()
    more = f"requirepass s3cret\nport {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
    with subprocess.Popen([redis, str(SERVER / "redis.conf"), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=tmp_path, text=True) as process:  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(more)
            process.stdin.close()
            until = time.monotonic() + 30
            while time.monotonic() < until and socket.socket().connect_ex(("127.0.0.1", port)):
                assert process.poll() is None, process.stdout and process.stdout.read()
                time.sleep(0.05)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
                said = line.makefile("rwb")
                said.write(b"PING\r\nAUTH s3cret\r\nPING\r\n")
                said.flush()
                assert [said.readline()[:5] for _ in range(3)] == [b"-NOAU", b"+OK\r\n", b"+PONG"]
        finally:
            process.terminate()
