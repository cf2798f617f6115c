"""REST: `POST /v1/call` for programs, `/health`, and a page about both that loads nothing from elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from querywright import __version__
from querywright.errors import QuerywrightError, did_you_mean
from server.assistant import Assistant, InputError, Reply, ask
from server.gate import Busy
from server.store import Store

log = logging.getLogger("querywright.server")


class CallRequest(BaseModel):
    """A sentence to be turned into a call."""

    api: str = Field(description="Name of a served API.", examples=["mygene"])
    instruction: str = Field(description="What to look for, in a sentence.", examples=["uniprot id of human CDK2"])
    n: int | None = Field(
        default=None, ge=1, le=8, description="Answers of the model to choose from; each takes its time."
    )


class CallHits(BaseModel):
    """What the call found."""

    total: int
    ids: list[str] = Field(description="Ids of the first records.")
    ms: float


class CallReply(BaseModel):
    """The call. Where `ok` is false, `path` is what the model wrote and `reason` says why that is no call.
    Where the model refused, `refused` is the reason's code: chat, topic, missing or unsupported."""

    path: str
    ok: bool
    reason: str
    ms: float = Field(description="Time of the model, in milliseconds.")
    explanation: list[str] = Field(description="The call in words, clause by clause.")
    url: str = Field(description="The call at the live API; empty where it is none.")
    model: str
    hits: CallHits | None = Field(description="Null where the call was not run; `hits_reason` says why.")
    hits_reason: str
    refused: str | None = Field(default=None, description="Why no call answers this; null where there is no refusal.")
    confidence: float | None = Field(
        default=None, description="The chance that the call is right, 0 to 1; null where it is not known."
    )
    abstained: bool = Field(
        default=False, description="Less sure than the server is to answer with: `path` is a guess, `ok` is false."
    )


class Problem(BaseModel):
    """An error: a code for programs, a message and a hint for people."""

    code: str
    message: str
    hint: str = ""


class ProblemReply(BaseModel):
    """Every answer that is not 2xx."""

    error: Problem


def _reply(reply: Reply, model: str) -> CallReply:
    verdict, hits = reply.verdict, reply.hits
    found = None
    if hits.total is not None:
        found = CallHits(total=hits.total, ids=list(hits.ids), ms=round(hits.ms, 2))
    return CallReply(
        path=verdict.call.path if verdict.call else verdict.path, ok=verdict.ok and not reply.abstained,
        reason=verdict.reason or ("not sure enough" if reply.abstained else ""), ms=round(reply.ms, 2),
        explanation=list(verdict.words), url=verdict.link, model=model, hits=found, hits_reason=hits.reason,
        refused=verdict.refused or None, abstained=reply.abstained,
        confidence=None if reply.confidence is None else round(reply.confidence, 3),
    )  # fmt: skip


def problem(status: int, code: str, message: str, hint: str = "", **headers: str) -> JSONResponse:
    """An error as JSON: {"error": {"code", "message", "hint"}}."""
    body = ProblemReply(error=Problem(code=code, message=message, hint=hint))
    return JSONResponse(body.model_dump(), status, headers)


def build(assistants: Mapping[str, Assistant], store: Store) -> FastAPI:
    """The FastAPI application; the page is mounted on it by `server.app`."""
    app = FastAPI(
        title="Querywright", version=__version__, summary="Sentences to API calls", docs_url=None, redoc_url=None
    )
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ProblemReply, "description": text}
        for status, text in ((404, "No such API"), (413, "Body too large"), (422, "Not a sentence"),
                             (429, "Too many requests wait"), (503, "The engine failed"))
    }  # fmt: skip

    @app.post("/v1/call", responses=errors)
    def call(request: CallRequest) -> CallReply:
        """Turn a sentence into a call, and run it."""
        assistant = assistants.get(request.api)
        if assistant is None:
            near = did_you_mean(request.api, list(assistants))
            raise InputError(
                "unknown_api", f"no API {request.api[:80]!r} here{near}", hint=f"served: {', '.join(assistants)}"
            )
        reply = ask(assistant, request.instruction, n=request.n)
        verdict = reply.verdict
        store.add_answer(
            api=request.api, question=reply.question, path=verdict.path, ok=verdict.ok, reason=verdict.reason,
            ms=reply.ms, model=assistant.model, source="rest",
        )  # fmt: skip
        return _reply(reply, assistant.model)

    @app.api_route("/v1/{rest:path}", methods=["GET", "PUT", "PATCH", "DELETE", "POST"], include_in_schema=False)
    def nothing(rest: str, request: Request) -> JSONResponse:
        # without this, the page mounted at / would answer
        if rest == "call":
            return problem(405, "method_not_allowed", f"/v1/call takes POST, not {request.method}", Allow="POST")
        return problem(404, "not_found", "there is nothing at this address", "see /docs")

    @app.get("/health")
    def health() -> dict[str, Any]:
        """Whether the server is up, and what it serves."""
        served = {name: {"model": a.model, "records": a.records} for name, a in assistants.items()}
        return {"status": "ok", "version": __version__, "apis": served}

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_docs(app.openapi(), next(iter(assistants))))

    _handle_errors(app)
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(QuerywrightError)
    def ours(_: Request, error: QuerywrightError) -> JSONResponse:
        if isinstance(error, Busy):
            return problem(429, "busy", str(error), error.hint, **{"Retry-After": "2"})
        if isinstance(error, InputError):
            return problem(404 if error.code == "unknown_api" else 422, error.code, str(error), error.hint)
        log.error("a request failed: %s", error)
        return problem(503, "engine_failed", str(error), error.hint)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # what was sent is not echoed: it may be huge, or no Unicode
        found = [(".".join(map(str, e["loc"][1:])) or "body", e["msg"]) for e in error.errors()[:5]]
        hint = 'send JSON such as {"api": "mygene", "instruction": "human genes named CDK2"}'
        return problem(422, "bad_request", "; ".join(f"{where}: {what}" for where, what in found), hint)

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, f"http_{error.status_code}", str(error.detail), "see /docs")

    @app.exception_handler(Exception)
    def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.exception("a request failed", exc_info=error)
        return problem(500, "internal", "this request failed; the server goes on", "see the server's log")


def _docs(openapi: dict[str, Any], api: str) -> str:
    """A page about the endpoints. Swagger's own page would load its code from another host."""
    import html
    import json

    parts = []
    for path, methods in openapi["paths"].items():
        for method, spec in methods.items():
            answers = "".join(
                f"<li><b>{status}</b> {html.escape(answer['description'])}</li>"
                for status, answer in sorted(spec["responses"].items())
            )
            parts.append(f"<h2>{method.upper()} {html.escape(path)}</h2>"
                         f"<p>{html.escape(spec.get('description', ''))}</p><ul>{answers}</ul>")  # fmt: skip
    body = json.dumps({"api": api, "instruction": "the UniProt id of the human gene CDK2"})
    shapes = html.escape(json.dumps(openapi.get("components", {}).get("schemas", {}), indent=2))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Querywright: REST</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}
pre{{background:#8881;padding:1rem;border-radius:8px;overflow:auto}}:root{{color-scheme:light dark}}</style>
<h1>Querywright over REST</h1>
<pre>curl -s "$URL/v1/call" -H 'content-type: application/json' \\
  -d '{html.escape(body)}'</pre>
{"".join(parts)}<h2>Shapes</h2><p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>
<pre>{shapes}</pre></html>"""
