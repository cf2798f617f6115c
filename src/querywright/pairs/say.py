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
from querywright.pairs.clauses import Unsayable, plural
from querywright.pairs.dress import dress, keep
from querywright.pairs.nouns import Nouns


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
        for name, value in values.items():
            if name in done:
                continue
            if name == "species":
                out.append(self.pick(en.SPECIES_AFTER).format(S=self.species(value)))
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
            elif name == "species_facet_filter":
                out.append(self.pick(en.FACET_FILTER).format(S=self.species(value)))
            elif name in en.FLAGS and value is True:
                out.append(self.pick(en.FLAGS[name]))
            else:
                raise Unsayable(f"parameter {name}")
        rng.shuffle(out)
        return out

    # --- sentences ---
    def say(self, call: Call) -> str:
        """One sentence that asks for `call`.

        Raises:
            Unsayable: there are no words for a part of it.
        """
        rng = self.rng
        done: set[str] = set()
        values: dict[str, Any] = dict(call.params)
        if call.endpoint in self.words.get("endpoints", {}):
            main = str(self.pick(self.words["endpoints"][call.endpoint])).format(V=keep(call.id or ""))
        elif call.query is None:
            if call.id is None or ":" in call.id:
                raise Unsayable("no query and no id")
            names = values.get("fields", ())
            if names and names != ("all",) and rng.random() < 0.75:
                main = self.of(names, self.pick(en.ITEM_N).format(V=self.value(call.id)))
                done.add("fields")
            else:
                main = self.pick(en.ITEM).format(V=self.value(call.id))
        else:
            main = self.main(call, values, done)
        extras = self.extras(call, done)
        return self.finish(main, extras)

    def of(self, names: tuple[str, ...], noun: str) -> str:
        text = self.returned(names)
        text = re.sub(r"^(their|its) ", "the ", text)
        return self.pick(en.OF).format(R=text, R0=re.sub(r"^the ", "", text), N=noun, N1=noun)

    def main(self, call: Call, values: dict[str, Any], done: set[str]) -> str:
        rng = self.rng
        assert call.query is not None
        names = values.get("fields", ())
        species = tuple(values.get("species", ()))
        one = (
            rng.random() < (0.55 if isinstance(call.query, Term) else 0.1)
            and "size" not in values
            and "facets" not in values
        )
        if "species_facet_filter" in values:
            species = ()
        bare = self.bare(call.query) if rng.random() < 0.55 else None
        if bare is not None:
            noun, left, one = *self.placed(bare, species), True
        else:
            noun, left = self.noun_phrase(call.query, species, one)
        if species and not left:
            done.add("species")
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
                re.sub(r"\b(gene|locu|loc|pseudogene)s\b", r"\1", noun),
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
        if roll < 0.42 and left:
            done.add("species")
            return f"in {self.species(left)}, {self.pick(en.FIND_LIST)} {the}{noun}"
        verb = self.pick(en.FIND_LIST)
        if verb.endswith("all"):
            the = "" if the in ("", "all ", "the ", "any ", "all the ") and not one else the
            verb = verb if not one and the == "" else "find"
        return f"{verb} {the}{noun}"

    def finish(self, main: str, extras: list[str]) -> str:
        """Join the parts, then what people do to sentences: capitals, punctuation, politeness, slips."""
        rng = self.rng
        ask = main.endswith("?")
        glue = self.pick([", ", ", ", ", ", " and ", "; ", " - ", " "])
        if ask and extras:
            main = main[:-1] + (", " if rng.random() < 0.5 else "? ") + ", ".join(extras)
        elif extras and rng.random() < 0.16 and len(extras) == 1:
            main = f"{extras[0]}: {main}" if rng.random() < 0.3 else f"{main}. {extras[0][:1].upper() + extras[0][1:]}"
        elif extras:
            rest = extras[0] + "".join((", " if glue not in ("; ", " ") else glue) + e for e in extras[1:])
            if len(extras) > 1 and rng.random() < 0.5:
                rest = ", ".join(extras[:-1]) + " and " + extras[-1]
            main += glue + re.sub(r"^and ", "", rest) if glue == " and " else glue + rest
        if rng.random() < 0.06:
            main = self.pick(en.BEFORE) + main
        if rng.random() < 0.05 and not main.endswith("?"):
            main += self.pick(en.AFTER)
        return dress(main, rng)
