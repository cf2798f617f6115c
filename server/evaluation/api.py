"""The evaluation service as one FastAPI application, behind the same door as the assistant: known names and paths, a
token a team, bounded bodies, one form of errors.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

from querywright import __version__
from querywright.engines.catalogue import public
from querywright.errors import QuerywrightError
from server import problems
from server.access.guard import Guard
from server.access.origins import site_of
from server.access.teams import Teams
from server.evaluation import parameters, routes_jobs, routes_runs, routes_uploads, shapes
from server.evaluation.chosen import RULES
from server.evaluation.counters import Counters
from server.evaluation.desk import Desk
from server.evaluation.quotas import Quotas
from server.metrics import CONTENT_TYPE, REST, Counted
from server.problems import responses
from server.rest import docs
from server.rest.nothing import Nothing

PATHS = re.compile(r"/|/v1/[\w./:@+-]*|/health|/ready|/metrics|/docs|/openapi\.json")


def build(desk: Desk, *, host: str = "127.0.0.1", auth: Teams | None = None) -> FastAPI:
    """The application.

    Args:
        host: where it listens.
        auth: the teams; None where whoever is on this machine is the team "local".
    """
    quotas = desk.quotas
    counters = Counters(desk)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="Querywright evaluation", version=__version__, summary="Documents to questions to scores", docs_url=None,
        redoc_url=None, openapi_url=None, lifespan=lifespan,
    )  # fmt: skip
    routers = [one.routes(desk) for one in (routes_uploads, routes_jobs, routes_runs)]
    routers.append(_about(desk, counters))
    for router in routers:
        app.include_router(router)
    app.openapi = lambda: _schema(app, desk)  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def manual() -> HTMLResponse:
        return HTMLResponse(_page(await desk.do(app.openapi)))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(await desk.do(app.openapi))

    nothing = Nothing([route for router in routers for route in router.routes if isinstance(route, Route)])
    for path in (REST, "/", "/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        app.router.routes.append(Route(path, nothing))
    problems.install(app)
    streamed = {"/v1/evaluation/uploads": quotas.upload_bytes, "/v1/evaluation/synthetic": quotas.rows_bytes}
    app.add_middleware(
        Guard, site=site_of(host), limits=desk.settings.limits, auth=auth, paths=PATHS, streamed=streamed
    )
    app.add_middleware(Counted, metrics=counters)  # last, so outermost: what the guard refuses counts too
    return app


def _about(desk: Desk, counters: Counters) -> APIRouter:
    router = APIRouter(tags=["about"], dependencies=[Depends(parameters.known)])

    @router.get("/v1/evaluation/models", responses=responses())
    async def models(request: Request) -> shapes.ModelList:
        """The models that a request may name: those of the server's catalogue, and `rules`, which writes questions
        about records with fields, without a model."""
        found = await desk.do(desk.models)
        cards = [
            shapes.ModelCard(name=name, writes=True, answers=True, about=public(one)) for name, one in found.items()
        ]
        if RULES not in found:
            cards.append(shapes.ModelCard(name=RULES, writes=True, answers=False, about={}))
        return shapes.ModelList(models=cards)

    @router.get("/health", responses=responses())
    async def health(request: Request) -> shapes.Health:
        """Whether the server is up."""
        return shapes.Health(status="ok", version=__version__ if _known(request) else None)

    down: dict[int | str, dict[str, Any]] = {503: {"model": shapes.Ready, "description": "The job table is away"}}

    @router.get("/ready", responses=responses() | down)
    async def ready(request: Request, response: Response) -> shapes.Ready:
        """Whether requests are taken. MLflow may be away: jobs wait for it."""
        try:
            await desk.do(desk.table.counts)
        except QuerywrightError as error:
            response.status_code = 503
            response.headers["Retry-After"] = "10"
            told = {"jobs": str(error)} if desk.settings.teams is None else {"jobs": "away"}  # it names our database
            return shapes.Ready(ready=False, parts=told if _known(request) else None)
        return shapes.Ready(ready=True, parts={"jobs": "ok"} if _known(request) else None)

    text = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text form"}}

    @router.get("/metrics", response_class=PlainTextResponse, responses=text | responses())  # type: ignore[operator]
    async def metrics() -> Response:
        """Counters for Prometheus. Only for this machine."""
        return Response(await desk.do(counters.text), headers={"content-type": CONTENT_TYPE})

    return router


def _known(request: Request) -> bool:
    """Whether somebody may see more than that the server is up."""
    return bool(getattr(request.state, "known", True))


def _schema(app: FastAPI, desk: Desk) -> dict[str, Any]:
    """The OpenAPI description, made once."""
    if app.openapi_schema is None:
        quotas = desk.quotas
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        made["info"]["description"] = _said(quotas)
        parts = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            parts.pop(name, None)
        parts["EvaluationRequest"]["properties"]["models"]["maxItems"] = quotas.models
        for one in parts["GenerationRequest"]["properties"]["questions"]["anyOf"]:
            if one["type"] == "integer":
                one["maximum"] = quotas.questions
        about = "The team's, of `querywright evaluation teams add`."
        made["components"]["securitySchemes"] = {"team": {"type": "http", "scheme": "bearer", "description": about}}
        made["security"] = [{"team": []}] if desk.settings.teams else [{}, {"team": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _said(quotas: Quotas) -> str:
    return (
        f"A file may have {quotas.upload_bytes:,} bytes and {quotas.chunks:,} chunks; a team keeps "
        f"{quotas.uploads_per_team:,} of them, {quotas.bytes_per_team:,} bytes, and has {quotas.jobs_per_team} jobs "
        "queued or running. Requests that come too often are answered 429 with Retry-After. Errors have a code for "
        "programs, a message and a hint. What is another team's is not there: 404."
    )


def _page(openapi: dict[str, Any]) -> str:
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Querywright evaluation: REST</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{docs.STYLE}
<h1>Querywright evaluation over REST</h1>
<pre>curl -s "$URL/v1/evaluation/uploads?window-size=4&amp;window-step=2&amp;model=rules" \\
  -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'file-name: genes.json' \\
  --data-binary @genes.json
curl -s "$URL/v1/evaluation/jobs" -H "authorization: Bearer $TOKEN"</pre>
<p>{html.escape(openapi["info"]["description"])}</p>
{docs.listed(openapi)}</html>"""
