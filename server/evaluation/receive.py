"""A body that is posted, into a file: piece by piece, hashed and counted on its way, never whole in memory.

It goes under a temporary name into a folder beside the uploads. Whatever ends it early (too large, too slow, the client
goes away, the server stops) leaves nothing; what a killed server left is swept later, by whatever server there is.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from querywright.errors import QuerywrightError
from server.access.guard import pass_by, upload_too_large
from server.evaluation.quotas import Quotas
from server.problems import CLIENT_GONE, Refused
from server.settings import Limits

if TYPE_CHECKING:
    from server.evaluation.shelf import Shelf

BLOCK = 256 * 1024
"""Bytes that are held before they are hashed and written."""
TYPES = {
    "application/json": "json", "text/json": "json", "text/csv": "csv", "application/csv": "csv",
    "application/x-ndjson": "jsonl", "application/ndjson": "jsonl", "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl", "application/jsonlines": "jsonl",
}  # fmt: skip
ANY = ("", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded")  # the last: what curl says
SUFFIXES = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}
_SWEEP_S = 3600.0
"""Age in seconds from which what nobody receives is swept, and the time between two sweeps."""
_HEAD = 64 * 1024


@dataclass(frozen=True)
class Received:
    """A file that has come: where it lies for now, its SHA-256 (hex) and its size in bytes."""

    path: Path
    sha: str
    bytes: int


class Places:
    """How many of something there are at once, of all teams and of one. Used by one event loop.

    Args:
        what: what is counted, as those who are refused are told.
    """

    def __init__(self, most: int, of_a_team: int, what: str = "uploads are being received") -> None:
        self.most, self.of_a_team, self.what = most, of_a_team, what
        self.teams: Counter[str] = Counter()

    @contextmanager
    def one(self, team: str) -> Iterator[None]:
        """Hold a place.

        Raises:
            Refused: there is none (429).
        """
        if self.teams[team] >= self.of_a_team:
            raise Refused(429, "busy", f"{self.teams[team]} of your {self.what}", retry_after=2)
        if self.teams.total() >= self.most:
            raise Refused(429, "busy", f"{self.most} {self.what}", retry_after=2)
        self.teams[team] += 1
        try:
            yield
        finally:
            self.teams[team] -= 1
            if not self.teams[team]:
                del self.teams[team]


@asynccontextmanager
async def received(
    request: Request, folder: Path, most: int, quotas: Quotas, limits: Limits, threads: Executor
) -> AsyncIterator[Received]:
    """The body of a request as a file in `folder`; it is gone after the block, unless it was moved.

    Args:
        most: bytes that are taken.
        threads: where it is hashed and written.

    Raises:
        Refused: it is too large (413), too slow (408), empty (422), encoded (415), the disk is full (503), or the
            client went away.
    """
    encodings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if any(one.strip() not in ("", "identity") for one in encodings):
        raise Refused(415, "encoded", "a body is taken as it is, without a content-encoding")
    room(folder, quotas)
    loop = asyncio.get_running_loop()

    def run(work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        return loop.run_in_executor(threads, work, *args)

    descriptor, name = await run(_opened, folder)  # open to the end: a file that somebody holds is not swept
    path, digest, size = Path(name), hashlib.sha256(), 0
    held = bytearray()

    def keep(block: bytes) -> None:
        digest.update(block)
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]

    async def put() -> None:
        block = bytes(held)
        held.clear()
        # a write that goes on after its request was given up must be over before the file is closed
        await _whole(run(keep, block))

    try:
        async with asyncio.timeout(quotas.upload_s):
            more = True
            while more:
                async with asyncio.timeout(quotas.stall_s):
                    message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refused(CLIENT_GONE, "cancelled", "the client went away")
                piece, more = message.get("body", b""), message.get("more_body", False)
                size += len(piece)
                if size > most:
                    if more:
                        await pass_by(request.receive, limits, most)
                    raise Refused(*upload_too_large(most))
                held += piece
                if len(held) >= BLOCK:
                    await put()
        if held:
            await put()
        await _whole(run(os.fsync, descriptor))
        if not size:
            raise Refused(422, "empty", "the body is empty", hint="curl --data-binary @FILE")
        yield Received(path, digest.hexdigest(), size)
    except TimeoutError:
        said = f"the body did not arrive within {quotas.upload_s:g} s, or stood still for {quotas.stall_s:g} s"
        raise Refused(408, "body_too_slow", said) from None
    except OSError as error:
        raise Refused(503, "disk", f"could not keep it: {error.strerror}", retry_after=60) from error
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


async def _whole(work: asyncio.Future[Any]) -> None:
    """Wait for work in a thread, also where the request is given up meanwhile."""
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        with suppress(Exception):
            await work
        raise


def _opened(folder: Path) -> tuple[int, str]:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix="incoming-")
    _held(descriptor)
    return descriptor, name


def _held(descriptor: int) -> bool:
    """Hold a file that a body goes into, until it is closed or its process dies; False where somebody else does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks: the age alone says what nobody receives
        pass
    return True


def room(folder: Path, quotas: Quotas) -> None:
    """See that a folder's disk has room for more.

    Raises:
        Refused: it has less than is to be kept free (503).
    """
    place = next(place for place in (folder, *folder.parents) if place.is_dir())
    if shutil.disk_usage(place).free < quotas.keep_free_bytes:
        said = f"less than {quotas.keep_free_bytes:,} bytes of the server's disk are free"
        raise Refused(503, "disk_full", said, retry_after=600)


def sweep(folder: Path, older_s: float = _SWEEP_S) -> None:
    """Delete what killed servers left in a folder of bodies; what is being received stays, however old it is."""
    for path in folder.glob("incoming-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > older_s:
                with open(path, "r+b") as file:  # as NFS wants it for a lock
                    if _held(file.fileno()):
                        path.unlink()


def keep_sweeping(shelf: Shelf, stop: threading.Event, every_s: float = _SWEEP_S) -> None:
    """Sweep now, and now and then until `stop` is set, bodies and what the shelf does not list: the loop of a thread of
    the server."""
    while True:
        with suppress(OSError):  # the folder can't be read for now
            sweep(shelf.settings.uploads)
        with suppress(QuerywrightError, OSError):  # nor the database
            shelf.sweep(_SWEEP_S)
        if stop.wait(every_s):
            return


def kind_of(content_type: str, name: str, path: Path) -> str:
    """What a document is: by its content type, else by its name, else by how it begins.

    Raises:
        Refused: a content type that is none of these, or another encoding than UTF-8 (415).
    """
    essence, _, rest = content_type.partition(";")
    essence = essence.strip().lower()
    charset = re.search(r"""charset\s*=\s*["']?([\w-]+)""", rest, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(415, "encoding", f"documents are UTF-8, not {charset[1][:40]}", param="content-type")
    if kind := TYPES.get(essence) or ("json" if re.fullmatch(r"application/[\w.-]+\+json", essence) else None):
        return kind
    if essence not in ANY:
        hint = "the file itself is the body: curl --data-binary @FILE -H 'content-type: application/json'"
        message = f"a body is JSON, JSON lines or CSV, not {essence[:60]!r}"
        raise Refused(415, "content_type", message, hint, param="content-type")
    suffix = Path(name[-64:]).suffix.lower()
    kind = SUFFIXES.get(suffix) or _looked(path)
    if kind == "csv" and suffix and suffix not in SUFFIXES:  # nothing but a guess
        hint = "a name that ends with .json, .jsonl or .csv, or the header content-type: text/csv"
        raise Refused(415, "content_type", f"{name!r} does not say what it is", hint, param="file-name")
    return kind


def _looked(path: Path) -> str:
    import json

    with open(path, "rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"["):
        return "json"
    if not head.startswith((b"{", b'"')):
        return "csv"
    first, _, rest = head.partition(b"\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return "json" if head.startswith(b"{") else "csv"  # an object over several lines; a quoted name of a column
    return "jsonl" if rest.strip() else "json"


def chunks_of(file: Received, kind: str, name: str, most: int) -> int:
    """How many chunks a document has. For a thread: it takes seconds for a large one.

    Raises:
        Refused: it is no such document, or has none, or too many (422).
    """
    from querywright.questions.chunks import count_chunks

    try:
        return count_chunks(file.path, kind, most=most)  # type: ignore[arg-type]
    except QuerywrightError as error:
        raise unread(error, file.path, kind, name, "document") from error


def unread(error: QuerywrightError, path: Path, kind: str, name: str, code: str) -> Refused:
    """What to say of a body that is not what it was taken for."""
    with open(path, "rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").strip()
    message, hint = str(error).replace(str(path), name), error.hint
    if kind == "csv" and head.startswith((b"[", b"{")):
        message, hint = f"{message}; it was read as CSV and looks like JSON", "the header content-type says what it is"
    elif b"\n" not in head and (kind == "csv" or "Extra data" in message):
        hint = "all of it is one line; curl -d takes line ends away: --data-binary @FILE"
    return Refused(422, code, message, hint)


def check_records(path: Path, kind: str, name: str) -> None:
    """See that `rules` find something to ask about. For a thread.

    Raises:
        Refused: no chunk is a record with fields (422).
    """
    from querywright.questions.chunks import has_records

    try:
        found = has_records(path, kind)  # type: ignore[arg-type]
    except QuerywrightError:  # deleted just now, for one: the job says so
        return
    if not found:
        message = f"rules ask for the fields of records, and {name} holds texts alone"
        hint = "a model that reads texts: GET /v1/evaluation/models lists them"
        raise Refused(422, "no_records", message, hint, param="model")
