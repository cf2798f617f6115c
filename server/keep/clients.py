"""Who asked, as a hash: rows of one person belong together, and none says who that was.

HMAC-SHA256 under a salt that the store made for itself: without the store, the hash of a guessed name or address can't
be computed; two stores do not share hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any

LENGTH = 32  # hex digits: 128 bits


def client_of(salt: bytes, who: Mapping[str, Any] | str | None, address: str | None) -> str:
    """The hash of a client: of the name that it is known by, else of its address.

    Args:
        salt: `Store.salt`.
        who: a name, empty or None where nobody logged in; or a request's `scope["state"]`, in which the guard wrote the
            name under `user` and the true address, also of who came through a proxy, under `address`.
        address: the other end of the connection; None where there is none (a Unix socket).

    Returns:
        32 hex digits.
    """
    if isinstance(who, Mapping):
        address, who = who.get("address", address), who.get("user")
    what = f"name\0{who}" if who else f"address\0{_site(address or '')}"
    return hmac.new(salt, what.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:LENGTH]


def _site(address: str) -> str:
    """An address; of IPv6 its network: one subscriber has 2^64 addresses, and could be as many clients."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
