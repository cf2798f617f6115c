"""The template teacher's noun phrases: what is asked for, with its conditions and the vocabulary that narrows it."""

from __future__ import annotations

import re
from typing import Any

from querywright.api.query import Bool, Everything, Node, Term
from querywright.pairs import english as en
from querywright.pairs.clauses import Clauses, Unsayable
from querywright.pairs.dress import keep
from querywright.pairs.words import label, noun_plural, noun_singular

Scope = tuple[str, tuple[str, ...]]  # a vocabulary's parameter and its values, such as species and human
NO_SCOPE: Scope = ("", ())


class Nouns(Clauses):
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
    def noun_phrase(self, query: Node, scope: Scope, one: bool) -> tuple[str, Scope]:
        """`human genes with symbol CDK2`; gives back the vocabulary that is still to be said."""
        rng = self.rng
        noun = str(self.pick(self.words["nouns"]))
        clauses, without = self.parts(query)
        nouns = self.words.get("nouns_for", {})
        head = noun_singular(noun) if one else noun_plural(noun)
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
        left = scope
        name, values = scope
        if len(values) == 1 and self.forms(name, values[0], "adjective") and rng.random() < 0.45:
            text, left = f"{self.scope(scope, 'adjective')} {head}", NO_SCOPE
        elif values and rng.random() < 0.35:
            text, left = f"{head} {self.scoped(scope)}", NO_SCOPE
        glue = self.pick(en.GLUE) if len(conditions) > 1 else " "
        text += " " + glue.join(conditions) if conditions else ""
        for node in without:
            text += self.pick([" ", ", "]) + self.negative(node, alone=not conditions and head == noun)
        if left[1] and rng.random() < 0.5:
            text, left = f"{text} {self.scoped(left)}", NO_SCOPE
        return text, left

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
