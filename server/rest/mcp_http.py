"""MCP over HTTP, at /mcp in the same process as the page and REST. Stateless: every request stands for itself.

Host, origin, login and the size of the body were checked by the guard, as of every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from querywright.errors import QuerywrightError
from querywright.progress import say
from server.asking import Desk
from server.problems import problem
from server.rest.mcp_tools import WHO, server


class Endpoint:
    """ASGI application. Without the package mcp it says what is missing."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._manager: Any = None
        self._missing: QuerywrightError | None = None
        try:
            self._server = server(desk)
        except QuerywrightError as error:
            self._missing = error
            say(f"no MCP: {error} ({error.hint})")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer while this is open. A manager runs once, so each time has its own."""
        if self._missing is not None:
            yield
            return
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
        from mcp.server.transport_security import TransportSecuritySettings

        self._manager = StreamableHTTPSessionManager(
            self._server._lowlevel_server, json_response=True, stateless=True,
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the guard's work
            max_request_body_size=self.desk.service.limits.body_bytes,
        )  # fmt: skip
        async with self._manager.run():
            yield
        self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._missing is not None:
            await problem(501, "no_mcp", str(self._missing), self._missing.hint)(scope, receive, send)
            return
        if scope["method"] != "POST":  # there is no stream to listen to, and no session to end
            refusal = problem(405, "method_not_allowed", "MCP is spoken over POST here", "see /docs", Allow="POST")
            await refusal(scope, receive, send)
            return
        if self._manager is None:
            await problem(503, "starting", "the server starts or stops")(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        gone = asyncio.Event()
        sent = False

        async def again() -> Message:
            nonlocal sent
            if sent:
                await gone.wait()
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async with self.desk.visit(request, "mcp", gone) as who:
            token = WHO.set(who)
            try:
                await self._manager.handle_request(scope, again, send)
            finally:
                WHO.reset(token)
