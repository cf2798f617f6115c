"""Sentences to calls of APIs with plain typed parameters: the same covering of a sentence, with other patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.pairs.reader.assemble import Unread
from querywright.pairs.reader.grammar import ANSWER, FILLER, JOINTS, NAMED
from querywright.pairs.reader.known import Known, phrase_source
from querywright.pairs.reader.patterns import Pattern, State, compile_patterns
from querywright.pairs.reader.pieces import Piece, Said
from querywright.pairs.reader.typed_slots import Typed, typed
from querywright.pairs.roles import Span, unit

# fmt: off
# ruff: noqa: E501
_NAMED = {
    **NAMED,
    "OF": "of|with|having|has|have|whose|where|that have|which have|in|at|from|by|and|for|with a|which has",
    "TO": "to|and|-|–|until|till|through",
    "SINCE": "since|after|from|starting|starting from|later than|not before|beginning|on or after|starting on|no earlier than|from on|starting at",
    "UNTIL": "until|before|up to|till|through|no later than|ending|by|to|on or before|not after|up until",
    "GEO": "{U} [,|and|/] [longitude|lon] {U}",
}
_RANGES = [
    Pattern("[<OF>] {Q} [is|of|lies|ranges|that is|=|:] [between|from|in range|in|range] {U} <TO> {U}", "between", 0.0),
    Pattern("[<OF>] {Q} [is|of|lies|ranges] [between|from|in range|in] {UU}", "between_both", 0.0),
    Pattern("(between|from|in) {Q} {U} <TO> {U}", "between", 0.0),
    Pattern("[<OF>] between {U} <TO> {U} {Q}", "between_last", 0.0),
    Pattern("[<OF>] {Q} [that is|is|of] (<MORE>|<LEAST>|of at least) {U}", "low", 0.0),
    Pattern("[<OF>] (<MORE>|<LEAST>|min|min.) {Q} [of] {U}", "low", 0.0),
    Pattern("[<OF>] {Q} [is|of] {U} (or more|or higher|or greater|and above|and up|or above|and higher|and more|or over|upwards)", "low", 0.0),
    Pattern("[<OF>] {Q} [is|of] {PLUS}", "low", 0.0),
    Pattern("[<OF>] {Q} starting from {U}", "low", 0.0),
    Pattern("[<OF>] {Q} [that is|is|of] (<LESS>|<MOST>|of at most) {U}", "high", 0.0),
    Pattern("[<OF>] (<LESS>|<MOST>|max|max.) {Q} [of] {U}", "high", 0.0),
    Pattern("[<OF>] {Q} [is|of] {U} (or less|or lower|or fewer|and below|or below|and lower|and less|or under)", "high", 0.0),
    Pattern("[<OF>] {Q} [is|of] [exactly] {U}", "exactly", 0.2),
]
_WHEN = [
    Pattern("[dated|in time|in period|that happened|that occurred|happening] [between|from|in period|starting] {D} (<TO>|and ending|and before|and until) {D}", "when", 0.0),
    Pattern("(since|after|from) {D} [and] (before|until|till|to) {D}", "when", 0.0),
    Pattern("[that happened|that occurred] <SINCE> {D} [on|onwards|onward]", "since", 0.1),
    Pattern("<UNTIL> {D}", "until", 0.1),
    Pattern("[that happened|that occurred] [in|during|from|of|throughout|for] [year|month of] {M}", "period", 0.1),
    Pattern("(on|from|of|on day) {D}", "day", 0.25),
    Pattern("[that were|last|with|whose] {Q} [is|lies] <SINCE> {D} [on|onwards]", "low", -0.1),
    Pattern("[that were|last|with|whose] {Q} [is|lies] <UNTIL> {D}", "high", -0.1),
    Pattern("[that were|last|with|whose] {Q} [is|lies] (between|from) {D} <TO> {D}", "between", -0.1),
]
_PLACES = [
    Pattern("(within|in radius of|at most|no more than|not more than|less than|up to|inside|in) {U} [radius] [away] (of|from|around) [point|latitude|lat|\\(] <GEO> [\\)]", "circle", 0.0),
    Pattern("(around|near|at) [point|latitude|lat] <GEO> (within|\\( within) {U} [\\)]", "circle_last", 0.0),
    Pattern("(within|in radius of|at most|no more than|not more than|less than|up to|inside) {U} [radius] [away] (of|from|around) [point] {UU}", "circle", 0.0),
    Pattern("(near|around|at|close to|for) [point|coordinates|latitude|lat] [latitude] <GEO>", "near", 0.1),
    Pattern("in box from {U} to {U} latitude and {U} to {U} longitude", "box", 0.0),
    Pattern("between latitudes {U} and {U} and longitudes {U} and {U}", "box", 0.0),
    Pattern("in rectangle latitude {U} to {U} [,|and] longitude {U} to {U}", "box", 0.0),
    Pattern("[in area|with|between|in] [between] latitude [from|between] {U} (and|to) {U} [,] and [with|between] longitude [from|between] {U} (and|to) {U}", "box", 0.0),
]
_SINGLE = [
    Pattern("[<OF>] {P} [is|of|=|:|equal to|as] {EV}", "value", 0.0),
    Pattern("[<OF>] {EV} {P}", "value_first", 0.1),
    Pattern("(of|with|by) (type|kind) {EV}", "enum", 0.0),
    Pattern("[of] {EV} (type|kind)", "enum", 0.0),
    Pattern("(with|that have|having|for which there is|which have|for) {EV} [product|available]", "enum", 0.2),
    Pattern("{EV}", "enum", 0.4),
    Pattern("[<OF>] {P} [is|of|=|:|equal to] {W}", "text", 0.1),
    Pattern("[<OF>] {W} as {P}", "text_first", 0.1),
    Pattern("[<OF>] {P} [is|of|=|:] [people] {U}", "number", 0.1),
    Pattern("[<SEP>] [<SORTED>] (by|on) {EV}", "sorted", 0.15),
    Pattern("[<SEP>] [<SORTED>] (by|on) [ascending|increasing] {EV} [,] (ascending|lowest first|smallest first|asc|in ascending order)", "sort_up", 0.0),
    Pattern("[<SEP>] [<SORTED>] (by|on) (ascending|increasing) {EV}", "sort_up", 0.0),
    Pattern("in [ascending] order of [increasing] {EV}", "sort_up", 0.3),
    Pattern("in ascending order of {EV}", "sort_up", 0.0),
    Pattern("[<SEP>] [<SORTED>] (by|on) {EV} [,] (descending|highest first|largest first|desc|in descending order)", "sorted", 0.0),
    Pattern("[<SEP>] [<SORTED>] (by|on) (descending|decreasing) {EV}", "sorted", 0.0),
    Pattern("in descending order of {EV}", "sorted", 0.0),
]
# fmt: on


def own_patterns(index: Typed) -> list[Pattern]:
    """What the lexicon says of parameters, ranges and endpoints."""
    api = index.index.api
    told: dict[str, Any] = lexicon(api)
    out: list[Pattern] = []
    for name, entry in told.get("params", {}).items():
        if not isinstance(entry, dict):
            continue
        slot = "{U}" if api.params[name].kind in ("integer", "number") else "{W}"
        if "enum" in (api.params[name].kind, api.params[name].items):
            slot = "{EV}"
        for phrase in entry.get("say", []):
            out.append(Pattern(phrase_source(str(phrase)).replace("{V}", slot), f"own:{name}", 0.0))
        for value in ("true", "false"):
            out += [Pattern(phrase_source(str(p)), f"is:{name}={value}", -0.05) for p in entry.get(value, [])]
        for value, ways in (entry.get("values") or {}).items():
            for phrase in ways.get("clause", []):
                out.append(Pattern(phrase_source(str(phrase)), f"is:{name}={value}", -0.05))
            for phrase in ways.get("adjective", []):
                out.append(Pattern(phrase_source(str(phrase)) + " [{NOUN}]", f"is:{name}={value}", 0.1))
    for span in index.roles.spans:
        ways = told.get("ranges", {}).get(span.word, {})
        for side, phrases in ways.items():
            for phrase in phrases:
                source = phrase_source(re.sub(r"\{A\}-\{B\}", "{UU}", str(phrase)))
                glued = "{A}+" in str(phrase)
                source = re.sub(r"\{A\} ?\+", "{PLUS}", source) if glued else source
                source = (
                    source.replace("{A} km", "{A}").replace("{B} km", "{B}").replace("{A}", "{U}").replace("{B}", "{U}")
                )
                if "{D" not in source and span.kind == "date":
                    source = source.replace("{U}", "{D}")
                out.append(Pattern(source, f"range:{span.low}:{span.high}:{side}", -0.02))
    for phrase in told.get("place", []):
        source = phrase_source(str(phrase).replace("{A}/{O}", "{UU}").replace("{R}", "{U}"))
        out.append(Pattern(source.replace("{A}", "{U}").replace("{O}", "{U}"), "circle", 0.0))
    for name, entry in told.get("endpoints", {}).items():
        for phrase in entry.get("say", []) if isinstance(entry, dict) else entry:
            out.append(Pattern(phrase_source(str(phrase)), f"endpoint:{name}", 0.0))
    return out


_KEEP = ("size", "size_noun", "one", "one_noun", "from", "next", "rows", "rows_dash", "page", "skip_show")


@lru_cache(maxsize=16)
def typed_start(api: API) -> tuple[Typed, State]:
    """The automaton of a typed API."""
    index = typed(api)
    shared = [p for p in ANSWER if p.action in _KEEP and "{SL}" not in p.source]
    shared += [p for p in FILLER if "{SL}" not in p.source]
    return index, compile_patterns(
        [*_RANGES, *_WHEN, *_PLACES, *_SINGLE, *shared, *JOINTS, *own_patterns(index)], _NAMED
    )


def typed_say(index: Typed, action: str, found: tuple[Any, ...]) -> Said | None:
    """The pieces of one match of a typed pattern."""
    from querywright.pairs.reader.pieces import say

    api = index.index.api
    kind, _, given = action.partition(":")
    if kind == "is":
        name, _, value = given.partition("=")
        return ((("set", (name, value)),)), 0.0
    if kind == "own":
        value = found[0]
        if isinstance(value, tuple) and len(value) == 3:
            return _set(index, value[0], value[1]) if value[0] == given else None
        return _set(index, given, value[0] if isinstance(value, tuple) else value.text)
    if kind == "range":
        low, high, side = given.split(":")
        return _between(index, Span("", low, high), found, side)
    if kind in ("between", "between_both", "between_last", "low", "high", "exactly"):
        span = found[-1] if kind == "between_last" else found[0]
        rest = found[:-1] if kind == "between_last" else found[1:]
        if kind == "exactly":
            if not (span.low and span.high):
                return None
            rest = (*rest, *rest)
        return _between(index, span, rest, kind if kind in ("low", "high") else "between")
    if kind in ("when", "since", "until", "period", "day"):
        return _when(index, kind, found)
    if kind in ("circle", "circle_last", "near", "box"):
        return _place(index, kind, found)
    if kind in ("value", "value_first"):
        name, (owner, value, _) = found if kind == "value" else found[::-1]
        return ((("set", (name, value)),), 0.0) if name == owner else None
    if kind == "enum":
        owner, value, noun = found[0]
        sure = api.params[owner].kind == "enum" and value not in ("true", "false", "all")
        sure = sure and index.roles.named.get(owner) != "sort"
        return ((("set", (owner, value)),), 0.5 if noun else 0.0) if sure else None
    if kind == "sorted":
        owner, value, _ = found[0]
        return ((("set", (owner, value)),), 0.0) if index.roles.named.get(owner) == "sort" else None
    if kind == "sort_up":
        owner, value, _ = found[0]
        up = next(
            (v for v in api.params[owner].values if re.fullmatch(rf"{re.escape(value)}[-_ ]asc(ending)?", v)), value
        )
        return ((("set", (owner, up)),), 0.0) if index.roles.named.get(owner) == "sort" else None
    if kind in ("text", "text_first"):
        name, value = found if kind == "text" else found[::-1]
        return _set(index, name, value.text) if api.params[name].kind == "text" else None
    if kind == "number":
        return _set(index, found[0], found[1][0])
    return say(index.index, action, found)


def _set(index: Typed, name: str, value: str) -> Said | None:
    param = index.index.api.params[name]
    if param.kind in ("integer", "number") and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return None
    return (("set", (name, value)),), 0.0


def _between(index: Typed, span: Span, found: tuple[Any, ...], side: str) -> Said | None:
    ends = [*found[0]] if len(found) == 1 and isinstance(found[0][0], tuple) else list(found)
    values = [e[0] if isinstance(e, tuple) else str(e) for e in ends]
    names = {"low": (span.low,), "high": (span.high,)}.get(side, (span.low, span.high))
    if not all(names) or len(values) != len(names):
        return None
    return tuple(("set", pair) for pair in zip(names, values, strict=True)), 0.0


def _when(index: Typed, kind: str, found: tuple[Any, ...]) -> Said | None:
    from datetime import date, timedelta

    span = next((s for s in index.roles.spans if s.kind == "date" and not s.word), None)
    if span is None:
        return None
    if kind == "period":
        found = found[0]
    elif kind == "day":
        if "T" in found[0]:
            return None
        found = (found[0], (date.fromisoformat(found[0]) + timedelta(days=1)).isoformat())
    side = {"since": "low", "until": "high"}.get(kind, "between")
    return _between(index, span, tuple(found), side)


def _place(index: Typed, kind: str, found: tuple[Any, ...]) -> Said | None:
    api, place = index.index.api, index.roles.place
    if kind == "box":
        spans = {s.word: s for s in index.roles.spans}
        lat, lon = spans.get("latitude"), spans.get("longitude")
        if lat is None or lon is None:
            return None
        names = (lat.low, lat.high, lon.low, lon.high)
        return tuple(("set", (n, v[0])) for n, v in zip(names, found, strict=True)), 0.0
    if len(place) < 2:
        return None
    flat: list[tuple[str, str]] = []
    for f in found:
        flat += [*f] if isinstance(f[0], tuple) else [f]
    radius = None
    if kind == "circle":
        radius, *flat = flat
    elif kind == "circle_last":
        *flat, radius = flat
    pieces: list[Piece] = [("set", (place[0], flat[0][0])), ("set", (place[1], flat[1][0]))]
    if radius is not None:
        fitting = [n for n in place[2:] if not radius[1] or unit(api, n) == radius[1]]
        if not fitting:
            return None
        pieces.append(("set", (fitting[0], radius[0])))
    return tuple(pieces), 0.0


def typed_calls(index: Typed, pieces: Sequence[Piece], counting: bool) -> list[Call]:
    """The call of some pieces.

    Raises:
        Unread: two pieces say different things of one parameter, or a value breaks a rule of its parameter.
    """
    api = index.index.api
    endpoint = next((p[1] for p in pieces if p[0] == "endpoint"), None)
    if endpoint is not None:
        if any(p[0] == "set" for p in pieces):
            raise Unread("a request about the service has conditions")
        return [parse(api, api.endpoints[endpoint[0]].path)]
    if any(p[0] in ("or", "not", "either") for p in pieces):
        raise Unread("typed parameters know no `or` and `not`")
    values: dict[str, str] = {}
    named = index.roles.named
    for kind, content in pieces:
        role = {"size": "limit", "from": "offset"}.get(kind)
        if role:
            name = next((n for n, r in named.items() if r == role), "")
            content = (name, str(content))
            if not name:
                raise Unread(f"no parameter is a {role}")
        elif kind != "set":
            continue
        if values.setdefault(content[0], content[1]) != content[1]:
            raise Unread(f"two different values for {content[0]}")
    if not values and not any(k == "noun" for k, _ in pieces):
        raise Unread("nothing is asked for")
    target = _counting(index.index) if counting else index.endpoint
    if target is None or any(n not in api.endpoints[target].params for n in values):
        raise Unread("this endpoint has no such parameter")
    text = "&".join(f"{n}={v}" for n, v in values.items())
    try:
        return [parse(api, api.endpoints[target].path + ("?" + text if text else ""))]
    except CallError as error:
        raise Unread(str(error)) from None


def _counting(index: Known) -> str | None:
    told = lexicon(index.api).get("endpoints", {})
    for name, endpoint in index.api.endpoints.items():
        entry = told.get(name)
        if (isinstance(entry, dict) and entry.get("how_many")) or endpoint.path.rstrip("/").endswith("/count"):
            return name
    return None
