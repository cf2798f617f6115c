"""What goes in and out of REST, as JSON: requests, calls that were read, hits, answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from server.asking import Asked
from server.assistant import Choice, Hits, Verdict
from server.problems import Problem
from server.service import Service

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
    answer: int | None = Field(description="Id for POST /v1/feedback; null where the answer was not kept.")
    not_kept: str | None = Field(default=None, description="Why the answer was not kept; null where it was.")
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
        ms=round(reply.ms, 2), waited_ms=round(reply.waited_ms, 2), model=reply.choice.model, answer=asked.kept.id,
        not_kept=asked.kept.why or None,
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


def _sure(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 3)
