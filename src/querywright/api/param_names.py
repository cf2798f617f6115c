"""The words of a parameter's name: `maxradiuskm` is max, radius, km, where the definition knows these words."""

from __future__ import annotations

import re
from functools import lru_cache

from querywright.api.definition import API

LOW = {"min", "minimum", "start", "starting", "begin", "from", "since", "after", "gte", "gt", "ge", "above", "lower",
       "earliest", "low"}  # fmt: skip
HIGH = {"max", "maximum", "end", "ending", "stop", "to", "until", "before", "till", "lte", "lt", "le", "below", "upper",
        "latest", "high", "through"}  # fmt: skip
_COMMON = frozenset([
    "min", "max", "minimum", "maximum", "start", "end", "begin", "from", "to", "since", "until", "before", "after",
    "time", "date", "day", "year", "month", "include", "exclude", "has", "is", "only", "with", "without", "all",
    "order", "sort", "by", "per", "page", "size", "limit", "offset", "count", "name", "id", "code", "type", "kind",
    "status", "level", "state", "country", "city", "region", "latitude", "longitude", "radius", "distance", "km",
    "miles", "meters", "degrees", "alert", "event", "review", "updated", "created", "modified", "author", "title",
    "category", "price", "rating", "score", "language", "currency", "user", "format", "output", "search", "query",
    "text", "keyword", "results", "number", "total", "value", "unit", "group", "source", "response", "lower",
    "upper", "own", "open", "closed", "active", "deleted", "archived", "public", "private", "first", "last", "next",
])  # fmt: skip


@lru_cache(maxsize=4096)
def tokens(api: API, name: str) -> tuple[str, ...]:
    """The words of a parameter's name: `maxradiuskm` is max, radius, km where the descriptions know these words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    found: list[str] = []
    for part in re.split(r"[\W_]+", spaced.lower()):
        found += _split(part, _vocabulary(api)) if part else []
    return tuple(found) or (name,)


@lru_cache(maxsize=16)
def _vocabulary(api: API) -> frozenset[str]:
    texts = [api.title, api.about, api.noun, *(e.description for e in api.endpoints.values())]
    texts += [p.description for p in api.params.values()] + [s for p in api.params.values() for s in p.synonyms]
    texts += [name for name in (*api.fields, *(p.field for p in api.params.values())) if name]
    parts = (re.split(r"[\W_]+", name) for name in api.params)
    texts += [part for several in parts if len(several) > 1 for part in several]
    words = {w for text in texts for w in re.findall(r"[a-z]{3,}", text.lower())}
    return frozenset(words | {w[:-1] for w in words if w.endswith("s")} | _COMMON)


def _split(word: str, known: frozenset[str]) -> list[str]:
    """The fewest known words that a run-together word is made of; the word itself where there are none."""
    if word in _COMMON or not word.isalpha():
        return [word]
    best: list[list[str] | None] = [[], *[None] * len(word)]
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - 16), end):
            part, before = word[start:end], best[start]
            whole = start == 0 and end == len(word)
            if before is None or whole or len(part) < 2 or part not in known:
                continue
            if best[end] is None or len(before) + 1 < len(best[end] or []):
                best[end] = [*before, part]
    split = best[-1]
    if split and len(split) <= 4 and (word not in known or split[0] in LOW | HIGH):
        return split
    first = re.match(r"(min|max|include|exclude)(?=[a-z]{3})", word)
    return [first[0], *_split(word[first.end() :], known)] if first and word not in known else [word]
