"""OpenAI's stream: the answer in pieces as it is written, as server-sent events.

A piece can't be taken back, and the call is put into its form only when it is read whole. So a piece is sent when it is
settled: at each `&`, what stands before it is a call by itself, and stays where it is in its form already. Should the
whole read otherwise all the same, the stream ends with an error: half of another call is worse than none.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.requests import Request

from querywright.errors import QuerywrightError
from querywright.generate.complete import completed
from querywright.generate.turns import heard
from server.asking import Asked, Desk
from server.assistant import Choice
from server.problems import as_problem, told
from server.rest.chat import choices, usage
from server.service import Service

log = logging.getLogger("querywright.server")


def settled(service: Service, choice: Choice, said: str, text: str) -> str:
    """What of a text that is being written is known to stay, as it will be sent; `said` is where values come from (see
    `generate.turns.heard`)."""
    head, mark, _ = text.strip().rpartition("&")
    if not mark:
        return ""
    api = service.apis[choice.api].api
    whole = completed(api, said, head) if service.grounds(choice) else head
    call = service.check(choice.api, whole).call
    return call.path if call is not None and call.text == whole else ""


async def stream(
    desk: Desk, request: Request, choice: Choice, sentence: str, how: dict[str, Any], head: dict[str, Any],
    with_usage: bool,
) -> AsyncIterator[str]:  # fmt: skip
    """The events of an answer. Returns when the model begins to write: what fails before is an error with a status.

    Raises:
        QuerywrightError: see `service.Service.ask`.
    """
    loop = asyncio.get_running_loop()
    texts: asyncio.Queue[str | None] = asyncio.Queue()
    began, sent = False, ""

    def on_text(text: str) -> None:  # in the engine's thread: it has to be quick
        nonlocal began, sent
        if not began:
            began = True
            loop.call_soon_threadsafe(texts.put_nowait, "")
        if text.count("&") > sent.count("&") and service.chosen_from(choice) == 1:
            new = settled(service, choice, said, text)
            if new.startswith(sent) and new != sent:
                sent = new
                loop.call_soon_threadsafe(texts.put_nowait, new)

    service = desk.service
    said = heard(service.apis[choice.api].api, sentence, how["turns"])
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(desk.visit(request, "chat"))
        asking = asyncio.create_task(desk.ask(who, choice, sentence, run=False, on_text=on_text, **how))
        asking.add_done_callback(lambda _: texts.put_nowait(None))
        stack.push_async_callback(_stopped, asking)
        first = await texts.get()
        if first is None and asking.exception() is not None:
            await asking  # raises it
        return _events(stack.pop_all(), texts, first, asking, head, with_usage)
    raise AssertionError("an exit stack swallows nothing")


async def _stopped(asking: asyncio.Task[Asked]) -> None:
    if not asking.done():
        asking.cancel()
    await asyncio.wait([asking])


async def _events(
    held: AsyncExitStack, texts: asyncio.Queue[str | None], text: str | None, asking: asyncio.Task[Asked],
    head: dict[str, Any], with_usage: bool,
) -> AsyncIterator[str]:  # fmt: skip
    chunk = {**head, "object": "chat.completion.chunk", **({"usage": None} if with_usage else {})}

    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **more}
        return _data({**chunk, "choices": [choice]})

    async with held:
        yield event({"role": "assistant", "content": ""})
        sent = ""
        while text is not None:
            if text:
                yield event({"content": text[len(sent) :]})
            sent, text = text, await texts.get()
        try:
            asked = await asking
        except Exception as failure:
            if not isinstance(failure, QuerywrightError):
                log.exception("a stream failed")
            yield _data({"error": told(failure).as_problem().model_dump()})
            return
        answer = choices(asked, 1)[0]
        content = answer.message.content
        if sent and not (content or "").startswith(sent):
            error = as_problem(500, "rewritten", "the call came out otherwise than it began", "ask without stream")
            yield _data({"error": error.model_dump()})
            return
        if answer.message.refusal is not None:
            yield event({"refusal": answer.message.refusal})
        elif content is not None and content != sent:
            yield event({"content": content[len(sent) :]})
        yield event({}, answer.finish_reason, querywright=answer.querywright.model_dump())
        if with_usage:
            yield _data({**chunk, "choices": [], "usage": usage(asked).model_dump()})
        yield "data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
