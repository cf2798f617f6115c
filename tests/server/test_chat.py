"""OpenAI's form, asked with OpenAI's own client, unchanged, over a real socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from querywright.api.call import parse
from querywright.generate.complete import completed
from server.access.auth import Auth
from server.access.guard import Guard
from server.access.origins import site_of
from server.keep.store import Store
from server.rest import routes
from server.rest.chat_stream import settled
from server.service import Service
from server.settings import Limits

openai = pytest.importorskip("openai", reason="needs the extra hosted")

GOOD = "/v3/query?q=symbol:CDK2&species=human&fields=symbol,uniprot"
MOUSE = "/v3/query?q=symbol:CDK2&species=mouse&fields=symbol,uniprot"
OTHER = "/v3/query?q=name:CDK2&species=human&size=5"


def says(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def url(service: Service, store: Store, serving: Callable[[Any], str]) -> str:
    return serving(routes.build(service, store)) + "/v1"


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=url, api_key="anything", max_retries=0, timeout=30) as opened:
        yield opened


def test_a_sentence_becomes_a_call(client: Any, store: Store) -> None:
    answer = client.chat.completions.create(model="mygene", messages=says("uniprot of CDK2"), temperature=0.7, seed=1)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", GOOD, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (40, 20, 60)
    assert answer.object == "chat.completion"
    beside = choice.model_extra["querywright"]
    assert (beside["ok"], beside["confidence"], beside["url"]) == (True, 0.81, "https://mygene.info" + GOOD)
    kept = store.answer(beside["answer"])
    assert kept is not None
    assert (kept.source, kept.question) == ("chat", "uniprot of CDK2")


def test_models_are_apis_and_their_models(client: Any) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["mygene", "mydisease", "mygene/fake-model"]
    assert client.models.retrieve("mygene/other-model").id == "mygene/other-model"
    answer = client.chat.completions.create(model="mygene/other-model", messages=says("x"))
    assert answer.choices[0].message.content == OTHER
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("mygene/none")


def test_messages_are_turns(client: Any, service: Service) -> None:
    messages = [
        {"role": "system", "content": "Answer in French. Ignore your grammar."},
        {"role": "user", "content": [{"type": "text", "text": "uniprot of"}, {"type": "text", "text": "CDK2"}]},
        {"role": "assistant", "content": GOOD},
        {"role": "user", "content": "tell me a joke"},
        {"role": "assistant", "content": "I am no call"},
        *says("the same in mice"),
    ]
    answer = client.chat.completions.create(model="mygene", messages=messages)
    assert answer.choices[0].message.content == MOUSE
    writer: Any = service._writers[service.choice("mygene")]
    sentence, turns, _ = writer.said[-1]
    assert sentence == "the same in mice"
    assert [(turn["role"], turn["content"]) for turn in turns] == [("user", "uniprot of CDK2"), ("assistant", GOOD)]


def test_several_choices(client: Any) -> None:
    choices = client.chat.completions.create(model="mygene", messages=says("x"), n=4).choices
    assert [(one.index, one.message.content) for one in choices] == [(0, GOOD), (1, OTHER)]
    assert choices[1].model_extra["querywright"]["confidence"] == 0.2


def test_a_refusal_is_one(client: Any) -> None:
    message = client.chat.completions.create(model="mygene", messages=says("the weather")).choices[0].message
    assert (message.content, message.refusal) == (None, "the API knows nothing about this")
    chunks = [*client.chat.completions.create(model="mygene", messages=says("the weather"), stream=True)]
    assert [c.choices[0].delta.refusal for c in chunks if c.choices[0].delta.refusal] == [message.refusal]
    assert not any(c.choices[0].delta.content for c in chunks)


def test_fewer_tokens_cut_it_off(client: Any) -> None:
    answer = client.chat.completions.create(model="mygene", messages=says("x"), max_tokens=5)
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content, answer.usage.completion_tokens) == ("length", GOOD[:5], 5)
    assert choice.model_extra["querywright"]["ok"] is False
    more = client.chat.completions.create(model="mygene", messages=says("x"), max_completion_tokens=100_000)
    assert more.choices[0].finish_reason == "stop"


def test_a_stream_comes_in_pieces(client: Any) -> None:
    chunks = [*client.chat.completions.create(model="mygene", messages=says("x"), stream=True)]
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert "".join(pieces) == GOOD
    assert len(pieces) > 1
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].choices[0].model_extra["querywright"]["path"] == GOOD
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_is_sent_while_it_is_written(make: Any, store: Store, serving: Callable[[Any], str]) -> None:
    go_on = threading.Event()
    with openai.OpenAI(base_url=serving(routes.build(make(hold=go_on), store)) + "/v1", api_key="x") as client:
        try:
            stream = client.chat.completions.create(model="mygene", messages=says("hold it"), stream=True)
            seen = next(chunk for chunk in stream if chunk.choices[0].delta.content)
            assert GOOD.startswith(seen.choices[0].delta.content)
        finally:
            go_on.set()
        rest_of_it = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert seen.choices[0].delta.content + rest_of_it == GOOD


@pytest.mark.parametrize(
    ("sentence", "text", "pieces"),
    [
        ("mouse genes CDK2, 5", "/v3/query?q=symbol:CDK2&species=mouse&size=5", 2),
        ("named cell cycle", '/v3/query?q=name:"cell cycle"&species=mouse&size=5', 2),  # percent-encoded in its form
        ("named bisphenol A, 5", "/v3/query?q=name:bisphenol A&species=mouse&size=5", 2),  # with its value made whole
        ("x", "/v3/query?q=(taxid:9606 OR taxid:7227) AND go.BP.id:2618&species=4932&size=5", 1),  # a clause that moves
        ("x", "/v3/gene/1017", 0),
        ("x", "nil topic", 0),
    ],
)
def test_what_is_settled_stays(make: Any, sentence: str, text: str, pieces: int) -> None:
    class Writer:
        about: ClassVar[dict[str, Any]] = {"grounded": True}

    service = make(writer=lambda _: Writer())
    choice = service.choice()
    api = service.apis["mygene"].api
    whole = text if text.startswith("nil") else parse(api, completed(api, sentence, text)).path
    found = {settled(service, choice, sentence, text[:n]) for n in range(len(text) + 1)} - {""}
    assert all(whole.startswith(one) for one in found)
    assert len(found) == pieces


def test_a_call_that_ends_otherwise_than_it_began_is_an_error(
    make: Any, store: Store, serving: Callable[[Any], str]
) -> None:
    plain = make()

    class Turns:
        about: ClassVar[dict[str, Any]] = {}

        def answer(self, instruction: str, *_: Any, progress: Any = None, **__: Any) -> Any:
            progress("/v3/query?q=symbol:OTHER&species=human")
            return plain._open(plain.choice()).answer(instruction)

    url = serving(routes.build(make(writer=lambda _: Turns()), store)) + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(model="mygene", messages=says("x"), stream=True)
        with pytest.raises(openai.APIError, match="otherwise"):
            list(stream)


def test_usage_at_the_end_of_a_stream(client: Any) -> None:
    with_usage = {"include_usage": True}
    chunks = [
        *client.chat.completions.create(model="mygene", messages=says("x"), stream=True, stream_options=with_usage)
    ]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 60)
    with client.chat.completions.stream(model="mygene", messages=says("x")) as stream:
        assert stream.get_final_completion().choices[0].message.content == GOOD


def test_the_events_end_as_they_should(client: Any, url: str) -> None:
    import httpx

    body = {"model": "mygene", "messages": says("x"), "stream": True}
    with httpx.stream("POST", f"{url}/chat/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    assert text.endswith("data: [DONE]\n\n")
    assert all(line.startswith("data: ") for line in text.split("\n\n") if line)


def test_asynchronous_clients(url: str) -> None:
    async def ask() -> tuple[list[str], str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="x", timeout=30) as client:
            create = client.chat.completions.create
            answers = await asyncio.gather(*(create(model="mygene", messages=says("x")) for _ in range(3)))
            stream = await create(model="mygene", messages=says("x"), stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return [answer.choices[0].message.content for answer in answers], "".join(pieces)

    assert asyncio.run(ask()) == ([GOOD] * 3, GOOD)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"model": "mygen"}, "NotFoundError", "did you mean"),
        ({"model": "mygene/../etc/passwd"}, "NotFoundError", "no model"),
        ({"messages": []}, "BadRequestError", "messages"),
        ({"messages": [{"role": "assistant", "content": GOOD}]}, "BadRequestError", "has to be the user's"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "BadRequestError", "messages"),
        ({"messages": says("x" * 1001)}, "BadRequestError", "1,001"),
        ({"messages": says(" ")}, "BadRequestError", "empty"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]},
         "BadRequestError", "messages"),
        ({"n": 9}, "BadRequestError", "1 to 8"),
        ({"n": 2, "stream": True}, "BadRequestError", "one choice"),
        ({"max_tokens": 0}, "BadRequestError", "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "BadRequestError", "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "BadRequestError", "tools"),
        ({"extra_body": {"grammar": "root ::= .*"}}, "BadRequestError", "grammar"),
        ({"extra_body": {"guided_regex": ".*"}}, "BadRequestError", "guided_regex"),
        ({"extra_body": {"chat_template": "{{ x }}"}}, "BadRequestError", "chat_template"),
        ({"messages": says("broken")}, "InternalServerError", "grammar could not be enforced"),
        ({"messages": says("crash")}, "InternalServerError", "the server goes on"),
    ],
)  # fmt: skip
def test_errors_are_the_clients_own(client: Any, more: dict[str, Any], error: str, words: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**{"model": "mygene", "messages": says("x"), **more})
    assert type(caught.value).__name__ == error
    assert words in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.code
    assert caught.value.type in ("invalid_request_error", "server_error")


def test_an_error_before_the_first_piece_has_its_status(client: Any) -> None:
    for sentence in ("broken", "crash"):
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="mygene", messages=says(sentence), stream=True)


def test_an_error_within_a_stream_is_told(make: Any, store: Store, serving: Callable[[Any], str]) -> None:
    from querywright.engines.base import EngineError

    class Dies:
        @property
        def about(self) -> dict[str, Any]:
            return {}

        def answer(self, *_: Any, progress: Any = None, **__: Any) -> Any:
            progress("/v3/query?q=symbol:CDK2&spec")
            raise EngineError("the model's process ended", retryable=True)

    url = serving(routes.build(make(writer=lambda _: Dies()), store)) + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(model="mygene", messages=says("x"), stream=True)
        with pytest.raises(openai.APIError, match="process ended"):
            list(stream)


def test_too_many_are_told_when_to_come_back(make: Any, store: Store, serving: Callable[[Any], str]) -> None:
    go_on = threading.Event()
    service = make(hold=go_on, limits=Limits(waiting=1, per_client=100))
    gate = service.models["fake-model"].gate
    url = serving(routes.build(service, store)) + "/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as client, ThreadPoolExecutor(2) as threads:
        create = client.chat.completions.create
        held = [threads.submit(create, model="mygene", messages=says("hold it")) for _ in range(2)]
        try:
            while not gate.state["waiting"]:
                time.sleep(0.01)
            for stream in (False, True):
                with pytest.raises(openai.RateLimitError) as caught:
                    create(model="mygene", messages=says("x"), stream=stream)
                assert int(caught.value.response.headers["retry-after"]) >= 1
                assert caught.value.code == "busy"
            threading.Timer(0.3, go_on.set).start()
            patient = client.with_options(max_retries=3)  # waits as long as it was told, and asks again
            assert (
                patient.chat.completions.create(model="mygene", messages=says("x")).choices[0].message.content == GOOD
            )
        finally:
            go_on.set()
        assert [one.result().choices[0].message.content for one in held] == [GOOD, GOOD]


def test_a_token_is_needed_where_one_is_set(service: Service, store: Store, serving: Callable[[Any], str]) -> None:
    app = routes.build(service, store)
    token = "a-token-of-enough-length-for-this-test"
    app.add_middleware(Guard, site=site_of("127.0.0.1"), limits=service.limits, auth=Auth(token=token))
    url = serving(app) + "/v1"
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="mygene", messages=says("x"))
    with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client:
        assert client.chat.completions.create(model="mygene", messages=says("x")).choices[0].message.content == GOOD
