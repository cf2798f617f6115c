"""HTTP with care: which addresses are refused, what is connected to, and when an answer is too much or too late."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("stamina")

from querywright.api import fetch
from querywright.api.addresses import is_address, is_loopback, refusal
from querywright.api.fetch import Fetcher, Pace, RefusedAddress, retry_after
from querywright.errors import QuerywrightError

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "193.62.193.80"]
PRIVATE = [
    *("127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1"),
]
NEVER = [
    *("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192"),
    *("168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "0.0.0.0", "0.1.2.3", "224.0.0.1"),
    *("255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "ff02::1", "2001:db8::1", "2002:7f00:1::"),
    *("2002:a9fe:a9fe::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::127.0.0.1", "fec0::1", "64:ff9b:1::a00:1"),
    *("100::1", "::ffff:0:127.0.0.1", "not an address", ""),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert refusal(address) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_open_where_allowed(address: str) -> None:
    assert refusal(address)
    assert refusal(address, allow_private=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_other_addresses_are_never_open(address: str) -> None:
    assert refusal(address)
    assert refusal(address, allow_private=True)


def test_what_is_written_as_an_address() -> None:
    assert is_address("127.0.0.1")
    assert is_address("::1")
    assert not any(map(is_address, ("2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost", "api.example.org")))
    assert is_loopback("localhost")
    assert is_loopback("127.0.0.1")
    assert not is_loopback("10.0.0.1")


# --- a server that does what it should not --------------------------------------------------------------------------
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        kind, _, rest = self.path.strip("/").partition("?")
        times = sum(path == self.path for path, _ in self.asked)
        with contextlib.suppress(OSError):
            if kind == "redirect":
                self.send(b"", 302, Location="http://169.254.169.254/latest/meta-data/")
            elif kind == "huge":
                self.send_response(200)
                self.end_headers()
                for _ in range(200):
                    self.wfile.write(b"x" * 100_000)
                self.close_connection = True
            elif kind == "bomb":
                self.send(gzip.compress(b"\0" * 30_000_000), **{"Content-Encoding": "gzip"})
            elif kind == "br":
                self.send(b"....", **{"Content-Encoding": "br"})
            elif kind == "packed":
                self.send(gzip.compress(b'{"a":1}'), **{"Content-Encoding": "gzip"})
            elif kind == "broken":
                self.send(gzip.compress(b'{"a":1}')[3:], **{"Content-Encoding": "gzip"})
            elif kind == "drip":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                for _ in range(100):
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            elif kind == "busy" and times == 1:
                self.send(b"", 429, **{"Retry-After": rest})
            elif kind == "always":
                self.send(b"", 503, **({"Retry-After": rest} if rest else {}))
            elif kind == "cut" and times == 1:
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"{")
                self.close_connection = True
            else:
                self.send(b'{"ok":true}', **{"Set-Cookie": "a=b"})

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


class Service:
    """A running server: its port, and what it was asked."""

    def __init__(self, port: int, asked: list[tuple[str, dict[str, str]]]) -> None:
        self.port, self.asked = port, asked
        self.url = f"http://127.0.0.1:{port}"

    def fetcher(self, **how: Any) -> Fetcher:
        return Fetcher(self.url, allow_private=True, **how)


@contextlib.contextmanager
def running(context: ssl.SSLContext | None = None, family: socket.AddressFamily = socket.AF_INET) -> Iterator[Service]:
    asked: list[tuple[str, dict[str, str]]] = []
    own = type("Own", (Handler,), {"asked": asked})
    kind = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
    with kind(("127.0.0.1" if family == socket.AF_INET else "::1", 0), own) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield Service(server.server_port, asked)
        server.shutdown()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(fetch, "WAIT_S", 0.01)
    with running() as one:
        yield one


# --- where a request goes -------------------------------------------------------------------------------------------
def test_checked_address_is_the_one_connected_to(service: Service) -> None:
    """A name server that answers otherwise the second time (rebinding) is not asked a second time."""
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    fetcher = Fetcher(
        f"http://api.example.org:{service.port}", allow_private=True, resolve=lambda host, port: answers.pop(0)
    )
    assert fetcher.get("/a").json() == {"ok": True}
    assert fetcher.get("/b").status == 200  # on the same connection
    assert service.asked[0][1]["host"] == f"api.example.org:{service.port}"
    assert len(answers) == 1
    fetcher.close()  # a new connection asks again, and is refused
    with pytest.raises(RefusedAddress, match=r"api.example.org \(169.254.169.254\)"):
        fetcher.get("/c")
    assert [path for path, _ in service.asked] == ["/a", "/b"]


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:7f00:1"], ["fd00:ec2::254"]])
def test_name_with_a_closed_address_is_refused(service: Service, found: list[str]) -> None:
    asked: list[str] = []
    fetcher = Fetcher(f"http://api.example.org:{service.port}", resolve=lambda host, _: asked.append(host) or found)
    for ask in (lambda: fetcher.get("/"), fetcher.reach):
        with pytest.raises(RefusedAddress) as refused:
            ask()
        assert not refused.value.retryable
        assert refused.value.hint
    assert len(asked) == 2  # not tried again
    assert service.asked == []


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "0x7f000001", "127.1", "localhost", "[::1]", "0"])
def test_odd_spellings_of_this_machine_are_refused(service: Service, host: str) -> None:
    try:
        socket.getaddrinfo(host.strip("[]"), service.port)
    except OSError:
        pytest.skip("this system does not read the spelling")
    with pytest.raises(RefusedAddress):
        Fetcher(f"http://{host}:{service.port}").get("/")
    assert service.asked == []


def test_second_address_is_tried(service: Service) -> None:
    fetcher = Fetcher(
        f"http://api.example.org:{service.port}", allow_private=True, resolve=lambda *_: ["127.0.0.9", "127.0.0.1"]
    )
    assert fetcher.get("/").status == 200


def test_reach_connects_and_asks_nothing(service: Service) -> None:
    Fetcher(f"http://127.0.0.1:{service.port}", allow_private=True).reach()
    Fetcher("http://api.example.org", proxy=f"http://127.0.0.1:{service.port}").reach()
    assert service.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://api.invalid"])
def test_reach_tries_once_where_nobody_answers(url: str) -> None:
    tries: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        tries.append(host)
        if host == "api.invalid":
            raise OSError("no such name")
        return [host]

    with pytest.raises(QuerywrightError, match="does not answer") as said:
        Fetcher(url, allow_private=True, resolve=resolve).reach()
    assert said.value.retryable
    assert len(tries) == 1


def test_reach_does_not_wait_for_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "REACH_S", 0.01)
    done = threading.Event()
    with pytest.raises(QuerywrightError, match="no connection within"):
        Fetcher("http://api.example.org", resolve=lambda *_: [str(done.wait(60))]).reach()
    assert not done.is_set()  # it did not return before we stopped waiting
    done.set()


def test_redirects_are_told_and_not_followed(service: Service) -> None:
    answer = service.fetcher().get("/redirect")
    assert (answer.status, answer.location) == (302, "http://169.254.169.254/latest/meta-data/")
    assert len(service.asked) == 1


def test_environment_and_answers_add_nothing(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetcher = service.fetcher()
    fetcher.get("/a")
    fetcher.get("/b?q=x%20y;z")
    path, headers = service.asked[1]
    assert path == "/b?q=x%20y;z"
    assert not {"authorization", "cookie", "referer"} & headers.keys()
    assert headers["user-agent"].startswith("querywright/")


def test_a_proxy_that_is_asked_for_is_used(service: Service) -> None:
    fetcher = Fetcher("http://api.example.org/v1", proxy=service.url)
    assert fetcher.get("/a").status == 200
    assert service.asked[0][0] == "http://api.example.org/v1/a"
    with pytest.raises(RefusedAddress):
        Fetcher("http://10.0.0.1", proxy=service.url)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://example.org", "//example.org", "http://", "http://a b", "http://a:99999"),
        *(
            "http://user:secret@example.org",
            "http://example.org?x=1",
            "http://example.org#x",
            "http://[::1",
            "http://ä.org",
        ),
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(QuerywrightError) as wrong:
        Fetcher(url)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize("path", ["", "a", "@evil.example/", "/a b", "/a\r\nHost: b", "/ä", "/a#b"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(QuerywrightError, match="no path to send"):
        Fetcher("http://api.example.org").get(path)


def test_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with running(family=socket.AF_INET6) as service:
            assert Fetcher(f"http://[::1]:{service.port}", allow_private=True).get("/").status == 200
            assert service.asked[0][1]["host"] == f"[::1]:{service.port}"
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the certificate is made with openssl")
def test_tls_checks_the_name_not_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=api.example.org", "-addext", "subjectAltName=DNS:api.example.org",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with running(context) as service:
        how: dict[str, Any] = {"allow_private": True, "resolve": lambda *_: ["127.0.0.1"]}
        assert Fetcher(f"https://api.example.org:{service.port}", **how).get("/").json() == {"ok": True}
        with pytest.raises(QuerywrightError, match=r"(?i)certificate"):
            Fetcher(f"https://other.example.org:{service.port}", **how).get("/")


# --- how much, how long, how often ----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/huge", "/bomb"])
def test_giant_answers_are_cut_off(service: Service, path: str) -> None:
    with pytest.raises(QuerywrightError, match="more than 1,000,000 bytes") as cut:
        service.fetcher().get(path, max_bytes=1_000_000)
    assert not cut.value.retryable


def test_packed_answers(service: Service) -> None:
    fetcher = service.fetcher()
    assert fetcher.get("/packed").json() == {"a": 1}
    with pytest.raises(QuerywrightError, match="damaged gzip"):
        fetcher.get("/broken")
    with pytest.raises(QuerywrightError, match="encoding 'br'"):
        fetcher.get("/br")


def test_dripping_answer_ends_at_the_deadline(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    with pytest.raises(QuerywrightError, match=r"timed out|time for one request is over") as late:
        service.fetcher().get("/drip")
    assert late.value.retryable


def test_cut_connection_is_asked_again(service: Service) -> None:
    assert service.fetcher().get("/cut").json() == {"ok": True}
    assert len(service.asked) == 2


def test_retry_after_is_kept(service: Service) -> None:
    fetcher = service.fetcher()
    started = time.monotonic()
    assert fetcher.get("/busy?1").status == 200
    assert time.monotonic() - started >= 1.0
    assert len(service.asked) == 2


def test_a_wait_of_nothing_is_a_short_wait(service: Service) -> None:
    assert service.fetcher().get("/busy?0").status == 200
    assert len(service.asked) == 2


def test_retry_after_holds_every_thread(service: Service) -> None:
    fetcher = service.fetcher()
    thread = threading.Thread(target=fetcher.get, args=("/busy?1",))
    started = time.monotonic()
    thread.start()
    while fetcher.pace.next < started + 1.0 and thread.is_alive():  # until the answer is there
        time.sleep(0.005)
    fetcher.get("/other")
    assert time.monotonic() - started >= 1.0
    thread.join()


def test_too_long_a_wait_is_left_to_a_person(service: Service) -> None:
    with pytest.raises(QuerywrightError, match="asks to wait 86400 s") as later:
        service.fetcher().get("/always?86400")
    assert later.value.retryable
    assert len(service.asked) == 1


def test_busy_for_good(service: Service) -> None:
    with pytest.raises(QuerywrightError, match="busy") as busy:
        service.fetcher().get("/always")
    assert busy.value.retryable
    assert len(service.asked) == fetch.ATTEMPTS


def test_what_retry_after_says() -> None:
    from email.utils import formatdate

    assert retry_after("7") == 7.0
    assert retry_after("") is None
    assert retry_after("soon") is None
    assert 900 < (retry_after(formatdate(time.time() + 1000, usegmt=True)) or 0) <= 1000
    assert retry_after(formatdate(0, usegmt=True)) == 0.0


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(fetch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(fetch.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    pace, starts = Pace(4), []
    for _ in range(5):
        pace.wait()
        starts.append(now[0])
    assert starts == [100.0, 100.25, 100.5, 100.75, 101.0]
    pace.pause(10)
    pace.wait()
    assert now[0] == 111.0
    free = Pace(0)
    for _ in range(3):
        free.wait()
    assert now[0] == 111.0


def test_default_pace_depends_on_the_host() -> None:
    assert Fetcher("https://api.example.org").pace.step == 1 / fetch.RATE
    assert Fetcher("http://127.0.0.1:80").pace.step == 0
    assert Fetcher("http://localhost").pace.step == 0
    assert Fetcher("https://api.example.org", rate=50).pace.step == 0.02
    assert Fetcher("http://127.0.0.1", rate=2).pace.step == 0.5
