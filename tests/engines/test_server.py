"""A server that says what the test wants: what is sent, what is believed, what is tried again."""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from querywright.engines import server
from querywright.engines.base import Cancelled, EngineError, Grammar, MaskError
from querywright.engines.host import key_for
from querywright.engines.open import open_engine
from querywright.errors import QuerywrightError

pytest.importorskip("httpx")
pytest.importorskip("llguidance")
ASK = [{"role": "user", "content": "x"}]


class Stub(BaseHTTPRequestHandler):
    answers: ClassVar[list[tuple[int, Any]]] = []
    bodies: ClassVar[list[dict[str, Any]]] = []
    left: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self._reply(200, {"data": [{"id": "small"}]})

    def do_POST(self) -> None:
        Stub.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._reply(*(Stub.answers.pop(0) if Stub.answers else (500, "empty")))

    def _reply(self, status: int, body: Any) -> None:
        if isinstance(body, list) and body and isinstance(body[0], bytes):
            return self._stream(body)
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, pieces: list[Any]) -> None:
        """Send pieces; a function is called, a number is seconds in which the client may leave, which is kept."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        try:
            for piece in pieces:
                if callable(piece):
                    piece()
                elif isinstance(piece, bytes):
                    self.wfile.write(piece)
                    self.wfile.flush()
                elif select.select([self.connection], [], [], piece)[0] and not self.connection.recv(1):
                    raise BrokenPipeError
        except OSError:
            Stub.left.set()

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(server, "_rest", lambda seconds, progress: None)
    Stub.answers, Stub.bodies = [], []
    Stub.left.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
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


@pytest.mark.parametrize("status", [200, 401, 503])
def test_a_key_that_a_server_repeats_is_not_said(url: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server.KEY, "sk-very-secret")
    told = {"error": {"message": "x" * 240 + "Incorrect API key provided: sk-very-secret"}}
    event = b"data: " + json.dumps({"error": told["error"]["message"][200:]}).encode() + b"\n\n"
    Stub.answers = [(status, told if status != 200 else [event])] * 3
    with pytest.raises(EngineError) as failed:
        open_engine(url).generate(ASK, progress=(lambda text: True) if status == 200 else None)
    assert "***" in str(failed.value)
    assert "sk-very" not in str(failed.value)


@pytest.mark.parametrize(
    ("key", "sent"),
    [("sk-very-secret\n", "sk-very-secret"), ("sk-very\nsecret", ""), ("sk-véry-secret", ""), ("\n", "")],
)
def test_a_key_has_to_fit_into_a_header(url: str, key: str, sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server.KEY, key)
    Stub.answers = [said("fine")] * 2
    if sent or not key.strip():
        engine = open_engine(url + "#m")
        assert engine.generate(ASK)[0].text == engine.generate(ASK, progress=lambda text: True)[0].text == "fine"
        assert key_for(url) == (sent or "none")
        return
    for opens in (open_engine, key_for):
        with pytest.raises(QuerywrightError, match="can't be sent") as failed:
            opens(url)
        assert "very" not in str(failed.value)


@pytest.mark.parametrize("tokens", ["x", [7], -5, 10**400, float("inf"), None, {"a": 1}, True])
def test_counts_that_are_none_are_not_believed(url: str, tokens: Any) -> None:
    answer = said("fine")
    answer[1]["usage"] = {"prompt_tokens": tokens, "completion_tokens": tokens}
    Stub.answers = [answer]
    (done,) = open_engine(url).generate(ASK)
    assert done.text == "fine"
    assert (done.tokens_in, done.tokens_out) in ((0, 0), (1, 1))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}, 5], "one two"),
        (None, ""),
        ({"text": "x"}, ""),
        (5, ""),
    ],
)
def test_a_message_in_parts_is_their_text(url: str, content: Any, text: str) -> None:
    Stub.answers = [said(content)]
    assert open_engine(url).generate(ASK)[0].text == text


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


def event(text: str = "", reason: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
DONE = b"data: [DONE]\n\n"


def test_a_stream(url: str) -> None:
    pieces = [b": hello\n\n", event("a"), event("b"), 0.05, event("1", "stop"), USAGE, DONE]
    Stub.answers = [(200, pieces)]
    seen: list[str] = []
    grammar = Grammar('start: "ab" /[0-9]/')
    done = open_engine(url).generate(ASK, grammar=grammar, progress=lambda text: not seen.append(text))
    assert [(c.text, c.tokens_in, c.tokens_out, c.finish) for c in done] == [("ab1", 7, 3, "stop")]
    assert [text for text in seen if text] == sorted(text for text in seen if text)  # it only grows
    assert {"a", "ab", "ab1"} <= set(seen)
    assert Stub.bodies[0]["stream"] is True
    assert Stub.bodies[0]["stream_options"] == {"include_usage": True}


def test_several_answers_in_a_stream(url: str) -> None:
    Stub.answers = [(200, [event("a"), event("x", None, 1), event("y", "length", 1), event("b", "stop"), DONE])]
    seen: list[str] = []
    done = open_engine(url).generate(ASK, n=2, progress=lambda text: not seen.append(text))
    assert [(c.text, c.finish) for c in done] == [("ab", "stop"), ("xy", "length")]
    assert set(seen) <= {"", "a", "ab"}


@pytest.mark.parametrize("piece", [event("a"), b": thinking\n\n"])
def test_one_that_is_given_up_closes_the_connection(url: str, piece: bytes) -> None:
    begun = threading.Event()
    Stub.answers = [(200, [piece, begun.set, 60])]
    engine = open_engine(url + "#m")
    with pytest.raises(Cancelled):
        engine.generate(ASK, progress=lambda text: not begun.is_set())
    assert Stub.left.wait(30)  # long before it would have had more


def test_one_that_waits_for_a_busy_server_can_be_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    Stub.answers = [(503, "busy")] * 3
    with pytest.raises(Cancelled):
        open_engine(url + "#m").generate(ASK, progress=lambda text: not Stub.bodies)
    assert len(Stub.bodies) == 1  # else it would be sent again after the wait


def test_a_stream_that_breaks_is_asked_for_again(url: str) -> None:
    whole = (200, [event("a"), event("b", "stop"), DONE])
    Stub.answers = [(503, "busy"), (200, [event("a")]), whole]
    assert open_engine(url).generate(ASK, progress=lambda text: True)[0].text == "ab"
    Stub.answers = [(200, [event("a")])] * 3
    with pytest.raises(EngineError, match="ended before the text did") as failed:
        open_engine(url).generate(ASK, progress=lambda text: True)
    assert failed.value.retryable
    assert failed.value.charged
    Stub.answers = [(200, [event("a"), b'data: {"error": {"message": "out of memory"}}\n\n'])] * 3
    with pytest.raises(EngineError, match="out of memory"):
        open_engine(url).generate(ASK, progress=lambda text: True)
    Stub.answers = [(401, "no key")]
    with pytest.raises(EngineError, match="refused: HTTP 401"):
        open_engine(url).generate(ASK, progress=lambda text: True)


def test_servers_that_do_not_stream(url: str) -> None:
    Stub.answers = [said("fine")]
    assert open_engine(url).generate(ASK, progress=lambda text: True)[0].text == "fine"
    Stub.answers = [(400, "unknown field stream_options"), (200, [event("ab", "stop")])]
    engine = open_engine(url)
    assert engine.generate(ASK, progress=lambda text: True)[0].text == "ab"
    assert "stream_options" not in Stub.bodies[-1]


def test_several_requests_at_once(url: str) -> None:
    together = threading.Barrier(4, timeout=60)  # each goes on only when all of them have come
    Stub.answers = [(200, [event("a"), together.wait, event("b", "stop")]) for _ in range(4)]
    engine = open_engine(url + "#m", slots=4)
    assert engine.capacity == 4  # type: ignore[attr-defined]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: engine.generate(ASK, progress=lambda text: True)[0].text, range(4)))
    assert done == ["ab"] * 4
