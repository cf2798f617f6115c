"""An API's documentation in passages: `docs.md` beside its definition, where there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from querywright.api.definition import API
from querywright.errors import QuerywrightError

MOST = 900  # characters of a passage; a longer section becomes several, cut between paragraphs


@dataclass(frozen=True)
class Passage:
    """A piece of documentation under its heading."""

    heading: str
    text: str


def docs_file(api: API) -> Path | None:
    """`docs.md` of an API's folder; None where it has none."""
    path = Path(api.folder) / "docs.md" if api.folder else None
    return path if path is not None and path.is_file() else None


def passages(api: API) -> list[Passage]:
    """The documentation of an API, split at its headings (`##` and below); empty where there is none.

    What stands before the first heading is an introduction for people, and left out.

    Raises:
        QuerywrightError: it is no UTF-8.
    """
    path = docs_file(api)
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise QuerywrightError(f"{path} can't be read: {error}", hint="save it in UTF-8") from error
    found: list[Passage] = []
    sections = re.split(r"(?m)^#{2,6} +(.+?)\s*$", text)[1:]
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        for piece in _pieces(body):
            found.append(Passage(heading, piece))
    return found


def _pieces(body: str) -> list[str]:
    """A section's text in pieces of at most MOST characters, paragraphs kept whole where they fit."""
    pieces: list[str] = []
    for paragraph in re.split(r"\n\s*\n", body.strip()):
        for start in range(0, len(paragraph), MOST):
            part = paragraph[start : start + MOST]
            if pieces and len(pieces[-1]) + len(part) + 2 <= MOST:
                pieces[-1] += "\n\n" + part
            else:
                pieces.append(part)
    return [piece for piece in pieces if piece.strip()]
