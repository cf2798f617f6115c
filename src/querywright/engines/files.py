"""Files at a server, sent once: a file's name there is made of its content, so one that is there already is found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

from querywright.engines.host import Host, line
from querywright.progress import say

Purpose = Literal["fine-tune", "batch"]
LOOKED_AT = 1000  # things of a server that are looked through


def name_of(data: bytes) -> str:
    """The name of a file with this content."""
    return f"querywright-{hashlib.sha256(data).hexdigest()[:24]}.jsonl"


def send_file(
    host: Host, data: bytes, purpose: Purpose, what: str, known: str = "", there: Sequence[Any] | None = None
) -> str:
    """The server's id of a file; it is sent only if it is not there, also where an earlier try's answer got lost.

    Args:
        what: the file as the user knows it, for messages.
        known: the id that was noted earlier.
        there: the server's files, where they were listed a moment ago; after a failure they are listed again.

    Raises:
        HostError: the server refuses it.
    """
    files, name = host.client.files, name_of(data)
    if known and host.optional(f"look at {known}", lambda: _usable(files.retrieve(known)), False):
        return known

    looked = [there] if there is not None else []

    def send() -> str:
        for file in looked.pop() if looked else files_at(host, purpose):
            same = getattr(file, "filename", "") == name and getattr(file, "bytes", None) in (None, len(data))
            if same and _usable(file):
                say(f"{what} is there already: {line(file.id)}")
                return str(file.id)
        made = files.create(file=(name, data, "application/jsonl"), purpose=purpose)
        if not getattr(made, "id", ""):
            raise ValueError("an answer without a file's id")
        return str(made.id)

    return host.ask(f"upload of {what}", send)


def files_at(host: Host, purpose: Purpose) -> list[Any]:
    """The files that a server lists; none where it can't."""
    return host.optional("list of files", lambda: listed(host.client.files.list(purpose=purpose)), [])


def listed(pages: Any) -> list[Any]:
    """The first things of a list of pages."""
    return list(islice(pages, LOOKED_AT))


def _usable(file: Any) -> bool:
    return getattr(file, "status", "") not in ("error", "deleted", "expired")
