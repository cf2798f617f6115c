"""Who counts as one client: addresses in other spellings, with ports, from one network, behind proxies."""

from __future__ import annotations

import pytest

from querywright.logs.shard import who


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (b"203.0.113.7", b"203.0.113.7:51234"),
        (b"203.0.113.7", b"::ffff:203.0.113.7"),
        (b"203.0.113.7", b"6.6.6.6, 203.0.113.7"),  # what the client itself wrote stands first
        (b"2001:db8::1", b"[2001:DB8:0:0::2]:443"),
        (b"2001:db8::1", b"2001:db8::ffff:1"),
        (b"Host.example", b"host.example"),
    ],
)
def test_one_client(x: bytes, y: bytes) -> None:
    assert who(x) == who(y)


@pytest.mark.parametrize(("x", "y"), [(b"203.0.113.7", b"203.0.113.8"), (b"2001:db8::1", b"2001:db8:1::1")])
def test_two_clients(x: bytes, y: bytes) -> None:
    assert who(x) != who(y)
