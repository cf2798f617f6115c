"""Files at a server, sent once: a file's name there is made of its content, so one that is there already is found."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any, Literal

from querywright.engines.host import Host, line
from querywright.progress import say

LOOKED_AT = 1000  # things of a server that are looked through


def name_of(data: bytes) -> str:
    """The name of a file with this content."""
    return f"querywright-{hashlib.sha256(data).hexdigest()[:24]}.jsonl"


def send_file(host: Host, data: bytes, purpose: Literal["fine-tune", "batch"], what: str, known: str = "") -> str:
    """The server's id of a file; it is sent only if it is not there, also where an earlier try's answer got lost.

    Args:
        what: the file as the user knows it, for messages.
        known: the id that was noted earlier.

    Raises:
        HostError: the server refuses it.
    """
    files, name = host.client.files, name_of(data)
    if known and host.optional(f"look at {known}", lambda: _usable(files.retrieve(known)), False):
        return known

    def send() -> str:
        there: list[Any] = host.optional("list of files", lambda: listed(files.list(purpose=purpose)), [])
        for file in there:
            same = getattr(file, "filename", "") == name and getattr(file, "bytes", None) in (None, len(data))
            if same and _usable(file):
                say(f"{what} is there already: {line(file.id)}")
                return str(file.id)
        made = files.create(file=(name, data, "application/jsonl"), purpose=purpose)
        if not getattr(made, "id", ""):
            raise ValueError("an answer without a file's id")
        return str(made.id)

    return host.ask(f"upload of {what}", send)


def listed(pages: Any) -> list[Any]:
    """The first things of a list of pages."""
    return list(islice(pages, LOOKED_AT))


def _usable(file: Any) -> bool:
    return getattr(file, "status", "") not in ("error", "deleted", "expired")
