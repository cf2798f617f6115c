"""Connections to one host only: its addresses are checked, and a checked one is the one connected to.

The name is resolved once for each connection, and not again between check and connection, so an answer of the name
server that changes in between (DNS rebinding) has no effect. TLS still asks for, and checks, the name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from querywright.api import addresses
from querywright.api.problems import RefusedAddress

__all__ = ["Backend", "Clock", "ProxyBackend", "RefusedAddress", "check"]


class Clock(threading.local):
    """When this thread's request has to be over, in `time.monotonic` seconds."""

    until = float("inf")

    def left(self, timeout: float | None, over: type[Exception]) -> float:
        """The seconds that are left, at most `timeout`.

        Raises:
            over: none are.
        """
        left = self.until - time.monotonic()
        if left <= 0:
            raise over("the time for one request is over")
        return left if timeout is None else min(left, timeout)


def check(host: str, found: Iterable[str], allow_private: bool) -> list[str]:
    """The addresses of a host, in their order. One that no request may go to refuses them all.

    Raises:
        RefusedAddress: which of them, and why.
    """
    found = list(found)
    for address in found:
        why = addresses.refusal(address, allow_private)
        if why:
            opened = not addresses.refusal(address, allow_private=True)
            raise RefusedAddress(
                f"no request goes to {host if host == address else f'{host} ({address})'}: that is {why}",
                hint="--allow-private, if you mean it"
                if opened
                else "name another address: base_url in the definition, or --server",
            )
    return found


class Backend(httpcore.NetworkBackend):
    """Opens connections to one host and port.

    Args:
        resolve: the addresses of a host and port.
    """

    def __init__(
        self, host: str, port: int, allow_private: bool, clock: Clock, resolve: Callable[[str, int], list[str]]
    ) -> None:
        self.host, self.port, self.allow_private = host, port, allow_private
        self.clock, self.resolve, self.plain = clock, resolve, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        if (host, port) != (self.host, self.port):
            raise RefusedAddress(f"no request goes to {host}:{port}: the host is {self.host}:{self.port}")
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"no host {host!r} ({error})") from error
        failed: Exception = httpcore.ConnectError(f"no address of {host!r}")
        for address in check(host, found, self.allow_private):
            left = self.clock.left(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(self.plain.connect_tcp(address, port, left, local_address, socket_options), self.clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class ProxyBackend(httpcore.NetworkBackend):
    """Opens connections to a proxy that was asked for, wherever it is."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.plain = clock, httpcore.SyncBackend()

    def connect_tcp(self, *args: Any, **how: Any) -> httpcore.NetworkStream:
        """Connect to the proxy."""
        return _Stream(self.plain.connect_tcp(*args, **how), self.clock)


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes end with the request's time, however slowly the bytes drip."""

    def __init__(self, inner: httpcore.NetworkStream, clock: Clock) -> None:
        self.inner, self.clock = inner, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.clock.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.clock.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        left = self.clock.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, left), self.clock)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
