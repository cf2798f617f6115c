"""Which team asks: a token each, of which only a hash is kept. A token is 256 bits of chance, so its hash needs no salt
and no slow function: nobody finds one by trying.

The file is read again when it changes: a team that was added or removed is so from the next request on.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from pathlib import Path

from querywright.errors import QuerywrightError
from server.access.auth import No, Who, later, stamp_of
from server.access.book import Book
from server.access.throttle import Throttle

log = logging.getLogger("querywright.server")
_MARK = "qw_"  # what scanners of leaked secrets can look for
_HASH = re.compile(r"sha256\$[0-9a-f]{64}")


def _parsed(text: str) -> str | None:
    return text if _HASH.fullmatch(text) else None


BOOK = Book("team", "querywright evaluation teams", _parsed, "local")
read, remove, allowed = BOOK.read, BOOK.remove, BOOK.allowed


def hashed(token: str) -> str:
    """What is kept of a token."""
    return "sha256$" + hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(path: Path | str, name: str) -> tuple[str, bool]:
    """Add a team, or give one a new token, which ends the old one.

    Returns:
        The token, which is kept nowhere, and whether the team is new.

    Raises:
        QuerywrightError: the name is not allowed, or the file can't be read or written.
    """
    token = _MARK + secrets.token_urlsafe(32)
    return token, BOOK.add(path, name, hashed(token))


class Teams:
    """Knows the teams of a file. Used by one event loop; nothing here waits.

    Raises:
        QuerywrightError: the file can't be read, or there is no team in it.
    """

    challenge = 'Bearer realm="Querywright"'
    needed = "the team's token is needed"
    open: tuple[str, ...] = ("/docs", "/openapi.json")  # a browser asks nobody for a token, and they tell of no team
    hint = "send the header Authorization: Bearer TOKEN; querywright evaluation teams add NAME makes one"

    def __init__(self, file: Path) -> None:
        self.file, self.throttle = file, Throttle()
        self._stamp = stamp_of(file)
        self._teams = self._read()
        if not self._teams:
            raise QuerywrightError(f"there is no team in {file}", hint=f"{BOOK.command} add NAME --file {file}")

    async def who(self, header: str, address: str) -> Who | No:
        """Which team gave this Authorization header from this address; `user` is its name."""
        kind, _, given = header.strip().partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            return No(self.needed)
        self._reload()
        if team := self._teams.get(hashed(given.strip())):  # a table of hashes: how long it takes says nothing of them
            return Who(team)
        if wait := self.throttle.wait(address):
            return later(wait)
        self.throttle.failed(address)
        log.warning("a token from %s is no team's", address or "an unknown address")
        return No("the token is no team's")

    def _reload(self) -> None:
        if (stamp := stamp_of(self.file)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._teams = self._read()
        except QuerywrightError as error:
            log.error("no team is let in: %s", error)
            self._teams = {}

    def _read(self) -> dict[str, str]:
        return {digest: name for name, digest in read(self.file).items()}
