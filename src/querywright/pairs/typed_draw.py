"""Calls to an API of plain typed parameters that nobody has logged yet: every parameter and every enum value occurs.

A call has what its endpoint requires and one to four things more; a thing is a parameter, a range or a place (`roles`).
Values come from the lexicon, the definition's examples and bounds, and the fields that parameters compare.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from querywright.api.call import Call, normalise
from querywright.api.definition import API, Param
from querywright.api.param_names import tokens
from querywright.api.values import ValueProblem, read_value
from querywright.pairs.literals import literal
from querywright.pairs.roles import Roles, Span, roles
from querywright.pairs.values import Values, some_date

Unit = tuple[str, ...]  # parameters that are drawn together
_LIMITS = [1, 2, 3, 4, 5, 5, 10, 10, 12, 15, 20, 20, 25, 30, 40, 50, 50, 75, 100, 100, 150, 200, 250, 500, 1000]
_LIKED = {"search": 2.5, "limit": 2.0, "sort": 1.4, "page": 0.6, "offset": 0.4, "format": 0.5}
_HOW_MANY = [0, 1, 2, 3, 4]


class TypedDrawer:
    """Draws calls of one API. Same random state, same calls."""

    def __init__(
        self, api: API, rng: random.Random, records: list[dict[str, Any]], logged: Iterable[tuple[Call, float]] = ()
    ) -> None:
        """`logged`: calls of a log with their weights; what people ask for often is drawn more often."""
        self.api, self.rng = api, rng
        self.usage: Counter[str] = Counter()
        for call, weight in logged:
            self.usage.update({name: weight for name, _ in call.params})
        self.values = Values(api, rng, records)
        self.endpoints = list(api.endpoints)
        self.weights = [self._weight(name) for name in self.endpoints]
        self.todo = self._all_that_should_occur()

    def _weight(self, name: str) -> float:
        """Endpoints with more to say are asked more; the first one is the one that the API is for."""
        n = len(self.api.endpoints[name].params)
        return (0.4 if n == 0 else 2.0 + min(n, 12)) * (1.5 if name == self.endpoints[0] else 1.0)

    def _all_that_should_occur(self) -> Iterator[tuple[str, str, str]]:
        """Endpoint, parameter and value (or ""), in random order, again and again."""
        wanted = [
            (endpoint, name, value)
            for endpoint in self.endpoints
            for name in self.api.endpoints[endpoint].params
            for value in (self.api.params[name].values or ("",))
            if name not in (*self.api.unwritten, *self.api.ignored_params)
        ]
        while wanted:
            self.rng.shuffle(wanted)
            yield from wanted

    # --- calls ---
    def call(self) -> Call:
        """One call; half of them bring something that has not occurred for long."""
        target = next(self.todo, None) if self.rng.random() < 0.5 else None
        endpoint = target[0] if target else self.rng.choices(self.endpoints, self.weights)[0]
        spec, known = self.api.endpoints[endpoint], roles(self.api, endpoint)
        chosen: dict[str, Any] = {}
        units = self.units(known)
        wanted = {self.rng.choice(group) for group in spec.needs} | set(spec.in_path)
        if target:
            self.add(chosen, self.unit_of(target[1], units), known, (target[1], *wanted), (target[1], target[2]))
        for name in (n for n in spec.params if n in wanted and n not in chosen):
            self.add(chosen, self.unit_of(name, units), known, (name,))
        many = self.rng.choices(_HOW_MANY, [0.03, 0.3, 0.33, 0.21, 0.13])[0]
        weights = [self.liking(unit, known, i) for i, unit in enumerate(units)]
        while units and many > 0:
            unit = self.rng.choices(units, weights)[0]
            many -= 1
            if not set(unit) & set(chosen):
                self.add(chosen, unit, known)
        record = self.values.item_id([]) if "{id}" in spec.path else None
        values = tuple(chosen.items())
        return normalise(Call(self.api, endpoint, record, None, values))

    def units(self, known: Roles) -> list[Unit]:
        """What is drawn together: a range, a place, a box of latitudes and longitudes; else single parameters."""
        spans = [span.names for span in known.spans]
        box = [s.names for s in known.spans if s.word in ("latitude", "longitude", "lat", "lon") and s.low and s.high]
        if len(box) == 2:
            spans = [names for names in spans if names not in box] + [box[0] + box[1]]
        single: list[Unit] = [(n,) for n in known.single if n not in (*self.api.unwritten, *self.api.ignored_params)]
        if any(known.of(n) == "page" for n in known.single):  # a page goes with its size
            page, limit = ([u for u in single if known.of(u[0]) == role] for role in ("page", "limit"))
            paged: list[Unit] = [page[0] + limit[0]] if page and limit else []
            return [*spans, *([known.place] if known.place else []), *single, *paged]
        return [*spans, *([known.place] if known.place else []), *single]

    def liking(self, unit: Unit, known: Roles, at: int) -> float:
        """How often a unit is drawn: by the log where there is one, else by what it is for and where it stands."""
        weight = max(self.api.params[n].weight for n in unit)
        if self.usage:
            most = self.usage.most_common(1)[0][1]
            return weight * (0.15 + max(self.usage[n] for n in unit) / most)
        role = next((known.of(n) for n in unit if known.of(n)), "")
        main = any(s.names == unit and not s.word for s in known.spans)
        return weight * (2.0 if main else _LIKED.get(role, 1.0)) / (1 + 0.04 * at)

    def unit_of(self, name: str, units: list[Unit]) -> Unit:
        """The things that are drawn with a parameter."""
        return next((unit for unit in units if name in unit), (name,))

    def add(
        self, chosen: dict[str, Any], unit: Unit, known: Roles, must: tuple[str, ...] = (), value: Unit = ("", "")
    ) -> None:
        """Draw values for a unit into `chosen`; what is in `must` is among them. `value`: a parameter and its value."""
        rng = self.rng
        if unit == known.place and len(unit) > 2:
            radii = [n for n in unit[2:] if n in must] or [rng.choice((*unit[2:3], *unit[2:]))]
            near = rng.random() < 0.12 and not set(must) & set(radii)
            unit = unit[:2] if near else (*unit[:2], *radii[:1])
        spans = [s for s in known.spans if set(s.names) <= set(unit)]
        for span in spans:
            for name, end in self.span(span, whole=len(unit) > 2, must=must).items():
                chosen.setdefault(name, end)
        for name in (n for n in unit if not any(n in s.names for s in spans)):
            drawn = self.value(name, known, value[1] if name == value[0] else "")
            if drawn is not None:
                chosen.setdefault(name, drawn)

    def span(self, span: Span, whole: bool, must: tuple[str, ...]) -> dict[str, Any]:
        """One or both ends of a range."""
        rng = self.rng
        names = span.names
        if len(names) == 2 and not whole and rng.random() < 0.5:
            names = tuple(n for n in names if n in must) or (rng.choices(names, [0.65, 0.35])[0],)
        if len(names) == 1:
            end = self.value(names[0], Roles())
            return {} if end is None else {names[0]: end}
        if span.kind == "date":
            low, high = self.dates(self.api.params[span.high].moment)
            return {span.low: low, span.high: high}
        ends = [v for v in (self.value(n, Roles()) for n in names for _ in range(2)) if v is not None]
        if len(set(ends)) < 2:
            return {}
        low_value, high_value = sorted(rng.sample(sorted(set(ends)), 2))
        return {span.low: low_value, span.high: high_value}

    def dates(self, moment: bool = False) -> tuple[str, str]:
        """Two dates: a month, a year, a few days or any two; now and then with a time of day.

        Args:
            moment: whether the second date is its midnight: then a month ends with the first day of the next one.
        """
        rng = self.rng
        low = date.fromisoformat(some_date(rng))
        beyond = timedelta(days=0 if moment else 1)
        kind = rng.random()
        if kind < 0.2:
            low = low.replace(day=1)
            following = (low + timedelta(days=31)).replace(day=1)
            return low.isoformat(), (following - beyond).isoformat()
        if kind < 0.38:
            years = 0 if kind < 0.3 else rng.randint(1, 8)
            return f"{low.year}-01-01", (date(low.year + years + 1, 1, 1) - beyond).isoformat()
        days = rng.choice([1, 2, 3, 6, 7, 13, 14, 30, rng.randint(1, 90), rng.randint(30, 900)])
        high = low + timedelta(days=days)
        if kind > 0.92:
            return f"{low.isoformat()}T{_time(rng)}", f"{high.isoformat()}T{_time(rng)}"
        return low.isoformat(), high.isoformat()

    # --- values ---
    def value(self, name: str, known: Roles, wanted: str = "") -> Any:
        """A value that the parameter takes, in the spelling of a call; None where none was found."""
        param = self.api.params[name]
        for _ in range(6):
            if param.kind == "list":
                n = self.rng.choices([1, 2, 3], [0.45, 0.38, 0.17])[0]
                texts = [self.text_of(name, param, param.items, known) for _ in range(n)]
                texts = [wanted, *texts[1:]] if wanted else texts
            else:
                texts = [wanted or self.text_of(name, param, param.kind, known)]
            try:
                value = read_value(name, param, texts)
            except ValueProblem:
                continue
            if value != param.default or wanted:
                return value
        return None

    def text_of(self, name: str, param: Param, kind: str, known: Roles) -> str:
        """The text of one value."""
        rng, role = self.rng, known.of(name)
        if kind == "vocabulary":
            return str(rng.choice(list(self.api.vocabularies[param.vocabulary])))
        if kind == "enum":
            return str(rng.choice(param.values))
        if kind == "boolean":
            return "false" if param.default is True else "true" if rng.random() < 0.85 else "false"
        if kind == "date":
            timed = any("T" in e for e in param.examples) and rng.random() < 0.3
            return some_date(rng) + (f"T{_time(rng)}" if timed else "")
        if kind in ("integer", "number"):
            return self.number(name, param, kind, role)
        return self.words(name, param, role)

    def number(self, name: str, param: Param, kind: str, role: str) -> str:
        """A number of the size that examples, bounds or the parameter's role suggest."""
        rng = self.rng
        if role == "limit":
            return str(rng.choice(_LIMITS))
        if role == "page":
            return str(rng.randint(2, 12))
        if role == "offset":
            return str(rng.choice([5, 10, 20, 25, 30, 50, 60, 75, 100, 101, 150, 200, 201, 500]))
        given = [str(v) for v in self.values.words.get("values", {}).get(name, [])] or list(param.examples)
        found = [float(e) for e in given if re.fullmatch(r"-?\d+(\.\d+)?", e)]
        if {"year", "years"} & set(tokens(self.api, name)):
            return str(rng.randint(int(param.min or 1970), int(param.max or 2024)))
        bounded = param.min is not None and param.max is not None
        if found and rng.random() < 0.75:
            base = rng.choice(found)
            near = base * rng.uniform(0.4, 1.8) if base else rng.uniform(0, 10)
            text = _like(near, base, kind == "integer")
        elif bounded and float(param.max or 0) - float(param.min or 0) <= 1000:
            text = _like(rng.uniform(float(param.min or 0), float(param.max or 0)), 0.0, kind == "integer")
        else:
            top = abs(found[0]) * 4 if found else 10 ** rng.randint(1, 3)
            text = _like((param.min or 0) + rng.uniform(0, top or 10), 0.0, kind == "integer")
        return text

    def words(self, name: str, param: Param, role: str) -> str:
        """A text: given words, examples (their digits changed), a topic, or a made-up literal."""
        rng = self.rng
        given = self.values.words.get("values", {}).get(name)
        if given and rng.random() < 0.8:
            return str(rng.choice(given))
        field = self.api.fields.get(param.field)
        examples = param.examples or (field.examples if field else ())
        if examples and rng.random() < 0.6:
            example = rng.choice(examples)
            return self.values.vary(example, param.pattern.strip("^$"))
        if role == "search" and self.values.topics and rng.random() < 0.6:
            return self.values.topic()
        return literal(rng, set(tokens(self.api, name)))


def _like(number: float, example: float, whole: bool) -> str:
    """A number as people write it: whole where the example is, else with one or two decimals, mostly round."""
    if whole or (example and example == int(example) and abs(number) >= 2):
        n = round(number)
        return str(round(n, -1) if abs(n) > 60 and n % 3 else n)
    return format(round(number, 1 if abs(number) >= 1 else 2), "g")


def _time(rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.choice([0, 0, 15, 30, 45]):02}:00"
