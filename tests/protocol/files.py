"""Files at a server: uploaded, listed, looked at, downloaded."""

from __future__ import annotations

import email
import email.policy
import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tests.protocol.http import Reply, Request


@dataclass
class Files:
    """A room that keeps files; what works on files builds on it.

    Attributes:
        gate: the answer to what `gated` names (`upload`, `create`) waits for it: the work is done, the client doesn't
            know it.
        key: where it is given, other keys are refused.
        lists: whether things can be listed; not every server does.
        page: entries of a list's page.
        uploads: the files, in their order.
        bodies: their bytes.
        spoilt: what a download gives instead of the file's bytes: taken from the front, None is the whole file.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    gated: tuple[str, ...] = ()
    key: str = ""
    lists: bool = True
    page: int = 3
    uploads: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    spoilt: list[bytes | None] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    prefix: ClassVar[str] = "/files"

    def __call__(self, request: Request) -> Reply | None:
        """Answer a request, or None where it is for another room."""
        path, _, query = request.path.partition("?")
        asked = {k: v[0] for k, v in parse_qs(query).items()}
        if not path.startswith(("/files", self.prefix)):
            return None
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        with self._lock:
            reply, what = self._answer(request, path.strip("/").split("/"), asked)
        if what in self.gated:
            self.gate.wait(30)
        return reply

    def _answer(self, request: Request, parts: list[str], asked: dict[str, str]) -> tuple[Reply, str]:
        match parts:
            case ["files"] if request.method == "POST":
                return self._upload(request), "upload"
            case ["files"]:
                wanted = asked.get("purpose")
                return self._list([f for f in self.uploads if wanted in (None, f["purpose"])], asked), ""
            case ["files", name]:
                return one(self.uploads, name), ""
            case ["files", name, "content"] if name in self.bodies:
                spoilt = self.spoilt.pop(0) if self.spoilt else None
                data = self.bodies[name] if spoilt is None else spoilt
                return Reply(body=data, headers={"Content-Type": "application/octet-stream"}), ""
        return Reply(404, {"error": {"message": f"no {request.method} /{'/'.join(parts)}"}}), ""

    def _list(self, things: list[dict[str, Any]], asked: dict[str, str]) -> Reply:
        if not self.lists:
            return Reply(404, {"error": {"message": "no such list"}})
        ids = [t["id"] for t in things]
        start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
        shown = things[start : start + self.page]
        return Reply(body={"object": "list", "data": shown, "has_more": start + self.page < len(things)})

    def _upload(self, request: Request) -> Reply:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message: Any = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
        found = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        data = found["file"].get_payload(decode=True)
        return Reply(body=self.put(data, found["file"].get_filename(), found["purpose"].get_payload().strip()))

    def put(self, data: bytes, name: str, purpose: str) -> dict[str, Any]:
        """Keep a file; returns what the protocol says of it."""
        file = {
            "id": f"file-{len(self.uploads) + 1}", "object": "file", "bytes": len(data), "created_at": 1_700_000_000,
            "filename": name, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.uploads.append(file)
        self.bodies[file["id"]] = data
        return file


def one(things: list[dict[str, Any]], name: str) -> Reply:
    """The thing of that id."""
    found = next((t for t in things if t["id"] == name), None)
    return Reply(body=found) if found else Reply(404, {"error": {"message": f"no such object: {name}"}})
