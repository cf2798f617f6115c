"""The tools that agents call over MCP: write a call, run one, see what is served. Both transports share them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

from querywright import __version__
from querywright.errors import QuerywrightError, need
from server.asking import Desk, Who
from server.problems import told
from server.rest.call import run_path
from server.rest.shapes import CallHits, call_reply

WHO: ContextVar[Who | None] = ContextVar("who", default=None)
"""Who called a tool, where a transport knows it."""
ABOUT = """Turns sentences into calls of web APIs about biology (genes, diseases, ...), checked to be valid.
First list_apis; then write_call with a sentence; run_call shows what a call finds in local records.
A confidence is the chance that the call is right; show the explanation to the user where it is low."""
T = TypeVar("T")
Sentence = Annotated[str, Field(description="What to look for, in a sentence.")]
Name = Annotated[str, Field(description="Name of an API: see list_apis.")]
Path = Annotated[str, Field(description="Path and query of a call.")]


class Written(BaseModel):
    """The call for a sentence. Where `ok` is false, `reason` says why there is none."""

    path: str = Field(description="The call.")
    ok: bool
    reason: str
    explanation: list[str] = Field(description="The call in words, clause by clause.")
    url: str = Field(description="The call at the live API; empty where it is none.")
    confidence: float | None = Field(description="The chance that the call is right; null where it is not known.")


class Ran(BaseModel):
    """What a call found in the local records. `hits` is null where it was not run; `reason` says why."""

    path: str
    ok: bool
    reason: str
    explanation: list[str]
    url: str
    hits: CallHits | None


class ServedApi(BaseModel):
    """An API that calls can be written for."""

    name: str
    title: str
    about: str
    base_url: str
    records: str = Field(description="What run_call searches; empty where it searches nothing.")


class ServedApis(BaseModel):
    """All of them."""

    apis: list[ServedApi]


def server(desk: Desk) -> Any:
    """An MCP server (`mcp.server.mcpserver.MCPServer`) with the tools.

    Raises:
        QuerywrightError: the package mcp is not installed.
    """
    need("mcp", extra="mcp")
    from mcp.server.mcpserver import MCPServer
    from mcp.types import ToolAnnotations

    service = desk.service
    root = logging.getLogger()
    before, level = [*root.handlers], root.level
    made: Any = MCPServer(
        "querywright", title="Querywright", instructions=ABOUT, version=__version__, log_level="WARNING",
        subscriptions=False,
    )  # fmt: skip
    root.handlers[:], root.level = before, level  # it sets up logging for the whole process, which is not its own

    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)

    async def write_call(api: Name, instruction: Sentence) -> Written:
        """Write the call of an API that a sentence asks for. The call is checked, not sent."""
        choice = service.choice(api)
        who = WHO.get() or Who(desk.client({}), "mcp", threading.Event())
        said = call_reply(await desk.ask(who, choice, instruction, run=False)).model_dump()
        return Written(**{name: said[name] for name in Written.model_fields})

    async def run_call(api: Name, path: Path) -> Ran:
        """Run a call on the server's local records: how many there are, the first of them, counts. The live API is not
        asked."""
        ran = await desk.look(run_path, service, api, path)
        said = {**ran.model_dump(), "reason": ran.reason or ran.hits_reason}
        return Ran(**{name: said[name] for name in Ran.model_fields})

    async def list_apis() -> ServedApis:
        """The APIs that calls can be written for."""
        return ServedApis(
            apis=[
                ServedApi(name=name, title=s.api.title, about=s.api.about, base_url=s.api.base_url, records=s.records)
                for name, s in service.apis.items()
            ]
        )

    for tool in (write_call, run_call, list_apis):
        made.add_tool(_told(tool), name=tool.__name__, annotations=reads)
    return made


def _told(tool: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """A tool whose foreseen errors the agent reads; of others it hears nothing."""
    from functools import wraps

    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    async def telling(*args: Any, **named: Any) -> T:
        try:
            return await tool(*args, **named)
        except QuerywrightError as error:
            said = told(error)
            raise ToolError(f"{said.message} ({said.code})" + (f". {said.hint}" if said.hint else "")) from None

    return telling
