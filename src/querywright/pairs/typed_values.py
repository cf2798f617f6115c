"""How the template teacher says the values of typed parameters: dates, numbers with units, enums, orders."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.api.param_names import HIGH, LOW, tokens
from querywright.api.spoken import MONTHS, month_of
from querywright.api.values import printed
from querywright.pairs import english as en
from querywright.pairs import typed_english as te
from querywright.pairs.clauses import Clauses
from querywright.pairs.dress import keep
from querywright.pairs.roles import Span, roles, words
from querywright.pairs.words import label, plural

_TIMES = {"time", "date", "datetime", "timestamp", "created", "updated", "published", "modified", "added", "released"}
# a synonym that does not name a parameter but opens a clause: its value follows
_OPEN = re.compile(
    r"\b(than|least|most|by|of|above|below|over|under|since|until|before|after|from|to|at|than|or more|or less)$"
    r"|^(with|from|including|having|within|in|on|by|for|at|around|since|until|north of|south of|east of|west of)\b"
)
_ENDS = {"lowest", "highest", "smallest", "largest", "least", "most", "of"}
_NEWEST = ["newest first", "latest first", "most recent first", "with the newest first", "from new to old"]
_TIME_ORDERS = ["old to new", "new to old", "newest", "latest", "recent", "oldest", "earliest", "chronological"]
_OLDEST = ["oldest first", "earliest first", "with the oldest first", "in chronological order", "from old to new"]


class TypedValues(Clauses):
    """Says values and the names of parameters."""

    def param(self, name: str) -> str:
        """A parameter in words: a synonym mostly, sometimes its own name."""
        roll = self.rng.random()
        synonyms = nouns_of(self.api, name)
        if roll < 0.06:
            return keep(name)
        return str(self.pick(synonyms)) if synonyms and roll < 0.8 else words(self.api, name)

    def quantity(self, span: Span, names: tuple[str, ...]) -> str:
        """What a range is over, in words: its parameters' synonyms without `minimum` and the like."""
        return self.pick(quantities(self.api, span, names)) if self.rng.random() < 0.8 else span.word or "time"

    def measure(self, value: int | float, unit: str) -> str:
        """A number, with its unit most of the time where there is one."""
        if isinstance(value, int) and value >= 0:
            in_words = 0 < value <= 10 and self.rng.random() < 0.04
            said = keep(en.NUMBERS[value]) if in_words else self.number(str(value))
        else:
            said = keep(printed(value))
        return f"{said} {unit}" if unit and self.rng.random() < 0.7 else said

    def moment(self, iso: str) -> str:
        """A date, with its time if it has one, in one of the spellings that people use."""
        if "T" in iso:
            return keep(self._timed(iso))
        roll = self.rng.random()
        return keep(iso if roll < 0.42 else self._day(date.fromisoformat(iso)))

    def _day(self, day: date) -> str:
        month = MONTHS[day.month - 1].capitalize()
        short = month[:3]
        return self.pick([
            f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", f"{short} {day.day}, {day.year}",
            f"{day.day} {short} {day.year}", f"{day:%Y/%m/%d}", f"{month} {_ordinal(day.day)}, {day.year}",
            f"the {_ordinal(day.day)} of {month} {day.year}", f"{month} {day.day} {day.year}",
        ])  # fmt: skip

    def _timed(self, iso: str) -> str:
        moment = datetime.fromisoformat(iso)
        if moment.microsecond or self.rng.random() < 0.4:
            return iso
        clock = f"{moment:%H:%M}" if not moment.second else f"{moment:%H:%M:%S}"
        day = f"{moment:%Y-%m-%d}"
        return self.pick([f"{day} {clock}", f"{self._day(moment.date())} at {clock}", f"{day} at {clock}"])

    def period(self, low: str, high: str, moment: bool = False) -> tuple[str, list[str]]:
        """A whole month or year in words with the frames that fit, or nothing; `moment`: `high` is its midnight."""
        if moment and "T" not in low + high:
            high = (date.fromisoformat(high) - timedelta(days=1)).isoformat()
        if low[5:] == "01-01" and high == f"{low[:4]}-12-31":
            return keep(low[:4]), te.WHEN_YEAR
        month = month_of(low, high)
        if month is None:
            return "", []
        name = MONTHS[month[1] - 1].capitalize()
        year = month[0]
        spelt = [f"{name} {year}", f"{name} {year}", f"{name[:3]} {year}", f"{name} of {year}"]
        return keep(self.pick(spelt)), te.WHEN_MONTH

    def enum(self, name: str, value: str) -> str:
        """An enum's value in words."""
        own = self.words.get("params", {}).get(name, {}).get("values", {}).get(value, {})
        if own.get("noun") and self.rng.random() < 0.8:
            return str(self.pick(own["noun"]))
        return keep(value if self.rng.random() < 0.3 else value_words(value))

    def order(self, name: str, value: str, direction: str = "") -> str:
        """`sorted by magnitude, largest first`: an order of the answer."""
        own = self.words.get("params", {}).get(name, {}).get("values", {}).get(value, {}).get("clause")
        if own and self.rng.random() < 0.6:
            return keep(str(self.pick(own)))
        base, way = order_of(self.api, name, value)
        way = direction or way
        said = keep(base) if self.rng.random() < 0.9 else keep(value)
        if said == keep(value) and not direction:
            return self.pick(te.SORT).format(F=said)
        if way and set(base.split()) & _TIMES and self.rng.random() < 0.5:
            return self.pick(_NEWEST if way == "down" else _OLDEST)
        return self.pick({"up": te.SORT_UP, "down": te.SORT_DOWN}.get(way, te.SORT)).format(F=said)


def _ordinal(n: int) -> str:
    return f"{n}{'th' if 10 < n % 100 < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def quantities(api: API, span: Span, names: tuple[str, ...] = ()) -> list[str]:
    """What a range, or its ends `names`, may be called: its word, and synonyms without the words for the end."""
    if not span.word:
        return ["time"]
    told: list[list[str]] = []
    for name in names or span.names:
        stripped = ([w for w in s.split() if w.lower() not in LOW | HIGH | _ENDS] for s in nouns_of(api, name))
        told.append([" ".join(parts) for parts in stripped if parts])
    shared = [s for s in told[0] if all(s in other for other in told[1:])]  # a "southern edge" is only one of the two
    return list(dict.fromkeys([span.word, *shared]))


def nouns_of(api: API, name: str) -> list[str]:
    """The synonyms of a parameter that name it: `depth`, not `deeper than`."""
    return [s for s in api.params[name].synonyms if not _OPEN.search(s)]


def openings(api: API, name: str) -> list[str]:
    """The synonyms that a value can follow: `deeper than`, `contributed by`, `north of latitude`."""
    known = set(tokens(api, name))
    found = [s for s in api.params[name].synonyms if _OPEN.search(s) and " or " not in f" {s} " and s != "or"]
    return [s for s in found if not re.match(r"at (least|most) ", s) or s.split()[-1] in known]


def value_words(value: str) -> str:
    """`moment-tensor` with a space; codes such as `mb_lg` stay as they are."""
    parts = re.split(r"[_-]+", value)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value) if value.isalpha() else value
    if len(parts) > 1 and all(len(p) > 2 and p.isalpha() for p in parts):
        return " ".join(parts).lower() if not value.isupper() else " ".join(parts)
    return spaced.lower() if spaced != value else value


def order_of(api: API, name: str, value: str) -> tuple[str, str]:
    """What an order sorts by, in words, and its way (`up`, `down`, or "" where the value does not tell).

    Where an enum has both `x` and `x-asc`, plain `x` is the other way round.
    """
    found = re.fullmatch(r"(?i)([-+]?)(.+?)(?:[\s_.:-]*(asc|desc|ascending|descending)|(Asc|Desc))?", value)
    if not found:
        return label(value), ""
    suffix = (found[3] or found[4] or "").lower()
    way = "down" if suffix.startswith("desc") or found[1] == "-" else "up" if suffix or found[1] == "+" else ""
    if not way:
        others = {v.lower() for v in api.params[name].values}
        plain = value.lower()
        if any(f"{plain}{glue}asc" in others for glue in ("-", "_", ":", " ", "")):
            way = "down"
        elif any(f"{plain}{glue}desc" in others for glue in ("-", "_", ":", " ", "")) or f"-{plain}" in others:
            way = "up"
    return label(found[2]), way


def forms(api: API, name: str, value: str) -> list[str]:
    """Every text that says an enum's value: what `pairs verify` looks for, in small letters."""
    own = lexicon(api).get("params", {}).get(name, {}).get("values", {}).get(value, {})
    told = [str(p) for phrases in own.values() for p in phrases]
    spelt = value_words(value)
    found = [value, spelt, label(value), plural(spelt), plural(value), *told]
    everywhere = {r for e in api.endpoints if name in api.endpoints[e].params for r in [roles(api, e).of(name)]}
    if everywhere & {"sort", "direction"}:
        base, _ = order_of(api, name, value)
        found.append(base)
        found += _TIME_ORDERS if set(base.split()) & _TIMES else []
    if value.lower() in ("true", "false", "only", "all", "any"):
        found += [t for t in tokens(api, name) if t not in ("include", "exclude")]
        found += [s.lower() for s in api.params[name].synonyms]
    return [f.lower() for f in found if f]
