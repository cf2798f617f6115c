"""The embedded query service: an API over local records, on loopback, as its public clients expect it.

`querywright api serve --api mygene` runs it; `serving` runs it inside a test or a validation over HTTP.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.executors import EmbeddedExecutor, open_records
from querywright.api.problems import NoMoreResults, ServiceError
from querywright.api.query import Bool, Term
from querywright.errors import QuerywrightError, need
from querywright.progress import say

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from querywright.api.index import Index
    from querywright.api.rows import Rows

MAX_BATCH = 1000
MAX_BODY = 10_000_000
READY_S = 30.0


# --- batches --------------------------------------------------------------------------------------------------------
def terms_of(value: Any) -> list[str]:
    """The terms of a batch: a JSON list as it is, a text split at commas, white space and plus signs."""
    if isinstance(value, list):
        return [str(v) for v in value if str(v).strip()]
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]+)"|([^\s,+]+)', str(value))]


def _endpoint(api: API, path: str) -> str:
    """The endpoint that takes POST at a path: the search, or records by many ids."""
    path = path.rstrip("/")
    for name, endpoint in api.endpoints.items():
        if name in api.vocabularies or not ("q" in endpoint.params or "{id}" in endpoint.path):
            continue
        for known in (endpoint.path, *endpoint.aliases):
            own = known.partition("{id}")[0].rstrip("/").removeprefix(api.version_prefixes[0])
            if any(path == prefix + own for prefix in api.version_prefixes):
                return name
    raise ServiceError(404, f"Not Found: {path} takes no POST")


def batch(index: Index, path: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Answer a POST: one row a hit, each with its `query`, and `notfound` for terms without a hit.

    Raises:
        ServiceError: the path takes no POST, there are no terms or too many, or a scope is unknown.
        CallError: a parameter is wrong.
    """
    from querywright.api import search

    api = index.api
    name = _endpoint(api, path)
    searching = "q" in api.endpoints[name].params
    key = "q" if searching else "ids"
    terms = terms_of(given.get(key, ""))
    if not terms:
        raise ServiceError(400, f"Missing required parameter: {key}")
    if len(terms) > MAX_BATCH:
        raise ServiceError(400, f"{len(terms)} terms in one batch; {MAX_BATCH} are the most")
    rest = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in given.items()}
    rest = {k: v for k, v in rest.items() if k not in (key, "scopes")}
    where = api.endpoints[name].path.replace("{id}", "1")
    call = parse(api, f"{where}?{urlencode({**({'q': '*'} if searching else {}), **rest})}")
    rows: list[dict[str, Any]] = []
    scopes = _scopes(api, given.get("scopes")) if searching else []
    for term in terms:
        if searching:
            node = Bool(should=tuple(Term(scope, term, "phrase" if " " in term else "word") for scope in scopes))
            found = search.query(index, replace(call, query=node))["hits"]
        else:
            found = search.lookup(index, call, term)
        rows += [{"query": term, **hit} for hit in found] or [{"query": term, "notfound": True}]
    return rows


def _scopes(api: API, given: Any) -> list[str]:
    from querywright.api import search

    words = given if isinstance(given, list) else re.split(r"[\s,]+", str(given or ""))
    names = [str(w) for w in words if str(w).strip()] or list(search.default_scopes(api))
    scopes = []
    for name in names:
        known = api.resolve(name)
        if known is None:
            raise ServiceError(400, api.unknown_field(name))
        if known not in api.meta_fields and not api.leaves(known):
            raise ServiceError(400, f"the field {name!r} is not indexed")
        scopes.append(known)
    return scopes


# --- HTTP -----------------------------------------------------------------------------------------------------------
def _json(body: Any, status: int = 200, callback: str = "") -> Response:
    from starlette.responses import Response

    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if callback:
        return Response(f"{callback}({text})", status, media_type="application/javascript")
    return Response(text, status, media_type="application/json")


def _refused(status: int, message: str) -> Response:
    return _json({"code": status, "success": False, "error": message}, status)


async def _body(request: Request) -> dict[str, Any]:
    """What a POST says: its query string, then its form or JSON."""
    given: dict[str, Any] = dict(request.query_params)
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise ServiceError(413, f"the body is larger than {MAX_BODY} bytes")
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = json.loads(await request.body())
        except ValueError as error:
            raise ServiceError(400, f"the body is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise ServiceError(400, "the body is no JSON object")
        return {**given, **body}
    form = await request.form()
    return {**given, **{k: str(v) for k, v in form.items()}}


def application(index: Index | Rows) -> Starlette:
    """The service over open records, as an ASGI application."""
    need("starlette", extra="api")
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route

    api = index.api
    executor = EmbeddedExecutor(api, index=index)

    def get(request: Request) -> Response:
        path = bytes(request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1").partition("?")[0]
        if path in ("/", "/status"):
            return _json(
                {
                    "success": True,
                    "status": "ok",
                    "api": api.name,
                    "title": api.title,
                    "total": index.size,
                    "paths": [e.path for e in api.endpoints.values()],
                }
            )
        tail = request.scope["query_string"].decode("latin-1")
        callback = request.query_params.get("callback") or request.query_params.get("jsonp") or ""
        if callback and not re.fullmatch(r"[A-Za-z_$][\w$.]{0,100}", callback):
            return _refused(400, "callback is no name of a function")
        return _json(executor.answer(parse(api, path + ("?" + tail if tail else ""))), callback=callback)

    async def post(request: Request) -> Response:
        if api.query_language == "none":
            raise ServiceError(405, "this service answers GET only")
        return _json(await run_in_threadpool(batch, cast("Index", index), request.url.path, await _body(request)))

    def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, NoMoreResults):
            return _json({"success": False, "error": "No results to return."})
        if isinstance(error, ServiceError):
            return _refused(error.status, str(error))
        if isinstance(error, CallError) and error.code == "unknown_endpoint":
            return _refused(404, str(error))
        if isinstance(error, QuerywrightError):
            return _refused(400, str(error))
        return _refused(500, "Internal Server Error")

    routes = [Route("/{path:path}", get, methods=["GET"]), Route("/{path:path}", post, methods=["POST"])]
    handlers: dict[Any, Any] = {NoMoreResults: refuse, QuerywrightError: refuse, 500: refuse}
    return Starlette(routes=routes, exception_handlers=handlers)


# --- running --------------------------------------------------------------------------------------------------------
def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off only where the protocol is named; else every answer waits 40 ms
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise QuerywrightError(f"no host {host!r}: {error}", hint="--host 127.0.0.1") from error
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except (OSError, OverflowError) as error:
        sock.close()
        raise QuerywrightError(f"cannot listen on {host}:{port}: {error}", hint="--port 0 takes a free port") from error
    return sock


def _server(index: Index | Rows) -> Any:
    uvicorn = need("uvicorn", extra="api")
    config = uvicorn.Config(application(index), log_level="warning", lifespan="off", timeout_graceful_shutdown=3)
    return uvicorn.Server(config)


def serve(api: API, records: str | Path | None, host: str, port: int, workspace: str | Path | None = None) -> None:
    """Serve until Ctrl-C. The port is taken first, so that a taken one is told before anything is built.

    Raises:
        QuerywrightError: the port is taken, or the records cannot be read.
    """
    with _listen(host, port) as sock:
        index = open_records(api, records, workspace)
        server = _server(index)
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{sock.getsockname()[1]}", flush=True)
        say(f"{api.title}: {index.size:,} {api.noun}s; Ctrl-C stops")
        server.run(sockets=[sock])


@contextmanager
def serving(
    api: API, records: str | Path | Index | Rows | None = None, workspace: str | Path | None = None
) -> Iterator[str]:
    """Run the service on a free loopback port while the block runs; gives its address.

    Args:
        records: what `open_records` takes, or open records.
    """
    given = records is None or isinstance(records, str | Path)
    index = open_records(api, cast("str | Path | None", records), workspace) if given else cast("Index | Rows", records)
    server = _server(index)
    with _listen("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        until = time.monotonic() + READY_S
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        if not server.started:
            raise QuerywrightError("the embedded service did not start", hint="querywright api serve shows why")
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
