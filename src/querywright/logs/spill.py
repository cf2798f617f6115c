"""Lines that do not fit in memory: sorted runs on disk, merged while they are read.

A log has as many distinct URLs as it likes. Whoever counts them holds what fits, writes it as a sorted run, and begins
anew; whoever needs them reads all runs through `heapq.merge`. That is a group-by of any size in constant memory, of
standard library only, and since runs are plain files, any process that sees the folder can read them. A run holds its
partitions one after the other, so that as many readers as there are partitions can share the work.
"""

from __future__ import annotations

import heapq
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from json.encoder import encode_basestring
from pathlib import Path
from typing import NamedTuple

PARTITIONS = 16
"""Fixed, so that a result can't depend on the number of workers."""

RUN_BYTES = 48 << 20
"""Lines are held up to this size; with Python's share of each line that is two to three times as much memory."""

FAN_IN = 200
"""Runs read at once; with more, some are merged first (a process may not open thousands of files)."""


class Run(NamedTuple):
    """One file of sorted lines; partition i is `starts[i]:starts[i + 1]`."""

    path: str
    starts: tuple[int, ...]


def pack(text: str) -> str:
    """Text as a JSON string: no tab and no line end stands in it raw, so that it can be a cell of a line."""
    return encode_basestring(text)


def partition_of(key: str) -> int:
    """Where a key belongs, the same in every process."""
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % PARTITIONS


class Spill:
    """Writes lines into runs. Use as a context manager: leaving it writes the last run.

    A name is written by one task; a task that is run again writes the same files again, whole or not at all.
    """

    def __init__(self, folder: str, name: str, limit: int | None = None) -> None:
        self.folder, self.name, self.limit = folder, name, limit or RUN_BYTES
        self.runs: list[Run] = []
        self._lines: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self._held = 0

    def add(self, partition: int, line: str) -> None:
        """Take a line (without its end)."""
        raw = line.encode("utf-8", "surrogatepass") + b"\n"
        self._lines[partition].append(raw)
        self._held += len(raw) + 40
        if self._held > self.limit:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one run."""
        if not self._held:
            return
        path = os.path.join(self.folder, f"{self.name}-{len(self.runs):05d}.run")
        handle, temporary = tempfile.mkstemp(dir=self.folder)
        starts = [0]
        with os.fdopen(handle, "wb") as out:
            for lines in self._lines:
                lines.sort()
                out.writelines(lines)
                starts.append(out.tell())
                lines.clear()
        os.replace(temporary, path)
        self.runs.append(Run(path, tuple(starts)))
        self._held = 0

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.flush()


def _lines(run: Run, partition: int, stack: ExitStack) -> Iterator[bytes]:
    start, end = run.starts[partition], run.starts[partition + 1]
    if start == end:
        return
    file = stack.enter_context(open(run.path, "rb"))  # noqa: SIM115
    file.seek(start)
    left = end - start
    for line in file:
        yield line
        left -= len(line)
        if left <= 0:
            break
    file.close()


def read(runs: Sequence[Run], partition: int) -> Iterator[bytes]:
    """All lines of one partition in sorted order, with their ends."""
    todo = [run for run in runs if run.starts[partition] < run.starts[partition + 1]]
    with ExitStack() as stack:
        if len(todo) > FAN_IN:
            below = Path(todo[0].path).parent
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=below, prefix="merge-"))
            todo = _fewer(todo, partition, folder)
        streams = [_lines(run, partition, stack) for run in todo]
        yield from streams[0] if len(streams) == 1 else heapq.merge(*streams)


def _fewer(runs: list[Run], partition: int, folder: str) -> list[Run]:
    """Some runs merged into longer ones, so that at most `FAN_IN` are left."""
    number = 0
    while len(runs) > FAN_IN:
        path = os.path.join(folder, str(number))
        with ExitStack() as stack, open(path, "wb") as out:
            out.writelines(heapq.merge(*(_lines(run, partition, stack) for run in runs[:FAN_IN])))
            runs = [*runs[FAN_IN:], Run(path, (*(0,) * (partition + 1), out.tell()))]
        number += 1
    return runs


def grouped(lines: Iterable[bytes], cells: int) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """Consecutive lines that share their first `cells` cells: (these, the other cells of each line). Read in order."""
    def key(line: list[str]) -> list[str]:
        return line[:cells]

    split = (line.decode("utf-8", "surrogatepass").rstrip("\n").split("\t") for line in lines)
    for first, rows in groupby(split, key):
        yield first, (row[cells:] for row in rows)
