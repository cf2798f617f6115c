"""What Prometheus is told: everything that happens is counted once, and nothing that a client sends becomes a label."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

pytest.importorskip("prometheus_client", reason="needs the extra serve")

from prometheus_client.parser import text_string_to_metric_families

from server.access.guard import Guard
from server.access.origins import site_of
from server.keep.store import Store
from server.metrics import Counted, Metrics
from server.rest import routes
from server.service import Service


@pytest.fixture
def client(service: Service, store: Store) -> Iterator[TestClient]:
    app = routes.build(service, store)
    app.add_middleware(Guard, site=site_of("127.0.0.1"), limits=service.limits)
    app.add_middleware(Counted, metrics=app.state.metrics)
    with TestClient(
        app, base_url="http://127.0.0.1", client=("127.0.0.1", 5000), raise_server_exceptions=False
    ) as opened:
        yield opened


def values(client: TestClient, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric, by the values of their labels, in the order of the labels' names."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        tuple(sample.labels[name] for name in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    }


def ask(client: TestClient, sentence: str) -> Any:
    return client.post("/v1/call", json={"api": "mygene", "instruction": sentence})


def test_answers_by_what_became_of_them(client: TestClient) -> None:
    for sentence in ("x", "x", "a guess", "the weather", "nonsense", "broken", "crash", ""):
        ask(client, sentence)
    client.post("/v1/chat/completions", json={"model": "mygene", "messages": [{"role": "user", "content": "x"}]})
    found = values(client, "querywright_answers_total")
    assert {key[2:]: int(count) for key, count in found.items()} == {
        ("call", "rest"): 2, ("guess", "rest"): 1, ("refused", "rest"): 1, ("no_call", "rest"): 1,
        ("engine_failed", "rest"): 1, ("internal", "rest"): 1, ("empty", "rest"): 1, ("call", "chat"): 1,
    }  # fmt: skip
    assert values(client, "querywright_tokens_total") == {("in", "fake-model"): 240.0, ("out", "fake-model"): 120.0}
    assert values(client, "querywright_answer_seconds_count") == {("fake-model",): 6.0}


def test_requests_by_route_and_status(client: TestClient) -> None:
    ask(client, "x")
    ask(client, "")
    client.get("/v1/apis/mygene")
    for path in ("/v1/made/up", "/also/made/up", "/v1/models/none"):
        client.get(path)
    client.get("/health", headers={"host": "evil.example"})
    found = values(client, "querywright_http_requests_total")
    assert found == {
        ("POST", "/v1/call", "200"): 1, ("POST", "/v1/call", "422"): 1, ("GET", "/v1/apis/{api}", "200"): 1,
        ("GET", "other", "404"): 2, ("GET", "/v1/models/{model:path}", "404"): 1, ("GET", "other", "421"): 1,
    }  # fmt: skip
    assert values(client, "querywright_http_request_seconds_count")[("/v1/call",)] == 2


def test_gates_and_engines(client: TestClient, service: Service) -> None:
    class Engine:
        state, crashes, restarts = "open", 3, 2

        @property
        def pid(self) -> int:
            import os

            return os.getpid()

    service.models["other-model"].engine = Engine()
    assert values(client, "querywright_gate_capacity") == {("fake-model",): 1.0, ("other-model",): 1.0}
    assert values(client, "querywright_gate_waiting") == {("fake-model",): 0.0, ("other-model",): 0.0}
    circuit = values(client, "querywright_circuit")
    assert {key for key, value in circuit.items() if value} == {("fake-model", "closed"), ("other-model", "open")}
    assert values(client, "querywright_engine_crashes_total")[("other-model",)] == 3
    assert values(client, "querywright_engine_restarts_total")[("other-model",)] == 2
    memory = values(client, "querywright_engine_resident_bytes")
    assert not memory or memory[("other-model",)] > 2**20  # only where the system says
    assert ("fake-model",) not in memory


def test_two_servers_do_not_add_up(client: TestClient, shared_service: Service, shared_store: Store) -> None:
    ask(client, "x")
    with TestClient(routes.build(shared_service, shared_store)) as other:
        assert values(other, "querywright_answers_total") == {}


@pytest.mark.parametrize("begun", [False, True])
def test_who_waits_when_the_server_is_stopped_is_told_so(shared_service: Service, begun: bool) -> None:
    sent: list[Any] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    async def stopped() -> None:
        counted = Counted(slow, metrics=Metrics(shared_service))
        task = asyncio.create_task(counted({"type": "http", "method": "POST", "headers": []}, None, send))
        await asyncio.sleep(0)
        task.cancel()  # as uvicorn does
        await task  # without a traceback in the log

    asyncio.run(stopped())
    assert [message.get("status") for message in sent] == ([200] if begun else [503, None])
    if not begun:
        assert b"retry-after" in dict(sent[0]["headers"])
        assert b'"stopping"' in sent[1]["body"]
