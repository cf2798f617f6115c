"""REST in OpenAI's form: `POST /v1/chat/completions`, for programs that speak to a chat model already.

The last message of the user is the sentence, what stands before it the conversation. The answer's content is the
path of the call; where the model refuses, it is `refusal`. What else is known of the answer stands beside the message,
under `querywright`. `model` is an API's name, or an API's and a model's: `mygene/NAME`.

What a client may not decide never reaches the model: a system message is passed over (the prompt is the server's own),
so are settings of sampling; tools, formats of the response and grammars are refused.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from querywright.engines.base import Message
from server.asking import Asked, Desk
from server.assistant import Choice, InputError, Verdict
from server.keep.answers import Kept
from server.problems import responses
from server.rest.call import conversation
from server.rest.chat_shapes import About, ChatChoice, ChatMessage, ChatReply, ChatRequest, Part, Said, Usage
from server.rest.shapes import checked
from server.service import Service


def model_names(service: Service) -> list[str]:
    """What `model` may be: each API with its own model, and each API with each model."""
    return [*service.apis, *(f"{api}/{model}" for api in service.apis for model in service.models)]


def chosen(service: Service, model: str) -> Choice:
    """Who answers for one of these names.

    Raises:
        InputError: it is no API, or the part behind its slash is no model.
    """
    api, slash, name = model.partition("/")
    try:
        return service.choice(api, name if slash else None)
    except InputError as error:  # a client asked for a model, and hears of models
        raise InputError("unknown_model", str(error), hint="see GET /v1/models") from None


def asked_of(service: Service, api: str, messages: Sequence[ChatMessage]) -> tuple[str, list[Message]]:
    """The last sentence of the user, and the turns before it: see `call.conversation`.

    Raises:
        InputError: no message is the user's, or one has no words.
    """
    said = [(message.role, _text(message.content)) for message in messages if message.role in ("user", "assistant")]
    last = max((n for n, (role, _) in enumerate(said) if role == "user"), default=None)
    if last is None:
        raise InputError("bad_messages", "one of the messages has to be the user's", hint="ask in a sentence")
    turns = conversation(service, api, said[: last + 1])
    return turns.pop()["content"], turns


def _text(content: str | list[Part] | None) -> str:
    return " ".join(part.text for part in content) if isinstance(content, list) else content or ""


def about(verdict: Verdict, confidence: float | None, *, abstained: bool = False, kept: Kept | None = None) -> About:
    """A verdict, as it stands beside the message."""
    sure = None if confidence is None else round(confidence, 3)
    return About(
        **checked(verdict).model_dump(), confidence=sure, abstained=abstained, answer=kept.id if kept else None,
        not_kept=(kept.why or None) if kept else None,
    )  # fmt: skip


def choices(asked: Asked, n: int) -> list[ChatChoice]:
    """The answer and, where more than one was asked for, the others."""
    reply = asked.reply
    first = about(reply.verdict, reply.confidence, abstained=reply.abstained, kept=asked.kept)
    refused = reply.verdict.refused
    said = Said(content=None, refusal=first.reason) if refused else Said(content=first.path)
    finish: Literal["stop", "length"] = "length" if reply.finish == "length" else "stop"
    found = [ChatChoice(index=0, message=said, finish_reason=finish, querywright=first)]
    for index, other in enumerate(reply.alternatives[: n - 1], 1):
        beside = about(other.verdict, other.confidence)
        found.append(
            ChatChoice(index=index, message=Said(content=beside.path), finish_reason="stop", querywright=beside)
        )
    return found


def usage(asked: Asked) -> Usage:
    """The tokens that were read and written."""
    read, written = asked.reply.tokens_in, asked.reply.tokens
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def routes(desk: Desk) -> APIRouter:
    """The route of this module."""
    from server.rest.chat_stream import stream

    router, service = APIRouter(prefix="/v1", tags=["chat"]), desk.service
    wrong = responses(s400="Not a request in OpenAI's form, or one that asks for what is not done here",
                      s404="No such model", s503="The engine failed", s504="The answer took too long")  # fmt: skip
    events = {200: {"description": "The answer; where `stream` is true, as events: data: {chunk}, data: [DONE]",
                    "content": {"text/event-stream": {}}}}  # fmt: skip

    @router.post("/chat/completions", responses=wrong | events, response_model=ChatReply)  # type: ignore[operator]
    async def completions(body: ChatRequest, request: Request) -> Any:
        """Turn the last sentence of a conversation into a call, in OpenAI's form."""
        choice = chosen(service, body.model)
        sentence, turns = await desk.look(asked_of, service, choice.api, body.messages)
        shorter = [most for most in (body.max_tokens, body.max_completion_tokens) if most is not None]
        head: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.model}
        how: dict[str, Any] = {"turns": turns, "max_tokens": min(shorter, default=None)}
        if body.stream:
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            if (body.n or 1) > 1:
                raise InputError("bad_n", "a stream has one choice", hint="ask for n choices without stream")
            events = await stream(desk, request, choice, sentence, how, head, with_usage)
            return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        async with desk.visit(request, "chat") as who:
            asked = await desk.ask(who, choice, sentence, n=body.n, run=False, **how)
        return ChatReply(**head, choices=choices(asked, body.n or 1), usage=usage(asked))

    return router
