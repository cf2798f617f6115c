"""The template teacher's voice: walks a parsed call and says it in English, every clause and every parameter.

A sentence is put together from phrases (`english.py`, the API's `lexicon.yaml`, the fields' synonyms): a noun phrase
with its conditions (`nouns.py`, `clauses.py`), a frame around it, and what is asked of the answer. What stands in the
call stands in the sentence, and the other way round; that is what makes a pair true.
"""

from __future__ import annotations

import re
from typing import Any

from querywright.api.call import Call
from querywright.api.query import Everything, Term
from querywright.pairs import english as en
from querywright.pairs.clauses import Unsayable
from querywright.pairs.dress import keep, sentence
from querywright.pairs.nouns import NO_SCOPE, Nouns
from querywright.pairs.roles import roles
from querywright.pairs.typed_say import Parts, TypedSpeaker
from querywright.pairs.words import label, plural


class Speaker(Nouns):
    """Says calls of one API. Same random state, same sentences."""

    # --- what is asked of the answer ---
    def returned(self, names: tuple[str, ...]) -> str:
        """Fields to return, in words."""
        rng = self.rng
        if rng.random() < 0.12:
            return keep(self.pick([", ", ",", " and ", " "]).join(names)) if len(names) > 1 else keep(names[0])
        many = rng.random()
        article = self.pick(["the ", "the ", "", "", "their ", "its "])
        said = [plural(w) if many < 0.3 and "\x02" not in w else w for w in (self.field(n) for n in names)]
        return article + self.join(said)

    def extras(self, call: Call, done: set[str]) -> list[str]:
        """Every parameter that the main clause has not said."""
        rng, out = self.rng, []
        values: dict[str, Any] = dict(call.params)
        if "from" in values and "size" in values and not {"from", "size"} & done and rng.random() < 0.5:
            n, m = values["size"], values["from"]
            text = self.pick(en.NEXT)
            if "{p}" not in text or (n and m % n == 0):
                out.append(
                    text.format(
                        n=keep(str(n)),
                        m=keep(str(m)),
                        a=keep(str(m + 1)),
                        b=keep(str(m + n)),
                        p=keep(str(m // max(n, 1) + 1)),
                    )
                )
                done |= {"from", "size"}
        plain = {n: v for n, v in values.items() if self.api.params[n].kind in ("number", "date", "list")}
        if plain:
            out += self.typed(call, plain)
            done |= set(plain)
        for name, value in values.items():
            if name in done:
                continue
            param = self.api.params[name]
            if name.endswith("_facet_filter"):
                text = self.pick(en.FACET_FILTER)
                out.append(text.format(S=self.scope((name, value)), P=label(self.vocabulary(name))))
            elif param.kind in ("vocabulary", "enum"):
                out.append(self.scoped((name, as_tuple(value)), "after", en.SCOPE_AFTER))
            elif name == "fields":
                out.append(
                    self.pick(en.RETURN_ALL)
                    if value == ("all",)
                    else self.pick(en.RETURN).format(R=self.returned(value))
                )
            elif name == "size":
                special = {0: en.SIZE_ZERO, 1: en.SIZE_ONE}.get(value)
                out.append(
                    self.pick(special)
                    if special and rng.random() < 0.75
                    else self.pick(en.SIZE).format(n=self.count(value))
                )
            elif name == "from":
                out.append(self.pick(en.FROM).format(n=self.count(value)))
            elif name == "sort":
                down = all(v.startswith("-") for v in value)
                if any(v.startswith("-") for v in value) != down or value[0].lstrip("-") in self.api.meta_fields:
                    raise Unsayable("a mixed sort")
                out.append(
                    self.pick(en.SORT_DOWN if down else en.SORT).format(
                        F=self.join([self.field(v.lstrip("-")) for v in value])
                    )
                )
            elif name == "facets":
                out.append(self.pick(en.FACET).format(F=self.join([self.field(v, facet=True) for v in value])))
            elif name == "facet_size":
                out.append(self.pick(en.FACET_SIZE).format(n=self.count(value)))
            elif self.flag(name, value):
                out.append(self.pick(self.flag(name, value)))
            else:
                raise Unsayable(f"parameter {name}")
        rng.shuffle(out)
        return out

    def typed(self, call: Call, values: dict[str, Any]) -> list[str]:
        """Plain typed parameters beside the query, in the words that APIs without a query have for them."""
        parts, known = Parts(self.words["nouns"][0]), roles(self.api, call.endpoint)
        speaker = TypedSpeaker(self.api, self.rng)
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

    # --- sentences ---
    def say(self, call: Call) -> str:
        """One sentence that asks for `call`.

        Raises:
            Unsayable: there are no words for a part of it.
        """
        rng = self.rng
        done: set[str] = set()
        values: dict[str, Any] = dict(call.params)
        own = self.words.get("endpoints", {}).get(call.endpoint) or self.metadata(call)
        if own:
            main = str(self.pick(own)).format(V=keep(call.id or ""))
        elif call.query is None:
            if call.id is None or self.api.resolve(call.id.partition(":")[0]) == call.id.partition(":")[0]:
                raise Unsayable("no query and no id")
            names = values.get("fields", ())
            if names and names != ("all",) and rng.random() < 0.75:
                main = self.of(names, f"{self.pick(self.words['item_nouns'])} {self.value(call.id)}")
                done.add("fields")
            else:
                main = self.pick(self.words["item"]).format(V=self.value(call.id))
        else:
            main = self.main(call, values, done)
        extras = self.extras(call, done)
        return sentence(main, extras, rng)

    def metadata(self, call: Call) -> list[str]:
        """Sentences for requests about the service itself, where the lexicon has none."""
        last = self.api.endpoints[call.endpoint].path.rstrip("/").split("/")[-2:]
        return en.METADATA.get(last[-1], []) if "metadata" in last and call.id is None else []

    def of(self, names: tuple[str, ...], noun: str) -> str:
        text = self.returned(names)
        text = re.sub(r"^(their|its) ", "the ", text)
        return self.pick(en.OF).format(R=text, R0=re.sub(r"^the ", "", text), N=noun, N1=noun)

    def main(self, call: Call, values: dict[str, Any], done: set[str]) -> str:
        rng = self.rng
        assert call.query is not None
        names = values.get("fields", ())
        kinds = {n: self.api.params[n].kind for n in values if not n.endswith("_facet_filter")}
        narrowing = [n for n, kind in kinds.items() if kind in ("vocabulary", "enum")]
        scope = next(((n, as_tuple(values[n])) for n in narrowing), NO_SCOPE)
        one = (
            rng.random() < (0.55 if isinstance(call.query, Term) else 0.1)
            and "size" not in values
            and "facets" not in values
        )
        if any(n.endswith("_facet_filter") for n in values):
            scope = NO_SCOPE
        bare = self.bare(call.query) if rng.random() < 0.55 else None
        if bare is not None:
            noun, left, one = *self.placed(bare, scope), True
        else:
            noun, left = self.noun_phrase(call.query, scope, one)
        if scope[0] and not left[0]:
            done.add(scope[0])
        the = (
            ""
            if bare is not None
            else self.pick(["the ", "the ", "a ", ""])
            if one
            else self.pick(["", "", "", "all ", "the ", "all the ", "any "])
        )
        if isinstance(call.query, Everything) and not one:
            the = self.pick(["all ", "all ", "every known ", "all the ", "any ", "all "])
        if names and names != ("all",) and rng.random() < 0.5:
            done.add("fields")
            return self.of(names, the.replace("a ", "the ") + noun)
        if "facets" in values and rng.random() < 0.45:
            done.add("facets")
            facet = self.join([self.field(v, facet=True) for v in values["facets"]])
            return self.pick(en.FACET_ASK).format(N=noun, F=facet)
        size = values.get("size")
        if size and size > 1 and "from" not in values and rng.random() < 0.4 and not one:
            done.add("size")
            the = self.pick(
                [
                    "the first {n} ",
                    "the top {n} ",
                    "{n} ",
                    "up to {n} ",
                    "at most {n} ",
                    "top {n} ",
                    "any {n} ",
                    "only {n} ",
                ]
            ).format(n=self.count(size))
        elif size == 1 and rng.random() < 0.3 and "from" not in values:
            done.add("size")
            the, noun = (
                self.pick(["just one ", "one single ", "only one ", "the first ", "the top "]),
                self.singular(noun),
            )
        roll = rng.random()
        if roll < 0.2 and "{" not in noun:
            if size is not None:
                return self.pick(["which {N}?", "what are {N}?", "can i see {N}?"]).format(N=the + noun)
            if one:
                return self.pick(en.ASK_ONE).format(N=noun)
            return self.pick(en.ASK if "facets" in values else en.ASK + en.HOW_MANY).format(N=noun)
        if roll < 0.34:  # keywords only
            return (the if the.strip() not in ("the", "a") else "") + noun
        if roll < 0.42 and left[0]:
            done.add(left[0])
            return f"{self.scoped(left, 'front', en.SCOPE_FRONT)}, {self.pick(en.FIND_LIST)} {the}{noun}"
        verb = self.pick(en.FIND_LIST)
        if verb.endswith("all"):
            the = "" if the in ("", "all ", "the ", "any ", "all the ") and not one else the
            verb = verb if not one and the == "" else "find"
        return f"{verb} {the}{noun}"

    def singular(self, phrase: str) -> str:
        """The phrase with its nouns in the singular."""
        for many, one in self.words["singulars"].items():
            phrase = re.sub(rf"\b{re.escape(many)}\b", one, phrase)
        return phrase


def as_tuple(value: Any) -> tuple[str, ...]:
    """Several values, also where there is one."""
    return value if isinstance(value, tuple) else (str(value),)
