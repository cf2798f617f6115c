"""What OpenAPI says of the server is true: schemathesis makes requests of all kinds from it, right and wrong ones, and
checks every answer: its status, content type, headers and form, that wrong requests are refused and right ones not."""

from __future__ import annotations

from typing import Any

import pytest

from server.access.guard import Guard
from server.access.origins import site_of
from server.keep.store import Store
from server.rest import routes
from server.service import Service
from tests.server.by_schema import CHECKS, all_right, asked, checks

pytest.importorskip("schemathesis", reason="needs schemathesis")


@pytest.fixture(scope="module")
def run(shared_service: Service, shared_store: Store) -> list[Any]:
    """What happened in one run against a server without the page."""
    app = routes.build(shared_service, shared_store)
    app.add_middleware(Guard, site=site_of("127.0.0.1"), limits=shared_service.limits)
    return asked(app, 5)


def test_every_answer_is_as_described(run: list[Any]) -> None:
    all_right(run)


def test_all_routes_were_asked_and_all_checks_made(run: list[Any]) -> None:
    seen = list(checks(run))
    posts = ("call", "calls", "check", "run", "feedback", "chat/completions")
    assert {f"POST /v1/{name}" for name in posts} <= {label for label, _, _ in seen}
    assert {"GET /health", "GET /ready", "GET /metrics", "GET /v1/models/{model}"} <= {label for label, _, _ in seen}
    assert len(seen) > 1000
    assert {check.name for _, check, _ in seen} >= CHECKS
