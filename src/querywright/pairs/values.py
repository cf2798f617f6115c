"""Literal values for calls: from real records where there are some, else from a field's examples and id shape."""

from __future__ import annotations

import random
import re
import string
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from querywright.api.definition import API
from querywright.artefacts import data_dir


@lru_cache(maxsize=8)
def lexicon(api: API) -> dict[str, Any]:
    """The API's own words (`lexicon.yaml` beside its definition), or an empty one."""
    path = data_dir() / "apis" / api.name / "lexicon.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


@dataclass
class Values:
    """Draws values for fields. `records`: documents shaped like the API's; may be empty."""

    api: API
    rng: random.Random
    records: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = lexicon(self.api)

    def record(self) -> dict[str, Any]:
        """One random record (empty where there are none)."""
        return self.rng.choice(self.records) if self.records else {}

    def draw(self, name: str, record: dict[str, Any] | None = None) -> str:
        """A value that field `name` could hold, taken from `record` where it has one."""
        given = self.words.get("values", {}).get(name)
        if given:
            return str(self.rng.choice(given))
        found = _leaf_values(record if record is not None else self.record(), name)
        if found and self.rng.random() < 0.9:
            return self.rng.choice(found)
        candidates = self.api.fields[name].examples
        for leaf in self.api.leaves(name):
            candidates = candidates or self.api.fields[leaf].examples
        if not candidates:
            return self.topic()
        shape = self.api.fields[name].shape or next(
            (self.api.fields[leaf].shape for leaf in self.api.leaves(name) if self.api.fields[leaf].shape), ""
        )
        return self._like(self.rng.choice(candidates), shape)

    def topic(self) -> str:
        """Words that a free-text search would hold."""
        return str(self.rng.choice(self.words.get("values", {}).get("topics") or ["example"]))

    def _like(self, example: str, shape: str) -> str:
        """Another id of the same shape: new digits, and for mixed ids new letters; else the example itself."""
        if " " in example or (not shape and not re.fullmatch(r"[A-Za-z._:-]{0,6}\d{3,}(\.\d+)?", example)):
            return example
        padding = re.search(r"0{3,}(?=\d)", example)  # ids keep their zeros: ENSG00000...
        fixed = range(*padding.span()) if padding else range(0)
        for letters in (bool(shape), False):
            for _ in range(6):
                text = "".join(
                    c if i in fixed else self._other(c, i, letters and len(shape) > 14) for i, c in enumerate(example)
                )
                if re.fullmatch(shape or r".+", text) and not re.fullmatch(r"0+", text):
                    return text
        return example

    def _other(self, c: str, i: int, letters: bool) -> str:
        if c.isdigit():
            return self.rng.choice("123456789" if i == 0 else string.digits)
        if letters and c.isupper() and i > 0:
            return self.rng.choice(string.ascii_uppercase)
        return c


def _leaf_values(record: dict[str, Any], name: str) -> list[str]:
    node: list[Any] = [record]
    for part in name.split("."):
        below: list[Any] = []
        for item in node:
            value = item.get(part) if isinstance(item, dict) else None
            below += value if isinstance(value, list) else [] if value is None else [value]
        node = below
    return [
        str(v) for v in node if not isinstance(v, dict) and re.fullmatch(r"[\w .:*,()/'\-]{1,60}", str(v), re.ASCII)
    ]


def sample_records(api: API, source: str, n: int, seed: int) -> list[dict[str, Any]]:
    """`n` records at random (reservoir sampling, seeded), in one pass over a source of any size."""
    from querywright.api.records import read, source_of

    rng = random.Random(seed)
    chosen: list[dict[str, Any]] = []
    for i, record in enumerate(read(source_of(api, source))):
        if i < n:
            chosen.append(record)
        elif (j := rng.randrange(i + 1)) < n:
            chosen[j] = record
    return chosen
