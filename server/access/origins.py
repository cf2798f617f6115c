"""Under which names the server is reached, which pages may ask it, and who stands behind a proxy.

A page in somebody's browser is open to other sites as well. A name of theirs that resolves to this machine would let
them read ours (DNS rebinding), so the Host header has to be a name that this server knows; a script of theirs could
send forms and requests with the visitor's login, so a request that a browser sends for another site is refused.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from querywright.errors import QuerywrightError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = {"http": 80, "https": 443}
_FORWARDS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded", "via")
_SAFE = ("GET", "HEAD", "OPTIONS")
Origin = tuple[str, str, int]  # scheme, host, port
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Refusal = tuple[int, str, str, str]  # status, code, message, hint


@dataclass(frozen=True)
class Site:
    """Where a server is reached.

    Attributes:
        hosts: names in the Host header that it answers to, besides those of this machine.
        any_address: whether the Host header may be any address written as one; no other site's name is one.
        origins: its public addresses; a request from a page of one of them is its own.
        proxies: whose forwarding headers are believed.
    """

    hosts: frozenset[str] = LOOPBACK
    any_address: bool = False
    origins: frozenset[Origin] = frozenset()
    proxies: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


@dataclass(frozen=True)
class Client:
    """Who sent a request: the address, the scheme that they used, and whether nothing stands between them and us."""

    address: str
    scheme: str
    direct: bool


def site_of(host: str, environ: Mapping[str, str] = os.environ) -> Site:
    """The site of a server that listens at `host`, with what the environment adds.

    `QUERYWRIGHT_ORIGINS` lists its public addresses (`https://ask.example.org`, or a name alone), and
    `QUERYWRIGHT_TRUSTED_PROXIES` the addresses or networks of proxies on other machines.

    Raises:
        QuerywrightError: an entry is neither; all wrong ones are named.
    """
    wrong: list[str] = []
    origins: set[Origin] = set()
    for word in _words(environ.get("QUERYWRIGHT_ORIGINS", "")):
        found = [_origin(word)] if "://" in word else [_origin(f"{scheme}://{word}") for scheme in _PORTS]
        if None in found or word.count("/") > 2 + word.endswith("/"):
            wrong.append(f"QUERYWRIGHT_ORIGINS: {word[:60]!r} is no address such as https://ask.example.org")
        origins.update(origin for origin in found if origin)
    proxies = list(Site().proxies)
    for word in _words(environ.get("QUERYWRIGHT_TRUSTED_PROXIES", "")):
        try:
            proxies.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            wrong.append(f"QUERYWRIGHT_TRUSTED_PROXIES: {word[:60]!r} is no address or network such as 10.0.0.0/24")
    if wrong:
        raise QuerywrightError("\n  ".join(wrong), hint="entries stand between commas")
    hosts, here = {*LOOPBACK, host.lower(), *(name for _, name, _ in origins)}, is_loopback(host)
    if not here:
        own = socket.gethostname().lower()
        hosts |= {own, f"{own}.local"}
    return Site(frozenset(hosts), not here, frozenset(origins), tuple(proxies))


def _words(text: str) -> list[str]:
    return re.split(r"[\s,]+", text.strip()) if text.strip() else []


def client_of(site: Site, peer: str, scheme: str, headers: Mapping[str, str]) -> Client:
    """Who sent a request. Forwarding headers of others than a known proxy are passed over: anybody can write them."""
    forwarded = any(name in headers for name in _FORWARDS)
    if not _within(peer, site.proxies):
        return Client(peer, scheme, not forwarded)
    # each proxy adds at the end whom it saw, so the last one that is no proxy of ours is the client
    address = peer
    for entry in reversed(_words(headers.get("x-forwarded-for", ""))):
        given = _address(entry)
        if given is None:
            break
        address = given
        if not _within(given, site.proxies):
            break
    told = headers.get("x-forwarded-proto", "").strip().lower()
    return Client(address, told if told in _PORTS else scheme, not forwarded)


def refusal(site: Site, method: str, headers: Mapping[str, str], scheme: str) -> Refusal | None:
    """Why a request is not taken, by the names that it comes with; None where it is."""
    host = split_host(headers.get("host", ""), scheme)
    if host is None or not (host[0] in site.hosts or (site.any_address and _address(host[0]))):
        hint = "behind another name: QUERYWRIGHT_ORIGINS=https://NAME querywright serve"
        return 421, "unknown_host", "this server answers to its own names only", hint
    origin = headers.get("origin")
    known = False
    if origin is not None:
        found = _origin(origin)
        known = found is not None and found in site.origins
        if not known and found != (scheme, *host):
            return 403, "foreign_origin", "a page of another site may not ask here", ""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not known:
        mode, to = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest", "document")
        if method not in _SAFE or (mode, to) != ("navigate", "document"):  # a link is fine, a form or a script is not
            return 403, "cross_site", "a page of another site may not ask here", ""
    return None


def split_host(netloc: str, scheme: str) -> tuple[str, int] | None:
    """Name and port of a Host header; None where it is none."""
    found = _origin(f"{scheme if scheme in _PORTS else 'http'}://{netloc}")
    return found and (found[1], found[2])


def _origin(text: str) -> Origin | None:
    if not re.fullmatch(r"[!-~]+", text) or re.search(r"[\\@?#]", text):
        return None
    try:
        parts = urlsplit(text)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or parts.path not in ("", "/") or not re.fullmatch(r"[\w.:%-]+", name or ""):
        return None
    assert name is not None
    return parts.scheme, name.lower().rstrip("."), port or _PORTS[parts.scheme]


def _address(text: str) -> str | None:
    """An address without its port or brackets, in its usual spelling; None where it is none."""
    bare = re.sub(r"^\[(.*)\](:\d+)?$", r"\1", text.strip())
    bare = re.sub(r"^(\d+\.\d+\.\d+\.\d+):\d+$", r"\1", bare)
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0]))
    except ValueError:
        return None


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks if network.version == ip.version)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
