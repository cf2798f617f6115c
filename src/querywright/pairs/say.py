"""The template teacher's voice: walks a parsed call and says it in English, every clause and every parameter.

A sentence is put together from phrases (`english.py`, the API's `lexicon.yaml`, the fields' synonyms): a noun phrase with
its conditions, a frame around it, and what is asked of the answer. What stands in the call stands in the sentence, and
the other way round; that is what makes a pair true.
"""

from __future__ import annotations

import random
import re

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term
from querywright.pairs import english as en
from querywright.pairs.values import lexicon

_KEEP = re.compile("\x02([^\x03]*)\x03")  # marks a literal: noise must not touch it


def keep(text: str) -> str:
    """Mark a literal so that no noise changes it."""
    return f"\x02{text}\x03"


def plural(phrase: str) -> str:
    """A plural good enough for field names and nouns."""
    if phrase.endswith(("s", "data", "information", "genomics", "\x03")) or " of " in phrase or " in " in phrase or "/" in phrase:
        return phrase
    return phrase[:-1] + "ies" if re.search(r"[^aeiou]y$", phrase) else phrase + "s"


class Unsayable(ValueError):
    """The call holds something that templates have no words for."""


class Speaker:
    """Says calls of one API. Same random state, same sentences."""

    def __init__(self, api: API, rng: random.Random) -> None:
        self.api, self.rng = api, rng
        self.words = lexicon(api)

    # --- small pieces ---
    def pick(self, phrases: list[str]) -> str:
        return self.rng.choice(phrases)

    def field(self, name: str, facet: bool = False) -> str:
        """A field in words: a synonym mostly, sometimes its own name."""
        if facet and name in self.words.get("facet_words", {}) and self.rng.random() < 0.8:
            return str(self.pick(self.words["facet_words"][name]))
        field = self.api.fields.get(name)
        roll = self.rng.random()
        if field is None or not field.synonyms or roll < 0.13:
            return keep(name)
        if roll < 0.17 and re.search(r"[._]", name):
            return re.sub(r"[._]", " ", name)
        return str(self.pick(list(field.synonyms)))

    def value(self, text: str) -> str:
        """A literal, sometimes in quotation marks."""
        roll = self.rng.random()
        return keep(f'"{text}"' if roll < 0.04 else f"'{text}'" if roll < 0.07 else text)

    def number(self, n: str) -> str:
        if n.isdigit() and len(n) > 3 and self.rng.random() < 0.3:
            return keep(f"{int(n):,}")
        return keep(n)

    def count(self, n: int) -> str:
        if 0 < n <= 20 and self.rng.random() < 0.3:
            return en.NUMBERS[n]
        return keep(str(n))

    def join(self, parts: list[str], word: str = "and") -> str:
        if len(parts) == 1:
            return parts[0]
        comma = "," if len(parts) > 2 and self.rng.random() < 0.4 else ""
        if self.rng.random() < 0.1:
            return ", ".join(parts) if word == "and" else " or ".join(parts)
        return ", ".join(parts[:-1]) + f"{comma} {word} {parts[-1]}"

    # --- conditions ---
    def term(self, node: Term) -> str:
        name, value = node.field, node.value
        if node.tail:
            raise Unsayable("fuzzy or boosted terms")
        if node.kind == "wildcard":
            return self.wildcard(name, value)
        if name is None:
            quoted = node.kind == "phrase"
            text = keep(f'"{value}"') if quoted and self.rng.random() < 0.75 else self.value(value) if not quoted else keep(f"'{value}'")
            return self.pick(en.FREE_PHRASE if quoted else en.FREE).format(V=text)
        own = self.words.get("clauses", {}).get(name)
        if own and self.rng.random() < 0.4:
            return str(self.pick(own)).format(V=self.value(value))
        analysis = self.api.analysis(name)
        is_id = self.api.fields.get(name) is not None and bool(self.api.fields[name].shape)
        if analysis == "text" and not is_id:
            if node.kind == "phrase":
                text = keep(f'"{value}"') if self.rng.random() < 0.6 else keep(value)
                return self.pick(en.TEXT_PHRASE).format(F=self.field(name), V=text)
            return self.pick(en.TEXT).format(F=self.field(name), V=self.value(value))
        prefix = self.api.value_prefixes.get(name.split(".")[0])
        if prefix and self.rng.random() < 0.5 and value.isdigit():
            value = f"{prefix}:{value}"
        return self.pick(en.WORD).format(F=self.field(name), V=self.value(value))

    def wildcard(self, name: str | None, value: str) -> str:
        plain = re.sub(r"[*?]", "", value)
        if name is None:
            if value.count("*") == 1 and value.endswith("*") and "?" not in value and self.rng.random() < 0.35:
                return self.pick(["starting with {V}", "that start with {V}", "beginning with {V}", "with the prefix {V}"]).format(
                    V=self.value(plain))
            if re.fullmatch(r"[^*?]+\?", value) and self.rng.random() < 0.35:
                return self.pick(en.FREE_ONE_MORE).format(V=self.value(plain))
            return self.pick([*en.FREE[:8], "matching the wildcard {V}", "matching the pattern {V}"]).format(V=keep(value))
        field = self.field(name)
        if re.fullmatch(r"[^*?]+\*", value) and self.rng.random() < 0.7:
            return self.pick(en.PREFIX).format(F=field, V=self.value(plain))
        if re.fullmatch(r"[^*?]+\?", value) and self.rng.random() < 0.3:
            return self.pick(en.ONE_MORE).format(F=field, V=self.value(plain))
        gap = re.fullmatch(r"([^*?]+)\*([^*?]+)", value)
        if gap and self.rng.random() < 0.4:
            return self.pick(en.GAP).format(F=field, V=self.value(gap[1]), W=self.value(gap[2]))
        return self.pick(en.PATTERN).format(F=field, V=keep(value))

    def range(self, node: Range) -> str:
        low, high = self.number(node.low), self.number(node.high)
        field = self.field(node.field)
        if node.high == "*":
            return self.pick(en.AT_LEAST if node.include_low else en.MORE).format(F=field, A=low)
        if node.low == "*":
            return self.pick(en.AT_MOST if node.include_high else en.LESS).format(F=field, A=high)
        if not (node.include_low and node.include_high):
            raise Unsayable("a range without its ends")
        return self.pick(en.BETWEEN).format(F=field, A=low, B=high)

    def interval(self, node: Interval) -> str:
        a, b = str(node.start), str(node.end)
        if self.rng.random() < 0.35:
            a, b = f"{node.start:,}", f"{node.end:,}"
        inline = node.assembly and self.rng.random() < 0.3
        if self.rng.random() < 0.45 and not inline:
            text = self.pick(en.INTERVAL_WORDS).format(C=keep(node.chromosome), A=keep(a), B=keep(b))
        else:
            region = f"{node.assembly + '.' if inline else ''}{'chr' if self.rng.random() < 0.88 or inline else ''}{node.chromosome}:{a}-{b}"
            text = self.pick(en.INTERVAL).format(I=keep(region))
        if node.assembly and not inline:
            names = {"hg19": ["hg19", "GRCh37", "hg19"], "mm9": ["mm9", "NCBI37", "mm9"]}.get(node.assembly, [node.assembly])
            text += " " + self.pick(en.ASSEMBLY).format(G=keep(self.pick(names)))
        return text

    def exists(self, node: Exists, lacking: bool = False) -> str:
        field = self.field(node.field)
        text = self.pick(en.LACKS if lacking else en.EXISTS)
        if field.endswith(("s", "data", "information")) or self.rng.random() < 0.15:
            text = text.replace(" a {F}", " {F}")
        elif re.match(r"[aeioAEIO]|\x02?[AEIOFHLMNRSX][A-Z]", field):
            text = text.replace(" a {F}", " an {F}").replace(" a known", " a known")
        return text.format(F=field)

    def condition(self, node: Node) -> str:
        """A condition to stand behind a noun."""
        if isinstance(node, Term):
            return self.term(node)
        if isinstance(node, Range):
            return self.range(node)
        if isinstance(node, Interval):
            return self.interval(node)
        if isinstance(node, Exists):
            return self.exists(node)
        if isinstance(node, Bool):
            if node.should and not node.must and not node.must_not:
                return self.either(node.should)
            if node.must and not node.should and not node.must_not:
                if all(isinstance(n, Term) and n.field is None and n.kind == "word" for n in node.must):
                    return self.pick(en.FREE).format(V=keep(" ".join(n.value for n in node.must if isinstance(n, Term))))
                return " and ".join(self.condition(n) for n in node.must)
            if not node.must and not node.should and len(node.must_not) == 1:
                return self.negative(node.must_not[0], alone=True)
        raise Unsayable("a nesting without words")

    def either(self, nodes: tuple[Node, ...]) -> str:
        """Alternatives; said together where they ask the same field."""
        terms = [n for n in nodes if isinstance(n, Term) and n.kind in ("word", "phrase") and not n.tail]
        names = {n.field for n in terms}
        if len(terms) == len(nodes) and len(names) == 1:
            values = [keep(f'"{t.value}"') if t.kind == "phrase" and self.rng.random() < 0.7 else keep(t.value) for t in terms]
            style = self.rng.random()
            text = self.join(values, "or")
            if style < 0.2:
                text = "either " + text
            elif style < 0.3:
                text = "any of " + ", ".join(values)
            elif style < 0.36:
                text = " / ".join(values)
            elif style < 0.42 and len(values) == 2:
                text = f"{values[0]} or else {values[1]}"
            name = names.pop()
            if name is None:
                return self.pick(["matching {V}", "for {V}", "about {V}", "related to {V}", "mentioning {V}", "containing {V}",
                                  "that match {V}"]).format(V=text)
            is_text = self.api.analysis(name) == "text" and not self.api.fields[name].shape
            own = self.words.get("clauses", {}).get(name)
            if own and self.rng.random() < 0.25:
                return str(self.pick(own)).format(V=text)
            return self.pick(en.TEXT if is_text else en.WORD).format(F=self.field(name), V=text)
        parts = [self.condition(n) for n in nodes]
        if self.rng.random() < 0.35:
            return "either " + " or ".join(parts)
        return self.pick([" or ", " or ", " or else ", ", or "]).join(parts)

    def negative(self, node: Node, alone: bool = False) -> str:
        """What must not hold."""
        if isinstance(node, Exists):
            return ("" if alone else self.pick(["", "but ", "and "])) + self.exists(node, lacking=True)
        if isinstance(node, Term) and node.field is None and node.kind == "word" and self.rng.random() < 0.7:
            return self.pick(en.BUT_NOT_WORD).format(V=keep(node.value))
        nouns = self.words.get("nouns_for", {}).get(node.field, {}) if isinstance(node, Term) else {}
        if isinstance(node, Term) and node.value in nouns and self.rng.random() < 0.5:
            return self.pick(["excluding {X}", "but not {X}", "except {X}", "that are not {X}"]).format(
                X=str(self.pick(nouns[node.value])).format(N="genes"))
        return self.pick(en.BUT_NOT).format(C=self.condition(node))

    # --- the noun phrase ---
    def species(self, values: tuple[str, ...], adjective: bool = False) -> str:
        known = self.words.get("vocabularies", {}).get("species", {})
        numbers = self.api.vocabularies.get("species", {})
        said = []
        for v in values:
            if v in known and not (self.rng.random() < 0.08 and not adjective):
                said.append(str(self.pick(known[v]["adjective" if adjective else "noun"])))
            else:
                said.append(self.pick(en.TAXID).format(S=keep(str(numbers.get(v, v)))))
        return self.join(said, "and" if self.rng.random() < 0.7 else "or")

    def noun_phrase(self, query: Node, species: tuple[str, ...], one: bool) -> tuple[str, tuple[str, ...]]:
        """`human genes with symbol CDK2`; gives back the species that are still to be said."""
        rng = self.rng
        noun = str(self.pick(self.words.get("nouns", [self.api.noun])))
        clauses = list(query.must) if isinstance(query, Bool) and query.must and not query.should else [query]
        if isinstance(query, Bool) and query.must and not query.should and query.must and all(
                isinstance(n, Term) and n.field is None and n.kind == "word" for n in query.must):
            clauses = [Bool(must=query.must)]
        without = list(query.must_not) if isinstance(query, Bool) and (query.must or query.should) else []
        if isinstance(query, Bool) and query.should and not query.must:
            clauses = [Bool(should=query.should)]
        if isinstance(query, Bool) and not query.must and not query.should:
            clauses, without = [], list(query.must_not)
        if isinstance(query, Bool) and query.must and query.should:
            raise Unsayable("clauses that only rank")
        nouns = self.words.get("nouns_for", {})
        head = noun if one else plural(noun)
        for node in list(clauses):
            if isinstance(node, Term) and node.field in nouns and node.value in nouns[node.field] and rng.random() < 0.6:
                head = str(self.pick(nouns[node.field][node.value])).format(N=head)
                clauses.remove(node)
                break
        conditions = [self.condition(n) for n in clauses if not isinstance(n, Everything)]
        text = head
        left = species
        if species and len(species) == 1 and species[0] in self.words.get("vocabularies", {}).get("species", {}) and rng.random() < 0.45:
            text, left = f"{self.species(species, adjective=True)} {head}", ()
        elif species and rng.random() < 0.35:
            text, left = f"{head} {self.pick(en.IN_SPECIES).format(S=self.species(species))}", ()
        glue = self.pick([" and ", " and ", ", ", " and also ", " that are also ", " and additionally "]) if len(conditions) > 1 else " "
        if glue == " that are also ":
            glue = " and "
        text += (" " + glue.join(conditions) if conditions else "")
        for node in without:
            text += self.pick([" ", ", "]) + self.negative(node, alone=not conditions and head == noun)
        if left and rng.random() < 0.5:
            text, left = f"{text} {self.pick(en.IN_SPECIES).format(S=self.species(left))}", ()
        return text, left

    def bare(self, query: Node) -> str | None:
        """Words without a field, named as people name them: `CDK2`, `the gene CDK2`, `kinase genes`."""
        words = query.must if isinstance(query, Bool) and query.must and not (query.should or query.must_not) else (query,)
        if not all(isinstance(n, Term) and n.field is None and not n.tail for n in words):
            return None
        value = " ".join(n.value for n in words if isinstance(n, Term))
        kinds = {n.kind for n in words if isinstance(n, Term)}
        if kinds == {"phrase"}:
            return self.pick(["{V}", "the phrase {V}", "the exact phrase {V}", "{V} genes", "genes for {V}"]).format(V=keep(f'"{value}"'))
        if kinds == {"wildcard"}:
            return self.pick(["{V}", "{V} genes", "everything like {V}", "anything matching {V}", "genes {V}", "all {V} genes",
                              "the pattern {V}", "{V} family genes"]).format(V=keep(value))
        if kinds != {"word"}:
            return None
        said = self.value(value)
        if re.fullmatch(r"\d+|ENS[A-Z]*G\d+", value):  # "gene 1017" is the record itself
            return self.pick(["{V}", "anything matching {V}", "hits for {V}", "matches for {V}", "results for {V}"]).format(V=said)
        if value.islower():
            return self.pick(["{V}", "{V} genes", "genes about {V}", "anything related to {V}", "{V} related genes", "{V}-related genes",
                              "anything on {V}", "genes that have to do with {V}", "hits for {V}", "{V} gene"]).format(V=said)
        return self.pick(["{V}", "{V}", "the gene {V}", "the {V} gene", "{V} gene", "gene {V}", "anything matching {V}", "hits for {V}",
                          "information on {V}", "{V} genes", "entries for {V}", "anything about {V}", "info about {V}"]).format(V=said)

    def placed(self, text: str, species: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The text with the species before or behind it, or the species left for later."""
        known = self.words.get("vocabularies", {}).get("species", {})
        roll = self.rng.random()
        if species and len(species) == 1 and species[0] in known and roll < 0.4:
            word = self.species(species, adjective=True)
            return re.sub(r"^(the (?!phrase|exact|pattern))?", lambda m: (m[0] or "") + word + " ", text, count=1), ()
        if species and roll < 0.75:
            return f"{text} {self.pick(en.IN_SPECIES).format(S=self.species(species))}", ()
        return text, species

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
        values = dict(call.params)
        if "from" in values and "size" in values and not {"from", "size"} & done and rng.random() < 0.5:
            n, m = values["size"], values["from"]
            text = self.pick(en.NEXT)
            if "{p}" not in text or (n and m % n == 0):
                out.append(text.format(n=keep(str(n)), m=keep(str(m)), a=keep(str(m + 1)), b=keep(str(m + n)), p=keep(str(m // max(n, 1) + 1))))
                done |= {"from", "size"}
        for name, value in values.items():
            if name in done:
                continue
            if name == "species":
                out.append(self.pick(en.SPECIES_AFTER).format(S=self.species(value)))
            elif name == "fields":
                out.append(self.pick(en.RETURN_ALL) if value == ("all",) else self.pick(en.RETURN).format(R=self.returned(value)))
            elif name == "size":
                special = {0: en.SIZE_ZERO, 1: en.SIZE_ONE}.get(value)
                out.append(self.pick(special) if special and rng.random() < 0.75 else self.pick(en.SIZE).format(n=self.count(value)))
            elif name == "from":
                out.append(self.pick(en.FROM).format(n=self.count(value)))
            elif name == "sort":
                down = all(v.startswith("-") for v in value)
                if any(v.startswith("-") for v in value) != down or value[0].lstrip("-") in self.api.meta_fields:
                    raise Unsayable("a mixed sort")
                out.append(self.pick(en.SORT_DOWN if down else en.SORT).format(F=self.join([self.field(v.lstrip("-")) for v in value])))
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
        values = dict(call.params)
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

    def main(self, call: Call, values: dict, done: set[str]) -> str:  # type: ignore[type-arg]
        rng = self.rng
        assert call.query is not None
        names = values.get("fields", ())
        species = tuple(values.get("species", ()))
        one = rng.random() < (0.55 if isinstance(call.query, Term) else 0.1) and "size" not in values and "facets" not in values
        if "species_facet_filter" in values:
            species = ()
        bare = self.bare(call.query) if rng.random() < 0.55 else None
        if bare is not None:
            noun, left, one = *self.placed(bare, species), True
        else:
            noun, left = self.noun_phrase(call.query, species, one)
        if species and not left:
            done.add("species")
        the = "" if bare is not None else self.pick(["the ", "the ", "a ", ""]) if one else self.pick(["", "", "", "all ", "the ", "all the ", "any "])
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
            the = self.pick(["the first {n} ", "the top {n} ", "{n} ", "up to {n} ", "at most {n} ", "top {n} ", "any {n} ", "only {n} "]).format(
                n=self.count(size))
        elif size == 1 and rng.random() < 0.3 and "from" not in values:
            done.add("size")
            the, noun = self.pick(["just one ", "one single ", "only one ", "the first ", "the top "]), re.sub(
                r"\b(gene|locu|loc|pseudogene)s\b", r"\1", noun)
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


def dress(text: str, rng: random.Random) -> str:
    """Capitals, an end mark, and now and then a slip of the pen; literals stay as they are."""
    parts = re.split("(\x02[^\x03]*\x03)", re.sub(r" {2,}", " ", text).strip())
    style = rng.random()
    if style < 0.14:
        parts = [p if p[:1] == "\x02" else p.lower() for p in parts]
    elif style < 0.8:
        parts = [re.sub(r"\bi\b", "I", p) if p[:1] != "\x02" else p for p in parts]
        if parts and parts[0][:1] != "\x02":
            parts[0] = parts[0][:1].upper() + parts[0][1:]
    if rng.random() < 0.05:
        parts = [re.sub(r"\b(the|a|an) ", "", p) if p[:1] != "\x02" else p for p in parts]
    if rng.random() < 0.06:
        i = rng.randrange(len(parts))
        if parts[i][:1] != "\x02":
            parts[i] = slip(parts[i], rng)
    sentence = _KEEP.sub(r"\1", "".join(parts)).strip()
    if sentence and sentence[-1] not in "?.!" and rng.random() < 0.45:
        sentence += "."
    if sentence.endswith("?") and rng.random() < 0.15:
        sentence = sentence[:-1]
    return sentence


def slip(text: str, rng: random.Random) -> str:
    """One typing mistake in one longer word: a letter lost, doubled or swapped with its neighbour."""
    words = [m for m in re.finditer(r"[a-z]{5,}", text)]
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    kind = rng.random()
    if kind < 0.4:
        return text[:at] + text[at + 1 :]
    if kind < 0.6:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
