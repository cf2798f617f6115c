"""The rows of CSV: the first row holds the names, and says what parts cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from querywright.errors import QuerywrightError

_NAME_SHOWN = 80
_LONGEST_CELL = 1 << 30
_TOLD = re.compile(r'"?sep=([,;\t|])"?\s*', re.I)  # the line that Excel puts first


def csv_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row's place and its cells by their names, without empty ones (an empty `text` is one).

    Cells are parted by what a first line `sep=;` says; else by tabs, where the names have some or the file's name ends
    with .tsv; else by semicolons or commas, of which the names have more, or the next line has, or by semicolons: a
    comma in a name, or in 1,5, parts nothing then.

    Raises:
        QuerywrightError: it is no CSV; the message names the line.
    """
    csv.field_size_limit(_LONGEST_CELL)  # the module's own, 128 KiB, is for all readers of the process
    rest = iter(lines)
    first, delimiter = _head(rest)
    if not delimiter:
        head = re.sub(r'"[^"]*"', "", "".join(first))  # a comma within quotes parts nothing
        second = next(rest, "")
        first.append(second)
        delimiter = max(";,", key=lambda sign: (head.count(sign), second.count(sign))) if ";" in head else ","
        delimiter = "\t" if "\t" in head or path.suffix.lower() == ".tsv" else delimiter
    rows = csv.reader(chain(first, rest), delimiter=delimiter, strict=True)
    names: list[str] = []
    try:
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if len(row) < 2 and not "".join(row).strip():
                continue
            if not names:
                names = _names(row, where)
                continue
            if len(row) != len(names):
                raise QuerywrightError(
                    f"{where}: {len(row)} cells, and the first row has {len(names)} names",
                    hint="quote cells that hold the delimiter or a line break",
                )
            yield where, {name: cell for name, cell in zip(names, row, strict=True) if cell or name == "text"}
    except csv.Error as error:
        raise QuerywrightError(f"{path}:{rows.line_num}: no CSV ({error})", hint='quotes are doubled: ""') from error


def _head(rest: Iterator[str]) -> tuple[list[str], str]:
    """The lines up to the end of the first row, and the delimiter that is told before it."""
    first: list[str] = []
    told, quotes = "", 0
    for line in rest:
        found = None if told or quotes else _TOLD.fullmatch(line)
        if found:
            told = found[1]
            first.append("\n")  # lines are counted on
            continue
        first.append(line)
        quotes += line.count('"')
        if line.strip() and quotes % 2 == 0:
            break
    return first, told


def _names(row: list[str], where: str) -> list[str]:
    names = [name.strip() or f"column {place}" for place, name in enumerate(row, 1)]
    twice, often = Counter(names).most_common(1)[0]
    if often > 1:
        shown = twice[:_NAME_SHOWN]
        raise QuerywrightError(f"{where}: two columns are called {shown!r}", hint="a name of its own for each column")
    return names
