"""Where the lines of a log come from: files, patterns and standard input; plain, gzip or zstd.

A block holds whole lines only, each ended by one LF, whatever the file uses: LF, CRLF, or CR alone (known by the start
of the file: CR and no LF). A line over 64 KiB is replaced by `TOO_LONG` while it is read, so that memory stays at a few
MiB with any input, packed or not. A plain file can be read in shards: a line belongs to the shard in which it starts.
"""

from __future__ import annotations

import glob
import itertools
import re
import stat
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from querywright.errors import QuerywrightError, need
from querywright.progress import say

MAX_LINE = 65_536
"""Bytes. A longer line is no request that a server would have answered."""
TOO_LONG = b"\x00"
"""Stands for a line over `MAX_LINE`; no format reads it as a request."""
CHUNK = 1 << 20
HEAD = 65_536
_ZSTD_STEP = 256
"""Bytes of zstd data at once: 256 can't unpack to more than 8 MiB."""
_ZSTD_WINDOW = 1 << 27


@dataclass(frozen=True)
class Source:
    """One log. Picklable, unless it is a stream (standard input, a pipe): only its own process reads that, once.

    Attributes:
        size: bytes of a plain file; None where the log can't be split.
        mac: whether lines end with CR alone.
        head: the first lines, at most 64 KiB after unpacking, as `blocks` gives them.
    """

    name: str
    kind: Literal["file", "stream"]
    packed: Literal["", "gzip", "zstd"]
    size: int | None
    mac: bool
    head: bytes
    _start: bytes = field(default=b"", repr=False)
    _stream: BinaryIO | None = field(default=None, repr=False, compare=False)


def expand(sources: Iterable[str]) -> list[str]:
    """Files for names and patterns, patterns in sorted order, each once; `-` is standard input.

    Raises:
        QuerywrightError: a name or pattern matches no file.
    """
    found: list[str] = []
    for source in sources:
        path = Path(source)
        if source == "-" or path.is_file() or path.is_fifo():
            found.append(source)
        elif path.is_dir():
            raise QuerywrightError(f"{source} is a folder", hint=f"name its files: '{source.rstrip('/')}/*.log*'")
        else:
            matches = sorted(p for p in glob.glob(source, recursive=True) if Path(p).is_file())
            if not matches:
                raise QuerywrightError(f"no such log: {source}", hint="check the path, or pass '-' for standard input")
            found += matches
    return list(dict.fromkeys(found))


def open_source(name: str) -> Source:
    """Look at the start of a log: how it is packed, how its lines end, its first lines.

    Raises:
        QuerywrightError: the file can't be opened, or is in UTF-16, or it is zstd and the package for that is missing.
    """
    try:
        file: BinaryIO = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115 - a stream stays open
        status = None if name == "-" else Path(name).stat()
        start = file.read(HEAD)
    except OSError as error:
        raise QuerywrightError(f"could not read {name}: {error.strerror}", hint="check the path") from error
    regular = status is not None and stat.S_ISREG(status.st_mode)
    packed: Literal["", "gzip", "zstd"] = ""
    if start[:2] == b"\x1f\x8b":
        packed = "gzip"
    elif start[:4] == b"\x28\xb5\x2f\xfd" or (start[1:4] == b"\x2a\x4d\x18" and start[0] >> 4 == 5):
        packed = "zstd"
        need("zstandard", extra="logs")
    first = b""
    for chunk in _unpack(iter([start]), packed, ""):
        first += chunk
        if len(first) >= HEAD:
            break
    first = first[:HEAD]
    if _is_utf16(first):
        shown = "FILE" if name == "-" else name
        raise QuerywrightError(
            f"{'standard input' if name == '-' else name} is in UTF-16, not UTF-8",
            hint=f"iconv -f UTF-16 -t UTF-8 {shown} | querywright logs build ... -",
        )
    mac = b"\r" in first[:-1] and b"\n" not in first
    whole = first[: first.rfind(b"\r" if mac else b"\n") + 1] or first
    head = b"".join(_whole_lines(iter([_without_bom(whole)]), mac))
    if regular:
        file.close()
    return Source(
        name, "file" if regular else "stream", packed,
        status.st_size if status is not None and regular and not packed else None, mac, head,
        b"" if regular else start, None if regular else file,
    )  # fmt: skip


def _is_utf16(start: bytes) -> bool:
    """Whether a text is in UTF-16: it says so and has zeros, or of its first bytes every second one alone is zero."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") and start[2:64].count(0) > 7:
        return True
    even, odd = start[:64:2], start[1:64:2]
    return len(odd) > 15 and any((not any(zero)) and all(other) for zero, other in ((even, odd), (odd, even)))


def shards(source: Source, size: int) -> list[tuple[int, int | None]]:
    """Byte ranges of about `size` bytes for `blocks`; one range where the log can't be split."""
    if source.size is None or source.size <= size:
        return [(0, None)]
    edges = list(range(0, source.size, size))
    return [*itertools.pairwise(edges), (edges[-1], None)]


def blocks(source: Source, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The lines that start at or after `start` and before `end` (byte offsets of a plain file), about 1 MiB at a time.

    A file that is cut or damaged gives what comes before the damage, and says so.

    Raises:
        QuerywrightError: the file can't be opened.
        ValueError: a range of a log that can't be split.
    """
    if (start or end is not None) and source.size is None:
        raise ValueError(f"{source.name} can't be read in parts")
    chunks = _unpack(_raw(source, start, end), source.packed, source.name)
    if not start:
        chunks = _first_without_bom(chunks)
    yield from _whole_lines(chunks, source.mac)


def lines(source: Source, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The same, line by line, without line ends; `TOO_LONG` for a line over `MAX_LINE`."""
    for block in blocks(source, start, end):
        yield from block[:-1].split(b"\n")


def _raw(source: Source, start: int, end: int | None) -> Iterator[bytes]:
    if source.kind == "stream":
        assert source._stream is not None
        yield source._start
        try:
            while chunk := source._stream.read(CHUNK):
                yield chunk
        except OSError as error:
            say(f"{source.name}: reading stopped ({error}); the lines before that are used")
        return
    try:
        with open(source.name, "rb") as file:
            ending = b"\r" if source.mac else b"\n"
            at = _line_start(file, start, ending)
            stop = _line_start(file, end, ending) if end is not None else None
            file.seek(at)
            while chunk := file.read(CHUNK if stop is None else max(0, min(CHUNK, stop - at))):
                at += len(chunk)
                yield chunk
    except FileNotFoundError as error:
        raise QuerywrightError(f"could not read {source.name}: {error.strerror}", hint="check the path") from error
    except OSError as error:
        say(f"{source.name}: reading stopped ({error}); the lines before that are used")


def _line_start(file: BinaryIO, offset: int, ending: bytes) -> int:
    """The first start of a line at or after `offset`; the length of the file where there is none."""
    if offset <= 0:
        return 0
    at = offset - 1
    file.seek(at)
    while chunk := file.read(HEAD):
        found = chunk.find(ending)
        if found >= 0:
            return at + found + 1
        at += len(chunk)
    return at


def _unpack(chunks: Iterator[bytes], packed: str, name: str) -> Iterator[bytes]:
    """Unpacked pieces of bounded size. With an empty name (a look at the start) a cut is not worth a word."""
    if not packed:
        yield from chunks
        return
    try:
        ended = yield from (_gunzip(chunks) if packed == "gzip" else _unzstd(chunks))
        why = "" if ended else "it ends too early"
    except (zlib.error, _zstd_error(packed)) as error:
        why = str(error)
    if why and name:
        say(f"{name}: the file is cut or damaged ({why}); the lines before that are used")


def _zstd_error(packed: str) -> type[Exception]:
    found: type[Exception] = need("zstandard", extra="logs").ZstdError if packed == "zstd" else zlib.error
    return found


def _gunzip(chunks: Iterator[bytes]) -> Generator[bytes, None, bool]:  # returns whether the last member is whole
    unpack = zlib.decompressobj(31)
    for data in chunks:
        while True:
            if unpack.eof:
                data = data.lstrip(b"\x00")  # some writers pad
                if not data:
                    break
                unpack = zlib.decompressobj(31)
            out = unpack.decompress(data, CHUNK)
            if out:
                yield out
            data = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            if not data and len(out) < CHUNK:
                break
    return bool(unpack.eof)


def _unzstd(chunks: Iterator[bytes]) -> Generator[bytes, None, bool]:  # returns whether the last frame is whole
    decompressor = need("zstandard", extra="logs").ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    unpack = decompressor.decompressobj()
    for chunk in chunks:
        for at in range(0, len(chunk), _ZSTD_STEP):
            data = chunk[at : at + _ZSTD_STEP]
            while data:
                if unpack.eof:
                    unpack = decompressor.decompressobj()
                out = unpack.decompress(data)
                data = unpack.unused_data if unpack.eof else b""
                for start in range(0, len(out), CHUNK):
                    yield out[start : start + CHUNK]
    return bool(unpack.eof)


def _without_bom(data: bytes) -> bytes:
    return data.removeprefix(b"\xef\xbb\xbf")


def _first_without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= 3:
            break
    if first:
        yield _without_bom(first)
    yield from chunks


def _whole_lines(chunks: Iterator[bytes], mac: bool) -> Iterator[bytes]:
    ending = b"\r" if mac else b"\n"
    rest, skipping = b"", False
    for chunk in chunks:
        if skipping:
            found = chunk.find(ending)
            if found < 0:
                continue
            chunk, skipping = chunk[found + 1 :], False
        data = rest + chunk if rest else chunk
        cut = data.rfind(ending) + 1
        if cut:
            yield _tidy(data[:cut], mac)
        rest = data[cut:]
        if len(rest) > MAX_LINE + 1:  # one more for a CR that may belong to the line's end
            yield TOO_LONG + b"\n"
            rest, skipping = b"", True
    if rest:
        yield _tidy(rest + ending, mac)


_CRS = re.compile(rb"\r++\n")


def _tidy(data: bytes, mac: bool) -> bytes:
    """Lines ended by LF alone, the over-long ones replaced."""
    if mac:
        data = data.replace(b"\n", b"").replace(b"\r", b"\n")
    elif b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        if b"\r\n" in data:  # a CRLF file whose LF was made CRLF once more
            data = _CRS.sub(b"\n", data)
    half = MAX_LINE // 2  # an over-long line covers at least one such window
    if any(data.find(b"\n", at, at + half) < 0 for at in range(0, len(data) - half, half)):
        data = b"\n".join(line if len(line) <= MAX_LINE else TOO_LONG for line in data[:-1].split(b"\n")) + b"\n"
    return data
