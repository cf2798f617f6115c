"""REST for programs: a sentence to its call, many of them at once, a call read or run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from fastapi import APIRouter, Request

from querywright.api.refusal import refused
from querywright.engines.base import Cancelled, Message
from querywright.errors import QuerywrightError
from server.asking import Desk, Who
from server.assistant import Choice, InputError, Verdict, clean
from server.gate import Busy
from server.problems import responses, told
from server.rest.shapes import (
    CallReply,
    CallRequest,
    CallsReply,
    CallsRequest,
    Checked,
    PathRequest,
    Row,
    RunReply,
    call_reply,
    checked,
    run_reply,
)
from server.service import Service

log = logging.getLogger("querywright.server")


def conversation(service: Service, api: str, said: Iterable[tuple[str, str]]) -> list[Message]:
    """Roles and texts as turns. Of the assistant's only calls and refusals are kept, in the model's own form: nothing
    else that a client sends is shown to the model as its own words.

    Raises:
        InputError: a sentence that is none.
    """
    turns: list[Message] = []
    for role, text in said:
        if role == "user":
            turns.append({"role": role, "content": clean(text, service.limits.instruction_chars, "a message")})
        elif turns:
            verdict = service.check(api, text.strip()[: service.limits.call_chars + 1])
            if verdict.ok or refused(text.strip()):
                turns.append({"role": role, "content": verdict.path})
            elif turns[-1]["role"] == "user":
                turns.pop()
    return turns


def read(service: Service, api: object, path: str) -> tuple[str, Verdict]:
    """The API's name and what its path is worth.

    Raises:
        InputError: there is no such API, or the path is too long.
    """
    name, most = service.choice(api).api, service.limits.call_chars
    if len(path) > most:
        raise InputError("too_long", f"the call has {len(path):,} characters; {most:,} are read")
    return name, service.check(name, path.strip())


def routes(desk: Desk) -> APIRouter:
    """The routes of this module."""
    router, service = APIRouter(prefix="/v1", tags=["calls"]), desk.service
    asks = {"s404": "No such API or model", "s422": "Not a sentence", "s503": "The engine failed",
            "s504": "The answer took too long"}  # fmt: skip
    reads = {"s404": "No such API", "s422": "Not a path"}

    @router.post("/call", responses=responses(**asks))
    async def call(body: CallRequest, request: Request) -> CallReply:
        """Turn a sentence into a call, and run it."""
        async with desk.visit(request, "rest") as who:
            choice = body.choice(service)
            said = [(turn.role, turn.content) for turn in body.turns]
            turns = await desk.look(conversation, service, choice.api, said) if said else []
            return call_reply(await desk.ask(who, choice, body.instruction, turns=turns, n=body.n, run=body.run))

    @router.post("/calls", responses=responses(**asks))
    async def calls(body: CallsRequest, request: Request) -> CallsReply:
        """Turn many sentences into calls. One that fails does not stop the others: its row says why."""
        choice, most = body.choice(service), service.limits.batch
        if body.n is not None and not 1 <= body.n <= service.limits.alternatives:
            raise InputError("bad_n", f"n is {body.n}; 1 to {service.limits.alternatives} answers can be chosen from")
        if not 1 <= len(body.instructions) <= most:
            raise InputError("bad_batch", f"{len(body.instructions):,} sentences; 1 to {most} are answered at once")
        async with desk.visit(request, "rest") as who:
            return CallsReply(results=await _rows(desk, who, choice, body))

    @router.post("/check", responses=responses(**reads))
    async def check(body: PathRequest) -> Checked:
        """Read a call: whether it is one, and what it means."""
        return checked((await desk.look(read, service, body.api, body.path))[1])

    @router.post("/run", responses=responses(**reads))
    async def run(body: PathRequest) -> RunReply:
        """Read a call, and run it on the server's records. The live API is not asked."""
        return await desk.look(run_path, service, body.api, body.path)

    return router


def run_path(service: Service, api: object, path: str) -> RunReply:
    """Read a path and run it on the records; see `read`."""
    name, verdict = read(service, api, path)
    return run_reply(verdict, service.find(name, verdict))


async def _rows(desk: Desk, who: Who, choice: Choice, body: CallsRequest) -> list[Row]:
    """As many sentences at once as the model works on: a batch takes one place of the queue after the other, not all.

    Raises:
        Busy: there was no place for the first of them.
    """
    rows: list[Row | None] = [None] * len(body.instructions)
    todo = iter(enumerate(body.instructions))

    async def work(first: bool) -> None:
        for index, sentence in todo:
            rows[index] = await _row(desk, who, choice, body, sentence, first)
            first = False

    async def told_once(number: int) -> Exception | None:
        try:
            await work(number == 0)
        except (Busy, Cancelled) as error:  # a task group would wrap it into a group
            who.gone.set()
            return error
        return None

    async with asyncio.TaskGroup() as group:
        places = min(desk.service.models[choice.model].gate.capacity, len(rows))
        tasks = [group.create_task(told_once(number)) for number in range(places)]
    errors = [error for task in tasks if (error := task.result()) is not None]
    if errors:
        raise errors[0]
    return [row or Row() for row in rows]


async def _row(desk: Desk, who: Who, choice: Choice, body: CallsRequest, sentence: str, first: bool) -> Row:
    loop = asyncio.get_running_loop()
    until = loop.time() + desk.service.limits.answer_s
    while True:
        try:
            asked = await desk.ask(who, choice, sentence, n=body.n, run=body.run, patient=not first)
            return Row(result=call_reply(asked))
        except Cancelled:
            raise
        except Busy as error:  # the queue is full: a batch that has begun waits its turn
            if first:
                raise
            if loop.time() > until or who.gone.is_set():
                return Row(error=told(error).as_problem())
            await asyncio.sleep(0.2)
        except Exception as error:
            if not isinstance(error, QuerywrightError):
                log.exception("a sentence of a batch failed")
            return Row(error=told(error).as_problem())
