"""What OpenAPI says of the server is true: schemathesis makes requests of all kinds from it, right and wrong ones, and
checks every answer: its status, content type, headers and form, that wrong requests are refused and right ones not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from server.access.guard import Guard
from server.access.origins import site_of
from server.keep.store import Store
from server.rest import routes
from server.service import Service

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
CONFIG = {
    "seed": 7,
    "generation": {"deterministic": True, "max-examples": 5, "database": "none"},
    "phases": {"stateful": {"enabled": False}},  # no answer links to another request
}
HOST = {"host": "127.0.0.1"}


@pytest.fixture(scope="module")
def run(shared_service: Service, shared_store: Store) -> list[Any]:
    """What happened in one run against a server without the page."""
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import from_schema

    app = routes.build(shared_service, shared_store)
    app.add_middleware(Guard, site=site_of("127.0.0.1"), limits=shared_service.limits)

    async def here(scope: Any, receive: Any, send: Any) -> None:  # metrics are for this machine
        await app({**scope, "client": ("127.0.0.1", 5000)}, receive, send)

    config = SchemathesisConfig.from_dict({**CONFIG, "headers": HOST})
    schema = schemathesis.openapi.from_asgi("/openapi.json", here, config=config, headers=HOST)
    return list(from_schema(schema).execute())


def _checks(run: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each checked request: its route, the check, and the answer."""
    for event in run:
        recorder = getattr(event, "recorder", None)
        for case, checks in (recorder.checks if recorder else {}).items():
            for check in checks:
                yield recorder.label, check, recorder.interactions[case].response


def test_every_answer_is_as_described(run: list[Any]) -> None:
    wrong: dict[str, str] = {}
    for label, check, response in _checks(run):
        found = check.failure_info
        if found is not None:
            said = f"{found.failure.title}: {found.failure.message}\n{found.code_sample}"
            wrong.setdefault(f"{label}: {check.name}", f"{said}\n{response and response.content[:400]}"[:2000])
    errors = [repr(event) for event in run if type(event).__name__ in ("NonFatalError", "FatalError")]
    assert not wrong, "\n\n".join(f"{what}\n{text}" for what, text in wrong.items())
    assert not errors, errors


def test_all_routes_were_asked_and_all_checks_made(run: list[Any]) -> None:
    seen = list(_checks(run))
    posts = ("call", "calls", "check", "run", "feedback", "chat/completions")
    assert {f"POST /v1/{name}" for name in posts} <= {label for label, _, _ in seen}
    assert {"GET /health", "GET /ready", "GET /metrics", "GET /v1/models/{model}"} <= {label for label, _, _ in seen}
    assert len(seen) > 1000
    names = {check.name for _, check, _ in seen}
    assert {"not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
            "negative_data_rejection", "positive_data_acceptance", "unsupported_method"} <= names  # fmt: skip
