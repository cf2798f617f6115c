"""REST and MCP in one FastAPI application: what is asked and read, feedback, chat, what is served, metrics, docs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from querywright import __version__
from server import problems
from server.asking import Desk
from server.keep.store import Store
from server.metrics import REST, Metrics
from server.rest import about, call, chat, docs, feedback
from server.rest.mcp_http import Endpoint
from server.rest.nothing import Nothing
from server.service import Service


def build(service: Service, store: Store) -> FastAPI:
    """The FastAPI application; the page is mounted on it by `server.app`. `state.metrics` are its counters."""
    desk = Desk(service, store, Metrics(service))
    mcp = Endpoint(desk)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with mcp.running():
            yield

    app = FastAPI(
        title="Querywright", version=__version__, summary="Sentences to API calls", docs_url=None, redoc_url=None,
        openapi_url=None, lifespan=lifespan,
    )  # fmt: skip
    app.state.metrics = desk.metrics
    routers = [made.routes(desk) for made in (call, chat, about)]
    routers.append(feedback.routes(desk, store))
    for router in routers:
        app.include_router(router)
    app.openapi = lambda: docs.schema(app, service)  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def manual() -> HTMLResponse:
        return HTMLResponse(docs.page(await desk.look(app.openapi), service.default.api))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(await desk.look(app.openapi))  # making it takes a quarter of a second

    app.router.routes.append(Route("/mcp", mcp))
    nothing = Nothing([route for router in routers for route in router.routes if isinstance(route, Route)])
    for path in (REST, "/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        app.router.routes.append(Route(path, nothing))
    problems.install(app)
    return app
