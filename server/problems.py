"""Errors as JSON, in one form for all: what OpenAI's clients read (message, type, code, param), and a hint.

What went wrong is told by `told`, once for REST, batches, streams and MCP.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from querywright.engines.base import Cancelled, EngineError
from querywright.engines.supervise import CircuitOpen
from querywright.errors import QuerywrightError
from server.assistant import InputError
from server.gate import Busy
from server.keep.store import KeptEnough, NotYours
from server.service import TooSlow

log = logging.getLogger("querywright.server")
CHAT = "/v1/chat/"
UNKNOWN = ("unknown_api", "unknown_model")  # names in a place where others say 404
CLIENT_GONE = 499  # nginx' number for a client that went away; nobody reads it
KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Problem(BaseModel):
    """An error: a code for programs, a message and a hint for people; type and param as OpenAI's clients know them."""

    code: str = Field(examples=["too_long"])
    message: str
    hint: str = ""
    type: str = Field(default="invalid_request_error", examples=["invalid_request_error"])
    param: str | None = Field(default=None, description="The part of the request that is wrong, where one is.")


class Refused(QuerywrightError):
    """A request that is not done, with all that is to be said: for whoever knows the status.

    Attributes:
        status: 4xx or 503.
        code: for programs.
        param: the part of the request that is wrong, where one is.
        retry_after: seconds to wait, where that helps.
    """

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", *, param: str | None = None,
        retry_after: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint, retryable=retry_after is not None)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after


class ProblemReply(BaseModel):
    """Every answer that is not 2xx."""

    error: Problem


@dataclass(frozen=True)
class Told:
    """What an exception is to whoever asked: a status, a code, and words; seconds to wait where that helps."""

    status: int
    code: str
    message: str
    hint: str = ""
    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status in (408, 413):  # the rest of the body may come yet
            found["Connection"] = "close"
        return found

    def as_problem(self) -> Problem:
        """The same as JSON."""
        return as_problem(self.status, self.code, self.message, self.hint)


def told(error: BaseException) -> Told:
    """What to say of an exception; nothing of one that nobody foresaw."""
    if not isinstance(error, QuerywrightError):
        return Told(500, "internal", "this request failed; the server goes on", "see the server's log")
    said: dict[str, Any] = {"message": str(error), "hint": error.hint}
    if isinstance(error, Refused):
        return Told(error.status, error.code, retry_after=error.retry_after, **said)
    if isinstance(error, Busy):
        return Told(429, "busy", retry_after=math.ceil(error.retry_after), **said)
    if isinstance(error, InputError):
        return Told(404 if error.code in UNKNOWN else 422, error.code, **said)
    if isinstance(error, NotYours):
        return Told(404, "unknown_answer", **said)
    if isinstance(error, KeptEnough):
        return Told(429, "kept_enough", retry_after=error.retry_after, **said)
    if isinstance(error, Cancelled):
        return Told(CLIENT_GONE, "cancelled", **said)
    if isinstance(error, TooSlow):
        return Told(504, "too_slow", **said)
    if isinstance(error, EngineError):
        after = error.retry_after if error.retry_after is not None else 1.0 if error.retryable else None
        if not isinstance(error, CircuitOpen):  # its hints are for who runs the server, and are in the log
            said["hint"] = "ask again" if error.retryable else "see the server's log"
        code = "circuit_open" if isinstance(error, CircuitOpen) else "engine_failed"
        return Told(503, code, retry_after=None if after is None else max(1, math.ceil(after)), **said)
    message = "this could not be done; the server goes on"  # the error itself may name files
    return Told(503, "failed", message, "see the server's log", retry_after=1 if error.retryable else None)


def as_problem(status: int, code: str, message: str, hint: str = "", param: str | None = None) -> Problem:
    """An error as it goes into JSON."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return Problem(code=code, message=message, hint=hint, type=kind, param=param)


def problem(
    status: int, code: str, message: str, hint: str = "", *, param: str | None = None, **headers: str
) -> JSONResponse:
    """An error as a response."""
    body = ProblemReply(error=as_problem(status, code, message, hint, param))
    return JSONResponse(body.model_dump(), status, headers)


def responses(**more: str) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides 200, for OpenAPI: what stands before every route, and `more` as s404="words"."""
    said = {400: "No request that can be read", 401: "Not logged in", 403: "Not for this client, or another site asks",
            408: "Body too slow", 413: "Body too large", 421: "Another host's name",
            429: "Too many requests", 500: "This request failed",
            **{int(name[1:]): text for name, text in more.items()}}  # fmt: skip
    found: dict[int | str, dict[str, Any]] = {}
    for status, text in sorted(said.items()):
        found[status] = {"model": ProblemReply, "description": text}
        if status in (429, 503):
            found[status]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
            }
    return found


def install(app: FastAPI) -> None:
    """Tell every exception as JSON."""

    @app.exception_handler(QuerywrightError)
    def ours(request: Request, error: QuerywrightError) -> JSONResponse:
        said = told(error)
        if said.status >= 500:
            log.error("a request failed: %s%s", error, f" ({error.hint})" if error.hint else "")
        status = 400 if said.status == 422 and request.url.path.startswith(CHAT) else said.status  # as OpenAI does
        return problem(status, said.code, said.message, said.hint, param=getattr(error, "param", None), **said.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # what was sent is not echoed: it may be huge, or no Unicode; the names in it neither
        found = [_wrong(e) for e in error.errors()[:5]]
        message = "; ".join(f"{where}: {what}" for where, what in found)
        chat = request.url.path.startswith(CHAT)
        json = "json" in request.headers.get("content-type", "")  # which curl does not say by itself
        hint = "see /docs" if json or request.method != "POST" else "send the header content-type: application/json"
        return problem(400 if chat else 422, "bad_request", message, hint, param=found[0][0] if found else None)

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, f"http_{error.status_code}")
        return problem(error.status_code, code, str(error.detail), "see /docs", **(error.headers or {}))

    @app.exception_handler(Exception)
    def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.exception("a request failed", exc_info=error)
        said = told(error)
        return problem(said.status, said.code, said.message, said.hint)


def _wrong(error: dict[str, Any]) -> tuple[str, str]:
    """Where and what; of a body that is no JSON, the place is a character's."""
    if error["type"] == "json_invalid":
        return "body", f"no JSON: {error.get('ctx', {}).get('error', '')} at character {error['loc'][-1]}"
    return ".".join(_named(part) for part in error["loc"][1:]) or "body", error["msg"]


def _named(part: object) -> str:
    return str(part).encode("utf-8", "replace").decode()[:60]
