"""The template teacher's noun phrases: what is asked for, with its conditions and its species."""

from __future__ import annotations

import re

from querywright.api.query import Bool, Everything, Node, Term
from querywright.pairs import english as en
from querywright.pairs.clauses import Clauses, Unsayable, plural
from querywright.pairs.dress import keep


class Nouns(Clauses):
    """Says a whole query as a noun phrase: `human genes with symbol CDK2`."""

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
        if (
            isinstance(query, Bool)
            and query.must
            and not query.should
            and query.must
            and all(isinstance(n, Term) and n.field is None and n.kind == "word" for n in query.must)
        ):
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
            if (
                isinstance(node, Term)
                and node.field in nouns
                and node.value in nouns[node.field]
                and rng.random() < 0.6
            ):
                head = str(self.pick(nouns[node.field][node.value])).format(N=head)
                clauses.remove(node)
                break
        conditions = [self.condition(n) for n in clauses if not isinstance(n, Everything)]
        text = head
        left = species
        if (
            species
            and len(species) == 1
            and species[0] in self.words.get("vocabularies", {}).get("species", {})
            and rng.random() < 0.45
        ):
            text, left = f"{self.species(species, adjective=True)} {head}", ()
        elif species and rng.random() < 0.35:
            text, left = f"{head} {self.pick(en.IN_SPECIES).format(S=self.species(species))}", ()
        glue = (
            self.pick([" and ", " and ", ", ", " and also ", " that are also ", " and additionally "])
            if len(conditions) > 1
            else " "
        )
        if glue == " that are also ":
            glue = " and "
        text += " " + glue.join(conditions) if conditions else ""
        for node in without:
            text += self.pick([" ", ", "]) + self.negative(node, alone=not conditions and head == noun)
        if left and rng.random() < 0.5:
            text, left = f"{text} {self.pick(en.IN_SPECIES).format(S=self.species(left))}", ()
        return text, left

    def bare(self, query: Node) -> str | None:
        """Words without a field, named as people name them: `CDK2`, `the gene CDK2`, `kinase genes`."""
        words = (
            query.must if isinstance(query, Bool) and query.must and not (query.should or query.must_not) else (query,)
        )
        if not all(isinstance(n, Term) and n.field is None and not n.tail for n in words):
            return None
        value = " ".join(n.value for n in words if isinstance(n, Term))
        kinds = {n.kind for n in words if isinstance(n, Term)}
        if kinds == {"phrase"}:
            return self.pick(["{V}", "the phrase {V}", "the exact phrase {V}", "{V} genes", "genes for {V}"]).format(
                V=keep(f'"{value}"')
            )
        if kinds == {"wildcard"}:
            return self.pick(
                [
                    "{V}",
                    "{V} genes",
                    "everything like {V}",
                    "anything matching {V}",
                    "genes {V}",
                    "all {V} genes",
                    "the pattern {V}",
                    "{V} family genes",
                ]
            ).format(V=keep(value))
        if kinds != {"word"}:
            return None
        said = self.value(value)
        if re.fullmatch(r"\d+|ENS[A-Z]*G\d+", value):  # "gene 1017" is the record itself
            return self.pick(
                ["{V}", "anything matching {V}", "hits for {V}", "matches for {V}", "results for {V}"]
            ).format(V=said)
        if value.islower():
            return self.pick(
                [
                    "{V}",
                    "{V} genes",
                    "genes about {V}",
                    "anything related to {V}",
                    "{V} related genes",
                    "{V}-related genes",
                    "anything on {V}",
                    "genes that have to do with {V}",
                    "hits for {V}",
                    "{V} gene",
                ]
            ).format(V=said)
        return self.pick(
            [
                "{V}",
                "{V}",
                "the gene {V}",
                "the {V} gene",
                "{V} gene",
                "gene {V}",
                "anything matching {V}",
                "hits for {V}",
                "information on {V}",
                "{V} genes",
                "entries for {V}",
                "anything about {V}",
                "info about {V}",
            ]
        ).format(V=said)

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
