"""Sentences that nothing may be trained on: a development or test set from outside, known by hashes only.

`data/protected/*.txt` holds one SHA-256 a line, of the sentence in its plain form (see `plain`); the text itself is not
there. `querywright pairs protect` adds to it. Whatever reads sentences to train on, to upload or to show as examples
asks `refuse` first; what makes sentences drops the ones that it would make by chance (`allowed`).
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from querywright.artefacts import data_dir, replacing
from querywright.errors import QuerywrightError

VARIABLE = "QUERYWRIGHT_PROTECTED"
"""Names more files of hashes, separated as in PATH."""

_ENDS = " .!?;:,…'\"“”‘’`"
_AROUND = "()[]{}<>*-–—•¿¡\n\t"
_HASH = re.compile(r"[0-9a-f]{64}")
_NAMED = 10  # rows that a message names


def plain(sentence: str) -> str:
    """A sentence as it is compared: lower case, single spaces, nothing of the punctuation at its ends."""
    return " ".join(unicodedata.normalize("NFKC", sentence).casefold().split()).strip(_ENDS)


def digest(sentence: str) -> str:
    """SHA-256 of a sentence's plain form, in hex."""
    return hashlib.sha256(plain(sentence).encode("utf-8", "surrogatepass")).hexdigest()


def digests(sentence: str) -> set[str]:
    """What a sentence is known by: its digest, and that of what is left without signs that can't be seen and without
    brackets and dashes around it."""
    seen = "".join(c for c in sentence if unicodedata.category(c) != "Cf")
    return {digest(form) for form in (sentence, seen, seen.strip(_ENDS + _AROUND))}


def shipped() -> Path:
    """The file that `querywright pairs protect` adds to by default."""
    return data_dir() / "protected" / "people.txt"


def files() -> list[Path]:
    """The files of hashes: the shipped ones, and those that the environment names."""
    named = [Path(p) for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return [*sorted(shipped().parent.glob("*.txt")), *named]


def hashes() -> frozenset[str]:
    """All protected sentences' hashes.

    Raises:
        QuerywrightError: a file that the environment names is missing, or a line is no hash.
    """
    found: set[str] = set()
    for path in files():
        try:
            found |= _read(path, path.stat().st_mtime_ns)
        except OSError as error:
            raise QuerywrightError(
                f"could not read the protected hashes {path}: {error.strerror}", hint=f"check {VARIABLE}"
            ) from error
    return frozenset(found)


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise QuerywrightError(f"{path} is no text", hint="querywright pairs protect writes such files") from error
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for line in found:
        if not _HASH.fullmatch(line):
            raise QuerywrightError(f"{path}: {line[:20]!r} is no SHA-256", hint="querywright pairs protect writes them")
    return frozenset(found)


def sentences(row: dict[str, Any]) -> Iterator[str]:
    """What people say in a row, whatever its shape: `instruction`, and the users' messages of a conversation."""
    if isinstance(row.get("instruction"), str):
        yield row["instruction"]
    lists = (row.get(key) for key in ("turns", "messages"))
    for message in (m for found in lists if isinstance(found, list) for m in found):
        if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str):
            yield message["content"]


def holds(row: dict[str, Any], known: frozenset[str] | None = None) -> bool:
    """Whether any sentence of a row is protected."""
    known = hashes() if known is None else known
    return bool(known) and any(form in known for sentence in sentences(row) for form in digests(sentence))


def allowed(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without a protected sentence."""
    known = hashes()
    return (row for row in rows if not holds(row, known))


def refuse(
    rows: Iterable[dict[str, Any]],
    source: Path | str,
    purpose: str = "training data",
    numbers: Iterable[int] | None = None,
) -> None:
    """Stop where a row holds a protected sentence.

    Args:
        source: where the rows come from, for the message.
        purpose: what they would have been.
        numbers: which row of `source` each of `rows` is; by default they are all of them, counted from 1.

    Raises:
        QuerywrightError: says how many rows, and which; their text is not shown.
    """
    known = hashes()
    found = [n for n, row in zip(count(1) if numbers is None else numbers, rows, strict=False) if holds(row, known)]
    if found:
        several = "s" * (len(found) > 1)
        which = ", ".join(map(str, found[:_NAMED])) + (", ..." if len(found) > _NAMED else "")
        raise QuerywrightError(
            f"{source}: {len(found)} row{several} with a protected sentence (row{several} {which}): "
            f"a development set is no {purpose}",
            hint="leave these rows out; use the file only with querywright eval",
        )


def protect(texts: Iterable[str], into: Path) -> tuple[int, int]:
    """Add sentences to a file of hashes, sorted; returns how many are new, and how many it holds now.

    Raises:
        QuerywrightError: a sentence is empty in its plain form: that would refuse every empty row.
    """
    old = set(_read(into, into.stat().st_mtime_ns)) if into.is_file() else set()
    plains = {plain(text) for text in texts}
    if "" in plains:
        raise QuerywrightError("a sentence to protect is empty", hint="each row needs an instruction")
    new = {digest(text) for text in plains}
    with replacing(into) as out:
        out.write("# SHA-256 of sentences that nothing may be trained on; see querywright.protected\n")
        out.writelines(f"{one}\n" for one in sorted(old | new))
    return len(new - old), len(old | new)
