"""Descriptions and synonyms without a language model: from names, types, examples, documentation and usage.

A name is cut into words, abbreviations are written out (`glossary.yaml`), and the words of the levels become a noun
phrase: `clinvar.rcv.last_evaluated` is "Last evaluated date of the ClinVar record in ClinVar". Plain, but it holds the
words that people search by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from querywright.schema.glossary import Glossary
from querywright.schema.nouns import GENERIC

MOST_SYNONYMS = 6
_ASKED = {"number", "date", "enum", "text", "vocabulary"}  # kinds of parameters that say something of the records
_SHAPING = {"limit", "offset", "page", "size", "from", "order", "orderby", "sort", "sortby", "format", "callback", "q"}
_FLAGS = {"is", "has"}
_SMALL = frozenset(["the", "this", "that", "and", "for", "with", "from", "which", "such", "its", "all", "not", "are"])


@dataclass(frozen=True)
class Item:
    """A field or a parameter that wants words.

    Attributes:
        table: `fields` or `params`.
        type: a field's type, or a parameter's kind.
        values: what an enum may be.
        examples: known values.
    """

    table: str
    name: str
    type: str
    indexed: bool = True
    values: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def levels(self) -> list[str]:
        """The parts of the name between dots."""
        return self.name.split(".")


@dataclass(frozen=True)
class Words:
    """What is written about an item."""

    description: str
    synonyms: tuple[str, ...]


@dataclass
class Wording:
    """Finds words for the items of one API.

    Attributes:
        noun: what one record is called.
        docs: a sentence of the documentation by the name of its item.
        used: how often each item occurs in the log: the most used one may have a name that several share.
    """

    items: Sequence[Item]
    glossary: Glossary
    noun: str = "record"
    docs: Mapping[str, str] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def _owner(self) -> dict[str, str]:
        """Which item may be called by its last level alone: the only one, or the one that is asked for most."""
        sharing: dict[str, list[Item]] = {}
        for item in self.items:
            sharing.setdefault(self._leaf(item).lower(), []).append(item)
        return {
            phrase: max(items, key=lambda i: (self.used.get(i.name, 0.0), -len(i.levels))).name
            for phrase, items in sharing.items()
            if len(items) == 1 or any(i.name in self.used or len(i.levels) == 1 for i in items)
        }

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        below: dict[str, list[str]] = {}
        for item in self.items:
            parent, _, _ = item.name.rpartition(".")
            below.setdefault(parent, []).append(item.name)
        return below

    @cached_property
    def _types(self) -> dict[str, str]:
        return {i.name: i.type for i in self.items}

    def words(self, item: Item) -> Words:
        """A description of one sentence and up to six synonyms, all of them noun phrases."""
        return Words(self.docs.get(item.name) or self._sentence(item), self._synonyms(item))

    def anchors(self, item: Item) -> frozenset[str]:
        """Words of which a description of the item holds one, if it is about it; none where its name says nothing."""
        leaf = re.split(r"[\W_]+", item.levels[-1])
        if not any(self.glossary.knows(w) for w in [item.levels[-1], *leaf]):
            return frozenset()
        readings = [r for level in item.levels for words in self.glossary.readings(level) for r in words]
        return content(" ".join([*readings, *self._synonyms(item), self.docs.get(item.name, "")])) - content(self.noun)

    # --- phrases ---
    def _readings(self, item: Item, level: int) -> list[tuple[str, ...]]:
        """The words of a level, without those that the level above has said already (`af.af_afr`)."""
        levels = item.levels
        readings = self.glossary.readings(self._spread(item, levels[level]))
        if level and len(readings) > 1:
            above = {r[0] for r in self.glossary.readings(levels[level - 1])}
            readings = [r for r in readings if r[0] not in above] or readings
        return readings

    def _spread(self, item: Item, level: str) -> str:
        """`mincdi` is `min cdi` where there is a `maxcdi` as well."""
        match = re.fullmatch(r"(min|max)([a-zA-Z]{2,})", level)
        other = item.name[: -len(level)] + {"min": "max", "max": "min"}[match[1]] + match[2] if match else ""
        return f"{match[1]} {match[2]}" if match and other in self._types else level

    def _phrase(self, item: Item, level: int) -> str:
        return _join(r[0] for r in self._readings(item, level))

    def _leaf(self, item: Item) -> str:
        """The last level in words; where it repeats or only narrows the level above, with that level."""
        level = len(item.levels) - 1
        own = self._phrase(item, level) or item.name.strip() or "value"
        if level:
            mine = {r[0] for r in self.glossary.readings(item.levels[level])}
            above = self._phrase(item, level - 1)
            if above in mine and own != above:
                return f"{own} {above}"
        return own

    def _source(self, item: Item) -> str:
        """The database at the top of the name, or the empty string."""
        return self._phrase(item, 0) if len(item.levels) > 1 and self.glossary.is_name(item.levels[0]) else ""

    def _between(self, item: Item) -> list[str]:
        """The levels between source and leaf, the nearest first, without those that the leaf holds."""
        first = 1 if self._source(item) else 0
        leaf = self._leaf(item)
        found = [self._phrase(item, i) for i in range(first, len(item.levels) - 1)]
        return [p for p in reversed(found) if p and p not in leaf][:2]

    def _asks(self, item: Item) -> bool:
        """Whether a parameter says something of the records, and not how the answer looks."""
        return item.type in _ASKED and item.name.lower() not in _SHAPING

    # --- sentences ---
    def _sentence(self, item: Item) -> str:
        leaf, between, source = self._leaf(item), self._between(item), self._source(item)
        place = "".join(f" of the {p}" for p in between)
        if item.table == "params":
            place = f" of the {_plural(self.noun)} that are asked for" if self._asks(item) else ""
        elif not between and not source and len(item.levels) == 1:
            place = f" of the {self.noun}"
        tail = f" in {source}" if source else ""
        first, _, rest = leaf.partition(" ")
        if item.type == "object":
            inside = [_join(r[0] for r in self.glossary.readings(c.rsplit(".", 1)[-1])) for c in self._below(item)]
            listed = f": {_listed(inside[:6])}" if inside else ""
            top = len(item.levels) == 1 and self.glossary.is_name(item.name)
            said = f"data of {leaf} on the {self.noun}{listed}" if top else f"data on the {leaf}{place}{tail}{listed}"
        elif item.type == "boolean":
            said = f"whether it {first} {rest}{place}{tail}" if first in _FLAGS else f"{leaf}{place}{tail}, yes or no"
        elif item.type == "date" and not re.search(r"\b(date|time|day|year)\b", leaf):
            said = f"date of the {leaf}{place}{tail}"
        else:
            shown = item.values or tuple(e for e in item.examples if re.fullmatch(r"[A-Za-z][A-Za-z_ -]{1,29}", e))
            such = f", such as {_listed(list(shown[:4]), 'or')}" if len(shown) > 1 else ""
            said = f"{leaf}{place}{tail}{such}"
        return (said if re.match(r"\w+[A-Z]", said) else said[0].upper() + said[1:]) + "."

    def _below(self, item: Item) -> list[str]:
        return self._children.get(item.name, [])

    def _synonyms(self, item: Item) -> tuple[str, ...]:
        leaf, between, source = self._leaf(item), self._between(item), self._source(item)
        made: list[str] = []
        near = f"{_singular(between[0])} {leaf}" if between else leaf
        named = bool(between) and self.glossary.is_name(item.levels[-2])
        if source:
            made += [near] if named else []
            made += [near if near.startswith(source) else f"{source} {near}", f"{near} in {source}"]
        elif between:
            made += [near]
        elif item.table == "fields" and self.noun != GENERIC and self.noun not in leaf:
            made += [f"{self.noun} {leaf}"]
        others = [o for o in self._others(item) if o != leaf]
        if self._owner.get(leaf.lower()) == item.name:
            made += [leaf, *others]
        made += [f"{source} {o}" if source else f"{between[0]} {o}" for o in others if source or between]
        if item.type == "object":
            made += [f"{source or ''} {leaf} data".strip(), f"{leaf} annotation"]
        spelt = " ".join(re.sub(r"[._\-]+", " ", item.name).split())
        made += [spelt.lower() if spelt.isupper() else spelt]
        kept = dict.fromkeys(" ".join(m.split()) for m in made if m and m != item.name)
        short = tuple(m for m in kept if 1 < len(m) <= 60)[:MOST_SYNONYMS]
        if short or (item.table == "params" and (self.noun == GENERIC or not self._asks(item))):
            return short  # "book limit" is no name of a limit: better none than a wrong one
        return (f"{leaf} value"[:60] if self.noun == GENERIC else f"{self.noun} {leaf}"[:60].strip(),)

    def _others(self, item: Item) -> list[str]:
        """The leaf with other readings of its words, at most four."""
        readings = [r[:3] for r in self._readings(item, len(item.levels) - 1)][:4]
        return [p for p in map(_join, list(product(*readings))[1:5]) if p] if readings else []


def _join(words: Iterable[str]) -> str:
    """Words of a level as one phrase, each said once."""
    return " ".join(dict.fromkeys(w for w in words if w))


def _plural(word: str) -> str:
    return word + ("es" if re.search(r"(s|x|ch|sh)$", word) else "s") if not word.endswith("y") else word[:-1] + "ies"


def _singular(phrase: str) -> str:
    if re.search(r"(ss|us|is|data|series|species)$", phrase):
        return phrase
    return re.sub(r"ies$", "y", phrase) if phrase.endswith("ies") else re.sub(r"(?<=[a-z])s$", "", phrase)


def _listed(words: list[str], last: str = "and") -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"




def content(text: str) -> frozenset[str]:
    """The words of a text that carry its sense, in the singular."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return frozenset(_singular(w) for w in words if len(w) > 2 and w not in _SMALL)
