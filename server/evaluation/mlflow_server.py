"""MLflow's pages and its REST interface on the service's store, in one process: `querywright evaluation mlflow`.

MLflow's own application is served, behind a door: what runs code on the server's machine, calls models, or sends to
other addresses (assistant, gateway, webhooks, scorers, jobs) is not there, and nothing tells its makers that it is
used. Host names and origins are checked by MLflow itself (`MLFLOW_SERVER_ALLOWED_HOSTS`, by default this machine and
private networks; `MLFLOW_SERVER_CORS_ALLOWED_ORIGINS`).
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.mlflow_client import load_mlflow
from querywright.progress import say
from server.evaluation.tracking_store import Store
from server.settings import KEEP_ALIVE_S

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
SHUT = re.compile(
    r"^/+((ajax-)?api/+\d\.\d/+(mlflow/+)?"
    r"(assistant|gateway|webhooks|scorers|jobs|prompt-optimization|runs/+create-promptlab-run|mcp)\b(?!-proxy)"
    r"|gateway/|v1/)",
    re.IGNORECASE,
)
"""Paths that this service has no use for, and that reach out or run something."""
SET_UP = (
    b"<script>try{localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1','true');"
    b"localStorage.setItem('mlflow.telemetry.info.alert.dismissed_v1','true');"
    b"if(!localStorage.getItem('mlflow.workflowType_v1'))"
    b"localStorage.setItem('mlflow.workflowType_v1','\"machine_learning\"')}catch(e){}</script>"
)
"""The panel of the assistant, which is not here, stays shut, and so does what is said of telemetry, which is off;
experiments open on their runs, not on traces."""


def serve(uri: str, artefacts: Path | None, host: str = "127.0.0.1", port: int = 5000) -> None:
    """Serve until Ctrl-C. The store is made where it is missing; its experiments by who records first: they say where
    files go, to this server where a worker talks to it.

    Args:
        uri: the store, a database; an `http://` address is somebody else's server, which has pages of its own.
        artefacts: where files lie, those included that workers send to this server.
    """
    store = Store(uri, artefacts)
    if store.remote or store.artefacts is None:
        raise QuerywrightError(f"MLflow is a server already, at {store.shown}", hint="open that address in a browser")
    with store.recording():
        pass
    store.closed()
    import uvicorn

    say(f"MLflow on http://{host}:{port}")
    uvicorn.run(
        door(application(uri, store.artefacts)), host=host, port=port, log_level="warning", access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )  # fmt: skip


def application(uri: str, artefacts: Path) -> Any:
    """MLflow's application on this store; files that clients send go to `artefacts`."""
    load_mlflow(extra="evaluation")
    from mlflow.server import constants

    os.environ.pop("MLFLOW_DEPLOYMENTS_TARGET", None)  # a server that its pages would call
    # as `mlflow server` hands these to its workers; it would be two more processes, one of them for MLflow's own jobs
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: uri,
            constants.REGISTRY_STORE_URI_ENV_VAR: uri,
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: artefacts.as_uri(),
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
        }
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "starlette.middleware.wsgi is deprecated")  # nothing that a user could change
        from mlflow.server.fastapi_app import app

    return app


def door(app: App) -> App:
    """An application without the paths of `SHUT` (404), and with `SET_UP` in its page."""

    async def shut(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and SHUT.match(scope["path"]):
            headers = [(b"content-type", b"application/json")]
            body = b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "not part of this service"}'
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        elif scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            await _page(app, scope, receive, send)
        elif scope["type"] != "websocket":
            await app(scope, receive, send)

    return shut


async def _page(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """The page, which loads everything else, with `SET_UP` before its scripts. It is always sent whole: a page that a
    browser has from before would be without."""
    begun: list[Any] = []
    body = bytearray()

    async def kept(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.append(message)
        else:
            body.extend(message.get("body", b""))

    whole = {**scope, "headers": [pair for pair in scope["headers"] if not pair[0].startswith(b"if-")]}
    await app(whole, receive, kept)
    page = bytes(body).replace(b"<head>", b"<head>" + SET_UP, 1)
    headers = [(k, v) for k, v in begun[0]["headers"] if k not in (b"content-length", b"etag", b"last-modified")]
    headers.append((b"content-length", str(len(page)).encode()))
    await send({**begun[0], "headers": headers})
    await send({"type": "http.response.body", "body": page})
