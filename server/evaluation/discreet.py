"""What a team reads of its jobs says nothing of this machine: no folders, no addresses of models' servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from querywright.progress import Listener, heard, hearing

_WORD = r"(?:[^\s/:;,'\"]|(?<=\w)'(?=\w))+"
# with single spaces in its folders' names; what begins with a version is a path of a REST API
_FOLDERS = re.compile(rf"(?<![\w/.])/+(?!v\d+/)(?:{_WORD}(?: {_WORD})*/+)+")
_ADDRESS = re.compile(r"\b(?:https?|amqps?|rediss?|postgres\w*)://[^\s,;'\")]+")


def plain(text: str) -> str:
    """A text with files without their folders, and without addresses."""
    return _FOLDERS.sub("", _ADDRESS.sub("a server", text))


class Discreet:
    """Hears for somebody else, who gets plain texts."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def said(self, text: str) -> None:
        self._listener.said(plain(text))

    def moved(self, what: str, done: int, total: int | None) -> None:
        self._listener.moved(plain(what), done, total)


@contextmanager
def discreetly() -> Iterator[None]:
    """Within it, whoever hears this thread gets plain texts; a terminal gets all."""
    listener = hearing()
    if listener is None:
        yield
        return
    with heard(Discreet(listener)):
        yield
