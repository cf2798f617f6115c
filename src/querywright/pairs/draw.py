"""Valid calls that nobody has logged yet: drawn from the schema, so that every field, operator and parameter occurs."""

from __future__ import annotations

import random
import re
from typing import Any

from querywright.api.call import Call, normalise
from querywright.api.definition import API
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term, parse_query, simplify
from querywright.pairs.english import FLAGS
from querywright.pairs.roles import roles
from querywright.pairs.sweep import Sweep
from querywright.pairs.typed_draw import TypedDrawer
from querywright.pairs.values import Values

# how often people give a parameter, by its usual name or else by its kind
_CHANCE = {"size": 0.17, "from": 0.04, "sort": 0.07, "facets": 0.07, "dotfield": 0.02, "fetch_all": 0.05}
_CHANCE_OF = {"vocabulary": 0.34, "fields": 0.34, "enum": 0.2, "number": 0.06, "date": 0.06, "list": 0.06}
_NUMBERS = {"integer", "long", "float", "double", "byte", "date"}


class Drawer:
    """Draws calls. Its shapes follow what query services are asked: one clause mostly, three at most."""

    def __init__(self, api: API, rng: random.Random, records: list[dict[str, Any]], sweep: float = 0.25) -> None:
        """`sweep`: the share of calls that bring what the calls so far had least: a field, a value, a parameter; it
        falls as the rounds are finished."""
        self.api, self.rng = api, rng
        self.swept = sweep
        self.values = Values(api, rng, records)
        self.searched = [f for f in api.fields if api.leaves(f)]
        self.search_weights = [self._weight(f) for f in self.searched]
        self.returned = list(api.fields)
        self.return_weights = [api.fields[f].weight ** 2.2 for f in self.returned]
        self.numeric = [f for f in self.searched if api.fields[f].type in _NUMBERS]
        self.facts = [n for n, e in api.endpoints.items() if "metadata" in e.path and not e.required]
        self.typed = TypedDrawer(api, rng, records)
        self.record: dict[str, Any] = {}  # what one call is about: its conditions fit together
        self.query_endpoint = next(n for n, e in api.endpoints.items() if "q" in e.params)
        self.item_endpoint = next(
            (n for n, e in api.endpoints.items() if "{id}" in e.path and "fields" in e.params), None
        )
        self.by_id = [n for n, e in api.endpoints.items() if "{id}" in e.path and n != self.item_endpoint]
        self.sweep = Sweep(api, rng, self.searched, [p for n in self._asked() for p in self.chances(n, False)])

    def _asked(self) -> list[str]:
        """The endpoints that calls with parameters of their own are drawn for."""
        return [self.query_endpoint, *([self.item_endpoint] if self.item_endpoint else [])]

    def _listed(self, what: str) -> list[str]:
        """Field names that the lexicon gives for a purpose."""
        return [f for f in self.values.words.get("draw", {}).get(what, []) if f in self.api.fields]

    def _weight(self, name: str) -> float:
        field = self.api.fields[name]
        if field.type == "object" and not field.examples:  # positions and the like: no value of their own
            return 0.0
        return float(field.weight) ** 2.2

    # --- clauses ---
    def field(self) -> str:
        """A field to search, the much-asked ones more often."""
        return self.rng.choices(self.searched, self.search_weights)[0]

    def present(self) -> str:
        """A field whose presence is asked for: also what holds no value of its own, where the lexicon lists it."""
        listed = self._listed("exists")
        return self.rng.choice(listed) if listed and self.rng.random() < 0.6 else self.field()

    def term(self, name: str | None = None, record: dict[str, Any] | None = None) -> Node:
        """One clause `field:value`."""
        rng, api = self.rng, self.api
        name = name or self.field()
        field = api.fields[name]
        value = self.values.draw(name, self.record if record is None and rng.random() < 0.8 else record)
        if field.type in _NUMBERS and rng.random() < (0.8 if field.type in ("float", "double", "date") else 0.25):
            return self.range(name)
        if api.analysis(name) == "text" and " " in value and rng.random() < 0.35:
            value = max((w for w in re.findall(r"[\w-]+", value) if len(w) > 3), key=len, default=value)
        if re.search(r"\s", value):
            return Term(name, value, "phrase")
        roll = rng.random()
        if field.type != "object" and re.fullmatch(r"[A-Za-z][\w-]{3,}", value) and roll < 0.16:
            return self.wildcard(name, value)
        if rng.random() < 0.08 and api.analysis(name) in ("lower", "text"):
            value = value.lower()
        return Term(name, value)

    def wildcard(self, name: str | None, value: str) -> Term:
        """A pattern made from a value: a prefix mostly, sometimes a gap or one unknown character."""
        roll = self.rng.random()
        if roll < 0.65:
            return Term(name, value[: self.rng.randint(2, max(2, len(value) - 1))] + "*", "wildcard")
        if roll < 0.85:
            return Term(name, value[:-1] + "?", "wildcard")
        return Term(name, value[: self.rng.randint(2, 3)] + "*" + value[-1], "wildcard")

    def free(self) -> Node:
        """Words without a field: a symbol, an id of some database, or a topic."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.45:
            value = self.values.draw(rng.choice(self._listed("names") or [self.field()]))
        elif roll < 0.65:
            shaped = [
                f
                for f in self.searched
                if self.api.fields[f].shape and self.api.fields[f].weight >= 2 and self.api.fields[f].default_search
            ]
            value = self.values.draw(rng.choice(shaped)) if shaped else self.values.topic()
        else:
            value = self.values.topic()
        if " " not in value and re.fullmatch(r"[A-Za-z][\w-]{2,}", value):
            if rng.random() < 0.2:
                return self.wildcard(None, value)
            if rng.random() < 0.12:
                value = value.lower()
        if " " in value:
            return Term(None, value, "phrase") if rng.random() < 0.5 else parse_query(_plain_words(value))
        return Term(None, value)

    def range(self, name: str | None = None) -> Node:
        """A range over a numeric field; open at one end in one of three."""
        rng = self.rng
        if name is None:
            weights = [self.api.fields[f].weight for f in self.numeric]
            name = rng.choices(self.numeric, weights)[0]
        low, high = self.values.bounds(name)
        roll = rng.random()
        if roll < 0.2:
            return Range(name, low, "*", rng.random() < 0.5)
        if roll < 0.4:
            return Range(name, "*", high, True, rng.random() < 0.5)
        if roll < 0.47:  # one end or both left out
            return Range(name, low, high, *rng.choice([(False, False), (True, False), (False, True)]))
        return Range(name, low, high)

    def interval(self) -> Node:
        """A stretch of a chromosome, sometimes with its assembly."""
        rng = self.rng
        chromosome = rng.choice([*map(str, range(1, 23)), "X", "Y", "MT"])
        start = rng.randint(1, 2 * 10 ** rng.randint(5, 8))
        end = start + rng.choice([rng.randint(500, 10**6), 10 ** rng.randint(3, 6)])
        roll = rng.random()
        if roll < 0.3:
            start, end = round(start, -3) + 1000, round(end, -3) + 1000
        elif roll < 0.45:
            start, end = round(start, -5) + 10**5, round(end, -5) + 10 ** rng.choice([5, 6]) * rng.randint(2, 9)
        elif roll < 0.5:
            start, end = 1, rng.choice([10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10000]) * 1000
        positions = float(self.values.words.get("draw", {}).get("positions", 0))
        if positions and rng.random() < positions:
            end = start
        intervals = self.api.intervals
        own = (intervals.model_extra or {}).items() if intervals else ()
        named = [a for a, field in own if intervals and field != intervals.default and isinstance(field, str)]
        return Interval(rng.choice(named) if named and rng.random() < 0.3 else None, chromosome, start, end)

    def clause(self, record: dict[str, Any] | None = None) -> Node:
        """One clause of any kind."""
        roll = self.rng.random()
        if roll < 0.62:
            return self.term(None, record)
        if roll < 0.80:
            return self.free()
        if roll < 0.90:
            return Exists(self.present())
        return self.range() if self.numeric else self.term()

    def query(self) -> Node:
        """A query of one to three clauses."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.33:
            return self.wildcard_term() if rng.random() < 0.05 else self.term()
        if roll < 0.52:
            return self.free()
        if roll < 0.58:
            return Exists(self.present())
        if roll < 0.615 and self.numeric:
            return self.range()
        if roll < 0.67 and self.api.intervals:
            return self.interval()
        if roll < 0.70:
            return Everything()
        if roll < 0.81:
            return simplify(Bool(must=(self.clause(), self.clause())))
        if roll < 0.88:
            return self._either()
        if roll < 0.925:
            return simplify(Bool(must=(self.clause(),), must_not=(self.clause(),)))
        if roll < 0.955:
            return simplify(Bool(must=(self.clause(), self.clause(), self.clause())))
        if roll < 0.98:
            return simplify(Bool(must=(self._either(), self.clause())))
        return self.nested()

    def wildcard_term(self) -> Node:
        """A pattern in a field."""
        name = self.field()
        value = re.sub(r"\W", "", self.values.draw(name, self.record))
        return self.wildcard(name, value) if len(value) > 3 and self._is_word(name) else self.term(name)

    def _is_word(self, name: str) -> bool:
        return self.api.fields[name].type not in (*_NUMBERS, "object", "boolean")

    def nested(self) -> Node:
        """What is asked for less often: two alternatives, two things left out, only what something lacks."""
        roll = self.rng.random()
        if roll < 0.25:
            return simplify(Bool(must=(self._either(),), must_not=(self.clause(),)))
        if roll < 0.45:
            return simplify(Bool(must=(self._either(), self._either())))
        if roll < 0.7:
            return simplify(Bool(must=(self.clause(),), must_not=(self.clause(), self.clause())))
        if roll < 0.8:
            return simplify(Bool(must=(self.clause(), self.clause()), must_not=(self.clause(),)))
        return Bool(must_not=(Exists(self.present()),))

    def _either(self, field: str | None = None) -> Node:
        if field or self.rng.random() < 0.7:
            name = field or self.rng.choice([None, self.field()])
            n = 2 if self.rng.random() < 0.75 else 3
            options: list[Node] = []
            while len(options) < n:
                node = (
                    self.free()
                    if name is None
                    else Term(name, v := self.values.draw(name), "phrase" if " " in v else "word")
                )
                if isinstance(node, Term):
                    options.append(node)
            return simplify(Bool(should=tuple(options)))
        return simplify(Bool(should=(self.clause(), self.clause())))

    # --- parameters ---
    def word(self, name: str) -> tuple[str, ...]:
        """One value of a vocabulary mostly, sometimes several or a bare number."""
        param = self.api.params[name]
        known = [v for v in param.values or self.api.vocabularies[param.vocabulary] if v != param.default]
        weights = [30 / (i + 1) + 3 for i in range(len(known))]
        numbers = {str(n): v for v, n in self.api.vocabularies.get(param.vocabulary, {}).items()}
        own = str(self.record.get(param.field, "")) if param.field else ""
        if own in numbers and self.rng.random() < 0.4:
            return (numbers[own],)
        if self.rng.random() < 0.15:
            other = self.values.words.get("other_values", {}).get(name)
            if other:
                return (str(self.rng.choice(other)),)
        n = self.rng.choices([1, 2, 3], [0.86, 0.09, 0.05])[0] if param.numeric or len(known) > 3 else 1
        return tuple(dict.fromkeys(self.rng.choices(known, weights, k=n)))

    def fields(self, n: int | None = None) -> tuple[str, ...]:
        """Fields to return: one to five, much-asked ones more often."""
        n = n or self.rng.choices([1, 2, 3, 4, 5], [0.36, 0.28, 0.2, 0.1, 0.06])[0]
        return tuple(dict.fromkeys(self.rng.choices(self.returned, self.return_weights, k=n)))

    def chances(self, endpoint: str, of_record: bool) -> dict[str, float]:
        """The optional parameters of an endpoint, with the chance that a drawn call has each."""
        never = self.values.words.get("draw", {}).get("never", [])
        chance = {}
        for name in self.api.endpoints[endpoint].params:
            param = self.api.params[name]
            usual = _CHANCE.get(name) or (0.0 if param.indexed else _CHANCE_OF.get(param.kind, 0.0))
            if param.kind == "boolean" and not param.default:
                words = FLAGS.get(name) or param.synonyms or self.values.words.get("params", {}).get(name)
                usual = usual or (0.02 if words else 0.0)
            if usual and name not in (*never, *self.api.unwritten) and not name.endswith("_facet_filter"):
                chance[name] = usual
        if of_record:
            fewer = {"fields": 0.72, "vocabulary": 0.05, "enum": 0.05}
            kinds = {name: self.api.params[name].kind for name in chance}
            ordered = sorted(kinds, key=lambda name: kinds[name] != "fields")
            chance = {name: fewer.get(kinds[name], 0.03) for name in ordered}
        return chance

    def params(self, endpoint: str, query: Node | None) -> dict[str, Any]:
        """Parameters, each with a chance of its own; at most three."""
        rng, known = self.rng, self.api.endpoints[endpoint].params
        chance = self.chances(endpoint, query is None)
        values: dict[str, Any] = {}
        if rng.random() < 0.24:
            return values
        for name in rng.sample(list(chance), len(chance)):
            if rng.random() >= chance[name] or len(values) >= 3:
                continue
            param = self.api.params[name]
            if param.kind == "vocabulary":
                values[name] = self.word(name)
            elif param.kind == "enum":
                values[name] = self.word(name)[0]
            elif name == "facets":
                options = [*self._listed("facets"), self.field()]
                values[name] = tuple(dict.fromkeys(rng.choices(options, k=1 if rng.random() < 0.8 else 2)))
                if rng.random() < 0.25 and "facet_size" in known:
                    values["facet_size"] = rng.choice([3, 5, 20, 25, 50, 100])
                for other in (p for p in known if p.endswith("_facet_filter")):
                    if self.api.params[other].field in values[name] and rng.random() < 0.2:
                        values[other] = self.word(other)[:1]
                if rng.random() < 0.3:
                    values["size"] = rng.choice([0, 1])
            elif param.kind == "fields":
                values[name] = (param.all,) if rng.random() < 0.06 else self.fields()
            elif name == "size":
                values.setdefault(
                    name, rng.choice([1, 2, 3, 4, 5, 5, 6, 7, 8, 15, 20, 20, 25, 30, 50, 50, 100, 100, 200, 500, 1000])
                )
            elif name == "from":
                values[name] = rng.choice([5, 10, 20, 20, 30, 40, 50, 60, 100, 200, 500])
            elif param.kind in ("number", "date", "list"):
                drawn = self.typed.value(name, roles(self.api, endpoint))
                if drawn is not None:
                    values[name] = drawn
            elif name == "sort":
                chosen = rng.choice(self._listed("sorts") or self.numeric or self.returned)
                values[name] = (rng.choice(["", "", "-"]) + chosen,)
            else:
                values[name] = True
        if values.get("fetch_all"):
            for idle in [n for n in values if n in ("size", "from", "sort") or n.startswith("facet") or "_facet_" in n]:
                values.pop(idle)
        if "from" in values and "size" not in values and rng.random() < 0.6:
            values["size"] = rng.choice([10, 20, 50, 100])
        return values

    def something(self) -> dict[str, Any]:
        """One parameter for a call that would otherwise ask for everything and nothing else."""
        known = self.api.endpoints[self.query_endpoint].params
        narrowing = next((p for p in known if self.api.params[p].kind == "vocabulary"), None)
        if narrowing:
            return {narrowing: self.word(narrowing)}
        return {"fields": self.fields()} if "fields" in known else {}

    def call(self) -> Call:
        """One call to any endpoint that people ask for."""
        self.record = self.values.record()
        call = (self.swept_call() if self.rng.random() < self.swept / self.sweep.rounds else None) or self.usual()
        self.sweep.saw(call)
        return call

    def other_record(self, endpoint: str) -> Call:
        """A record of another kind, such as a species: its id is a number of a vocabulary where it is called so."""
        numbers = self.api.vocabularies.get(endpoint, {})
        ids = [*map(str, numbers.values()), *map(str, self.values.words.get("other_values", {}).get(endpoint, ()))]
        values = {}
        for name in self.api.endpoints[endpoint].params:
            if self.api.params[name].kind == "boolean" and name not in self.api.unwritten and self.rng.random() < 0.3:
                values[name] = True
        record = self.rng.choice(ids) if ids else self.values.item_id([])
        return normalise(Call(self.api, endpoint, record, None, tuple(values.items())))

    def swept_call(self) -> Call | None:
        """A call around what has been drawn least; None where it came to nothing."""
        rng, what, name = self.rng, *self.sweep.next()
        node: Node | None = None
        if what in ("search", "either", "not", "exists", "lacks", "range", "pattern"):
            node = self.swept_query(what, name)
            values = self.params(self.query_endpoint, node) if rng.random() < 0.5 else {}
        elif what == "return":
            asked = (name, *(self.sweep.another("return") for _ in range(rng.choices([0, 1, 2, 3], [2, 3, 3, 2])[0])))
            if self.item_endpoint and rng.random() < 0.25:
                item = self.values.item_id(self._listed("ids"))
                return normalise(Call(self.api, self.item_endpoint, item, None, (("fields", tuple(asked)),)))
            values = {**(self.params(self.query_endpoint, None) if rng.random() < 0.3 else {}), "fields": tuple(asked)}
        elif what in ("sort", "facets"):
            values = {what: (name,)} if what == "facets" else {what: (rng.choice(["", "-"]) + name,)}
        else:
            values = self.params(self.query_endpoint, None) if rng.random() < 0.3 else {}
            values |= {what: self.swept_value(what, name)}
            if "facet" in what and (found := self.api.params[what].field):
                values["facets"] = (found,)
        node = node or self.query()
        if isinstance(node, Everything) and not values:
            values = self.something()
        return normalise(Call(self.api, self.query_endpoint, None, node, tuple(values.items())))

    def swept_value(self, param: str, value: str) -> Any:
        """A value of a parameter: the one that is to occur, or any."""
        kind = self.api.params[param].kind
        if kind == "boolean":
            return True
        if kind in ("vocabulary", "enum"):
            return (value,) if kind == "vocabulary" else value
        if kind == "integer":
            return self.rng.choice([3, 5, 10, 20, 25, 50, 100])
        return self.typed.value(param, roles(self.api, self.query_endpoint))

    def swept_query(self, what: str, name: str) -> Node:
        """A query with one clause of a kind over a field; a third have another clause beside it."""
        rng = self.rng
        clause: Node = Exists(name)
        if what == "range":
            clause = self.range(name)
        elif what == "pattern":
            value = re.sub(r"\W", "", self.values.draw(name, self.record))
            clause = self.wildcard(name, value) if len(value) > 3 else self.term(name)
        elif what == "either":
            clause = self._either(name)
        elif what in ("search", "not"):
            clause = self.term(name)
        if what in ("not", "lacks"):
            return simplify(Bool(must=(self.clause(),), must_not=(clause,)))
        if rng.random() < 0.35:
            return simplify(Bool(must=(clause, self.term(self.sweep.another("search")))))
        return clause

    def usual(self) -> Call:
        """One call as people ask."""
        rng, api = self.rng, self.api
        roll = rng.random()
        if roll < 0.015 and self.facts:
            return normalise(Call(api, rng.choice(self.facts)))
        if roll < 0.03 and self.by_id:
            return self.other_record(rng.choice(self.by_id))
        if roll < 0.13 and self.item_endpoint:
            identifier = self.values.item_id(self._listed("ids"))
            values = self.params(self.item_endpoint, None)
            return normalise(Call(api, self.item_endpoint, identifier, None, tuple(values.items())))
        query = self.query()
        values = self.params(self.query_endpoint, query)
        if isinstance(query, Everything) and not values:
            values = self.something()
        return normalise(Call(api, self.query_endpoint, None, query, tuple(values.items())))


def _plain_words(text: str) -> str:
    return " ".join(re.findall(r"[A-Za-z][\w-]{2,}", text)) or text.split()[0]
