"""How often somebody at an address has failed to log in."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict

FAILURES = 10
"""Wrong passwords or tokens of one address (of IPv6: one /64) within `WINDOW_S` seconds; then it waits."""
WINDOW_S = 300.0
ADDRESSES = 4096
"""Addresses that are counted at once."""


class Throttle:
    """Counts failures by address in windows of time. Bounded: the addresses that failed first are forgotten first."""

    def __init__(self, most: int = FAILURES, window_s: float = WINDOW_S, keep: int = ADDRESSES) -> None:
        self.most, self.window_s, self.keep = most, window_s, keep
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """The seconds that an address has to wait; 0 where it may try."""
        count, since = self._failed.get(_network(address), (0, 0.0))
        left = since + self.window_s - time.monotonic()
        return left if count >= self.most and left > 0 else 0.0

    def failed(self, address: str) -> None:
        """Count one failure."""
        key, now = _network(address), time.monotonic()
        count, since = self._failed.pop(key, (0, now))
        if now - since >= self.window_s:
            count, since = 0, now
        self._failed[key] = count + 1, since
        while len(self._failed) > self.keep:
            self._failed.popitem(last=False)

    def __len__(self) -> int:
        return len(self._failed)


def _network(address: str) -> str:
    """What is counted as one address: of IPv6 a /64, which one household has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.IPv6Network((ip, 64), strict=False))
    return address
