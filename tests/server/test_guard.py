"""The guard: names, origins, paths, bodies, logins, forwarding, and what browsers are told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.responses import HTMLResponse

from querywright.errors import QuerywrightError
from server.access import users
from server.access.auth import Auth
from server.access.guard import OPEN, Guard
from server.access.origins import site_of
from server.settings import Limits

TOKEN = "t0ken-" * 6
PUBLIC = {"QUERYWRIGHT_ORIGINS": "https://ask.example.org"}


def inside() -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None)

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "HEAD"])
    async def all_paths(path: str, request: Request) -> Any:
        if path == "docs":
            return HTMLResponse("<script>a()</script><script src='/x.js'></script><p onclick='b()'>")
        return {"state": dict(request.scope["state"]), "body": len(await request.body())}

    return app


def guarded(
    host: str = "127.0.0.1", environ: Mapping[str, str] | None = None, auth: Auth | None = None,
    client: str = "127.0.0.1", url: str = "http://127.0.0.1:7860", **limits: Any,
) -> TestClient:  # fmt: skip
    app = inside()
    app.add_middleware(Guard, site=site_of(host, environ or {}), limits=Limits(**limits), auth=auth)
    return TestClient(app, base_url=url, client=(client, 5000))


@pytest.fixture(scope="module")
def here() -> TestClient:
    return guarded()


def code(response: Any) -> str:
    return str(response.json().get("error", {}).get("code", "")) if response.content else ""


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost:7860", "LOCALHOST", "localhost.", "[::1]:7860"]
)
def test_the_own_names_are_answered_to(here: TestClient, host: str) -> None:
    assert here.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "10.0.0.1",
     "evil.example\\@127.0.0.1", "127.0.0.1/x", "localhost:99999", "localhost:x", "[::1", "0.0.0.0", "2130706433",
     "127.0.0.1, evil.example", "locаlhost"],
)  # fmt: skip
def test_other_names_are_not(here: TestClient, host: str) -> None:
    response = here.get("/health", headers={"host": host.encode()})
    assert (response.status_code, code(response)) == (421, "unknown_host")


def test_a_network_is_answered_by_address_and_by_names_that_were_said() -> None:
    client = guarded("0.0.0.0", PUBLIC, client="10.0.0.9")
    for host in ("10.0.0.1:7860", "[fe80::1]:7860", "ask.example.org", "localhost"):
        assert client.get("/health", headers={"host": host}).status_code == 200, host
    for host in ("evil.example", "ask.example.org.evil.example"):  # a name of theirs may resolve to here
        refused = client.get("/health", headers={"host": host})
        assert refused.status_code == 421
        assert "QUERYWRIGHT_ORIGINS" in refused.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:7860", 200), ("https://127.0.0.1:7860", 403), ("http://127.0.0.1:8888", 403),
     ("http://localhost:7860", 403), ("null", 403), ("https://evil.example", 403), ("http://127.0.0.1", 403),
     ("http://127.0.0.1:7860/", 200), ("http://127.0.0.1:7860@evil.example", 403), ("", 403), ("file://", 403),
     ("http://127.0.0.1:7860 http://evil.example", 403)],
)  # fmt: skip
def test_only_the_same_origin_may_ask(here: TestClient, origin: str, status: int) -> None:
    for method in ("GET", "POST"):
        assert here.request(method, "/v1/call", headers={"origin": origin}).status_code == status


def test_public_origins_are_the_own_behind_a_proxy() -> None:
    client = guarded("127.0.0.1", {"QUERYWRIGHT_ORIGINS": "https://ask.example.org, other.example.org:8443"})
    seen = {"host": "ask.example.org", "x-forwarded-for": "203.0.113.5"}
    assert client.post("/v1/call", headers={**seen, "origin": "https://ask.example.org"}).status_code == 200
    assert client.post("/v1/call", headers={**seen, "origin": "http://ask.example.org"}).status_code == 200  # as seen
    assert client.post("/v1/call", headers={**seen, "origin": "https://ask.example.org:8443"}).status_code == 403
    told = {**seen, "x-forwarded-proto": "https"}
    assert client.post("/v1/call", headers={**told, "origin": "http://ask.example.org"}).status_code == 403
    for scheme in ("http", "https"):
        origin = f"{scheme}://other.example.org:8443"
        headers = {**told, "host": "other.example.org:8443", "origin": origin}
        assert client.post("/v1/call", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "fetched", "status"),
    [
        ("POST", {"sec-fetch-site": "same-origin"}, 200),
        ("POST", {"sec-fetch-site": "none"}, 200),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ("DELETE", {"sec-fetch-site": "cross-site"}, 403),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ("GET", {}, 200),
    ],
)
def test_what_a_browser_sends_for_another_site_is_refused(
    here: TestClient, method: str, fetched: dict[str, str], status: int
) -> None:
    assert here.request(method, "/v1/call", headers=fetched).status_code == status


@pytest.mark.parametrize("environ", [{"QUERYWRIGHT_ORIGINS": "https://a/b"}, {"QUERYWRIGHT_ORIGINS": "ftp://a"},
                                     {"QUERYWRIGHT_ORIGINS": "*"}, {"QUERYWRIGHT_ORIGINS": "https://*.a.example"},
                                     {"QUERYWRIGHT_TRUSTED_PROXIES": "proxy"}])  # fmt: skip
def test_wrong_settings_are_named(environ: dict[str, str]) -> None:
    with pytest.raises(QuerywrightError, match=next(iter(environ))):
        site_of("127.0.0.1", environ)
    with pytest.raises(QuerywrightError, match=r"(?s)ORIGINS.*PROXIES"):
        site_of("127.0.0.1", {"QUERYWRIGHT_ORIGINS": "a b://", "QUERYWRIGHT_TRUSTED_PROXIES": "x,10.0.0.0/8"})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.5", "203.0.113.5"),  # the first is what the client wrote itself
        ("127.0.0.1", "203.0.113.5, 10.1.2.3", "203.0.113.5"),
        ("10.1.2.3", "203.0.113.5:4711", "203.0.113.5"),
        ("10.1.2.3", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.1.2.3", "unknown", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.5, <script>", "10.1.2.3"),
        ("::ffff:10.1.2.3", "203.0.113.5", "203.0.113.5"),
        ("198.51.100.1", "203.0.113.5", "198.51.100.1"),  # nobody's proxy
        ("198.51.100.1", "127.0.0.1", "198.51.100.1"),
    ],
)
def test_forwarding_is_believed_of_known_proxies_only(peer: str, forwarded: str, address: str) -> None:
    client = guarded("0.0.0.0", {"QUERYWRIGHT_TRUSTED_PROXIES": "10.1.0.0/16"}, client=peer)
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    state = client.get("/v1/x", headers=headers).json()["state"]
    assert (state["address"], state["client"], state["user"], state["known"]) == (address, address, "", True)


def test_the_scheme_is_the_proxys_to_say() -> None:
    headers = {"host": "10.0.0.1", "x-forwarded-proto": "https", "origin": "https://10.0.0.1"}
    assert guarded("0.0.0.0", client="127.0.0.1").post("/v1/call", headers=headers).status_code == 200
    assert guarded("0.0.0.0", client="10.0.0.9").post("/v1/call", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/call", "/v1/chat/completions", "/health", "/metrics", "/docs", "/openapi.json", "/mcp", "/config",
     "/theme.css", "/assets/index-Dp_h.js", "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/run/ask",
     "/gradio_api/heartbeat/abc", "/gradio_api/cancel"],
)  # fmt: skip
def test_what_is_open(here: TestClient, path: str) -> None:
    assert here.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["file=/etc/passwd", "file=pyproject.toml", "file/x", "upload", "upload_progress", "proxy=https://example.org",
     "vibe-edit", "vibe-code", "deep_link", "process_recording", "stream/x", "component_server", "monitoring",
     "custom_component/a/b/c/d", "login", "token", "user", "runs", "dev/reload", "profiling/traces", "call/../file=/x",
     "call/%2e%2e/file=/x", "queue/join/%2e%2e/upload", "call//upload", "call/a%0ab", "call/a%00b", "call\\..\\x"],
)  # fmt: skip
def test_what_is_closed(here: TestClient, path: str) -> None:
    for prefix in ("/gradio_api/", "/", "/assets/../", "/static/..%2f"):
        response = here.post(prefix + path)
        assert response.status_code == 404, prefix + path
        assert code(response) == "not_found"


def test_the_open_list_is_no_prefix_of_more() -> None:
    for path in (
        "/gradio_api/queue/joined",
        "/gradio_api/call/ask",
        "/gradio_api/call/ask/0a1b",
        "/gradio_api/call/v2/ask",
        "/gradio_api",
        "/healthz",
        "/v1",
        "/mcp/messages/x",
        "/.env",
        "/x/v1/call",
    ):
        assert not OPEN.fullmatch(path), path


def test_bodies_are_bounded_with_and_without_a_length() -> None:
    client = guarded(body_bytes=1000)
    assert client.post("/v1/call", content=b"x" * 1000).json()["body"] == 1000

    def parts() -> Iterator[bytes]:
        yield from (b"x" * 600, b"x" * 600)

    for content in (b"x" * 1001, parts()):
        refused = client.post("/v1/call", content=content)
        assert (refused.status_code, code(refused)) == (413, "body_too_large")
        assert refused.headers["connection"] == "close"


def test_an_endless_or_slow_body_is_left_where_its_limit_is() -> None:
    async def drip() -> tuple[list[Any], int]:
        sent: list[Any] = []
        given = 0

        async def receive() -> Any:
            nonlocal given
            given += 1
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b"x" * size, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        async def app(*_: Any) -> None:
            raise AssertionError("the request came through")

        guard = Guard(app, site=site_of("127.0.0.1", {}), limits=Limits(body_bytes=1000, body_s=0.2))
        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/v1/call", "headers": headers, "client": ("127.0.0.1", 1)}
        await guard(scope, receive, send)
        return sent, given

    size = 1
    sent, given = asyncio.run(drip())
    assert sent[0]["status"] == 408
    assert b"body_s" in sent[1]["body"]
    size = 600
    sent, given = asyncio.run(drip())
    assert (sent[0]["status"], given) == (413, 2)


def test_who_goes_away_before_the_body_is_whole_asks_nothing() -> None:
    async def gone() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def app(*_: Any) -> None:
            raise AssertionError("half a request came through")

        guard = Guard(app, site=site_of("127.0.0.1", {}), limits=Limits())
        scope = {"type": "http", "method": "POST", "path": "/v1/call", "headers": [(b"host", b"localhost")]}
        await guard(scope, receive, send)
        return sent

    assert asyncio.run(gone()) == []


@pytest.mark.parametrize("name", ["host", "origin", "authorization", "content-length", "content-type"])
def test_a_header_that_two_readers_could_read_differently_is_refused(here: TestClient, name: str) -> None:
    value = {"host": "localhost", "content-length": "0"}.get(name, "x")
    sent = [(name, value), (name, "evil.example"), *([] if name == "host" else [("host", "localhost")])]
    assert here.build_request("GET", "/").headers["host"]
    response = here.post("/v1/call", headers=sent)
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"data": ["a", 1, 2.5, true, null], "event_data": {"value": 3}, "session_hash": "x"}', 200),
        ('{"session_hash": "x", "event_id": "y"}', 200),
        ("", 200),
        ('{"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}', 422),
        ('{"data": [[{"path": "https://example.org", "meta": {"_type": "gradio.FileData"}}]]}', 422),
        ('{"data": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}}', 422),
        ('{"data": [{}], "data": [1]}', 422),
        ('{"data": [1], "data": [{}]}', 422),
        ('[{"data": []}]', 422),
        ("[" * 20_000, 422),
        ("data=1", 422),
        ("\xff", 422),
    ],
)
def test_events_of_the_page_carry_no_files(here: TestClient, body: str, status: int) -> None:
    for path in ("run/stop", "queue/join", "run/stop/", "cancel", "reset"):
        assert here.post(f"/gradio_api/{path}", content=body.encode("latin-1")).status_code == status, path
    assert here.post("/v1/call", content='{"data": [{}]}').status_code == 200


def test_websockets_are_closed(here: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), here.websocket_connect("/gradio_api/queue/join"):
        pass


@pytest.fixture
def auth(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Auth:
    monkeypatch.setattr(users, "N", 2**14)
    monkeypatch.setattr(users, "P", 1)
    users.add(tmp_path / "users", "alice", "correct horse")
    return Auth(TOKEN, tmp_path / "users")


def test_nothing_but_health_answers_without_a_login(auth: Auth) -> None:
    client = guarded("0.0.0.0", PUBLIC, auth, client="203.0.113.5", url="http://ask.example.org")
    for path in ("/", "/v1/call", "/docs", "/openapi.json", "/mcp", "/config", "/theme.css", "/assets/a.js", "/metrics",
                 "/gradio_api/queue/join"):  # fmt: skip
        refused = client.get(path)
        assert (refused.status_code, code(refused)) == (401, "login_needed"), path
        assert (
            refused.headers["www-authenticate"] == 'Basic realm="Querywright", charset="UTF-8"'
        )  # no browser took more
    assert client.get("/health").json()["state"]["known"] is False
    assert client.get("/gradio_api/upload").status_code == 404


def test_a_login_is_put_into_the_state(auth: Auth) -> None:
    client = guarded("0.0.0.0", PUBLIC, auth, client="203.0.113.5", url="http://ask.example.org")
    state = client.get("/", auth=("alice", "correct horse")).json()["state"]
    assert state == {"client": "alice", "user": "alice", "address": "203.0.113.5", "known": True}
    state = client.get("/v1/call", headers={"authorization": f"Bearer {TOKEN}"}).json()["state"]
    assert state == {"client": "203.0.113.5", "user": "", "address": "203.0.113.5", "known": True}
    assert client.get("/", auth=("token", TOKEN)).status_code == 200
    assert client.get("/", auth=("alice", "wrong")).status_code == 401
    assert client.get("/health", auth=("alice", "wrong")).status_code == 401


def test_guessing_is_slowed_down_by_the_address_behind_the_proxy(auth: Auth) -> None:
    client = guarded("127.0.0.1", PUBLIC, auth, url="http://ask.example.org")
    seen = {"x-forwarded-for": "203.0.113.5"}
    for i in range(10):
        headers = {**seen, "authorization": f"Bearer {i}", "x-real-ip": f"10.0.0.{i}"}
        assert client.get("/", headers=headers).status_code == 401
    blocked = client.get("/", headers={**seen, "authorization": "Bearer x"})
    assert (blocked.status_code, code(blocked)) == (429, "too_many_logins")
    assert int(blocked.headers["retry-after"]) > 60
    assert client.get("/", headers={"x-forwarded-for": "203.0.113.6", "authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("login", [False, True])
def test_metrics_are_for_this_machine_or_the_token(auth: Auth, login: bool) -> None:
    given = auth if login else None
    refused = 401 if login else 403
    assert guarded(auth=given).get("/metrics").status_code == 200
    behind = guarded("127.0.0.1", PUBLIC, given)
    assert behind.get("/metrics", headers={"x-forwarded-for": "203.0.113.5"}).status_code == refused
    assert behind.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"}).status_code == refused
    assert behind.get("/metrics", headers={"host": "ask.example.org"}).status_code == refused
    other = guarded("0.0.0.0", {}, given, client="10.0.0.9")
    assert other.get("/metrics").status_code == refused
    token = other.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert token.status_code == (200 if login else 403)
    if login:
        assert other.get("/metrics", auth=("alice", "correct horse")).status_code == 403


def test_a_page_runs_its_own_scripts_only(here: TestClient) -> None:
    answer = here.get("/docs", headers={"accept-encoding": "gzip, br"})
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    digest = base64.b64encode(hashlib.sha256(b"a()").digest()).decode()
    assert f"'sha256-{digest}'" in policy["script-src"]
    assert policy["script-src"].count("sha256") == 1
    for words in policy.values():
        assert not re.search(r"https?:|\*", words)
    assert "'unsafe-inline'" not in policy["script-src"]
    assert (policy["default-src"], policy["frame-ancestors"], policy["connect-src"]) == ("'none'", "'none'", "'self'")
    other = here.get("/v1/x").headers
    assert "sha256" not in other["content-security-policy"]
    assert (other["x-content-type-options"], other["referrer-policy"]) == ("nosniff", "no-referrer")
    assert other["cache-control"] == "no-store"
    assert "no-store" not in here.get("/assets/a.js").headers.get("cache-control", "")
    assert "content-security-policy" in here.get("/nothing/here").headers


def test_gradios_page_is_hashed_whole(shared_app: Any) -> None:
    with TestClient(shared_app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        page = client.get("/", headers={"accept-encoding": "br, gzip"})
        policy = page.headers["content-security-policy"]
        scripts = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", page.text, re.DOTALL)
        assert len(scripts) > 3
        for script in scripts:
            assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
        assert not re.search(r"<[^>]+\son\w+=", page.text.partition("<body")[2]), "handlers in the HTML would not run"
        assert client.get("/gradio_api/file=/etc/passwd").status_code == 404


ATTACK = """<!doctype html><title>x</title><img src="{url}/v1/apis"><iframe name="f" src="{url}/"></iframe>
<form method="post" enctype="text/plain" target="f" action="{url}/v1/call">
<input name='{{"api":"mygene","instruction":"forged' value='"}}'></form><script>
  const body = '{{"api": "mygene", "instruction": "forged"}}';
  const sent = {{method: "POST", mode: "no-cors", credentials: "include", body}};
  Promise.allSettled([fetch("{url}/v1/call", sent), fetch("{url}/gradio_api/queue/join", sent),
    fetch("{url}/v1/apis", {{credentials: "include"}}).then(r => r.text()).then(t => {{ window.read = t; }})])
    .then(() => {{ document.forms[0].submit(); setTimeout(() => {{ document.title = "done"; }}, 500); }});
</script>"""


@pytest.mark.slow
def test_in_a_browser_a_login_works_and_others_sites_and_scripts_do_not(auth: Auth, tmp_path: Path) -> None:
    """With the password at hand for every request to the server, as after a login."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    import uvicorn

    from server import app
    from server.keep.store import Store
    from tests.server.browsing import FLAGS, Watch, chromium
    from tests.server.fakes import make_service

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(ATTACK.format(url=url).encode())

        def log_message(self, *_: Any) -> None: ...

    path, store, service = chromium(), Store(tmp_path / "feedback.sqlite"), make_service()
    sock = app.bind("127.0.0.1", 0)
    url = app.url(sock, "127.0.0.1")
    sock.listen(64)
    config = uvicorn.Config(
        app.build(service, store, auth=auth), log_level="error", log_config=None, ws="none", proxy_headers=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server, evil = uvicorn.Server(config), HTTPServer(("127.0.0.1", 0), Evil)
    threads = [
        threading.Thread(target=server.run, kwargs={"sockets": [sock]}),
        threading.Thread(target=evil.serve_forever),
    ]
    for thread in threads:
        thread.start()
    try:
        with playwright.sync_playwright() as player:
            browser = player.chromium.launch(executable_path=path, args=FLAGS)
            login = {"username": "alice", "password": "correct horse"}
            context = browser.new_context(http_credentials=login)
            context.set_default_timeout(60_000)
            watch = Watch()
            page = watch.over(context.new_page())
            page.goto(url)
            page.locator("#qw-ask textarea").fill("nonsense <img src=x onerror=window.ran=1>")
            page.locator("#qw-ask textarea").press("Enter")
            page.wait_for_selector(".qw-status")
            assert watch.faults == []
            page.evaluate(  # as if it had not been escaped
                """() => { const one = document.createElement('div');
                  one.innerHTML = '<img src="data:," onerror="window.ran = 2"><svg onload="window.ran = 3"></svg>';
                  const two = document.createElement('script'); two.textContent = 'window.ran = 4';
                  const three = document.createElement('script'); three.src = 'http://127.0.0.1:9/x.js';
                  document.body.append(one, two, three); }"""
            )
            page.wait_for_timeout(300)
            assert page.evaluate("window.ran") is None
            writer = service._writers[service.choice()]
            asked = [sentence for sentence, *_ in writer.said]  # type: ignore[attr-defined]
            other = context.new_page()
            other.goto(f"http://localhost:{evil.server_port}/")
            other.wait_for_function("document.title === 'done'")
            assert other.evaluate("window.read") is None
            assert [sentence for sentence, *_ in writer.said] == asked  # type: ignore[attr-defined]
            browser.close()
    finally:
        server.should_exit = True
        evil.shutdown()
        for thread in threads:
            thread.join(20)
        evil.server_close()
        store.close()


def test_who_sends_too_much_may_finish_and_is_told() -> None:
    """A connection that is closed on somebody who still sends is reset, and they see no 413."""
    import asyncio

    from server.access.guard import pass_by

    left = [b"x" * 1000] * 20

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

    asyncio.run(pass_by(receive, Limits(body_bytes=1000)))
    assert not left
    left[:] = [b"x" * 1000] * 100
    asyncio.run(pass_by(receive, Limits(body_bytes=1000)))
    assert len(left) == 100 - 32  # not without end
