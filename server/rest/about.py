"""REST: what is served, whether it is up, and what Prometheus asks for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from querywright import __version__
from server import metrics as counters
from server.asking import Desk
from server.assistant import examples
from server.problems import problem, responses
from server.rest.chat import model_names
from server.service import DECODINGS, STRATEGIES


class ModelCard(BaseModel):
    """A model in OpenAI's form."""

    id: str = Field(examples=["mygene"], description="An API's name, or an API's and a model's: mygene/MODEL.")
    object: str = "model"
    created: int = 0
    owned_by: str = "querywright"


class ModelList(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[ModelCard]


class ApiCard(BaseModel):
    """A served API."""

    name: str
    title: str
    about: str
    base_url: str
    noun: str
    model: str = Field(description="Who answers where none is chosen.")
    records: str = Field(description="What calls are run on, in words; empty where they are not.")
    examples: list[str]
    fields: int = Field(description="How many fields it has: see GET /v1/apis/NAME.")


class ApiList(BaseModel):
    """What is served, and how it can be asked."""

    apis: list[ApiCard]
    models: list[str]
    strategies: list[str]
    decodings: list[str]


class FieldCard(BaseModel):
    """A field of an API."""

    name: str
    type: str
    about: str


class ApiFields(ApiCard):
    """A served API with its fields."""

    schema_fields: list[FieldCard]


class Health(BaseModel):
    """That the server is up, and what it serves (to whoever may ask it)."""

    status: str
    version: str | None = None
    apis: dict[str, dict[str, str]] | None = None


class ModelState(BaseModel):
    """Whether a model's process is there, and its circuit: closed (in use), half_open (is tried again), or open
    (crashed too often)."""

    up: bool

    circuit: str
    inside: int
    waiting: int


class Ready(BaseModel):
    """Whether questions are answered."""

    ready: bool
    models: dict[str, ModelState] | None = None


def routes(desk: Desk) -> APIRouter:
    """The routes of this module."""
    router, service = APIRouter(), desk.service
    ids = model_names(service)

    @router.get("/v1/models", tags=["chat"], responses=responses())
    async def models() -> ModelList:
        """Names for `model` in a chat: each API with its own model, and each API with each model."""
        return ModelList(data=[ModelCard(id=name) for name in ids])

    @router.get("/v1/models/{model:path}", tags=["chat"], responses=responses(s404="No such model"))
    async def model(model: str) -> ModelCard:
        """One of these names."""
        if model not in ids:
            return problem(404, "unknown_model", "there is no such model", "see GET /v1/models")  # type: ignore[return-value]
        return ModelCard(id=model)

    @router.get("/v1/apis", tags=["about"], responses=responses())
    async def apis() -> ApiList:
        """What is served."""
        cards = [ApiCard(**_card(desk, name)) for name in service.apis]
        return ApiList(apis=cards, models=[*service.models], strategies=[*STRATEGIES], decodings=[*DECODINGS])

    @router.get("/v1/apis/{api}", tags=["about"], responses=responses(s404="No such API"))
    async def api(api: str) -> ApiFields:
        """One API with its fields."""
        name = service.choice(api).api
        fields = service.apis[name].api.fields
        found = [FieldCard(name=key, type=field.type, about=field.description or "") for key, field in fields.items()]
        return ApiFields(**_card(desk, name), schema_fields=found)

    @router.get("/health", tags=["about"], responses=responses())
    async def health(request: Request) -> Health:
        """Whether the server is up. Answers while models load, crash or are busy."""
        if not _known(request):
            return Health(status="ok")
        served = {name: {"model": one.model, "records": one.records} for name, one in service.apis.items()}
        return Health(status="ok", version=__version__, apis=served)

    down: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "A model is down"}}

    @router.get("/ready", tags=["about"], responses=responses() | down)
    async def ready(request: Request) -> Ready:
        """Whether questions are answered: 503 while the model that answers for an API is down."""
        states = {}
        for name, one in service.models.items():
            circuit, gate = counters.circuit_of(one.engine), one.gate.state
            alive = bool(getattr(one.engine, "up", True)) and circuit != "open"
            states[name] = ModelState(
                up=alive, circuit=circuit, inside=int(gate["inside"]), waiting=int(gate["waiting"])
            )
        up = all(states[served.model].up for served in service.apis.values())
        said = Ready(ready=up, models=states if _known(request) else None)
        return said if up else JSONResponse(said.model_dump(), 503, {"Retry-After": "10"})  # type: ignore[return-value]

    text = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text form"}}

    @router.get("/metrics", tags=["about"], response_class=PlainTextResponse, responses=text | responses())  # type: ignore[operator]
    async def metrics() -> Response:
        """Counters for Prometheus. Only for this machine, or with the token."""
        return Response(await desk.look(desk.metrics.text), headers={"content-type": counters.CONTENT_TYPE})

    return router


def _card(desk: Desk, name: str) -> dict[str, Any]:
    served = desk.service.apis[name]
    api = served.api
    return {
        "name": name, "title": api.title, "about": api.about, "base_url": api.base_url, "noun": api.noun,
        "model": served.model, "records": served.records, "examples": examples(api), "fields": len(api.fields),
    }  # fmt: skip


def _known(request: Request) -> bool:
    """Whether somebody may see more than that the server is up."""
    return bool(getattr(request.state, "known", True))
