"""MLflow's own pages in a browser: the three experiments, a run's parameters, metrics, table, picture and links."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.evaluation.mlflow_server import SET_UP, SHUT
from server.evaluation.tracking import NoRun, Tracking
from tests.server.browsing import FLAGS, Watch, chromium, screenshot
from tests.server.evaluation.live import Process, free_port
from tests.server.evaluation.mlflow_made import evaluated, fresh, generated, upload

pytest.importorskip("mlflow", reason="needs mlflow")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

SLOW_MS = 60_000  # until something is on the page; the machine may be busy
PICTURE = """[...document.querySelectorAll('*')].some(one => one.naturalWidth > 1000
    || getComputedStyle(one).backgroundImage.includes('blob:'))"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a recorded document, its questions and an evaluation; the ids of the runs."""
    folder = tmp_path_factory.mktemp("pages")
    tracking = fresh(folder, tmp_path_factory)
    document = upload(folder / "work", name="gene <b>fields</b>.json")
    first = tracking.record_upload(document)
    settings = {"model": "small", "window_size": 4, "window_step": 2, "questions": 2}
    data = tracking.generation("job1", "alpha", generated(folder / "work"), settings, document)
    (folder / "scores").mkdir()
    found = evaluated(folder / "scores")
    scores = tracking.evaluation("job2", "alpha", data, folder / "scores", found, {"models": ["small", "large"]})
    return folder, {"upload": first, "data": data, "scores": scores}


@pytest.fixture(scope="module")
def address(runs: tuple[Path, dict[str, str]]) -> Iterator[str]:
    """`querywright evaluation mlflow` on that store."""
    folder, _ = runs
    port = free_port()
    command = [sys.executable, "-m", "querywright", "evaluation", "mlflow", "--port", str(port)]
    given = {
        "QUERYWRIGHT_EVALUATION": str(folder),
        "QUERYWRIGHT_MLFLOW": "",
        "MLFLOW_DEPLOYMENTS_TARGET": "http://x.invalid",
    }
    process = Process(command, f"http://127.0.0.1:{port}", folder / "server.log", given, "/health")
    try:
        process.start()
        yield process.url
    finally:
        process.end()


@pytest.mark.slow
def test_pages(address: str, runs: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    ids, watch = runs[1], Watch()
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=FLAGS, timeout=SLOW_MS)
        page = watch.over(browser.new_page(viewport={"width": 1400, "height": 1000}))
        page.set_default_timeout(SLOW_MS)

        page.goto(f"{address}/#/experiments")
        for name in ("data_upload", "data_generation", "evaluation"):
            page.get_by_role("link", name=name, exact=True).wait_for()
        assert page.get_by_role("link", name="Default", exact=True).count() == 0
        assert page.get_by_text("Welcome to MLflow Assistant").count() == 0
        screenshot(page, tmp_path, "mlflow-experiments")

        page.get_by_role("link", name="evaluation", exact=True).click()
        page.get_by_text("Dataset", exact=True).first.wait_for()  # runs, not traces
        screenshot(page, tmp_path, "mlflow-runs")

        page.goto(f"{address}/#/experiments/2/runs/{ids['data']}")
        page.get_by_role("heading", name="gene <b>fields</b>.json · small").wait_for()  # a name is no HTML
        page.get_by_text("17 questions", exact=True).wait_for()
        page.get_by_text("window_size", exact=True).wait_for()
        page.get_by_text("dropped/answer_not_in_evidence", exact=True).wait_for()
        screenshot(page, tmp_path, "mlflow-questions")
        links = page.eval_on_selector_all("a[href*='#/experiments']", "all => all.map(one => one.getAttribute('href'))")
        for run in (f"#/experiments/1/runs/{ids['upload']}", f"#/experiments/3/runs/{ids['scores']}"):
            assert run in links
            page.goto(f"{address}/{run}")
            page.get_by_text("Description", exact=True).wait_for()
            page.get_by_role("tab", name="Artifacts").wait_for()

        page.goto(f"{address}/#/experiments/2/runs/{ids['data']}/artifacts/tables/questions.json")
        page.get_by_text("View as table").wait_for()
        page.get_by_text("What is field 3?", exact=True).first.wait_for()
        page.get_by_text("7–10", exact=True).first.wait_for()
        screenshot(page, tmp_path, "mlflow-table")

        for run, name in (("data", "questions"), ("upload", "windows"), ("scores", "scores"), ("scores", "f1")):
            number = {"upload": 1, "data": 2, "scores": 3}[run]
            page.goto("about:blank")  # within a run's page an address chooses no other file
            with page.expect_response(lambda reply, name=name: reply.ok and f"{name}.png" in reply.url):
                page.goto(f"{address}/#/experiments/{number}/runs/{ids[run]}/artifacts/plots/{name}.png")
            page.wait_for_function(PICTURE)
            screenshot(page, tmp_path, f"mlflow-{name}")

        page.goto(f"{address}/#/experiments/3/runs/{ids['scores']}")
        page.get_by_text("large · window").first.wait_for()  # a child run
        page.get_by_text("f1/large - window", exact=True).wait_for()
        screenshot(page, tmp_path, "mlflow-evaluation")
        browser.close()
    assert watch.hosts <= {address.removeprefix("http://"), ""}  # nothing else was asked


def test_a_worker_elsewhere_records_over_http(
    address: str, runs: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = runs
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    tracking = Tracking(address, None)
    rows = [{"question": "a?", "answer": "b"}]
    assert tracking.rows("alpha", ids["data"])[0]["id"] == "q0"
    run, n = tracking.synthetic("beta", rows)
    assert n == 1
    assert tracking.synthetic("beta", rows) == (run, 1)
    assert tracking.rows("beta", run)[0]["question"] == "a?"
    with pytest.raises(NoRun):
        tracking.rows("beta", ids["data"])
    with pytest.raises(NoRun):
        tracking.rows("beta", "0" * 32)
    assert len(list((folder / "artefacts").rglob(f"{run}/artifacts/rows/*.jsonl"))) == 1


@pytest.mark.parametrize(
    "path",
    ["/ajax-api/3.0/mlflow/assistant/config", "/api/2.0/mlflow/webhooks", "/gateway/x/mlflow/invocations",
     "/ajax-api/3.0/jobs/1", "//ajax-api/3.0//mlflow/scorers/list", "/api/3.0/mlflow/gateway/secrets/create",
     "/v1/traces", "/ajax-api/2.0/mlflow/runs/create-promptlab-run", "/ajax-api/3.0/mlflow/%61ssistant/message"],
)  # fmt: skip
def test_what_reaches_out_or_runs_code_is_not_there(address: str, path: str) -> None:
    for method in ("GET", "POST"):
        asked = urllib.request.Request(address + path, b"{}" if method == "POST" else None, method=method)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(asked, timeout=60)
        assert error.value.code == 404
        assert json.loads(error.value.read())["message"] == "not part of this service"


def test_what_the_page_is_told_has_the_names_that_mlflow_reads(address: str) -> None:
    import mlflow.server

    with urllib.request.urlopen(address, timeout=60) as reply:
        assert SET_UP in reply.read()
    (script,) = Path(mlflow.server.__file__).parent.glob("js/build/static/js/main.*.js")
    names = re.findall(r"setItem\('([\w.]+)_v1'", SET_UP.decode())
    assert "mlflow.telemetry.info.alert.dismissed" in names
    for name in names:
        assert f'"{name}"' in script.read_text(), name


def test_the_door_is_open_for_the_rest(address: str) -> None:
    def got(path: str, **headers: str) -> Any:
        return urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=60)

    with got("/ajax-api/2.0/mlflow/gateway-proxy?gateway_path=api%2F2.0%2Fendpoints%2F") as reply:
        assert json.load(reply) == {"endpoints": []}  # asks nobody, whatever the environment says
    with got("/ajax-api/3.0/mlflow/ui-telemetry") as reply:
        assert json.load(reply)["disable_ui_telemetry"] is True
    with pytest.raises(urllib.error.HTTPError) as error:
        got("/api/2.0/mlflow/experiments/get?experiment_id=1", Host="evil.example")
    assert error.value.code == 403
    for path in ("/", "/health", "/api/2.0/mlflow/runs/search", "/get-artifact", "/api/2.0/mlflow-artifacts/artifacts"):
        assert not SHUT.match(path)
