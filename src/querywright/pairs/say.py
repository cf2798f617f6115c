"""The template teacher's voice: walks a parsed call and says it in English, every clause and every parameter.

A sentence is put together from phrases (`english.py`, `discourse_english.py`, the API's `lexicon.yaml`, the fields'
synonyms): a noun phrase with its conditions (`nouns.py`, `clauses.py`, `predicates.py`), a frame around it, and what is
asked of the answer (`asks.py`). What stands in the call stands in the sentence, and the other way round; that is what
makes a pair true.
"""

from __future__ import annotations

import re
from typing import Any

from querywright.api.call import Call
from querywright.api.query import Everything, Node, Term
from querywright.pairs import discourse_english as dis
from querywright.pairs import english as en
from querywright.pairs.asks import Asks, as_tuple
from querywright.pairs.clauses import Unsayable
from querywright.pairs.dress import dress, sentence
from querywright.pairs.nouns import NO_SCOPE, Scope

__all__ = ["Speaker", "Unsayable", "as_tuple"]

_FIRST = ["the first {n} ", "the top {n} ", "{n} ", "up to {n} ", "at most {n} ", "top {n} ", "any {n} ", "only {n} ",
          "no more than {n} ", "the best {n} ", "just {n} ", "a maximum of {n} "]  # fmt: skip


class Speaker(Asks):
    """Says calls of one API. Same random state, same sentences."""

    def say(self, call: Call) -> str:
        """One sentence that asks for `call`, or a few.

        Raises:
            Unsayable: there are no words for a part of it.
        """
        done: set[str] = set()
        values: dict[str, Any] = dict(call.params)
        own = self.words.get("endpoints", {}).get(call.endpoint) or self.metadata(call)
        if own:
            main = str(self.pick(own)).format(V=self.value(call.id) if call.id else "")
        elif call.query is None:
            main = self.record(call, values, done)
        else:
            if self.rng.random() < self.style.terse:
                return dress(self.keywords(call, values), self.rng, self.style)
            steps: list[str] | None = [] if self.rng.random() < self.style.steps else None
            main = self.main(call.query, values, done, steps)
            if steps is not None:
                return sentence(main, [*steps, *self.extras(call, done)], self.rng, self.style, steps=True)
        return sentence(main, self.extras(call, done), self.rng, self.style)

    def metadata(self, call: Call) -> list[str]:
        """Sentences for requests about the service itself, where the lexicon has none."""
        last = self.api.endpoints[call.endpoint].path.rstrip("/").split("/")[-2:]
        return en.METADATA.get(last[-1], []) if "metadata" in last and call.id is None else []

    # --- one record by its id ---
    def record(self, call: Call, values: dict[str, Any], done: set[str]) -> str:
        """One record, asked for by its id: `gene 1017`."""
        if call.id is None or self.api.resolve(call.id.partition(":")[0]) == call.id.partition(":")[0]:
            raise Unsayable("no query and no id")
        names = values.get("fields", ())
        noun = f"{self.pick(self.words['item_nouns'])} {self.value(call.id)}"
        if names and names != ("all",) and self.rng.random() < self.style.terse:
            done.add("fields")
            return self.pick(["{N} {F}", "{N}: {F}", "{N} -> {F}"]).format(N=noun, F=self.short_extra("fields", names))
        if names and names != ("all",) and self.rng.random() < 0.75:
            done.add("fields")
            return self.of(names, noun)
        return str(self.pick(self.words["item"])).format(V=self.value(call.id))

    def of(self, names: tuple[str, ...], noun: str) -> str:
        """Fields of something: `the symbol of gene 1017`, `where is gene 1017?`."""
        asked = self.words.get("questions", {}).get(names[0]) if len(names) == 1 else None
        if asked and self.rng.random() < 0.4:
            return str(self.pick(asked)).format(N=noun)
        text = re.sub(r"^(their|its) ", "the ", self.returned(names))
        frames = en.OF if self.rng.random() > self.style.wish + 0.12 else dis.OF_MORE
        if self.rng.random() < self.style.terse:
            frames = dis.COLON
        return self.pick(frames).format(R=text, R0=re.sub(r"^the ", "", text), N=noun, N1=noun)

    # --- keywords ---
    def keywords(self, call: Call, values: dict[str, Any]) -> str:
        """No verbs: `cdk2 mouse uniprot`, `kinases top 5`."""
        rng = self.rng
        assert call.query is not None
        clauses, without = self.parts(call.query)
        bare = self.bare(call.query) if rng.random() < 0.4 else None
        said = [bare] if bare else [t for t in (self.short(n) for n in clauses) if t]
        said += [self.short_not(n) for n in without]
        glue = self.pick([" ", " ", ", ", " and ", " AND ", "; "])
        text = glue.join(said)
        noun = str(self.pick(self.words["nouns"]))
        if not said or (rng.random() < 0.25 and not bare):
            plain = self.plural_of(noun)
            text = f"{plain} {text}" if rng.random() < 0.5 or not said else f"{text} {plain}"
        left = dict(values)
        scope = self.narrowing(values)
        if scope[0]:
            del left[scope[0]]
            form = "adjective" if len(scope[1]) == 1 and self.forms(scope[0], scope[1][0], "adjective") else "noun"
            word = self.scope(scope, form if rng.random() < 0.5 else "noun")
            text = f"{word} {text}" if rng.random() < 0.4 else f"{text.strip()}{self.pick([' ', ' ', ', '])}{word}"
        rest = [self.short_extra(name, value) for name, value in left.items()]
        rng.shuffle(rest)
        return " ".join([text.strip(), self.pick([" ", " ", ", ", "; "]).join(rest)]).strip()

    def plural_of(self, noun: str) -> str:
        """A noun of the lexicon in the plural."""
        return next((many for many, one in self.words["singulars"].items() if one == noun), noun)

    def narrowing(self, values: dict[str, Any]) -> Scope:
        """The first vocabulary or enum of a call: what narrows the noun."""
        if any(n.endswith("_facet_filter") for n in values):
            return NO_SCOPE
        kinds = {n: self.api.params[n].kind for n in values}
        return next(((n, as_tuple(values[n])) for n in kinds if kinds[n] in ("vocabulary", "enum")), NO_SCOPE)

    # --- sentences ---
    def main(self, query: Node, values: dict[str, Any], done: set[str], steps: list[str] | None = None) -> str:
        """The main clause; what it says of `values` is put into `done`, what it leaves of the query into `steps`."""
        rng = self.rng
        names = values.get("fields", ())
        scope = self.narrowing(values)
        one = (
            rng.random() < (0.55 if isinstance(query, Term) else 0.1)
            and "size" not in values
            and "facets" not in values
            and steps is None
        )
        if steps is None and not {"facets", "size"} & set(values) and rng.random() < self.style.which:
            asked = self.which(query, scope, one)
            if asked is not None:
                done |= {scope[0]} if not asked[1][0] else set()
                return asked[0]
        bare = self.bare(query) if rng.random() < 0.55 else None
        if bare is not None:
            noun, left, one = *self.placed(bare, scope), True
        else:
            noun, left = self.noun_phrase(query, scope, one, steps)
        if scope[0] and not left[0]:
            done.add(scope[0])
        the = self.determiner(query, one, bare is not None)
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
            the = self.pick(_FIRST).format(n=self.count(size))
        elif size == 1 and rng.random() < 0.3 and "from" not in values:
            done.add("size")
            the = self.pick(["just one ", "one single ", "only one ", "the first ", "the top "])
            noun = self.singular(noun)
        return self.framed(the, noun, left, one, values, done)

    def determiner(self, query: Node, one: bool, bare: bool) -> str:
        """`the`, `all`, ... before the noun phrase."""
        if isinstance(query, Everything) and not one:
            return self.pick(["all ", "all ", "every known ", "all the ", "any ", "all "])
        if bare:
            return ""
        return self.pick(["the ", "the ", "a ", ""] if one else ["", "", "", "all ", "the ", "all the ", "any "])

    def framed(self, the: str, noun: str, left: Scope, one: bool, values: dict[str, Any], done: set[str]) -> str:
        """A question, keywords, a wish or a command around the noun phrase."""
        rng, size = self.rng, values.get("size")
        roll = rng.random()
        if roll < 0.16 and not re.match(r"(any|every)thing|info|hits|entries|results|matches", noun):
            if size is not None:
                return self.pick(["which {N}?", "what are {N}?", "can i see {N}?"]).format(N=the + noun)
            if one:
                return self.pick(en.ASK_ONE).format(N=noun.removeprefix("all "))
            return self.pick(en.ASK if "facets" in values else en.ASK + en.HOW_MANY).format(N=noun)
        if roll < 0.28:  # no verb
            return (the if the.strip() not in ("the", "a") else "") + noun
        if roll < 0.36 and left[0]:
            done.add(left[0])
            return f"{self.scoped(left, 'front', en.SCOPE_FRONT)}, {self.verb()} {the}{noun}"
        verb = self.verb()
        if verb.endswith("all"):
            the = "" if the in ("", "all ", "the ", "any ", "all the ") and not one else the
            verb = verb if not one and the == "" else "find"
        return f"{verb} {the}{noun}"

    def verb(self) -> str:
        """What opens a request: a command, a wish, or something formal."""
        roll = self.rng.random()
        if roll < self.style.formal:
            return self.pick(dis.FORMAL)
        if roll < self.style.formal + self.style.wish:
            return self.pick(dis.WISH)
        return self.pick(en.FIND_LIST)
