"""The template teacher's words for what is asked of the answer: fields, how many, in which order, counted by what."""

from __future__ import annotations

import re
from typing import Any

from querywright.api.call import Call
from querywright.pairs import discourse_english as dis
from querywright.pairs import english as en
from querywright.pairs.clauses import Unsayable
from querywright.pairs.dress import keep
from querywright.pairs.nouns import Nouns
from querywright.pairs.roles import roles
from querywright.pairs.typed_say import Parts, TypedSpeaker
from querywright.pairs.words import label, plural


class Asks(Nouns):
    """Says the parameters of a call. Same random state, same words."""

    def returned(self, names: tuple[str, ...]) -> str:
        """Fields to return, in words."""
        rng = self.rng
        if rng.random() < self.style.names:
            return keep(self.pick([", ", ",", " and ", " "]).join(names)) if len(names) > 1 else keep(names[0])
        many = rng.random()
        article = self.pick(["the ", "the ", "", "", "their ", "its "])
        said = [plural(w) if many < 0.3 and "\x02" not in w else w for w in (self.asked(n) for n in names)]
        return article + self.join(said)

    def asked(self, name: str) -> str:
        """A field to return; now and then in the word that facets have for it (`species` for a taxonomy number)."""
        own = self.words.get("facet_words", {}).get(name)
        return self.field(name, facet=True) if own and self.rng.random() < 0.25 else self.field(name)

    def extras(self, call: Call, done: set[str]) -> list[str]:
        """Every parameter that the main clause has not said."""
        rng, out = self.rng, []
        values: dict[str, Any] = dict(call.params)
        if "from" in values and "size" in values and not {"from", "size"} & done and rng.random() < 0.5:
            n, m = values["size"], values["from"]
            text = self.pick(en.NEXT)
            if "{p}" not in text or (n and m % n == 0):
                page = keep(str(m // max(n, 1) + 1))
                ends = {"a": keep(str(m + 1)), "b": keep(str(m + n)), "p": page}
                out.append(text.format(n=keep(str(n)), m=keep(str(m)), **ends))
                done |= {"from", "size"}
        plain = {n: v for n, v in values.items() if self.api.params[n].kind in ("number", "date", "list")}
        if plain:
            out += self.typed(call, plain)
            done |= set(plain)
        out += [self.extra(name, value) for name, value in values.items() if name not in done]
        rng.shuffle(out)
        return out

    def extra(self, name: str, value: Any) -> str:
        """One parameter, as an afterthought.

        Raises:
            Unsayable: there are no words for it.
        """
        rng, param = self.rng, self.api.params[name]
        if name.endswith("_facet_filter"):
            return self.pick(en.FACET_FILTER).format(S=self.scope((name, value)), P=label(self.vocabulary(name)))
        if param.kind in ("vocabulary", "enum"):
            return self.scoped((name, as_tuple(value)), "after", en.SCOPE_AFTER)
        if name == "fields":
            if value == ("all",):
                return self.pick(en.RETURN_ALL)
            said = self.returned(value)
            frames = dis.PICK if rng.random() < 0.3 else en.RETURN
            return self.pick(frames).format(R=said, R0=re.sub(r"^(the|their|its) ", "", said))
        if name == "size":
            special = {0: en.SIZE_ZERO, 1: en.SIZE_ONE}.get(value)
            frames = special if special and rng.random() < 0.75 else en.SIZE
            return self.pick(frames).format(n=self.count(value))
        if name == "from":
            return self.pick(en.FROM).format(n=self.count(value))
        if name == "sort":
            return self.order(value, en.SORT, en.SORT_DOWN)
        if name == "facets":
            return self.pick(en.FACET).format(F=self.join([self.field(v, facet=True) for v in value]))
        if name == "facet_size":
            return self.pick(en.FACET_SIZE).format(n=self.count(value))
        if known := self.flag(name, value):
            return self.pick(known)
        raise Unsayable(f"parameter {name}")

    def order(self, value: tuple[str, ...], up: list[str], down: list[str]) -> str:
        """A sort, by one of two lists of frames."""
        falls = all(v.startswith("-") for v in value)
        if any(v.startswith("-") for v in value) != falls or value[0].lstrip("-") in self.api.meta_fields:
            raise Unsayable("a mixed sort")
        return self.pick(down if falls else up).format(F=self.join([self.field(v.lstrip("-")) for v in value]))

    def short_extra(self, name: str, value: Any) -> str:
        """One parameter in keywords."""
        if name == "fields":
            if value == ("all",):
                return self.pick(dis.ALL_SHORT)
            own = self.rng.random() < 0.4
            words = [keep(n) if own else self.asked(n) for n in value]
            joined = self.pick([" ", ", ", ",", " and ", " + ", ", "]).join(words)
            return self.pick(dis.FIELDS_SHORT).format(R=joined)
        if name == "size" and value > 1:
            return self.pick(dis.SIZE_SHORT).format(n=keep(str(value)))
        if name == "from":
            return self.pick(dis.FROM_SHORT).format(n=keep(str(value)))
        if name == "sort":
            return self.order(value, dis.SORT_SHORT, dis.SORT_DOWN_SHORT)
        if name == "facets":
            return self.pick(dis.FACET_SHORT).format(F=self.join([self.field(v, facet=True) for v in value]))
        return self.extra(name, value)

    def typed(self, call: Call, values: dict[str, Any]) -> list[str]:
        """Plain typed parameters beside the query, in the words that APIs without a query have for them."""
        parts, known = Parts(self.words["nouns"][0]), roles(self.api, call.endpoint)
        speaker = TypedSpeaker(self.api, self.rng, self.style)
        for name in speaker.ranges(known, values, parts):
            speaker.single(call, name, values, known, parts)
        return [*parts.before, *parts.behind, *parts.after]

    def flag(self, name: str, value: Any) -> list[str]:
        """Clauses for a boolean parameter that is given; none where it has no words."""
        if not isinstance(value, bool):
            return []
        own = self.words.get("params", {}).get(name, {}).get("true" if value else "false")
        known = en.FLAGS.get(name, []) if value else []
        return [str(p) for p in own or known or (f"with {s}" if value else f"without {s}" for s in self.spoken(name))]

    def spoken(self, name: str) -> tuple[str, ...]:
        """A parameter's synonyms, if its definition gives some."""
        return self.api.params[name].synonyms


def as_tuple(value: Any) -> tuple[str, ...]:
    """Several values, also where there is one."""
    return value if isinstance(value, tuple) else (str(value),)
