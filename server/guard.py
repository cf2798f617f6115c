"""What stands before every request: known hosts, known paths, bounded bodies, and a page that stays at home.

A page in the user's browser is open to other sites as well: a name that resolves to 127.0.0.1 would let them read it
(DNS rebinding), so the Host header is checked. Of Gradio's routes only those that this page needs are let through:
none that takes, keeps or fetches files.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.rest import problem

OPEN = re.compile(
    r"/|/v1/.*|/health|/docs|/openapi\.json"
    r"|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|startup-events|app_id|reset|cancel|queue/(join|data)|heartbeat/\w+|(call|run)/.*)/?"
)
HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Guard:
    """ASGI middleware. `hosts` None lets every Host header through (a server that others are meant to reach)."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str] | None, body_bytes: int) -> None:
        self.app = app
        self.hosts = hosts
        self.body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                new = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                message = {**message, "headers": [*message["headers"], *new]}
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refuse(scope, headers)
        if refusal is not None:
            await problem(*refusal)(scope, receive, send_marked)
            return
        body = await _read(receive, self.body_bytes)
        if body is None:
            await problem(413, "body_too_large", f"at most {self.body_bytes:,} bytes are read")(
                scope, receive, send_marked
            )
            return
        await self.app(scope, _replay(body, receive), send_marked)

    def _refuse(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        if self.hosts is not None:
            if _host(headers.get("host", "")) not in self.hosts:
                return 421, "unknown_host", "this server answers to its own address only"
            origin = headers.get("origin")
            if origin is not None and _host(urlsplit(origin).netloc) not in self.hosts:
                return 403, "foreign_origin", "a page of another site may not ask here"
        if not OPEN.fullmatch(scope["path"]):
            return 404, "not_found", "there is nothing at this address"
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.body_bytes:
            return 413, "body_too_large", f"at most {self.body_bytes:,} bytes are read"
        return None


def _host(netloc: str) -> str:
    return (urlsplit("//" + netloc).hostname or "").lower() if netloc and "\\" not in netloc else ""


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body, or None where it is longer than `limit` (a body without a length may be any)."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
