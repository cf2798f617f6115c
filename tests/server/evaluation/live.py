"""The evaluation service as real processes, which a test may kill: the API with its worker, and MLflow's server."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

REPO = Path(__file__).parents[3]
START_S = 300.0
ENDED = ("done", "failed", "parked", "cancelled")


def free_port() -> int:
    """A port that nobody has now. Not one that the system chose: before the server takes it, or takes it again, the
    system may give it to somebody else."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def until(found: Callable[[], Any], seconds: float, what: str = "") -> Any:
    """What `found` gives, as soon as it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass
class Process:
    """A command that is started, killed and started again; its whole group dies with it."""

    command: list[str]
    url: str
    log: Path
    env: dict[str, str]
    health: str
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=REPO, env={**os.environ, **self.env}, start_new_session=True
            )
        try:
            until(self.answers, START_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from error

    def answers(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, self.said()
        try:
            return httpx.get(self.url + self.health, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def kill(self, sign: int = signal.SIGKILL, *, group: bool = False) -> None:
        if self.running is None:
            return
        if self.running.poll() is None:
            (os.killpg if group else os.kill)(self.running.pid, sign)
        self.running.wait(60)

    def end(self) -> None:
        """In order where it can, and everything that is left of it by force."""
        if self.running is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.running.terminate()
            self.running.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait(60)
        self.running = None


@dataclass
class Live:
    """A service with a client.

    Attributes:
        token: of the team; empty for the one of this machine.
    """

    api: Process
    folder: Path
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, *, status: int | tuple[int, ...] = (200, 201, 202), **given: Any) -> Any:
        """An answer's JSON; texts as they are."""
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **given.pop("headers", {})}
        reply = httpx.request(method, f"{self.api.url}/v1/evaluation{path}", headers=headers, timeout=120, **given)
        assert reply.status_code in ((status,) if isinstance(status, int) else status), reply.text
        return reply.json() if reply.headers.get("content-type", "").startswith("application/json") else reply.text

    def upload(self, name: str, body: bytes, size: int, step: int, **more: Any) -> dict[str, Any]:
        """Post a document."""
        kind = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv"}[name.rpartition(".")[2]]
        headers = {"file-name": name, "window-size": str(size), "window-step": str(step), "content-type": kind}
        query = f"?{urlencode(more)}" if more else ""
        found: dict[str, Any] = self.ask("POST", f"/uploads{query}", content=body, headers=headers)
        return found

    def job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/jobs/{job}")
        return found

    def wait(self, job: str, *states: str, seconds: float = 300.0) -> dict[str, Any]:
        """A job as soon as it is in one of these states; in none, as soon as it has ended."""
        last: dict[str, Any] = {}

        def there() -> bool:
            last.update(self.job(job))
            return last["state"] in (states or ENDED)

        try:
            until(there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{last}\n{self.logs(job)}\n{self.api.said()}") from error
        return last

    def done(self, job: str, seconds: float = 300.0) -> dict[str, Any]:
        """The result of a job that ends well."""
        found = self.wait(job, seconds=seconds)
        assert found["state"] == "done", f"{found}\n{self.logs(job)}"
        result: dict[str, Any] = found["result"]
        return result

    def logs(self, job: str) -> str:
        return json.dumps(self.ask("GET", f"/jobs/{job}/logs"), indent=1)


@contextmanager
def serving(folder: Path, models: str = "", **env: str) -> Iterator[Live]:
    """The service on a free port, with everything that it keeps in a folder.

    Args:
        models: a catalogue's YAML; the shipped one where empty.
        env: more of its environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"QUERYWRIGHT_EVALUATION": str(folder / "service"), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    if models:
        (folder / "models.yaml").write_text(models)
        settings["QUERYWRIGHT_MODELS"] = str(folder / "models.yaml")
    # without torch, chunks are found by words: its import alone would be most of what these tests cost
    (folder / "without").mkdir(exist_ok=True)
    (folder / "without" / "torch.py").write_text("raise ImportError('not in these tests')")
    settings["PYTHONPATH"] = os.pathsep.join([str(folder / "without"), os.environ.get("PYTHONPATH", "")])
    port = free_port()
    command = [sys.executable, "-m", "querywright", "evaluation", "serve", "--port", str(port)]
    api = Process(command, f"http://127.0.0.1:{port}", folder / "api.log", {**settings, **env}, "/health")
    try:
        api.start()
        yield Live(api, folder)
    finally:
        api.end()


@contextmanager
def mlflow_server(folder: Path) -> Iterator[Process]:
    """`querywright evaluation mlflow` over a store of its own, started: another machine's, for a service."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "querywright", "evaluation", "mlflow", "--port", str(port)]
    env = {"QUERYWRIGHT_EVALUATION": str(folder), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = Process(command, f"http://127.0.0.1:{port}", folder / "mlflow.log", env, "/health")
    try:
        process.start()
        yield process
    finally:
        process.end()
