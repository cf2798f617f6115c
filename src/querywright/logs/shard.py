"""The first step: a part of a log becomes its distinct URLs, each with how often it stands there and for whom.

The hot loop splits a line at its quotes and looks two things up: what the line asks for, and who asked. All else is
done once for each distinct request, or once for each distinct method, status and agent.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from querywright.logs import formats, privacy
from querywright.logs.filter import is_endpoint, of_request
from querywright.logs.sign import definition
from querywright.logs.source import Source, blocks
from querywright.logs.spill import Spill, pack, partition_of
from querywright.logs.tally import NOBODY, Tally, write_clients

HELD_BYTES = 96 << 20
"""Distinct requests are held up to this size, by an estimate of what Python takes for them."""

KEY_BYTES, CLIENT_BYTES = 700, 110
"""What a distinct request takes beside its text, and each further client of it."""

MEMO = 65_536
"""Verdicts and hashes that are remembered; then all are forgotten."""


class Spec(NamedTuple):
    """One shard: bytes `start:end` of a source, or `data`, whole lines that were read elsewhere.

    `salt` hides the clients' addresses; it lives as long as the run. `definition` is a file with
    the API as JSON: what is shown of a rejected line depends on it.
    """

    number: int
    source: Source | None
    start: int
    end: int | None
    data: bytes | None
    format: formats.Spec
    salt: bytes
    folder: str
    rejects: bool
    definition: str = ""


def shard(spec: Spec) -> Tally:
    """Read one shard. Running it again gives the same, also in its files."""
    tally = Tally()
    name = f"urls-{spec.number:06d}"
    with Spill(spec.folder, name) as urls, Spill(spec.folder, f"rejects-{name}") as rejects:
        reader = _Reader(spec, tally, urls, rejects)
        read = 0
        for block in _blocks(spec):
            hits = reader.format.scan(block)
            if spec.rejects:
                reader.note(read, hits, block)
            read += len(hits)
            reader.take(hits)
        reader.drain()
    tally.lines[spec.number] = read
    tally.runs, tally.rejects = tuple(urls.runs), tuple(rejects.runs)
    return tally


def _blocks(spec: Spec) -> Iterator[bytes]:
    if spec.source is None:
        yield spec.data or b""
    else:
        yield from blocks(spec.source, spec.start, spec.end)


def place(shard_number: int, line: int) -> str:
    """Where a line stands, so that places sort as the lines do. Lines count from 0."""
    return f"{shard_number:07d}:{line:012d}"


_PORT = re.compile(rb"((?:\d{1,3}\.){3}\d{1,3}|\[[0-9A-Fa-f:.]+\]):\d+")


def who(address: bytes) -> bytes:
    """One spelling of a client: without its port, of a list the last one (which a proxy wrote, not the client).

    An IPv6 client is its network of 64 bits, all of which one machine can have.
    """
    text = address.strip(b' ",').rpartition(b",")[2].strip(b' "')
    port = _PORT.fullmatch(text)
    text = (port[1] if port else text).strip(b"[]")
    try:
        ip = ipaddress.ip_address(text.decode("ascii").partition("%")[0])
    except ValueError:
        return text.lower()
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped.packed if ip.ipv4_mapped else ip.packed[:8]
    return ip.packed


class _Clients(dict[bytes, str]):
    """Addresses to salted hashes, which tell clients apart, and not who they are."""

    def __init__(self, salt: bytes) -> None:
        self.salt = salt

    def __missing__(self, address: bytes) -> str:
        if len(self) >= MEMO:
            self.clear()
        known = self[address] = (
            NOBODY
            if address in (b"", b"-")
            else hashlib.blake2b(who(address), key=self.salt, digest_size=8).hexdigest()
        )
        return known


def _shape(raw: bytes) -> str:
    return privacy.shape(raw[:200].decode("utf-8", "replace"))


Asked = tuple[bytes, bytes, bytes]
"""All of a hit but the client: request, status, agent."""


class _Reader:
    """Counts of one shard since they were last written out."""

    def __init__(self, spec: Spec, tally: Tally, urls: Spill, rejects: Spill) -> None:
        self.spec, self.tally, self.urls, self.rejects = spec, tally, urls, rejects
        self.format = formats.open_format(spec.format)
        self.held: dict[Asked, dict[str, int]] = {}
        self.size = 0
        self.first: dict[str, int] = {}
        self.requests: dict[bytes, tuple[str, str] | None] = {}
        self.verdicts: dict[tuple[str, bytes, bytes], str | None] = {}
        self.clients = _Clients(spec.salt)
        self.api = definition(spec.definition) if spec.rejects else None
        self.own = frozenset(self.api.param_names) if self.api else frozenset[str]()

    def take(self, hits: Iterable[formats.Hit | str]) -> None:
        """Count the hits of a block: the hot loop."""
        held, clients, size = self.held, self.clients, 0
        for hit in hits:
            if isinstance(hit, str):
                self.tally.counts[hit] += 1
                continue
            asked, client = hit[1:], clients[hit[0]]
            by = held.get(asked)
            if by is None:
                held[asked] = {client: 1}
                size += KEY_BYTES + len(hit[1]) + len(hit[3])
            elif client in by:
                by[client] += 1
            else:
                by[client] = 1
                size += CLIENT_BYTES
        self.size += size
        if self.size > HELD_BYTES:
            self.drain()

    def request(self, request: bytes) -> tuple[str, str] | None:
        """(method, path) of a request, or None where it is none; each request is looked at once until it is drained."""
        if request not in self.requests:
            self.requests[request] = self.format.request(request)
        return self.requests[request]

    def verdict(self, method: str, status: bytes, agent: bytes) -> str | None:
        """Why a line with these is no candidate, or None; each combination is looked at once."""
        key = (method, status, agent)
        if key not in self.verdicts:
            if len(self.verdicts) >= MEMO:
                self.verdicts.clear()
            self.verdicts[key] = of_request(method, status, self.format.agent(agent))
        return self.verdicts[key]

    def drain(self) -> None:
        """Write out what is held: one line for each distinct URL."""
        counts = self.tally.counts
        by_path: dict[str, dict[str, int]] = {}
        for (raw, status, agent), clients in self.held.items():
            request = self.request(raw)
            reason = formats.MALFORMED if request is None else self.verdict(request[0], status, agent)
            if reason is not None:
                counts[reason] += sum(clients.values())
            if request is None or reason is not None:
                continue
            by = by_path.setdefault(request[1], clients)
            if by is not clients:
                for client, n in clients.items():
                    by[client] = by[client] + n if client in by else n
        number, first = self.spec.number, self.first
        for path, by in by_path.items():
            at = place(number, first[path]) if first else ""
            cells = f"{at}\t{sum(by.values())}\t{by.get(NOBODY, 0)}\t{write_clients(by)}"
            self.urls.add(partition_of(path), f"{pack(path)}\t{cells}")
        self.held.clear()
        self.first.clear()
        self.requests.clear()
        self.size = 0

    def note(self, read: int, hits: list[formats.Hit | str], block: bytes) -> None:
        """Keep the rejected lines of a block, and where each URL first stands."""
        raw = block.split(b"\n")
        for n, hit in enumerate(hits):
            if isinstance(hit, str):
                self.reject(read + n, {"reason": hit, "shape": _shape(raw[n])})
                continue
            request = self.request(hit[1])
            if request is None:
                self.reject(read + n, {"reason": formats.MALFORMED, "shape": _shape(raw[n])})
                continue
            reason = self.verdict(request[0], hit[2], hit[3])
            if reason is None:
                self.first.setdefault(request[1], read + n)
                continue
            path = privacy.outline(request[1], self.own, self.api is not None and is_endpoint(self.api, request[1]))
            shown = {"reason": reason, "method": request[0], "path": path}
            self.reject(read + n, {**shown, "status": hit[2].decode()} if hit[2] else shown)

    def reject(self, line: int, row: dict[str, str]) -> None:
        """Keep one rejected line."""
        self.rejects.add(0, f"{place(self.spec.number, line)}\t{json.dumps(row, ensure_ascii=False)}")
