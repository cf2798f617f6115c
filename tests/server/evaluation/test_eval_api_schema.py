"""What OpenAPI says of the evaluation service is true: schemathesis asks it all, over real tables and a real MLflow
store, and checks every answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.evaluation.tracking import Tracking
from tests.server.by_schema import CHECKS, all_right, asked, checks
from tests.server.evaluation.api_parts import BASE, served, settings_in
from tests.server.evaluation.mlflow_made import copied

pytest.importorskip("schemathesis", reason="needs schemathesis")
pytest.importorskip("mlflow", reason="needs the extra evaluation")
ACCEPTED = ["2xx", "401", "403", "404", "409", "422", "429"]
OPERATIONS = [
    # what OpenAPI can't say: windows fit the document, rows are whole, texts hold no NUL, a name is given once
    {"include-path": f"{BASE}/{name}", "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}}
    for name in ("uploads", "uploads/{sha}/windows", "generations", "synthetic", "evaluations")
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What happened in one run."""
    folder: Path = tmp_path_factory.mktemp("schema")
    settings = settings_in(folder)
    copied(settings.folder, tmp_path_factory)
    tracking = Tracking(settings.mlflow, settings.artefacts)
    tracking.ready()  # seconds, which would be the first request's
    with served(settings, tracking=tracking) as made:
        client = made.client()
        client.post(f"{BASE}/uploads", content=json.dumps(["a", "b", "c", "d"]))
        return asked(made.app, 2, operations=OPERATIONS)


def test_every_answer_of_the_evaluation_service_is_as_described(run: list[Any]) -> None:
    all_right(run)


def test_all_routes_of_the_evaluation_service_were_asked(run: list[Any]) -> None:
    seen = list(checks(run))
    labels = {label for label, _, _ in seen}
    assert {f"POST {BASE}/{name}" for name in ("uploads", "generations", "synthetic", "evaluations")} <= labels
    assert {f"GET {BASE}/runs/{{run_id}}/rows", f"DELETE {BASE}/uploads/{{sha}}", "GET /ready"} <= labels
    statuses = {(label, response.status_code) for label, _, response in seen if response is not None}
    assert {(f"POST {BASE}/uploads", 201), (f"POST {BASE}/synthetic", 201), (f"GET {BASE}/jobs", 200)} <= statuses
    assert {check.name for _, check, _ in seen} >= CHECKS
