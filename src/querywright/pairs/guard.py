"""A development set from outside is never trained on: put its sentences under protection, by hash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.protected import VARIABLE, files, protect, sentences, shipped


def sentences_of(path: Path) -> list[str]:
    """The sentences of a file: JSON lines with `instruction` or `messages`, or a text with one sentence a line.

    Raises:
        QuerywrightError: it can't be read, or holds none.
    """
    if path.suffix == ".txt":
        try:
            found = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise QuerywrightError(f"could not read {path}: {error}", hint="one sentence a line, in UTF-8") from error
    else:
        found = [sentence for row in read_jsonl(path) for sentence in sentences(row)]
    if not found:
        raise QuerywrightError(f"{path} holds no sentences", hint="rows need the key instruction (or messages)")
    return found


def guard(sources: Sequence[Path], into: Path | None = None) -> int:
    """Protect the sentences of some files; returns how many are new. Only hashes are written, no text."""
    into = into or shipped()
    found = [sentence for path in sources for sentence in sentences_of(path)]
    new, n = protect(found, into)
    say(f"protect: {len(found)} sentences, {new} of them new; {into} holds {n} hashes")
    if into.resolve() not in [path.resolve() for path in files()]:
        say(f"protect: this file counts only where {VARIABLE} names it: export {VARIABLE}={into}")
    return new
