"""Which network addresses a request may go to: public ones, private ones where allowed, metadata services never.

What is not known to be public is refused, so the lists are short: IANA's special-purpose registries for IPv4, and for
IPv6 everything outside 2000::/3. An IPv4 address inside an IPv6 one is looked at as itself.
"""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in text.split())


# Where clouds tell a machine its credentials: most of them, AWS and Google over IPv6, Alibaba, Oracle, Azure.
_METADATA = _networks(
    "169.254.0.0/16 fd00:ec2::/32 fd20:ce::254/128 100.100.100.200/32 192.0.0.192/32 168.63.129.16/32"
)
_PRIVATE = {
    "a loopback": _networks("127.0.0.0/8 ::1/128"),
    "a private": _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7"),
    "a link-local": _networks("fe80::/10"),
}
_SPECIAL = _networks(
    "0.0.0.0/8 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24 198.18.0.0/15"
    " 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20"
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_HOLDS_V4 = _networks("::ffff:0:0/96 64:ff9b::/96")  # IPv4-mapped, and NAT64's well-known prefix


def refusal(address: str, allow_private: bool = False) -> str:
    """Why no request may go to an address, such as `a loopback address`; empty where it may.

    `allow_private` opens loopback, private and IPv6 link-local addresses. Metadata services, multicast, unspecified and
    reserved addresses, and tunnels that hide an IPv4 address (6to4, Teredo), stay closed.
    """
    try:
        ip: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "no IP address"
    if isinstance(ip, ipaddress.IPv6Address) and _within(ip, _HOLDS_V4):
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if _within(ip, _METADATA):
        return "a link-local or metadata service's address"
    for kind, networks in _PRIVATE.items():
        if _within(ip, networks):
            return "" if allow_private else f"{kind} address"
    if _within(ip, _SPECIAL) or (isinstance(ip, ipaddress.IPv6Address) and ip not in _PUBLIC_V6):
        return "a reserved address"
    return ""


def _within(ip: Address, networks: tuple[Network, ...]) -> bool:
    return any(ip in network for network in networks if network.version == ip.version)


def is_address(host: str) -> bool:
    """Whether a host is written as an address, in the usual spelling: `2130706433` and `0177.1` only resolve to one."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is written as this machine: `localhost`, `127.0.0.1`, `::1`."""
    return host.lower() == "localhost" or refusal(host) == "a loopback address"


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the system's order of preference.

    Raises:
        OSError: the name is not known.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
