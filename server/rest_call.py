"""REST for programs: a sentence to its call, many of them at once, a call read or run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from querywright.api.refusal import refused
from querywright.engines.base import Cancelled, Message
from querywright.errors import QuerywrightError
from server.asking import Asked, Desk, Who
from server.assistant import Choice, Hits, InputError, Verdict, clean
from server.gate import Busy
from server.problems import Problem, responses, told
from server.service import Service

log = logging.getLogger("querywright.server")
TURNS = 200  # that may be sent; how many are read is a limit of the server


class Strict(BaseModel):
    """A request. A key that is not known is an error, and text is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


def whole(value: object) -> object:
    """An integral float as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(whole)]  # JSON knows no integers: 2.0 is 2, though "2" is none


class Turn(Strict):
    """What was said before: a sentence of the user, or the call that answered it."""

    role: Literal["user", "assistant"]
    content: str


class Asking(Strict):
    """Who answers, and how. What is left out or null is the server's default."""

    api: str = Field(description="Name of a served API: see GET /v1/apis.", examples=["mygene"])
    model: str | None = Field(default=None, description="Name of a served model.")
    strategy: str | None = Field(default=None, description="How the prompt is built.")
    decoding: str | None = Field(
        default=None, description="`grammar` writes valid calls only, `grounded` also values of the sentence only."
    )
    n: Whole | None = Field(default=None, description="Answers of the model to choose from; each takes its time.")
    run: bool = Field(default=True, description="Whether to run the call on the server's records.")

    def choice(self, service: Service) -> Choice:
        """The names, checked."""
        return service.choice(self.api, self.model, self.strategy, self.decoding)


class CallRequest(Asking):
    """A sentence to be turned into a call."""

    instruction: str = Field(description="What to look for, in a sentence.", examples=["uniprot id of human CDK2"])
    turns: list[Turn] = Field(
        default=[], max_length=TURNS,
        description="The conversation so far, of which the last turns are read. What the assistant said is left out "
        "where it is no call, with the sentence that it answered.",
    )  # fmt: skip


class CallsRequest(Asking):
    """Sentences to be turned into calls, each for itself."""

    instructions: list[str] = Field(examples=[["uniprot id of human CDK2", "mouse genes in the cell cycle"]])


class PathRequest(Strict):
    """A call that somebody wrote."""

    api: str = Field(examples=["mygene"])
    path: str = Field(examples=["/v3/query?q=symbol:CDK2&species=human"])


class Count(BaseModel):
    """A term of a facet."""

    term: str
    count: int


class CallHits(BaseModel):
    """What the call found."""

    total: int
    ids: list[str] = Field(description="Ids of the first records.")
    rows: list[dict[str, Any]] = Field(description="The first records.")
    facets: dict[str, list[Count]] = Field(description="For each counted field its most frequent terms.")
    ms: float


class Checked(BaseModel):
    """A call, read. Where `ok` is false, `reason` says why it is none."""

    path: str
    ok: bool
    reason: str
    explanation: list[str] = Field(description="The call in words, clause by clause.")
    url: str = Field(description="The call at the live API; empty where it is none.")


class RunReply(Checked):
    """A call, read and run."""

    hits: CallHits | None = Field(description="Null where the call was not run; `hits_reason` says why.")
    hits_reason: str


class Other(Checked):
    """Another answer of the model, or of the rules beside it."""

    confidence: float | None
    sources: list[str]


class CallReply(RunReply):
    """The call. Where `ok` is false, `path` is what the model wrote and `reason` says why that is no call.
    Where the model refused, `refused` is the reason's code: chat, topic, missing or unsupported."""

    ms: float = Field(description="Time of the model, in milliseconds.")
    waited_ms: float = Field(description="Time before the model was free, in milliseconds.")
    model: str
    answer: int | None = Field(description="Id for POST /v1/feedback; null where the answer could not be kept.")
    refused: str | None = Field(default=None, description="Why no call answers this; null where there is no refusal.")
    confidence: float | None = Field(
        default=None, description="The chance that the call is right, 0 to 1; null where it is not known."
    )
    abstained: bool = Field(
        default=False, description="Less sure than the server is to answer with: `path` is a guess, `ok` is false."
    )
    alternatives: list[Other] = Field(default=[], description="The other answers, where n is more than 1.")


class Row(BaseModel):
    """One of a batch's sentences: its result, or why there is none."""

    result: CallReply | None = None
    error: Problem | None = None


class CallsReply(BaseModel):
    """As many rows as sentences, in their order."""

    results: list[Row]


def call_reply(asked: Asked) -> CallReply:
    """A reply as JSON."""
    reply = asked.reply
    said = run_reply(reply.verdict, reply.hits).model_dump()
    guess = reply.verdict.ok and reply.abstained
    return CallReply(
        **{**said, "ok": said["ok"] and not guess, "reason": "not sure enough" if guess else said["reason"]},
        ms=round(reply.ms, 2), waited_ms=round(reply.waited_ms, 2), model=reply.choice.model, answer=asked.answer,
        refused=reply.verdict.refused or None, confidence=_sure(reply.confidence), abstained=reply.abstained,
        alternatives=[
            Other(**checked(other.verdict).model_dump(), confidence=_sure(other.confidence), sources=[*other.sources])
            for other in reply.alternatives
        ],
    )  # fmt: skip


def checked(verdict: Verdict) -> Checked:
    """A verdict as JSON."""
    return Checked(
        path=verdict.call.path if verdict.call else verdict.path, ok=verdict.ok, reason=verdict.reason,
        explanation=[*verdict.words], url=verdict.link,
    )  # fmt: skip


def run_reply(verdict: Verdict, hits: Hits) -> RunReply:
    """A verdict and what its call found, as JSON."""
    found = None
    if hits.total is not None:
        facets = {name: [Count(term=t, count=c) for t, c in terms] for name, terms in hits.facets.items()}
        found = CallHits(
            total=hits.total, ids=[*hits.ids], rows=[*hits.rows], facets=facets, ms=round(hits.ms, 2)
        )  # fmt: skip
    return RunReply(**checked(verdict).model_dump(), hits=found, hits_reason=hits.reason)


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


def _sure(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 3)


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
