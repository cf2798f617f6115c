"""What drawn calls should bring, the rarest first, so that every field, kind of clause, parameter and value occurs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import count

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.query import Exists, Range, Term, walk

Target = tuple[str, str]  # what it is (a kind of clause, `return`, a parameter), and the field or the value
_NUMBERS = {"integer", "long", "float", "double", "byte", "date"}


class Sweep:
    """Deals out targets. Same random state, same targets."""

    def __init__(self, api: API, rng: random.Random, searched: list[str], params: list[str]) -> None:
        """`searched`: fields that may be searched; `params`: parameters that calls are drawn with."""
        self.api, self.rng = api, rng
        self.seen: Counter[Target] = Counter()
        self.rounds = 1
        self.waiting: list[Target] = []  # what was passed over because something else was looked for
        self.targets: dict[str, list[Target]] = {"search": [], "return": [], "other": []}
        for name in searched:
            self.targets["search"].append((_kind(api, name), name))
        if "fields" in params:
            self.targets["return"] = [("return", name) for name in api.fields]
        self.targets["other"] = [*self._clauses(searched), *self._params(params)]
        self.turns = {what: self._deal(targets) for what, targets in self.targets.items() if targets}

    def _clauses(self, searched: list[str]) -> list[Target]:
        """Kinds of clauses, each over some of the fields that it suits: a field in eight, the much-asked ones first."""
        found: list[Target] = []
        asked = sorted(searched, key=lambda name: -self.api.fields[name].weight)
        plain = [n for n in asked if _kind(self.api, n) == "search"]
        for what, names in (
            ("exists", asked),
            ("lacks", asked),
            ("range", [n for n in plain if self.api.fields[n].type in _NUMBERS]),
            ("pattern", [n for n in plain if self.api.fields[n].type in ("keyword", "text")]),
            ("either", [n for n in plain if self.api.fields[n].type != "boolean"]),
            ("not", plain),
        ):
            found += [(what, name) for name in names[: max(12, len(names) // 8)]]
        return found

    def _params(self, params: list[str]) -> list[Target]:
        found: list[Target] = []
        for name in dict.fromkeys(params):
            param = self.api.params[name]
            values = param.values or self.api.vocabularies.get(param.vocabulary, ())
            found += [(name, str(v)) for v in values if v != param.default]
            if not values and param.kind not in ("fields", "sort", "query"):
                found.append((name, ""))
        facet_filters = [p for p in self.api.params if p.endswith("_facet_filter")]
        for name in facet_filters:
            found += [(name, str(v)) for v in self.api.vocabularies.get(self.api.params[name].vocabulary, ())]
        return found

    def _deal(self, targets: list[Target]) -> Iterator[Target]:
        """The targets in rounds, in random order; what calls brought by themselves is passed over."""
        for turn in count(1):
            todo = [t for t in targets if self.seen[t] < turn]
            self.rng.shuffle(todo)
            self.rounds = max(self.rounds, turn)
            yield from (t for t in todo if self.seen[t] < turn)

    def next(self) -> Target:
        """What the next call should bring."""
        kinds = [what for what in ("search", "search", "return", "other") if what in self.turns]
        return self.waiting.pop() if self.waiting else next(self.turns[self.rng.choice(kinds)])

    def another(self, what: str) -> str:
        """The name of another field that is to be searched or returned."""
        while True:
            kind, name = next(self.turns[what])
            if kind == what:
                return name
            self.waiting.append((kind, name))

    def saw(self, call: Call) -> None:
        """Counts what a call brings."""
        for node in walk(call.query) if call.query is not None else ():
            if isinstance(node, Term | Range) and node.field:
                self.seen["search", node.field] += 1
            elif isinstance(node, Exists):
                self.seen["exists", node.field] += 1
        for name, value in call.params:
            for one in value if isinstance(value, tuple) else (value,):
                self.seen["return" if name == "fields" else name, str(one)] += 1


def _kind(api: API, name: str) -> str:
    """How a field is searched: by a value, or, where it only holds other fields, by its being there."""
    field = api.fields[name]
    return "exists" if field.type == "object" and not field.examples else "search"
