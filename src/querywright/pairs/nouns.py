"""The template teacher's noun phrases: what is asked for, with its conditions and the vocabulary that narrows it."""

from __future__ import annotations

import re
from typing import Any

from querywright.api.query import Bool, Everything, Node, Term
from querywright.pairs import discourse_english as dis
from querywright.pairs import english as en
from querywright.pairs.clauses import Unsayable
from querywright.pairs.dress import keep
from querywright.pairs.predicates import Predicates
from querywright.pairs.words import label, noun_plural, noun_singular

Scope = tuple[str, tuple[str, ...]]  # a vocabulary's parameter and its values, such as species and human
NO_SCOPE: Scope = ("", ())
_MANY = {"has": "have", "belongs": "belong", "maps": "map"}


class Nouns(Predicates):
    """Says a whole query as a noun phrase: `human genes with symbol CDK2`."""

    # --- vocabularies: species, assemblies, ... ---
    def vocabulary(self, name: str) -> str:
        """The vocabulary of a parameter; an enum's is known by the parameter's own name."""
        return self.api.params[name].vocabulary or name

    def forms(self, name: str, value: str, form: str) -> list[str]:
        """The words of a vocabulary's value: as `adjective` or as `noun`; none where nobody wrote them down."""
        known = self.words.get("vocabularies", {}).get(self.vocabulary(name), {}).get(value)
        return [str(w) for w in known.get(form, [])] if isinstance(known, dict) else []

    def scope(self, scope: Scope, form: str = "noun") -> str:
        """The values of a vocabulary, joined."""
        name, values = scope
        said = []
        for v in values:
            every = self.words.get("vocabularies", {}).get("all")
            if v == self.api.params[name].all and every:
                said.append(str(self.pick(every)))
                continue
            words = self.forms(name, v, form)
            if words and not (self.rng.random() < 0.08 and form == "noun"):
                said.append(self.pick(words))
            else:
                number = str(self.api.vocabularies.get(self.vocabulary(name), {}).get(v, v))
                spelt = number if self.api.params[name].numeric else v
                said.append(self.frame(name, "number", en.SCOPE_NUMBER).format(S=keep(spelt), P=label(name)))
        return self.join(said, "and" if self.rng.random() < 0.7 else "or")

    def frame(self, name: str, how: str, default: list[str]) -> str:
        """A phrase for a vocabulary's words: `in` (behind the noun), `after` (an afterthought), `front` or `number`."""
        return self.pick(self.words.get("vocabulary_phrases", {}).get(self.vocabulary(name), {}).get(how) or default)

    def scoped(self, scope: Scope, how: str = "in", default: list[str] = en.SCOPE_IN) -> str:
        """`in mice`: the values in a phrase."""
        return self.frame(scope[0], how, default).format(S=self.scope(scope), P=label(scope[0]))

    # --- the noun phrase ---
    def head(self, clauses: list[Node], scope: Scope, one: bool) -> tuple[str, bool, Scope]:
        """The noun with what can stand right at it: `human pseudogenes`; takes what it says out of `clauses`.

        Returns:
            The words, whether they say a clause, and the vocabulary that is still to be said.
        """
        rng = self.rng
        noun = str(self.pick(self.words["nouns"]))
        nouns = self.words.get("nouns_for", {})
        head, special = (noun_singular(noun) if one else noun_plural(noun)), False
        for node in list(clauses):
            if (
                isinstance(node, Term)
                and node.field in nouns
                and node.value in nouns[node.field]
                and rng.random() < 0.6
            ):
                head, special = str(self.pick(nouns[node.field][node.value])).format(N=head), True
                clauses.remove(node)
                break
        name, values = scope
        if len(values) == 1 and self.forms(name, values[0], "adjective") and rng.random() < 0.45:
            return f"{self.scope(scope, 'adjective')} {head}", special, NO_SCOPE
        if values and rng.random() < 0.35:
            return f"{head} {self.scoped(scope)}", special, NO_SCOPE
        return head, special, scope

    def noun_phrase(self, query: Node, scope: Scope, one: bool, later: list[str] | None = None) -> tuple[str, Scope]:
        """`human genes with symbol CDK2`; gives back the vocabulary that is still to be said.

        Args:
            query: what is asked for.
            scope: a vocabulary's parameter and values.
            one: in the singular.
            later: where it is a list, conditions beyond the first may go there, each as a sentence of its own.
        """
        rng = self.rng
        clauses, without = self.parts(query)
        head, special, left = self.head(clauses, scope, one)
        text = head
        held = [n for n in clauses if not isinstance(n, Everything)]
        if later is not None:
            split = len(held) if len(held) < 2 else rng.randint(1, len(held) - 1)
            later += [self.pick(dis.ONLY_THOSE).format(C=self.condition(n)) for n in held[split:]]
            held = held[:split]
            if without and rng.random() < 0.6:
                later += [self.pick(dis.NOT_THOSE).format(C=self.condition(n)) for n in without]
                without = []
        conditions = [self.condition(n) for n in held]
        glue = self.pick(en.GLUE) if len(conditions) > 1 else " "
        text += " " + glue.join(conditions) if conditions else ""
        plain = [n.value for n in without if isinstance(n, Term) and n.field is None and n.kind == "word"]
        if len(plain) == len(without) == 2 and rng.random() < 0.6:
            text += " " + self.pick(dis.NEITHER).format(A=keep(plain[0]), B=keep(plain[1]))
            without = []
        for node in without:
            text += self.pick([" ", ", "]) + self.negative(node, alone=not conditions and not special)
        if left[1] and rng.random() < 0.5:
            text, left = f"{text} {self.scoped(left)}", NO_SCOPE
        return text if one else re.sub(r"\bthat (has|belongs|maps) ", lambda m: f"that {_MANY[m[1]]} ", text), left

    def which(self, query: Node, scope: Scope, one: bool) -> tuple[str, Scope] | None:
        """`which human genes have a PDB structure?`: a question with a verb; None where no verb fits."""
        clauses, without = self.parts(query)
        head, _, left = self.head(clauses, scope, one)
        held = [n for n in clauses if not isinstance(n, Everything)] + [Bool(must_not=(n,)) for n in without]
        frame = self.pick(dis.WHICH_ONE if one else dis.WHICH)
        said = [self.predicate(n, one or "{P1}" in frame) for n in held]
        if not said or None in said:
            return None
        glue = self.pick([" and ", " and ", " and also ", " and at the same time "]) if len(said) == 2 else " and "
        text = glue.join(str(s) for s in said)
        return frame.format(N=head, N1=self.singular(head), P=text, P1=text), left

    def singular(self, phrase: str) -> str:
        """The phrase with its nouns in the singular."""
        for many, one in self.words["singulars"].items():
            phrase = re.sub(rf"\b{re.escape(many)}\b", one, phrase)
        return phrase

    def parts(self, query: Node) -> tuple[list[Node], list[Node]]:
        """The clauses of a query that must hold, and those that must not."""
        if not isinstance(query, Bool):
            return [query], []
        if query.must and query.should:
            raise Unsayable("clauses that only rank")
        without = list(query.must_not)
        if query.should:
            return [Bool(should=query.should)], without
        if query.must and all(isinstance(n, Term) and n.field is None and n.kind == "word" for n in query.must):
            return [Bool(must=query.must)], without
        return list(query.must), without

    # --- words without a field ---
    def bare(self, query: Node) -> str | None:
        """Words without a field, named as people name them: `CDK2`, `the gene CDK2`, `kinase genes`."""
        words: Any = (
            query.must if isinstance(query, Bool) and query.must and not (query.should or query.must_not) else (query,)
        )
        if not all(isinstance(n, Term) and n.field is None and not n.tail for n in words):
            return None
        value = " ".join(n.value for n in words)
        kinds = {n.kind for n in words}
        if kinds == {"phrase"}:
            return self.pick(self.words["bare"]["phrase"]).format(V=keep(f'"{value}"'))
        if kinds == {"wildcard"}:
            return self.pick(self.words["bare"]["wild"]).format(V=keep(value))
        if kinds != {"word"}:
            return None
        said = self.value(value)
        kind = "id" if self.is_id(value) else "word" if value.islower() else "name"
        return self.pick(self.words["bare"][kind]).format(V=said)

    def is_id(self, value: str) -> bool:
        """Whether a word looks like a record's id: `gene 1017` asks for the record itself, not for hits."""
        if value.isdigit() or any(shape.regex.fullmatch(value) for shape in self.api.ids):
            return True
        fields = (self.api.fields.get(f) for f in self.words.get("draw", {}).get("ids", []))
        return any(f.shape and re.fullmatch(f.shape, value) for f in fields if f)

    def placed(self, text: str, scope: Scope) -> tuple[str, Scope]:
        """The text with the vocabulary before or behind it, or the vocabulary left for later."""
        name, values = scope
        roll = self.rng.random()
        if len(values) == 1 and self.forms(name, values[0], "adjective") and roll < 0.4:
            word = self.scope(scope, "adjective")
            return re.sub(
                r"^(the (?!phrase|exact|pattern))?", lambda m: (m[0] or "") + word + " ", text, count=1
            ), NO_SCOPE
        if values and roll < 0.75:
            return f"{text} {self.scoped(scope)}", NO_SCOPE
        return text, scope
