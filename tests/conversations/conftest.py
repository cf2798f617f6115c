"""A server that plays every part: the user, who is told so in the system message, and any number of models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("httpx")

from querywright.artefacts import content_id
from querywright.conversations.config import Config, check
from tests.protocol import Chat, Service, serve


def reply(body: dict[str, Any]) -> str:
    """What a part says: never the same to two prompts or with two seeds, always the same to one."""
    told = body["messages"][0]["content"]
    code = content_id(json.dumps([body["model"], body["messages"], body.get("seed")]), 8)
    if "invent people" in told:
        return json.dumps({"persona": f"a cook named {code}", "interests": f"sauce {code}", "style": f"as {code} does"})
    if "play a person" in told:
        return f"What do you know about {code}?"
    return f"{body['model']} says that {code} is known for many things."


@pytest.fixture
def chat() -> Chat:
    return Chat(reply)


@pytest.fixture
def service(chat: Chat) -> Iterator[Service]:
    with serve(chat) as running:
        yield running


@pytest.fixture
def raw(service: Service) -> dict[str, Any]:
    """A config as its file has it: three models and a user, all at one server."""
    here = {"provider": "openai-compatible", "url": service.url, "price_in": 1.0, "price_out": 4.0}
    return {
        **{f"user_llm_{key}": value for key, value in {**here, "name": "somebody", "max_tokens": 40}.items()},
        "eval_llms": [{**here, "name": name, "max_tokens": 64} for name in ("ann", "bob", "cid")],
        "num_turns_min": 1,
        "num_turns_max": 3,
        "concurrency": 3,
        "seed": 5,
    }


@pytest.fixture
def configured(raw: dict[str, Any]) -> Callable[..., Config]:
    """The same as it is read, with other values in it."""
    return lambda **changed: check({**raw, **changed}, "the test's config")
