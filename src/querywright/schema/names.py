"""Field names that need a second look: what a query can't write, and what differs in letter case only."""

from __future__ import annotations

import re
from collections.abc import Iterable

from querywright.api.query import FIELD_PATTERN
from querywright.api.query_text import escape


def writable(name: str) -> bool:
    """Whether a query can name this field (the query language's own pattern decides)."""
    return re.fullmatch(FIELD_PATTERN, escape(name)) is not None


def returnable(name: str) -> bool:
    """Whether a list of fields can name this field: no commas, no white space, no quotation marks."""
    return re.fullmatch(r"[^\s,|\"'()\[\]\x00-\x1f\x7f\ufffd]{1,200}", name) is not None


def collisions(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of names that differ in letter case only: a person's spelling can't tell them apart."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [tuple(sorted(g)) for g in groups.values() if len(g) > 1]
