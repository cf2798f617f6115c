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
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from querywright.artefacts import alone, replacing
from querywright.errors import QuerywrightError, did_you_mean

N, R, P = 2**15, 8, 3
"""OWASP's parameters for 32 MiB: about 0.3 s on one core."""
_MOST_MEMORY = 256 * 2**20
PASSWORD_LEAST, PASSWORD_MOST = 10, 256
TOKEN = "token"  # the name under which a browser gives the token; no user has it
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}")  # a letter first: never mistaken for an address


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


def read(path: Path | str) -> dict[str, Hash]:
    """The users of a file, by name; blank lines and comments (`#`) are passed over.

    Raises:
        QuerywrightError: the file can't be read, or a line is no user; all wrong lines are named.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        hint = f"querywright users add NAME --file {path}"
        raise QuerywrightError(f"could not read the users in {path}: {reason}", hint=hint) from error
    users: dict[str, Hash] = {}
    wrong = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.strip().partition(":")
        found = _parsed(text)
        if found is None or not NAME.fullmatch(name) or name == TOKEN or name in users:
            wrong.append(str(number))
        else:
            users[name] = found
    if wrong:
        raise QuerywrightError(
            f"{path}: no user in line {', '.join(wrong[:20])}", hint="a line is NAME:HASH; querywright users add NAME"
        )
    return users


def _write(path: Path, users: Mapping[str, Hash]) -> None:
    with replacing(path, rights=0o600) as out:
        out.writelines(f"{name}:{found}\n" for name, found in sorted(users.items()))


def allowed(name: str) -> None:
    """Refuse what can't be a user's name.

    Raises:
        QuerywrightError: it is none.
    """
    if not NAME.fullmatch(name) or name == TOKEN:
        raise QuerywrightError(
            f"{name[:40]!r} can't be a user's name",
            hint="a letter, then letters, digits, dots, dashes and underscores, 32 at most; not 'token'",
        )


def add(path: Path | str, name: str, password: str) -> bool:
    """Add a user, or give one a new password; the file is its owner's alone to read. Returns whether the user is new.

    Raises:
        QuerywrightError: the name or the password is not allowed, or the file can't be read or written.
    """
    path = Path(path)
    allowed(name)
    found = hashed(password)
    with alone(path.parent):
        users = read(path) if path.is_file() else {}
        new = name not in users
        _write(path, {**users, name: found})
    return new


def remove(path: Path | str, name: str) -> None:
    """Take a user out.

    Raises:
        QuerywrightError: there is no such user, or the file can't be read or written.
    """
    path = Path(path)
    read(path)  # a folder that is not there is not made for this
    with alone(path.parent):
        users = read(path)
        if name not in users:
            near = did_you_mean(name, list(users))
            raise QuerywrightError(
                f"no user {name[:40]!r} in {path}{near}", hint=f"querywright users list --file {path}"
            )
        _write(path, {known: found for known, found in users.items() if known != name})
