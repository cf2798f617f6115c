"""HTTP GET at one host, carefully.

Nothing that comes from a log or a service decides where a request goes: no redirects, no proxies of the environment, no
cookies, no credentials of `.netrc`; `connect` checks the addresses. A request has a deadline, an answer a largest size;
requests are spaced out, and a busy service is asked again when it says so.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore

from querywright.api import addresses
from querywright.api.connect import Backend, Clock, ProxyBackend, RefusedAddress, check
from querywright.errors import QuerywrightError, need
from querywright.progress import say

__all__ = ["Answer", "Fetcher", "Pace", "RefusedAddress", "retry_after"]

TIMEOUT_S = 30.0
CONNECT_S = 10.0
REACH_S = 4.0
ATTEMPTS = 4
WAIT_S = 0.5
MAX_WAIT_S = 120.0
MAX_BYTES = 64_000_000
RATE = 5.0
"""Requests a second to a host that is not this machine, unless a rate is given."""
_BUSY = (408, 429, 502, 503, 504)


@dataclass(frozen=True)
class Answer:
    """A service's answer: HTTP status, body (unpacked), and the milliseconds of the attempt that brought it."""

    status: int
    body: bytes
    ms: float
    location: str = ""

    def json(self) -> Any:
        """The body as JSON, or None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class _Busy(Exception):
    """The service asks to come back later, in `wait` seconds where it says so."""

    def __init__(self, status: int, wait: float | None) -> None:
        asks = "" if wait is None else f" and asks to wait {wait:.0f} s"
        super().__init__(f"it is busy ({status}){asks}")
        self.wait = wait


class Pace:
    """Spaces requests out over all threads; a pause holds all of them. `rate` is requests a second, 0 is no limit."""

    def __init__(self, rate: float) -> None:
        self.step = 1 / rate if rate > 0 else 0.0
        self.next = 0.0
        self.lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next request may start."""
        with self.lock:
            start = max(self.next, time.monotonic())
            self.next = start + self.step
        while (left := start - time.monotonic()) > 0:
            time.sleep(left)

    def pause(self, seconds: float) -> None:
        """Let no request start before `seconds` are over."""
        with self.lock:
            self.next = max(self.next, time.monotonic() + seconds)


class Fetcher:
    """GETs at one base URL. Thread-safe.

    Args:
        base_url: scheme, host, port, and perhaps a path that stands before every path.
        allow_private: see `addresses.refusal`.
        rate: requests a second; None is 5, and no limit where the host is written as this machine; 0 is no limit.
        proxy: the URL of an HTTP proxy that was asked for. It resolves the host itself, so only a host that is written
            as an address can be checked here.
        resolve: the addresses of a host and port.

    Raises:
        QuerywrightError: the URL is none, or holds more than host and path.
    """

    def __init__(
        self,
        base_url: str,
        *,
        allow_private: bool = False,
        rate: float | None = None,
        proxy: str | None = None,
        resolve: Callable[[str, int], list[str]] = addresses.resolve,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        parts = _split(self.base_url)
        self.host, self.port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        self._base = parts
        self._headers = _headers(parts.netloc)
        self.pace = Pace((0.0 if addresses.is_loopback(self.host) else RATE) if rate is None else rate)
        self.clock = Clock()
        backend: httpcore.NetworkBackend = Backend(self.host, self.port, allow_private, self.clock, resolve)
        self._first = self.host, self.port
        if proxy is not None:
            through = _split(proxy)
            check(self.host, [self.host] if addresses.is_address(self.host) else [], allow_private)
            backend = ProxyBackend(self.clock)
            self._first = str(through.hostname), through.port or (443 if through.scheme == "https" else 80)
        self._backend = backend
        self._pool = httpcore.ConnectionPool(
            ssl_context=need("httpx", extra="api").create_ssl_context(),  # certifi's roots, or those of SSL_CERT_FILE
            max_connections=64,
            keepalive_expiry=15.0,
            proxy=None if proxy is None else httpcore.Proxy(proxy),
            network_backend=backend,
        )

    def reach(self) -> None:
        """Connect once, and say within seconds what stands against it, before any call is tried.

        Raises:
            RefusedAddress: the host stands for an address that no request may go to.
            QuerywrightError: nobody answers there; `retryable`.
        """
        failed: list[Exception] = []

        def connect() -> None:
            self.clock.until = time.monotonic() + REACH_S
            try:
                self._backend.connect_tcp(*self._first, REACH_S).close()
            except (RefusedAddress, *_NETWORK) as error:
                failed.append(error)

        thread = threading.Thread(target=connect, daemon=True)  # a name server may take longer than we wait
        thread.start()
        thread.join(REACH_S + 0.5)
        if thread.is_alive():
            failed.append(httpcore.ConnectTimeout(f"no connection within {REACH_S:.0f} s"))
        if failed and isinstance(failed[0], RefusedAddress):
            raise failed[0]
        if failed:
            raise self._silent(failed[0]) from failed[0]

    def _silent(self, error: Exception) -> QuerywrightError:
        return QuerywrightError(
            f"{self.base_url} does not answer: {str(error) or type(error).__name__}",
            hint="is the address right? If so, run the same command again later",
            retryable=True,
        )

    def get(self, path: str, max_bytes: int = MAX_BYTES) -> Answer:
        """GET a path (percent-encoded, with its query) and read the answer, whatever its status.

        Raises:
            RefusedAddress: the host stands for an address that no request may go to.
            QuerywrightError: the answer is too large or packed oddly; or, with `retryable`, the service cannot be
                reached, takes too long, or is still busy after a few attempts.
        """
        if not re.fullmatch(r"/[!-~]*", path) or "#" in path:
            raise QuerywrightError(f"{path[:80]!r} is no path to send", hint="querywright call parse --api NAME")
        stamina: Any = need("stamina", extra="api")
        logging.getLogger("stamina").setLevel(logging.ERROR)  # the last error is told, the first ones need not be
        again = stamina.retry(
            on=_worth_it, attempts=ATTEMPTS, timeout=None, wait_initial=WAIT_S, wait_max=MAX_WAIT_S, wait_jitter=WAIT_S
        )
        try:
            answer: Answer = again(self._once)(path, max_bytes)
        except (*_NETWORK, httpcore.ProtocolError, httpcore.ProxyError, _Busy) as error:
            raise self._silent(error) from error
        return answer

    def _once(self, path: str, max_bytes: int) -> Answer:
        self.pace.wait()
        started = time.monotonic()
        self.clock.until = started + TIMEOUT_S
        scheme, target = self._base.scheme.encode(), (self._base.path + path).encode()
        url = httpcore.URL(scheme=scheme, host=self.host.encode(), port=self._base.port, target=target)
        limits = {"connect": CONNECT_S, "read": TIMEOUT_S, "write": TIMEOUT_S, "pool": TIMEOUT_S}
        with self._pool.stream("GET", url, headers=self._headers, extensions={"timeout": limits}) as response:
            headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            if response.status in _BUSY:
                raise _Busy(response.status, self._pause(headers.get("retry-after", "")))
            body = _read(response.iter_stream(), headers.get("content-encoding", ""), max_bytes, self.base_url)
            return Answer(response.status, body, (time.monotonic() - started) * 1000, headers.get("location", ""))

    def _pause(self, header: str) -> float | None:
        """Hold all threads for as long as the service asks, unless that is too long; returns how long it asks."""
        wait = retry_after(header)
        if wait is not None and wait <= MAX_WAIT_S:
            self.pace.pause(wait)
            if wait > 2:
                say(f"{self.host} asks to wait {wait:.0f} s")
        return wait

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


_NETWORK = (httpcore.TimeoutException, httpcore.NetworkError)


def _headers(host: str) -> list[tuple[bytes | str, bytes | str]]:
    from querywright import __version__

    agent = f"querywright/{__version__} (runs calls of a log once, to see whether they have hits)"
    return [("Host", host), ("User-Agent", agent), ("Accept", "application/json"), ("Accept-Encoding", "gzip")]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", url):
        raise QuerywrightError(f"{url[:80]!r} is no address", hint="such as http://127.0.0.1:8000")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise QuerywrightError(
            f"the address of {parts.hostname} holds more than host and path", hint="leave user, ? and # out of it"
        )
    return parts


def retry_after(text: str) -> float | None:
    """The seconds of a Retry-After header: a number, or a date; None where it says neither."""
    if re.fullmatch(r"\s*\d{1,9}\s*", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _worth_it(error: Exception) -> bool | float:
    """Whether to ask again, or the seconds until then. A service that asks for more than the longest wait is left."""
    if isinstance(error, _Busy) and error.wait:
        return error.wait if error.wait <= MAX_WAIT_S else False
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    return isinstance(error, (*_NETWORK, httpcore.RemoteProtocolError, _Busy))


def _read(parts: Iterable[bytes], packed: str, max_bytes: int, who: str) -> bytes:
    """A body, unpacked; neither what is read nor what it unpacks to is larger than `max_bytes`."""
    packed = packed.strip().lower()
    if packed not in ("", "identity", "gzip", "x-gzip"):
        raise QuerywrightError(f"{who} answers in the encoding {packed[:20]!r}, which was not asked for")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in packed else None
    body, read = bytearray(), 0
    try:
        for part in parts:
            read += len(part)
            body += unpack.decompress(part, max_bytes + 1 - len(body)) if unpack else part
            if read > max_bytes or len(body) > max_bytes:
                raise QuerywrightError(f"{who} answers with more than {max_bytes:,} bytes")
    except zlib.error as error:
        raise QuerywrightError(f"{who} answers with damaged gzip ({error})") from error
    return bytes(body)
