"""Guesses which of the names that went away came back under another one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

from querywright.api.definition import SchemaField

LEAST = 0.72  # below this, two names are two fields
LEAD = 0.04  # a guess has to be better than the next best by this much


def guess_renames(gone: Mapping[str, SchemaField], come: Mapping[str, SchemaField]) -> dict[str, tuple[str, float]]:
    """New names for old ones, each with a score from 0 to 1; at most one for each name, and none where two fit alike.

    Compared are the type, the last part of the name, the whole name, and the description where both have one.
    """
    by_leaf: dict[str, list[str]] = {}
    by_parent: dict[str, list[str]] = {}
    for name in come:
        by_leaf.setdefault(_plain(_leaf(name)), []).append(name)
        by_parent.setdefault(_parent(name).lower(), []).append(name)
    scored: list[tuple[float, str, str]] = []
    for name, field in gone.items():
        near = dict.fromkeys([*by_leaf.get(_plain(_leaf(name)), []), *by_parent.get(_parent(name).lower(), [])])
        options = sorted(((_score(name, field, o, come[o]), o) for o in near), reverse=True)
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


def _score(old: str, a: SchemaField, new: str, b: SchemaField) -> float:
    if a.type != b.type and "object" in (a.type, b.type):
        return 0.0
    if _plain(old) == _plain(new):
        return 1.0
    leaf = SequenceMatcher(None, _plain(_leaf(old)), _plain(_leaf(new))).ratio()
    whole = SequenceMatcher(None, old.lower(), new.lower()).ratio()
    score = 0.45 * leaf + 0.45 * whole + (0.1 if a.type == b.type else 0.0)
    if a.description and a.description == b.description:
        score = max(score, 0.95)
    return score
