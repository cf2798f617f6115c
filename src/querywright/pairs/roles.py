"""What the parameters of a typed API are for, found from their names, kinds and descriptions.

`minmagnitude` and `maxmagnitude` are the two ends of one range over the magnitude; `latitude`, `longitude` and
`maxradiuskm` are a place; `limit`, `offset` and `orderby` shape the answer. What the definition says of a parameter
(`role`, `compare`, `field`, `synonyms`) goes before what its name suggests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from querywright.api.definition import API, Param
from querywright.api.param_names import HIGH, LOW, tokens

_NAMES = {
    "limit": {"limit", "size", "per page", "page size", "max results", "count", "rows", "top", "num", "results",
              "results per page", "items per page", "n"},
    "offset": {"offset", "skip", "start", "start index", "from"},
    "page": {"page", "page number", "page no", "p"},
    "sort": {"sort", "sort by", "order by", "order", "ordering", "orderby", "sortby", "sort field"},
    "direction": {"sort order", "direction", "order", "sort direction", "sort dir", "dir", "order direction"},
    "format": {"format", "output", "output format", "fmt", "response format", "accept", "file type"},
    "search": {"q", "query", "search", "text", "keyword", "keywords", "term", "search term", "s", "search text"},
    "latitude": {"latitude", "lat"},
    "longitude": {"longitude", "lon", "lng", "long"},
}  # fmt: skip
_WHOLE = {"limit", "offset", "page"}
_DIRECTIONS = {"asc", "desc", "ascending", "descending", "up", "down"}
@dataclass(frozen=True)
class Span:
    """The two ends of one range; either may be missing. `word` is the quantity in words, empty for plain dates."""

    word: str
    low: str = ""
    high: str = ""
    kind: str = "number"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of the range."""
        return tuple(n for n in (self.low, self.high) if n)


@dataclass(frozen=True)
class Roles:
    """The parameters of one endpoint by what they are for. `single`: what stands alone."""

    spans: tuple[Span, ...] = ()
    place: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The role of a parameter by its name, or the empty string."""
        return self.named.get(name, "")


def words(api: API, name: str) -> str:
    """A parameter's name in words."""
    return " ".join(tokens(api, name))


def bound(api: API, name: str) -> tuple[str, str]:
    """Which end of a range a parameter is (`low`, `high` or ""), and the quantity that it bounds, in words."""
    param, parts = api.params[name], list(tokens(api, name))
    kind = param.kind
    if kind not in ("integer", "number", "date"):
        return "", ""
    end = {"ge": "low", "gt": "low", "le": "high", "lt": "high"}.get(param.compare, "")
    for at in (0, -1):
        side = "low" if parts[at] in LOW else "high" if parts[at] in HIGH else ""
        if side and end in ("", side):
            parts.pop(at)
            return side, " ".join(parts)
    return (end, " ".join(parts)) if end else ("", "")


@lru_cache(maxsize=256)
def roles(api: API, endpoint: str) -> Roles:
    """Find what the parameters of an endpoint are for."""
    spec = api.endpoints[endpoint]
    names = [n for n in spec.params if n not in api.ignored_params]
    named = {n: role for n in names if (role := _role(api, n, names))}
    place = _place(api, names, named)
    ends: dict[tuple[str, bool], dict[str, str]] = {}
    for name in names:
        side, quantity = bound(api, name)
        if side and name not in place and named.get(name) not in _WHOLE and name not in spec.in_path:
            key = (_plain(quantity), api.params[name].kind == "date")
            ends.setdefault(key, {}).setdefault(side, name)
    spans = [
        Span(word, pair.get("low", ""), pair.get("high", ""), "date" if dated else "number")
        for (word, dated), pair in ends.items()
    ]
    taken = {n for span in spans for n in span.names} | set(place)
    named = {n: r for n, r in named.items() if n not in {m for s in spans for m in s.names}}
    return Roles(tuple(spans), place, tuple(n for n in names if n not in taken), named)


def _plain(quantity: str) -> str:
    """`publication date` and `time`: the time itself needs no name."""
    return "" if quantity in ("time", "date", "datetime", "timestamp", "day", "date time") else quantity


def _role(api: API, name: str, names: list[str]) -> str:
    param, said = api.params[name], words(api, name)
    if param.role:
        if param.role == "offset" and said in _NAMES["page"]:
            return "page"
        return param.role
    values = {v.lower() for v in param.values}
    for role, spellings in _NAMES.items():
        if said not in spellings and name.lower() not in spellings:
            continue
        if _fits(role, param) and not (role == "direction" and not values <= _DIRECTIONS):
            if role == "sort" and values and values <= _DIRECTIONS:
                return "direction"
            return role if not (role == "offset" and said == "from" and "to" in names) else ""
    return ""


def _fits(role: str, param: Param) -> bool:
    kind = param.items if param.kind == "list" else param.kind
    if role in _WHOLE:
        return kind == "integer"
    if role in ("latitude", "longitude"):
        return kind in ("number", "integer")
    if role == "search":
        return kind in ("text", "enum") and param.compare in ("eq", "contains") and not param.values
    return kind == "enum" or (role == "sort" and kind == "text")


def _place(api: API, names: list[str], named: dict[str, str]) -> tuple[str, ...]:
    """Latitude, longitude and any radius around them (in kilometres first), where an endpoint has the first two."""
    found = {role: n for n, role in named.items() if role in ("latitude", "longitude")}
    if len(found) < 2:
        return ()
    numeric = [n for n in names if api.params[n].kind in ("number", "integer")]
    near = [n for n in numeric if {"radius", "distance", "within"} & set(tokens(api, n)) and bound(api, n)[0] != "low"]
    near.sort(key=lambda n: "km" not in tokens(api, n))
    return (found["latitude"], found["longitude"], *near)


def unit(api: API, name: str) -> str:
    """The unit of a distance, from the parameter's name or description; empty where neither says it."""
    told = f"{words(api, name)} {api.params[name].description} {' '.join(api.params[name].synonyms)}".lower()
    for word, said in (("kilomet", "km"), ("km", "km"), ("mile", "miles"), ("degree", "degrees"), ("met", "m")):
        if re.search(rf"\b{word}(er|re)?s?\b|\b{word}(er|re)s?\b", told):
            return said
    return ""
