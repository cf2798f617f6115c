"""What answers where no route does."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.problems import problem


class Nothing:
    """What answers where no route does, as JSON: without it, the page that is mounted at / would."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        allowed = {m for route in self.routes if route.path_regex.match(path) for m in route.methods or ()}
        if path in ("/docs", "/openapi.json"):
            allowed = {"GET"}
        if allowed:
            names = ", ".join(sorted(allowed))
            answer = problem(405, "method_not_allowed", f"this address takes {names}", "see /docs", Allow=names)
        else:
            answer = problem(404, "not_found", "there is nothing at this address", "see /docs")
        await answer(scope, receive, send)
