"""A file of users with hashed passwords, and the check of a password. One line a user: `name:scrypt$n$r$p$salt$hash`.

The parameters stand in each line, so that they can be raised later; a password that is not there costs as much time as
one that is wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from querywright.errors import QuerywrightError
from server.access.book import Book

N, R, P = 2**15, 8, 3
"""OWASP's parameters for 32 MiB: about 0.3 s on one core."""
_MOST_MEMORY = 256 * 2**20
PASSWORD_LEAST, PASSWORD_MOST = 10, 256
TOKEN = "token"  # the name under which a browser gives the token; no user has it


@dataclass(frozen=True)
class Hash:
    """A password's scrypt hash with what it was made with."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${digest}"


DECOY = Hash(N, R, P, b"\0" * 16, b"\0" * 32)  # no password has this digest


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes, length: int) -> bytes:
    plain = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(plain, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=length)


def hashed(password: str) -> Hash:
    """A password's hash under a new salt.

    Raises:
        QuerywrightError: the password is too short or too long.
    """
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
        raise QuerywrightError(
            f"the password has {len(password)} characters", hint=f"choose one of {PASSWORD_LEAST} to {PASSWORD_MOST}"
        )
    salt = os.urandom(16)
    return Hash(N, R, P, salt, _scrypt(password, N, R, P, salt, 32))


def matches(password: str, stored: Hash) -> bool:
    """Whether a password is the one that was hashed; the comparison takes the same time wherever they differ."""
    found = _scrypt(password, stored.n, stored.r, stored.p, stored.salt, len(stored.digest))
    return hmac.compare_digest(found, stored.digest)


def _parsed(text: str) -> Hash | None:
    """A hash out of its text; None where it is none, or one that is too weak or too dear to check."""
    kind, _, rest = text.partition("$")
    parts = rest.split("$")
    try:
        n, r, p = map(int, parts[:3])
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
    except (ValueError, binascii.Error):
        return None
    sound = kind == "scrypt" and 2**14 <= n <= 2**17 and n & (n - 1) == 0 and r == 8 and 1 <= p <= 16
    return Hash(n, r, p, salt, digest) if sound and len(salt) >= 16 and len(digest) >= 32 else None


BOOK = Book("user", "querywright users", _parsed, TOKEN)
read, remove, allowed = BOOK.read, BOOK.remove, BOOK.allowed


def add(path: Path | str, name: str, password: str) -> bool:
    """Add a user, or give one a new password; the file is its owner's alone to read. Returns whether the user is new.

    Raises:
        QuerywrightError: the name or the password is not allowed, or the file can't be read or written.
    """
    allowed(name)
    return BOOK.add(path, name, hashed(password))
