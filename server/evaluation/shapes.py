"""What goes in and out of the evaluation service, as JSON."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from querywright.errors import did_you_mean
from server.rest.shapes import Strict, Whole, whole


def _hex(digits: int, what: str) -> AfterValidator:
    """That a name has so many hex digits, which an error says in words, no pattern."""

    def checked(text: str) -> str:
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
            raise PydanticCustomError("hex", "{what} has {digits} hex digits", {"what": what, "digits": digits})
        return text

    return AfterValidator(checked)


Sha = Annotated[
    str, _hex(64, "an upload's name, its whole SHA-256,"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
]  # fmt: skip
RunId = Annotated[str, _hex(32, "a run's id"), WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{32}$"})]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,99}$")]
Positive = Annotated[int, Field(ge=1), BeforeValidator(whole)]  # this order: else OpenAPI says ge, not minimum
Few = Annotated[int, Field(ge=1, le=32), BeforeValidator(whole)]
Strategy = Literal[
    "closed", "window", "rag",  # of questions; rag also of calls
    "tuned", "zero_shot", "icl", "icl_nearest", "rag_docs", "rag_icl",
]  # fmt: skip
Experiment = Literal["data_upload", "data_generation", "evaluation"]
Window = Annotated[list[int], Field(min_length=2, max_length=2)]
PAGE = 100
"""Entries of a list in one answer."""
Limit = Annotated[int, Query(ge=1, le=PAGE)]
SEED_MOST = 2**31 - 1


class Asked(Strict):
    """A request whose names may have hyphens, as headers do."""

    @model_validator(mode="before")
    @classmethod
    def _spelt(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        found, known = {}, [*cls.model_fields]
        for name, value in given.items():
            meant = str(name).replace("-", "_")
            meant = meant if meant in known else name
            if meant in found:
                raise PydanticCustomError("twice", "{name} is given twice", {"name": meant})
            if meant not in known and (near := did_you_mean(str(name)[:40], known)):
                raise PydanticCustomError("unknown", "there is no such name{near}", {"near": near})
            found[meant] = value
        return found


class GenerationRequest(Asked):
    """Questions to be written about an upload's windows."""

    upload: Sha = Field(description="The upload's name, of POST /v1/evaluation/uploads.")
    model: Name = Field(default="rules", description="Who writes: see GET /v1/evaluation/models.")
    window_size: Positive | None = Field(default=None, description="Chunks of a window; else as it was uploaded.")
    window_step: Positive | None = Field(default=None, description="Chunks to the next one; else as uploaded.")
    questions: Positive | None = Field(default=None, description="At most so many for each window.")
    seed: Whole = Field(default=0, ge=0, le=SEED_MOST)


class EvaluationRequest(Asked):
    """Models to be asked the rows of a run, and scored."""

    run_id: RunId = Field(description="A run of data_generation.")
    models: list[Name] = Field(
        min_length=1, json_schema_extra={"uniqueItems": True},
        description="Who is asked: see GET /v1/evaluation/models.",
    )  # fmt: skip
    strategies: list[Strategy] | None = Field(
        default=None, min_length=1, max_length=8, json_schema_extra={"uniqueItems": True},
        description="How questions are put: closed (alone), window (with their window's chunks), rag (with retrieved "
        "ones). Of rows with calls: how prompts are built (zero_shot, rag, ...).",
    )  # fmt: skip
    judge: Name | None = Field(default=None, description="The model that judges answers, besides exact match and F1.")
    limit: Positive | None = Field(default=None, description="Only so many rows, drawn with the seed.")
    seed: Whole = Field(default=0, ge=0, le=SEED_MOST)
    n: Few | None = Field(default=None, description="Answers to each question.")
    api: Name | None = Field(default=None, description="Of rows with calls: the shipped API that they are for.")


class UploadCard(BaseModel):
    """An upload as it is listed."""

    upload: Sha = Field(description="SHA-256 of its bytes: its name.")
    name: str = Field(description="As its team calls it.")
    kind: Literal["json", "jsonl", "csv"]
    bytes: int
    chunks: int
    window_size: int
    window_step: int
    created: str = Field(description="ISO 8601, UTC.")


class Uploaded(UploadCard):
    """An upload with its windows and the jobs that it began."""

    windows: list[Window] = Field(description="First and last chunk of each, counted from 1.")
    recording: str = Field(description="The job that records it in MLflow.")
    job: str | None = Field(description="The job that writes questions, where a model was named.")


class UploadPage(BaseModel):
    """Uploads, the newest first."""

    uploads: list[UploadCard]
    next: str | None = Field(description="What `before` has to be for the next ones; null where there are none.")


class Windows(BaseModel):
    """The windows over an upload's chunks."""

    upload: Sha
    chunks: int
    window_size: int
    window_step: int
    windows: list[Window]


class JobCard(BaseModel):
    """A job."""

    id: str
    kind: str
    args: dict[str, Any]
    state: Literal["queued", "running", "done", "failed", "parked", "cancelled"]
    tries: int = Field(description="Tries so far, of three; then it is parked.")
    created: str
    started: str | None = Field(description="Its last try.")
    ended: str | None
    ready: str = Field(description="Where it is queued: not to be tried before.")
    cancelling: bool = Field(description="It was asked to end.")
    what: str = Field(description="What is done now, and how far it is.")
    done: int
    total: int | None
    result: dict[str, Any] | None
    error: str
    hint: str


class JobPage(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobCard]
    next: str | None = Field(description="What `before` has to be for the next ones; null where there are none.")


class LogLine(BaseModel):
    """A line of a job's log."""

    n: int = Field(description="Its number; the oldest lines of long logs are gone.")
    time: str
    text: str


class Logs(BaseModel):
    """Lines of a job's log, the oldest first."""

    job: str
    state: str
    lines: list[LogLine]
    next: int = Field(description="What `after` has to be for the lines that follow.")


class Synthetic(BaseModel):
    """Rows that were added to a run."""

    run_id: str
    rows: int = Field(description="How many the run holds now.")
    ignored: list[str] = Field(description="Columns that nothing reads.")


class RunEntry(BaseModel):
    """A run in MLflow as it is listed."""

    id: str
    experiment: Experiment
    name: str
    status: str
    upload: str | None = Field(description="The upload that it goes back to.")
    posted: bool = Field(description="Whether you posted its rows: such a run can be deleted.")
    created: str = Field(description="ISO 8601, UTC.")
    page: str = Field(description="Its page: what follows MLflow's own address.")


class RunPage(BaseModel):
    """Runs, the newest first."""

    runs: list[RunEntry]
    next: str | None = Field(description="What `before` has to be for the next ones; null where there are none.")


class RunCard(RunEntry):
    """A run in MLflow."""

    params: dict[str, str]
    metrics: dict[str, float | None]
    links: dict[str, Any] = Field(description="The runs before and after it.")


class ModelCard(BaseModel):
    """A model that a request may name."""

    name: str
    writes: bool = Field(description="Whether it writes questions.")
    answers: bool = Field(description="Whether it is asked and judges.")
    about: dict[str, Any] = Field(description="How it is asked.")


class ModelList(BaseModel):
    """All of them."""

    models: list[ModelCard]


class Health(BaseModel):
    """That the server is up."""

    status: str
    version: str | None = None


class Ready(BaseModel):
    """Whether requests are answered and jobs are worked."""

    ready: bool
    parts: dict[str, str] | None = Field(default=None, description="What is away, and why not; else ok.")
