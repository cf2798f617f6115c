"""MCP over standard input and output: an agent starts this process and is the only one it answers."""

from __future__ import annotations

from contextlib import ExitStack, closing

from querywright.errors import need
from querywright.progress import say
from server.asking import Desk
from server.metrics import Metrics
from server.settings import limits_of
from server.start import Options, open_service, open_store


def run(options: Options) -> None:
    """Answer until standard input ends. Standard output is the protocol's alone; what is said goes to standard error.

    Raises:
        QuerywrightError: an API, a model or records can't be opened, or an extra is missing.
    """
    need("mcp", extra="mcp")
    import anyio

    from server.rest.mcp_tools import server

    limits = limits_of()
    with ExitStack() as opened:
        store = opened.enter_context(closing(open_store(options)))
        service = open_service(opened, options, limits)
        desk = opened.enter_context(closing(Desk(service, store, Metrics(service))))
        say(f"an agent may ask; questions are kept in {store.where}")
        anyio.run(server(desk).run_stdio_async)
