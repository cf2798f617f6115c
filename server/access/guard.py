"""What stands before every request: known names, known paths, logins, bounded bodies, and a page that stays at home.

Of Gradio's routes only those that this page needs are let through: none that takes, keeps or fetches files. Who asks is
put into the request's state: `client` (the user, or the address), `user` and `address`, and `known`, which is false for
somebody who has not logged in and may only see that the server is up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.access import events
from server.access import headers as policy
from server.access.auth import Auth, No, Who
from server.access.origins import Client, Site, client_of, is_loopback, refusal, split_host
from server.access.teams import Teams
from server.problems import problem
from server.settings import Limits

OPEN = re.compile(
    r"/|/v1/[\w./:@+-]*|/health|/ready|/metrics|/docs|/openapi\.json|/mcp/?"
    r"|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt"  # what the page is made of
    r"|/(assets|static|svelte)/[\w./@+-]+"
    # its events: join the queue, hear what comes of it, give up; run what does not queue
    r"|/gradio_api/(info|startup-events|app_id|reset|cancel|queue/(join|data)|heartbeat/\w+|run/\w+)/?"
)
ONCE = (b"host", b"origin", b"authorization", b"content-length", b"content-type")
"""Headers that two readers could read differently where they are sent twice."""


class Guard:
    """ASGI middleware.

    Args:
        auth: who may ask; None lets everybody in who reaches the server.
        paths: the addresses that there are.
        streamed: of the addresses to which bodies are posted that the application reads by itself, piece by piece, the
            largest size in bytes. Those of all others are read here, whole.
    """

    def __init__(
        self, app: ASGIApp, *, site: Site, limits: Limits, auth: Auth | Teams | None = None,
        paths: re.Pattern[str] = OPEN, streamed: Mapping[str, int] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.app, self.site, self.limits, self.auth = app, site, limits, auth
        self.paths, self.streamed = paths, streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        marked = policy.Marked(send, scope["path"])
        found = await self._refuse(scope)
        if isinstance(found, tuple):
            status, code, message, hint, extra = found
            if status == 413:
                await pass_by(receive, self.limits, self._most(scope) or 0)
            answer = problem(status, code, message, hint, **{"Connection": "close", **extra})
            await answer(scope, receive, marked)
            return
        if self._most(scope) is not None:
            await self.app(policy.readable(scope), receive, marked)
            return
        body = await _read(receive, self.limits)
        if isinstance(body, tuple):
            status, code, message = body
            await problem(status, code, message, Connection="close")(scope, receive, marked)
        elif body and scope["path"].startswith(events.PREFIX) and not events.plain(body):
            refused = problem(422, "no_event", "an event of the page carries plain values, no files", "see /docs")
            await refused(scope, receive, marked)
        elif body is not None:
            await self.app(policy.readable(scope), _replay(body, receive), marked)

    async def _refuse(self, scope: Scope) -> tuple[int, str, str, str, dict[str, str]] | None:
        """Why a request is not taken, with headers for the answer; None where it is: then its state says who asks."""
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in ONCE):
            return 400, "repeated_header", "a header that may stand once is there twice", "", {}
        headers = _headers(scope)
        peer = scope["client"][0] if scope.get("client") else ""
        client = client_of(self.site, peer, scope.get("scheme", "http"), headers)
        foreign = refusal(self.site, scope["method"], headers, client.scheme)
        if foreign is not None:
            return *foreign, {}
        path = scope["path"]
        if not self.paths.fullmatch(path) or ".." in path or "//" in path:
            return 404, "not_found", "there is nothing at this address", "see /docs", {}
        length = headers.get("content-length", "0")
        most = self._most(scope)
        if length.isdigit() and int(length) > (self.limits.body_bytes if most is None else most):
            return *(_too_large(self.limits) if most is None else upload_too_large(most)), "", {}
        who = await self._who(headers, client, path)
        if isinstance(who, No):
            if who.retry_after:
                return 429, "too_many_logins", who.reason, "wait", {"Retry-After": str(who.retry_after)}
            assert self.auth is not None
            return 401, "login_needed", who.reason, self.auth.hint, {"WWW-Authenticate": self.auth.challenge}
        if path == "/metrics" and not (who and who.token) and not self._is_here(client, headers):
            return 403, "not_yours", "metrics are for this machine, or for who has the token", "", {}
        user = who.user if who else ""
        scope.setdefault("state", {}).update(
            client=user or client.address, user=user, address=client.address, known=self.auth is None or who is not None
        )
        return None

    def _most(self, scope: Scope) -> int | None:
        """The largest body of a request that the application reads by itself; None where it is read here."""
        return self.streamed.get(scope["path"]) if scope["method"] == "POST" else None

    async def _who(self, headers: Mapping[str, str], client: Client, path: str) -> Who | No | None:
        """Who asks; None where nobody has to say so."""
        if self.auth is None:
            return None
        given = headers.get("authorization", "")
        if not given:
            local = path == "/metrics" and self._is_here(client, headers)
            known = path in ("/health", "/ready", *self.auth.open) or local
            return None if known else No(self.auth.needed)
        return await self.auth.who(given, client.address)

    @staticmethod
    def _is_here(client: Client, headers: Mapping[str, str]) -> bool:
        """Whether a program on this machine asks, with nothing in between."""
        host = split_host(headers.get("host", ""), client.scheme)
        return client.direct and is_loopback(client.address) and host is not None and is_loopback(host[0])


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by their lower-case names; what is sent in several lines stands between commas."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _too_large(limits: Limits) -> tuple[int, str, str]:
    return 413, "body_too_large", f"at most {limits.body_bytes:,} bytes are read (limit body_bytes)"


def upload_too_large(most: int) -> tuple[int, str, str]:
    """What is said of a file that is larger than what is taken, in bytes."""
    return 413, "upload_too_large", f"a file may have {most:,} bytes at most: cut it into several"


async def _read(receive: Receive, limits: Limits) -> bytes | tuple[int, str, str] | None:
    """The whole body, why it is not taken, or None where the client has gone.

    A body without a length may be of any, and one that drips may take for ever: both are stopped at their limits.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limits.body_bytes:
                    return _too_large(limits)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return 408, "body_too_slow", f"the body did not arrive within {limits.body_s:g} s (limit body_s)"


async def pass_by(receive: Receive, limits: Limits, most: int = 0) -> None:
    """Read a body that is not taken, up to some size (`most` bytes, or more): a connection that is closed while
    somebody still sends is reset, and they would not see why."""
    left = max(most, 32 * limits.body_bytes)
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.body_s):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
