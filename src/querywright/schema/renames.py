"""Guesses which of the names that went away came back under another one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

from querywright.api.definition import SchemaField

LEAST = 0.75  # below this, two names are two fields
LEAD = 0.04  # a guess has to be better than the next best by this much


def guess_renames(gone: Mapping[str, SchemaField], come: Mapping[str, SchemaField]) -> dict[str, tuple[str, float]]:
    """New names for old ones, each with a score from 0 to 1; at most one for each name, and none where two fit alike.

    Compared are the type, the last part of the name, the whole name, what stands beside it, and the description.
    """
    by_leaf: dict[str, list[str]] = {}
    by_parent: dict[str, list[str]] = {}
    by_letters: dict[str, list[str]] = {}
    for name in come:
        by_letters.setdefault(_plain(name), []).append(name)
        by_leaf.setdefault(_plain(_leaf(name)), []).append(name)
        by_parent.setdefault(_parent(name).lower(), []).append(name)
    before, after = _children(gone), _children(come)
    scored: list[tuple[float, str, str]] = []
    for name, field in gone.items():
        found = (by_letters.get(_plain(name)), by_leaf.get(_plain(_leaf(name))), by_parent.get(_parent(name).lower()))
        near = dict.fromkeys(n for names in found for n in names or ())
        options = []
        for option in near:
            here, there = before.get(_parent(name), set()), after.get(_parent(option), set())
            siblings = len(here & there) / len(here | there) if here | there else 0.0
            options.append((_score(name, field, option, come[option], siblings), option))
        options.sort(reverse=True)
        if options and options[0][0] >= LEAST and (len(options) < 2 or options[0][0] - options[1][0] >= LEAD):
            scored.append((options[0][0], name, options[0][1]))
    renames: dict[str, tuple[str, float]] = {}
    taken: set[str] = set()
    for score, name, option in sorted(scored, key=lambda s: (-s[0], s[1])):
        if option not in taken:
            taken.add(option)
            renames[name] = (option, round(score, 2))
    return renames


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _children(fields: Mapping[str, SchemaField]) -> dict[str, set[str]]:
    """The last parts of the names below each object."""
    found: dict[str, set[str]] = {}
    for name in fields:
        found.setdefault(_parent(name), set()).add(_plain(_leaf(name)))
    return found


def _score(old: str, a: SchemaField, new: str, b: SchemaField, siblings: float) -> float:
    """How likely one name stands for the other; `siblings` is the share of names that both have beside them."""
    if a.type != b.type and "object" in (a.type, b.type):
        return 0.0
    if _plain(old) == _plain(new):
        return 1.0
    whole = SequenceMatcher(None, old.lower(), new.lower()).ratio()
    if _parent(old) == _parent(new):
        leaf = SequenceMatcher(None, _plain(_leaf(old)), _plain(_leaf(new))).ratio()
        score = 0.5 * leaf + 0.4 * whole
    else:  # another parent: `start` is a name of many fields, so that what stands beside it counts
        score = 0.35 + 0.3 * whole + 0.25 * siblings
    score += 0.1 if a.type == b.type else 0.0
    return max(score, 0.95) if a.description and a.description == b.description else score
