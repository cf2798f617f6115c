"""Literal values for calls: from real records where there are some, else from a field's examples and id shape."""

from __future__ import annotations

import random
import re
import string
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any

from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.artefacts import data_dir
from querywright.errors import QuerywrightError, did_you_mean
from querywright.pairs.literals import code, literal
from querywright.pairs.words import label

# words that name nothing that anybody looks for
_EMPTY = {
    "like", "related", "similar", "predicted", "with", "containing", "uncharacterized", "putative", "probable", "and",
    "possible", "hypothetical", "isoform", "member", "from", "other", "gene", "genes", "associated",
}  # fmt: skip


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
        if given and (self.rng.random() < 0.6 or not self.records or self.api.analysis(name) != "text"):
            return str(self.rng.choice(given))
        listed = self.words.get("lists", {}).get(name)
        if listed and self.rng.random() < 0.8:
            return self.rng.choice(word_list(str(listed)))
        found = _leaf_values(record if record is not None else self.record(), name)
        if found and self.rng.random() < 0.9:
            return self.rng.choice(found)
        if self.api.fields[name].type == "boolean":
            return self.rng.choice(["true", "true", "false"])
        candidates = self.api.fields[name].examples
        for leaf in self.api.leaves(name):
            candidates = candidates or self.api.fields[leaf].examples
        if not candidates:
            return self._made_up(name)
        if years := _years(candidates):
            return str(self.rng.randint(*years))
        shape = self.api.fields[name].shape or next(
            (self.api.fields[leaf].shape for leaf in self.api.leaves(name) if self.api.fields[leaf].shape), ""
        )
        return self.vary(self.rng.choice(candidates), shape)

    def topic(self) -> str:
        """Words that a free-text search would hold: the lexicon's, or one to three words of a record's text."""
        if self.records and self.rng.random() < 0.5 and (found := self._words_of(self.record())):
            return found
        return str(self.rng.choice(self.topics)) if self.topics else literal(self.rng, set())

    def _words_of(self, record: dict[str, Any]) -> str:
        """Some words in a row of a text field of a record: `heat shock`, `kinase`."""
        fields = self.words.get("draw", {}).get("texts") or self._texts
        texts = [t for f in fields for t in _leaf_values(record, f)]
        words = re.findall(r"[A-Za-z][a-z-]{3,}", self.rng.choice(texts)) if texts else []
        words = [w for w in words if w.lower() not in _EMPTY]
        at = self.rng.randrange(len(words)) if words else 0
        return " ".join(words[at : at + self.rng.choices([1, 2, 3], [0.6, 0.3, 0.1])[0]])

    @cached_property
    def _texts(self) -> list[str]:
        """Text fields that loose words are looked for in."""
        return [f.name for f in self.api.fields.values() if f.analysis == "text" and f.default_search and not f.shape]

    def _made_up(self, name: str) -> str:
        """A value for a field without examples, by its type and its name."""
        leaves = self.api.leaves(name) or (name,)
        kind = self.api.fields[self.rng.choice(leaves)].type
        if kind == "date":
            return some_date(self.rng)
        if kind in ("float", "double"):
            return format(round(self.rng.random(), 2), "g")
        if kind in ("integer", "long", "byte"):
            return str(self.rng.randint(1, 10 ** self.rng.randint(1, 4)))
        if kind == "text" and self.topics and self.rng.random() < 0.5:
            return self.topic()
        return literal(self.rng, set(label(name.rsplit(".", 1)[-1]).split()))

    @cached_property
    def topics(self) -> list[str]:
        """The lexicon's topics; without them, example values of text fields; else none."""
        given = self.words.get("values", {}).get("topics")
        if given:
            return list(given)
        fields = [f for f in self.api.fields.values() if f.indexed and not f.shape]
        searched = [f for f in fields if f.analysis == "text"] or fields
        examples = {e for f in searched for e in f.examples if re.fullmatch(r"[A-Za-z][A-Za-z -]{2,30}", e)}
        return sorted(examples)

    def bounds(self, name: str) -> tuple[str, str]:
        """Two ends of a range in a numeric or date field, of the size that its examples have."""
        examples, rng = self.api.fields[name].examples, self.rng
        if self.api.fields[name].type == "date":
            low, high = sorted(some_date(rng) for _ in range(2))
            return low, high
        if years := _years(examples):
            first, last = sorted(rng.randint(*years) for _ in range(2))
            return str(first), str(last)
        decimal = next((e for e in examples if re.fullmatch(r"-?\d*\.\d+", e)), None)
        if decimal or (self.api.fields[name].type in ("float", "double") and not examples):
            value = float(decimal or 0.5)
            top = 1.0 if 0 <= value <= 1 else 2 * abs(value)
            digits = 1 if abs(value) > 10 else 2
            a, b = sorted(round(rng.uniform(-top if value < 0 else 0, top), digits) for _ in range(2))
            return format(a, "g"), format(b if b > a else a + 10**-digits, "g")
        example = next((e for e in examples if re.fullmatch(r"-?\d+", e)), "100")
        top = max(10, int(example.lstrip("-")) * 2)
        first, last = sorted(rng.randint(1, top) for _ in range(2))
        if rng.random() < 0.55 and last > 10_000:
            first, last = sorted(max(1, round(v, -len(str(v)) + rng.choice([1, 2]))) for v in (first, last))
        last += first == last
        return str(first), str(last)

    def item_id(self, fields: list[str]) -> str:
        """An id of a record: of the lexicon's (its long numbers changed), of a field that holds ids, or of a shape."""
        given = self.words.get("id_values")
        if given and (not fields or self.rng.random() < 0.5):
            return re.sub(r"\d{4,}", lambda m: self.vary(m[0], ""), str(self.rng.choice(given)))
        return self.draw(self.rng.choice(fields)) if fields else self._shaped_id()

    def _shaped_id(self) -> str:
        """An id without a word from the lexicon: an example of a field with a shape, the much-asked ones first."""
        shapes = [s for s in self.api.ids if s.example]
        if shapes:
            chosen = self.rng.choice(shapes[:1] * 2 + shapes)
            return self.vary(chosen.example, chosen.write or chosen.shape)
        shaped = [f.name for f in sorted(self.api.fields.values(), key=lambda f: -f.weight) if f.shape and f.examples]
        held = [f.name for f in self.api.fields.values() if f.examples]
        named = [name for name in held if name.lower() in ("id", "_id", "uuid", "key")]
        return self.draw(self.rng.choice(named or shaped[:3])) if named or shaped else code(self.rng)

    def vary(self, example: str, shape: str) -> str:
        """Another id of the same shape: new digits, and for mixed ids new letters; else the example itself."""
        if " " in example or (not shape and not re.fullmatch(r"[A-Za-z._:-]{0,6}\d{3,}(\.\d+)?", example)):
            return example
        padding = re.search(r"0{3,}(?=\d)", example)  # ids keep their zeros: ENSG00000...
        fixed = range(*padding.span()) if padding else range(0)
        for letters in (bool(shape), False):
            mixed = letters and len(shape) > 14
            for _ in range(6):
                pieces = (c if i in fixed else self._other(example, i, mixed) for i, c in enumerate(example))
                text = "".join(pieces)
                if re.fullmatch(shape or r".+", text) and not re.fullmatch(r"0+", text):
                    return text
        return example

    def _other(self, example: str, i: int, letters: bool) -> str:
        """Another character for place `i`: digits for digits (no zero where a number begins), letters for letters."""
        c = example[i]
        if c.isdigit():
            first = i == 0 or (c != "0" and not example[i - 1].isdigit())
            return self.rng.choice("123456789" if first else string.digits)
        if letters and c.isupper() and i > 0:
            return self.rng.choice(string.ascii_uppercase)
        return c


def _years(examples: tuple[str, ...]) -> tuple[int, int] | None:
    """The span of years that examples suggest, where all of them are years."""
    if not examples or not all(re.fullmatch(r"(1[5-9]|20)\d\d", e) for e in examples):
        return None
    return min(1950, *map(int, examples)), max(2024, *map(int, examples))


def some_date(rng: random.Random, years: tuple[int, int] = (2005, 2024)) -> str:
    """A date as ISO 8601; the first of a month or of a year more often than chance."""
    day = date(years[0], 1, 1) + timedelta(days=rng.randrange((years[1] - years[0] + 1) * 365))
    roll = rng.random()
    if roll < 0.35:
        day = day.replace(month=1, day=1) if roll < 0.12 else day.replace(day=1)
    return day.isoformat()


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


@lru_cache(maxsize=16)
def word_list(name: str) -> list[str]:
    """A list of names that comes with the project: `genes`, `diseases`, `drugs`.

    Raises:
        QuerywrightError: there is no such list.
    """
    path = data_dir() / "words" / f"{name}.txt"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.txt"))
        near = did_you_mean(name, known)
        raise QuerywrightError(f"no list of words {name!r}{near}", hint=f"there are {', '.join(known)}")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in map(str.strip, lines) if line and line[0] != "#"]


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
