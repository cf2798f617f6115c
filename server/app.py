"""One process: REST, the page and the store; and the running of it on one socket."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, need
from server.access.auth import Auth
from server.access.origins import site_of
from server.keep.store import Store
from server.service import Service
from server.settings import KEEP_ALIVE_S, Limits


def environment() -> None:
    """What Gradio reads from the environment, before it is imported: nothing leaves this machine, no shared folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_SHARE"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["GRADIO_SSR_MODE"] = "False"
    # Gradio would make statistics of its last 10,000 events at each event, for a page that is closed here
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"
    os.environ["GRADIO_TEMP_DIR"] = str(Path(tempfile.gettempdir()) / f"querywright-page-{os.getpid()}")


def build(service: Service, store: Store, *, host: str = "127.0.0.1", auth: Auth | None = None) -> Any:
    """The ASGI application: REST with the page mounted at `/`."""
    need("fastapi", extra="serve")
    environment()
    need("gradio", extra="serve")
    import gradio as gr

    from server.access import guard
    from server.metrics import Counted
    from server.page import blocks
    from server.rest import routes

    app = routes.build(service, store)
    app.add_middleware(guard.Guard, site=site_of(host), limits=service.limits, auth=auth)
    app.add_middleware(Counted, metrics=app.state.metrics)  # last, so outermost: what the guard refuses counts too
    page = blocks.build(service, store, app.state.metrics)
    return gr.mount_gradio_app(
        app, page, path="/", allowed_paths=[], ssr_mode=False, mcp_server=False, footer_links=[], run_history=False,
        enable_monitoring=False, max_file_size=1, show_error=False, theme=blocks.theme(), css_paths=[blocks.CSS],
    )  # fmt: skip


def bind(host: str, port: int, command: str = "querywright serve") -> socket.socket:
    """Take the port before anything slow is loaded; it answers once `run` listens.

    Raises:
        QuerywrightError: the port is in use or not allowed, or the host is not one of this machine.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        try:
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            if os.name == "posix":  # else a second server could take the port too while this one loads
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            return sock
        except OSError:
            sock.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = f"--port {port + 1}" if port < 65535 else "--port 7860"
            raise QuerywrightError(f"port {port} of {host} is in use", hint=f"{command} {free}") from error
        if error.errno == errno.EACCES:
            raise QuerywrightError(f"port {port} needs more rights", hint="choose a port above 1023") from error
        raise QuerywrightError(
            f"could not listen at {host}:{port}: {error.strerror or error}", hint=f"{command} --host 127.0.0.1"
        ) from error


def url(sock: socket.socket, host: str) -> str:
    """Where a browser on this machine finds the server."""
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{sock.getsockname()[1]}"


def run(app: Any, sock: socket.socket, limits: Limits) -> None:
    """Serve until Ctrl-C; running requests may end first. A second Ctrl-C ends at once.

    Raises:
        QuerywrightError: another server listens on the port since it was taken.
    """
    import gc

    import uvicorn
    from starlette.routing import Mount

    page = next((route.app for route in app.routes if isinstance(route, Mount)), None)

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            stop = getattr(page, "stop_event", None)
            if stop is not None:
                stop.set()  # open pages hold a connection each, which would keep the server up
            await super().shutdown(sockets)

    if os.name == "posix":  # connections inherit it: those that are ending keep nobody from starting again
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.listen(128)  # the port was free when it was taken; another server may have listened first
    except OSError as error:
        raise QuerywrightError("another server took this port meanwhile", hint="choose another --port") from error
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=5, ws="none",
        timeout_keep_alive=KEEP_ALIVE_S, limit_concurrency=limits.connections, server_header=False,
        proxy_headers=False,  # the guard reads them
    )  # fmt: skip
    # What is loaded stays: to look through it for garbage takes a quarter of a second, in which nobody is answered or
    # refused, and to take it apart at the end takes three. (It is not collected before: Ctrl-C may be lost in that.)
    gc.freeze()
    Server(config).run(sockets=[sock])
