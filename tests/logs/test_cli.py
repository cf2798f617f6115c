"""`querywright logs build` as people run it: over HTTP, interrupted, gone on with, and told wrong things."""

import json
import math
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from querywright.logs.build import FILES
from querywright.logs.validate import CACHE

CLI = [sys.executable, "-c", "from querywright.cli import main; main()", "logs", "build", "--api", "mygene"]


class Service(BaseHTTPRequestHandler):
    """Finds as many hits as the path has characters; none for gene 7. After `most` requests it waits for `go_on`."""

    asked: ClassVar[int] = 0
    most: ClassVar[float] = math.inf
    go_on: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        Service.asked += 1
        if Service.asked > Service.most:
            Service.go_on.wait(60)
            time.sleep(0.05)
        body = json.dumps({"total": 0 if self.path.startswith("/v3/gene/7") else len(self.path), "hits": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_text("".join(f"/v3/gene/{i}\n" for i in range(1, 301)) + "not a line\n")
    return path


def run(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)


def test_over_http_and_interrupted(
    tmp_path: Path, log: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--server", server, "--per-signature", 300)
    whole = run(log, "--out", tmp_path / "whole", *options, "--json")
    assert whole.returncode == 0, whole.stderr
    report = json.loads(whole.stdout)
    assert (report["lines"], report["accepted"], report["rejected"]["malformed"]) == (301, 300, 1)
    assert report["kept"] == 300 - report["no_hits"] == 289

    command = [*CLI, str(log), "--out", str(tmp_path / "two"), *map(str, options)]
    cache = tmp_path / "two" / CACHE
    monkeypatch.setattr(Service, "most", Service.asked + 100)  # there it is when it hears the signal
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            if cache.is_file() and cache.read_text().count("\n") > 40:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        Service.go_on.set()
        _, err = process.communicate(timeout=60)
    monkeypatch.undo()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "run the same command again" in err
    assert not (tmp_path / "two" / "manifest.json").exists()
    done = cache.read_text().count("\n")
    assert 40 < done < 300
    assert run(log, "--out", tmp_path / "two", *options).returncode == 0
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    again = run(log, "--out", tmp_path / "two", *options)
    assert "already holds this" in again.stderr


def test_on_local_records(tmp_path: Path, log: Path) -> None:
    records = tmp_path / "records.jsonl"
    records.write_text("".join(json.dumps({"_id": str(i), "symbol": f"A{i}", "taxid": 9606}) + "\n" for i in (1, 2, 3)))
    done = subprocess.run(
        [*CLI, str(log), "--out", "out", "--records", str(records), "--rejects", "rejects.jsonl"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout
    kept = [json.loads(line)["path"] for line in (tmp_path / "out" / "calls.jsonl").read_text().splitlines()]
    assert set(kept) <= {"/v3/gene/1", "/v3/gene/2", "/v3/gene/3"}
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["at"] == "access.log:301"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("missing.log", "--no-validate"), "no such log"),
        (("LOG", "--where", "api"), "key=value"),
        (("LOG", "--server", "http://127.0.0.1:9"), "does not answer"),
        (("LOG", "--server", "http://nobody.invalid"), "--no-validate"),
        (("LOG", "--server", "http://169.254.169.254"), "metadata service"),
        (("LOG", "--http", "--api", "LOCAL"), "--allow-private"),
        (("LOG", "--no-validate", "--dask", "nowhere"), "no Dask scheduler answers at nowhere"),
        (("LOG", "--no-validate", "--dask", "tcp://127.0.0.1:9"), "no Dask scheduler answers"),
        (("EMPTY", "--no-validate"), "the log is empty"),
        (("LOG", "--server", "x", "--records", "y"), "exclude each other"),
        (("LOG", "--records", "missing.jsonl"), "missing.jsonl"),
        (("LOG", "--no-validate", "--api", "mygeen"), "mygene"),
        (("LOG", "--no-validate", "--out", "LOG/below"), "below"),
    ],
)
def test_mistakes_are_told_without_a_traceback(tmp_path: Path, log: Path, args: tuple[str, ...], said: str) -> None:
    local = tmp_path / "local"
    shutil.copytree(Path(__file__).parents[2] / "data" / "apis" / "mygene", local)
    text = (local / "api.yaml").read_text()
    (local / "api.yaml").write_text(re.sub("(?m)^base_url:.*", "base_url: http://localhost:81", text))
    (tmp_path / "EMPTY").touch()
    named = {"LOG": str(log), "LOCAL": str(local / "api.yaml"), "EMPTY": str(tmp_path / "EMPTY")}
    done = run("--out", tmp_path / "out", *(re.sub("LOG|LOCAL|EMPTY", lambda m: named[m[0]], a) for a in args))
    assert done.returncode == 2
    assert said in done.stderr
    assert "try:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "combined" not in done.stderr
    assert not (tmp_path / "out" / "calls.jsonl").exists()
