"""POST /v1/call: what it answers, and that every mistake is a 4xx that says what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.assistant import Assistant
from server.store import Store

GOOD = "/v3/query?q=symbol:CDK2&species=human&fields=symbol,uniprot"


@pytest.fixture
def client(service: Any) -> Iterator[TestClient]:
    with TestClient(service, base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(shared_service: Any) -> Iterator[TestClient]:
    """A client that keeps nothing from one test to the next: what is asked of it is refused, or only looked at."""
    with TestClient(shared_service, base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        yield opened


def ask(client: TestClient, instruction: Any, api: Any = "mygene") -> Any:
    return client.post("/v1/call", json={"api": api, "instruction": instruction})


def test_a_sentence_becomes_a_call(client: TestClient, store: Store) -> None:
    response = ask(client, "  uniprot of\nCDK2 ")
    body = response.json()
    assert response.status_code == 200
    assert (body["path"], body["ok"], body["reason"], body["ms"]) == (GOOD, True, "", 12.5)
    assert body["hits"]["total"] == 1234
    assert body["hits"]["ids"] == ["1017", "12566"]
    assert body["url"] == "https://mygene.info" + GOOD
    assert any("CDK2" in clause for clause in body["explanation"])
    assert store.counts("mygene")["answers"] == 1


def test_what_is_no_call_says_why_and_is_not_run(client: TestClient, assistant: Assistant) -> None:
    for sentence, reason in (("nonsense", "symbool"), ("forever", "ran out of tokens")):
        body = ask(client, sentence).json()
        assert body["ok"] is False
        assert reason in body["reason"]
        assert body["hits"] is None
        assert body["explanation"] == []
        assert body["url"] == ""
    assert assistant.executor.ran == []  # type: ignore[union-attr]


def test_how_sure_it_is(client: TestClient) -> None:
    body = ask(client, "uniprot of CDK2").json()
    assert (body["confidence"], body["abstained"]) == (0.81, False)
    body = ask(client, "a guess").json()
    assert (body["ok"], body["abstained"], body["reason"], body["path"]) == (False, True, "not sure enough", GOOD)
    several = {"api": "mygene", "instruction": "uniprot of CDK2", "n": 5}
    assert client.post("/v1/call", json=several).json()["confidence"] == 0.5
    assert client.post("/v1/call", json={**several, "n": 99}).status_code == 422


def test_a_refusal_has_its_code(client: TestClient, assistant: Assistant) -> None:
    body = ask(client, "how is the weather?").json()
    assert (body["ok"], body["refused"], body["path"]) == (False, "topic", "nil topic")
    assert body["reason"] == "the API knows nothing about this"
    assert body["hits"] is None
    assert assistant.executor.ran == []  # type: ignore[union-attr]
    assert ask(client, "uniprot of CDK2").json()["refused"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"api": "mygen", "instruction": "x"}, 404, "unknown_api"),
        ({"api": "mygene", "instruction": ""}, 422, "empty"),
        ({"api": "mygene", "instruction": " \n\u200b"}, 422, "empty"),
        ({"api": "mygene", "instruction": "x" * 1001}, 422, "too_long"),
        ({"api": "mygene", "instruction": "x" * 70_000}, 413, "body_too_large"),
        ({"api": "mygene"}, 422, "bad_request"),
        ({"instruction": "x"}, 422, "bad_request"),
        ({"api": "mygene", "instruction": 7}, 422, "bad_request"),
        ({"api": "mygene", "instruction": None}, 422, "bad_request"),
        ([], 422, "bad_request"),
    ],
)
def test_mistakes_are_named(shared: TestClient, shared_store: Store, body: Any, status: int, code: str) -> None:
    response = shared.post("/v1/call", json=body)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["message"]
    assert shared_store.counts("mygene")["answers"] == 0


def test_an_unknown_api_names_the_near_one(shared: TestClient) -> None:
    assert "did you mean 'mygene'" in ask(shared, "x", "mygen").json()["error"]["message"]


def test_broken_json_and_lone_surrogates_are_4xx(shared: TestClient) -> None:
    headers = {"content-type": "application/json"}
    for content in (b"{", b"\xff\xfe", b'{"api": "mygene", "instruction": "\\ud800"}'):
        response = shared.post("/v1/call", content=content, headers=headers)
        assert response.status_code == 422, content
        assert "error" in response.json()


def test_other_methods_and_addresses_are_refused_as_json(shared: TestClient) -> None:
    wrong = shared.get("/v1/call")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert shared.post("/v1/nothing", json={}).json()["error"]["code"] == "not_found"
    assert shared.get("/nothing").status_code == 404


def test_a_body_without_a_length_is_bounded_too(shared: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 10_000

    assert shared.post("/v1/call", content=endless()).status_code == 413


def test_an_engine_that_fails_fails_the_request_only(client: TestClient) -> None:
    broken = ask(client, "broken")
    assert broken.status_code == 503
    assert broken.json()["error"]["code"] == "engine_failed"
    crashed = ask(client, "crash")
    assert crashed.status_code == 500
    assert "secret" not in crashed.text
    assert ask(client, "fine").status_code == 200


def test_one_too_many_is_refused_at_once(client: TestClient, assistant: Assistant) -> None:
    inside, go_on = threading.Event(), threading.Event()
    real = assistant.write

    def slow(sentence: str, /, *, n: int | None = None) -> Any:
        inside.set()
        go_on.wait(20)
        return real(sentence)

    assistant.write = slow
    threads = [threading.Thread(target=ask, args=(client, "x")) for _ in range(3)]  # one inside, two waiting
    try:
        for thread in threads:
            thread.start()
        assert inside.wait(20)
        while assistant.gate._places._value:  # type: ignore[attr-defined]
            pass
        refused = ask(client, "x")
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    assert refused.json()["error"]["code"] == "busy"
    assert ask(client, "x").status_code == 200


def test_health_and_docs(shared: TestClient) -> None:
    assert shared.get("/health").json()["apis"]["mygene"]["model"] == "fake-model"
    docs = shared.get("/docs")
    assert "/v1/call" in docs.text
    assert "http://" not in docs.text.replace("http://127.0.0.1", "")
    assert "https://" not in docs.text
    assert "/v1/call" in shared.get("/openapi.json").json()["paths"]


def test_only_the_own_host_and_origin_are_served(shared: TestClient) -> None:
    assert shared.get("/health", headers={"host": "evil.example"}).status_code == 421
    assert shared.get("/health", headers={"host": "localhost:7860"}).status_code == 200
    assert shared.get("/health", headers={"origin": "https://evil.example"}).status_code == 403
    assert shared.get("/health", headers={"origin": "null"}).status_code == 403
    assert shared.get("/health", headers={"origin": "http://localhost:7860"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["file=/etc/passwd", "file=pyproject.toml", "upload", "proxy=https://example.org", "vibe-edit", "deep_link",
     "process_recording", "stream/x", "../etc/passwd"],
)  # fmt: skip
def test_gradio_serves_and_takes_no_files(shared: TestClient, path: str) -> None:
    for answer in (shared.get(f"/gradio_api/{path}"), shared.post(f"/gradio_api/{path}", files={"files": b"x"})):
        assert answer.status_code == 404
        assert "root:" not in answer.text


def test_the_page_keeps_to_itself(shared: TestClient) -> None:
    page = shared.get("/")
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert "fonts.googleapis" not in page.text + shared.get("/theme.css").text
    assert shared.get("/config").json()["analytics_enabled"] is False
