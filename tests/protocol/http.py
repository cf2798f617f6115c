"""The HTTP part: requests go to rooms, faults come before them, everything is remembered."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What a client sent. `path` is without the version's prefix (`/chat/completions`), query included."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back: a dict or list is sent as JSON, bytes and text as they are."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answered instead of the room's reply; 0 lets the room answer (and what follows spoils it).
        retry_after: the header of that name: seconds, or a date.
        slow: seconds before anything is sent.
        cut: only so many bytes of the room's body are sent, with the length of those: JSON that ends in the middle.
        drop: the connection is closed: `before` the room sees the request, or `after`, in the middle of the body (the
            request has been worked on, and paid).
        body: sent instead of the room's body.
    """

    status: int = 0
    retry_after: str = ""
    slow: float = 0.0
    cut: int | None = None
    drop: str = ""
    body: Any = None


Room = Callable[[Request], Reply | None]


@dataclass
class Service:
    """A running server.

    Attributes:
        url: its address up to and including the version.
        faults: taken from the front, one a request that the `faulty` method sends; None is no fault.
        faulty: the HTTP methods that faults apply to.
        requests: all that were received, in their order.
        busiest: the most requests that were worked on at once.
    """

    url: str = ""
    faults: list[Fault | None] = field(default_factory=list)
    faulty: tuple[str, ...] = ("POST",)
    requests: list[Request] = field(default_factory=list)
    busiest: int = 0
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, path: str, method: str = "POST") -> list[Request]:
        """The requests to one path."""
        return [r for r in self.requests if r.path.partition("?")[0] == path and r.method == method]


@contextmanager
def serve(*rooms: Room, faults: Sequence[Fault | None] = (), prefix: str = "/v1", port: int = 0) -> Iterator[Service]:
    """Run a server on loopback until the block ends."""
    service = Service(faults=list(faults))
    kind = type("Handler", (_Handler,), {"service": service, "rooms": rooms, "prefix": prefix})
    http = ThreadingHTTPServer(("127.0.0.1", port), kind)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{http.server_address[1]}{prefix}"
    try:
        yield service
    finally:
        http.shutdown()
        http.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service
    rooms: Sequence[Room]
    prefix: str

    def _handle(self) -> None:
        service = self.service
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = self.path.removeprefix(self.prefix)
        request = Request(self.command, path, {k.lower(): v for k, v in self.headers.items()}, body)
        with service._lock:
            service.requests.append(request)
            fault = service.faults.pop(0) if service.faults and self.command in service.faulty else None
            service._busy += 1
            service.busiest = max(service.busiest, service._busy)
        self._working = True
        try:
            self._answer(request, fault or Fault())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client was killed, or lost its patience
        finally:
            self._worked()

    do_GET = do_POST = do_DELETE = _handle

    def _answer(self, request: Request, fault: Fault) -> None:
        if fault.slow:
            time.sleep(fault.slow)
        if fault.drop == "before":
            return self._hang_up()
        if fault.status:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            error = fault.body or {"error": {"message": f"fault {fault.status}", "type": "server_error"}}
            return self._send(Reply(fault.status, error, headers))
        found = next((reply for room in self.rooms if (reply := room(request)) is not None), None)
        reply = found or Reply(404, {"error": {"message": f"no {request.method} {request.path}"}})
        raw = reply.raw() if fault.body is None else Reply(body=fault.body).raw()
        if fault.drop:
            self._worked()
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw[: len(raw) // 2])
            return self._hang_up()
        self._send(Reply(reply.status, raw[: fault.cut], reply.headers))

    def _worked(self) -> None:
        """Nothing is worked on any more: said before the client can know, which may send the next one at once."""
        with self.service._lock:
            self.service._busy -= self._working
            self._working = False

    def _send(self, reply: Reply) -> None:
        self._worked()
        raw = reply.raw()
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(raw))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def _hang_up(self) -> None:
        self._worked()
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: Any) -> None: ...
