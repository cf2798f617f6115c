"""What the parts of a run say of themselves: sums and names of files, so that any two of them add up to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from querywright.logs.spill import Run

MOST_CLIENTS = 65_536
"""Clients told apart for one call or one signature. Nobody steers what so many people send."""

NOBODY = "-"
"""The client of a line whose format does not say who asked."""


@dataclass
class Tally:
    """The result of one task. Adding is associative and has no order: `merge(a, b)` equals `merge(b, a)`.

    Attributes:
        lines: lines read, by number of the shard (so that a place in a shard becomes a line of its file).
        counts: lines by what became of them, and whatever else is counted.
        codes: lines with a bad call, by the parser's reason.
        masked: lines whose query was masked, by what was found in it.
        runs: sorted runs for the next step; the URLs, calls or rows themselves.
        rejects: sorted runs of rejected rows, where they were asked for.
    """

    lines: dict[int, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    runs: tuple[Run, ...] = ()
    rejects: tuple[Run, ...] = ()


def merge(a: Tally, b: Tally) -> Tally:
    """The two together. A task that ran twice names the same files, which count once."""
    return Tally(
        {**a.lines, **b.lines},
        a.counts + b.counts,
        a.codes + b.codes,
        a.masked + b.masked,
        tuple(sorted({*a.runs, *b.runs})),
        tuple(sorted({*a.rejects, *b.rejects})),
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together, in time that grows with their number (`merge` sorts each time)."""
    whole, runs, rejects = Tally(), set[Run](), set[Run]()
    for tally in tallies:
        whole.lines.update(tally.lines)
        whole.counts.update(tally.counts)
        whole.codes.update(tally.codes)
        whole.masked.update(tally.masked)
        runs.update(tally.runs)
        rejects.update(tally.rejects)
    whole.runs, whole.rejects = tuple(sorted(runs)), tuple(sorted(rejects))
    return whole


class Clients:
    """How many lines each client sent. Up to `MOST_CLIENTS` are told apart; `lines` counts those of all."""

    __slots__ = ("by", "lines", "nobody")

    def __init__(self) -> None:
        self.by: dict[str, int] = {}
        self.lines = self.nobody = 0

    def add(self, client: str, n: int) -> None:
        """Count `n` lines of a client."""
        self.lines += n
        if client == NOBODY:
            self.nobody += n
        elif client in self.by:
            self.by[client] += n
        elif len(self.by) < MOST_CLIENTS:
            self.by[client] = n

    def read(self, cell: str) -> int:
        """Add what `write` wrote; returns its number of lines."""
        by, lines = self.by, 0
        for part in cell.split(","):
            client, n = part, 1
            if ":" in part:
                client, _, often = part.partition(":")
                n = int(often)
            lines += n
            if client in by:
                by[client] += n
            elif client == NOBODY:
                self.nobody += n
            elif len(by) < MOST_CLIENTS:
                by[client] = n
        self.lines += lines
        return lines

    def join(self, other: Clients) -> None:
        """Add all that another one counted."""
        by, told = self.by, 0
        for client, n in other.by.items():
            told += n
            if client in by:
                by[client] += n
            elif len(by) < MOST_CLIENTS:
                by[client] = n
        self.lines += other.lines
        self.nobody += other.lines - told

    def write(self) -> str:
        """As a cell of a line."""
        return write_clients({**self.by, NOBODY: self.lines - sum(self.by.values())} if self.over else self.by)

    @property
    def over(self) -> bool:
        """Whether lines are left that no client in `by` sent."""
        return self.lines > sum(self.by.values())

    def weight(self, least: int) -> int:
        """The lines, of which no client counts for more than all others together (or than `least`).

        So a client that sends one request a million times weighs as much as the rest of the world, not more.
        """
        if not self.by or len(self.by) >= MOST_CLIENTS:
            return self.lines
        most = max(self.by.values())
        return self.lines - most + min(most, max(least, self.lines - most))


def write_clients(by: dict[str, int]) -> str:
    """`client:lines` with commas between, and without `:1`."""
    return ",".join([client if n == 1 else f"{client}:{n}" for client, n in by.items()])
