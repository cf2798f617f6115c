"""Who asks: a token for programs, a name and a password for browsers, or nobody in particular on this machine.

A right password is remembered for some minutes (as a keyed hash), so that its slow hash is not computed for every
request of a page; the hash is computed in a thread of its own. Wrong ones are counted by address, and after some of
them an address has to wait. All that is kept has a largest size, and none of it reaches a disk.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from querywright.errors import QuerywrightError
from querywright.progress import say
from server.access import users
from server.access.origins import is_loopback, site_of
from server.access.throttle import Throttle

log = logging.getLogger("querywright.server")

CHALLENGE = 'Basic realm="Querywright", charset="UTF-8"'
"""What makes a browser ask for name and password; with `Bearer` beside it Chromium would not."""
LOGINS = (
    "querywright users add NAME, then QUERYWRIGHT_USERS=FILE; or QUERYWRIGHT_TOKEN=SECRET for programs; "
    "or --open lets everybody in"
)
TOKEN_LEAST = 24
REMEMBER_S = 600.0
CHECKING = 16
"""Passwords that may wait to be checked; one more is asked to come back."""
REMEMBERED = 4096
"""Passwords, right and wrong ones, that are remembered."""


@dataclass(frozen=True)
class Who:
    """Somebody who may ask. `user` is empty where the token was given; `token` says that it was."""

    user: str = ""
    token: bool = False


@dataclass(frozen=True)
class No:
    """Why somebody may not ask. `retry_after`: seconds to wait where it is too early to try again, else 0."""

    reason: str
    retry_after: int = 0


class Auth:
    """Knows the token and the users. Used by one event loop.

    Args:
        token: the bearer token; empty where there is none.
        file: the file of users (`server.access.users`); read again when it changes. None where there is none.
    """

    challenge = CHALLENGE
    needed = "a name and a password, or a token, is needed"
    open: tuple[str, ...] = ()  # what is for everybody
    hint = "send the header Authorization: Bearer TOKEN, or a name and a password"

    def __init__(self, token: str = "", file: Path | None = None) -> None:
        self.token, self.file = token.encode(), file
        self.throttle = Throttle()
        self._users: dict[str, users.Hash] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()  # what was given: the user, until when
        self._key = os.urandom(32)
        self._checking: dict[bytes, asyncio.Future[str]] = {}
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="password")
        if file is not None:
            self._users, self._stamp = users.read(file), stamp_of(file)

    async def who(self, header: str, address: str) -> Who | No:
        """Who gave this Authorization header from this address. Nothing is awaited unless a password is new."""
        kind, _, given = header.strip().partition(" ")
        given = given.strip()
        if kind.lower() == "bearer":
            return self._token(given, address)
        name, password = _basic(given) if kind.lower() == "basic" else ("", "")
        if not name or len(password) > users.PASSWORD_MOST:
            return No(self.needed)
        if name == users.TOKEN:
            return self._token(password, address)
        return await self._user(name, password, address)

    def _token(self, given: str, address: str) -> Who | No:
        if self.token and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token):
            return Who(token=True)
        return self._refuse(self._digest("", given), address)

    async def _user(self, name: str, password: str, address: str) -> Who | No:
        self._reload()
        key = self._digest(name, password)
        found, until = self._known.get(key, ("", 0.0))
        if until > time.monotonic():
            return Who(found) if found else self._refuse(key, address)
        if key not in self._checking:  # the requests of a page come together: one of them is checked
            if wait := self.throttle.wait(address):
                return later(wait)
            if len(self._checking) >= CHECKING:
                return No("too many passwords wait to be checked", 2)
        found = await self._checked(key, name, password)
        return Who(found) if found else self._refuse(key, address)

    async def _checked(self, key: bytes, name: str, password: str) -> str:
        """The user's name where the password is right, else the empty string; checked once for all who wait."""
        checking = self._checking.get(key)
        if checking is None:
            loop, stamp = asyncio.get_running_loop(), self._stamp
            stored = self._users.get(name)
            decoy = max(self._users.values(), key=lambda h: h.n * h.p, default=users.DECOY)
            checking = loop.run_in_executor(self._threads, _compare, name, password, stored, decoy)
            self._checking[key] = checking

            def done(ended: asyncio.Future[str]) -> None:
                self._checking.pop(key, None)
                if not ended.cancelled() and ended.exception() is None and ended.result() and stamp == self._stamp:
                    self._remember(key, ended.result())

            checking.add_done_callback(done)
        return await asyncio.shield(checking)  # one of those who wait may go away

    def _refuse(self, key: bytes, address: str) -> No:
        """Count a failure, unless the same was given before: a browser gives its wrong password many times."""
        if wait := self.throttle.wait(address):
            return later(wait)
        if self._known.get(key, ("", 0.0))[1] <= time.monotonic():  # else the same wrong one is free for ever after
            self._remember(key, "")
            self.throttle.failed(address)
            log.warning("a login from %s failed", address or "an unknown address")
        return No("name and password, or the token, are wrong")

    def _remember(self, key: bytes, user: str) -> None:
        self._known[key] = user, time.monotonic() + REMEMBER_S
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _digest(self, name: str, secret: str) -> bytes:
        return hmac.digest(self._key, f"{name}\0{secret}".encode("utf-8", "surrogatepass"), "sha256")

    def _reload(self) -> None:
        """Read the users again where their file has changed; one that can't be read any more lets nobody in."""
        if self.file is None or (stamp := stamp_of(self.file)) == self._stamp:
            return
        self._known.clear()
        self._stamp = stamp
        try:
            self._users = users.read(self.file)
        except QuerywrightError as error:
            log.error("nobody can log in: %s", error)
            self._users = {}


def _compare(name: str, password: str, stored: users.Hash | None, decoy: users.Hash) -> str:
    right = users.matches(password, decoy if stored is None else stored)
    return name if right and stored is not None else ""


def _basic(given: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return "", ""
    return name, password


def later(wait: float) -> No:
    """That an address has to wait so many seconds."""
    return No("too many wrong passwords came from this address", max(1, round(wait)))


def stamp_of(file: Path) -> tuple[int, int, int] | None:
    """What changes with a file's content; None where it can't be seen."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size  # a disk's clock may tick slower than an editor writes


def auth_of(environ: Mapping[str, str] = os.environ, tell: Callable[[str], None] = say) -> Auth | None:
    """What QUERYWRIGHT_TOKEN and QUERYWRIGHT_USERS ask for; None where neither is set.

    Raises:
        QuerywrightError: the token is too short or holds what no header can, or the file has no users.
    """
    token, path = environ.get("QUERYWRIGHT_TOKEN", ""), environ.get("QUERYWRIGHT_USERS", "")
    if token and (len(token) < TOKEN_LEAST or not re.fullmatch(r"[!-~]+", token)):
        raise QuerywrightError(
            f"QUERYWRIGHT_TOKEN needs {TOKEN_LEAST} or more letters, digits and marks, without spaces",
            hint='export QUERYWRIGHT_TOKEN="$(openssl rand -hex 32)"',
        )
    if not path:
        return Auth(token) if token else None
    auth = Auth(token, Path(path))
    if not auth._users:
        raise QuerywrightError(f"there is no user in {path}", hint=f"querywright users add NAME --file {path}")
    if os.name == "posix" and Path(path).stat().st_mode & 0o077:
        tell(f"others on this machine may read the password hashes in {path}: chmod 600 {path}")
    return auth


def requirements(
    host: str, auth: object, open_: bool, environ: Mapping[str, str] = os.environ, hint: str = LOGINS
) -> None:
    """Refuse to serve others where nobody has to log in, unless that was asked for.

    Others are served where the host is not this machine alone, and behind a proxy (`QUERYWRIGHT_ORIGINS` says so).

    Raises:
        QuerywrightError: others are served, there is no login, and `open_` is not set; or a setting of the environment
            about origins and proxies is wrong.
    """
    site = site_of(host, environ)
    if auth is not None or open_ or (is_loopback(host) and not site.origins):
        return
    where = host if not is_loopback(host) else sorted(site.origins)[0][1]
    raise QuerywrightError(
        f"others can reach {where}, and nobody would have to log in",
        hint=hint,
    )
