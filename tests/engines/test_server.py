"""A server that says what the test wants: what is sent, what is believed, what is tried again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from querywright.engines import server
from querywright.engines.base import EngineError, Grammar, MaskError
from querywright.engines.open import open_engine

pytest.importorskip("httpx")
pytest.importorskip("llguidance")
ASK = [{"role": "user", "content": "x"}]


class Stub(BaseHTTPRequestHandler):
    answers: ClassVar[list[tuple[int, Any]]] = []
    bodies: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        self._reply(200, {"data": [{"id": "small"}]})

    def do_POST(self) -> None:
        Stub.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._reply(*(Stub.answers.pop(0) if Stub.answers else (500, "empty")))

    def _reply(self, status: int, body: Any) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(server.time, "sleep", lambda s: None)
    Stub.answers, Stub.bodies = [], []
    http = HTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}/v1"
    http.shutdown()
    http.server_close()


def said(text: str, reason: str = "stop") -> tuple[int, Any]:
    choice = {"message": {"content": text}, "finish_reason": reason}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def test_what_is_sent_and_read(url: str) -> None:
    Stub.answers = [said("ab1")]
    engine = open_engine(url)
    done = engine.generate(ASK, grammar=Grammar('start: "ab" /[0-9]/'), max_tokens=9, seed=4)
    assert (done[0].text, done[0].tokens_in, done[0].tokens_out, done[0].finish) == ("ab1", 7, 3, "stop")
    body = Stub.bodies[0]
    assert body["model"] == "small"
    assert body["structured_outputs"] == {"grammar": 'start: "ab" /[0-9]/'}
    assert (body["max_tokens"], body["seed"], body["temperature"]) == (9, 4, 0.0)
    assert engine.describe() == {"engine": "server", "model": "small", "url": url}
    assert open_engine(url + "#big").describe()["model"] == "big"


def test_a_server_that_ignores_the_grammar_is_not_believed(url: str) -> None:
    Stub.answers = [said("free text")]
    with pytest.raises(MaskError, match="did not keep to the grammar"):
        open_engine(url).generate(ASK, grammar=Grammar('start: "ab"'))


def test_out_of_tokens(url: str) -> None:
    Stub.answers = [said("a", "length")]
    assert open_engine(url).generate(ASK, grammar=Grammar('start: "ab"'))[0].finish == "length"


def test_busy_is_tried_again_and_refusal_is_not(url: str) -> None:
    Stub.answers = [(503, "busy"), (429, "slow down"), said("fine")]
    assert open_engine(url).generate(ASK)[0].text == "fine"
    Stub.answers = [(503, "busy")] * 3
    with pytest.raises(EngineError, match="does not answer") as failed:
        open_engine(url).generate(ASK)
    assert failed.value.retryable
    Stub.answers = [(401, "no key"), said("never asked")]
    with pytest.raises(EngineError, match="refused: HTTP 401"):
        open_engine(url).generate(ASK)


@pytest.mark.parametrize("answer", [(200, "not json"), (200, [1]), (200, {"choices": []})])
def test_nonsense(url: str, answer: tuple[int, Any]) -> None:
    Stub.answers = [answer]
    with pytest.raises(EngineError):
        open_engine(url).generate(ASK)


def test_nobody_there() -> None:
    engine = server.ServerEngine("http://127.0.0.1:9/v1", model="m", timeout_s=1)
    with pytest.raises(EngineError, match="does not answer"):
        engine.generate(ASK)


def test_json_schema(url: str) -> None:
    inside = {"properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
    schema = {"type": "object", **inside}
    grammar = Grammar(json.dumps(schema), "json")
    Stub.answers = [said('{ "a": "x" }'), said('{"b": 1}')]
    engine = open_engine(url)
    assert engine.generate(ASK, grammar=grammar)[0].text == '{ "a": "x" }'
    assert Stub.bodies[0]["response_format"]["json_schema"]["schema"] == schema
    with pytest.raises(MaskError, match="did not keep to the grammar"):
        engine.generate(ASK, grammar=grammar)
