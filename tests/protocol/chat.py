"""Chat completions and the list of models."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.protocol.http import Reply, Request

Answer = Callable[[dict[str, Any]], "str | tuple[str, str]"]


@dataclass
class Chat:
    """A room that answers chats.

    Attributes:
        answer: the text for a request's body, or the text and why it ended (`stop`, `length`).
        models: what the server lists.
        key: where it is given, other keys are refused.
        bodies: of the requests that were answered, so paid for.
        tokens_in, tokens_out: what all answers together cost; four characters are one token here.
    """

    answer: Answer
    models: tuple[str, ...] = ("small",)
    key: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Reply | None:
        """Answer a request, or None where it is for another room."""
        if request.path not in ("/models", "/chat/completions"):
            return None
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        if request.path == "/models":
            return Reply(body={"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]})
        body = request.json()
        said = self.answer(body)
        text, finish = said if isinstance(said, tuple) else (said, "stop")
        reply = completion(text, body, finish)
        with self._lock:
            self.bodies.append(body)
            self.tokens_in += reply["usage"]["prompt_tokens"]
            self.tokens_out += reply["usage"]["completion_tokens"]
        return Reply(body=reply)


def completion(text: str, body: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    """A reply as OpenAI's documentation has it, with usage."""
    asked = sum(len(m["content"]) for m in body.get("messages", ()))
    n = int(body.get("n") or 1)
    usage = {"prompt_tokens": -(-asked // 4), "completion_tokens": n * -(-len(text) // 4)}
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body.get("model", ""),
        "choices": [{"index": i, "message": message, "finish_reason": finish} for i in range(n)],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }
