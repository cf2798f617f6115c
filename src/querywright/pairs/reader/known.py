"""What the reader knows of an API: its fields' names and synonyms, its vocabularies' words, its nouns, its ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.pairs.reader.tokens import ARTICLES, Token, tokenise

Trie = dict[str, Any]  # stems, and under "" what the phrase means
ASSEMBLIES = {"hg19": ("grch37",), "hg38": ("grch38",), "mm9": ("ncbi37",), "mm10": ("grcm38",), "hg18": ("ncbi36",)}
RECORD_WORDS = ("hit", "result", "record", "entry", "document", "object", "match")


def phrase_words(phrase: str) -> tuple[str, ...]:
    """A phrase as the stems that a sentence's tokens have."""
    return tuple(t.stem or t.word for t in tokenise(phrase) if t.word not in ARTICLES)


def add(trie: Trie, phrase: str, meaning: Any, cost: float = 0.0) -> None:
    """Put a phrase into a trie; the same meaning twice has the lower cost."""
    words = phrase_words(phrase)
    if not words:
        return
    for word in words:
        trie = trie.setdefault(word, {})
    known = trie.setdefault("", {})
    known[meaning] = min(cost, known.get(meaning, cost))


def look(trie: Trie, tokens: Sequence[Token], at: int) -> list[tuple[int, Any, float]]:
    """Everything in a trie that begins at token `at`: (end, meaning, cost)."""
    found: list[tuple[int, Any, float]] = []
    for end in range(at, len(tokens)):
        token = tokens[end]
        below = None if token.quoted else trie.get(token.stem or token.word)
        if below is None:
            break
        trie = below
        found += [(end + 1, meaning, cost) for meaning, cost in trie.get("", {}).items()]
    return found


@dataclass(frozen=True)
class Known:
    """Everything that the slots of patterns are looked up in."""

    api: API
    words: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def fields(self) -> Trie:
        """Field mentions; what several fields are called is tried by their weights."""
        trie: Trie = {}
        for name, f in self.api.fields.items():
            rank = 0.01 / max(f.weight, 0.01)
            add(trie, name, name, 0.0)
            add(trie, re.sub(r"[._]", " ", name), name, 0.05 + rank)
            for synonym in f.synonyms:
                add(trie, synonym, name, 0.02 + min(rank, 0.04))
            if not f.synonyms:
                last = re.findall(r"[A-Za-z0-9]+", " ".join(name.split(".")[-3:]))
                add(trie, " ".join(dict.fromkeys(w.lower() for w in last)), name, 0.1)
        for alias, name in self.api.field_aliases.items():
            add(trie, alias, name, 0.03)
        for name in self.api.meta_fields:
            add(trie, name, name, 0.0)
        for name, said in self.words.get("facet_words", {}).items():
            for phrase in said:
                add(trie, str(phrase), name, 0.12)
        return trie

    @cached_property
    def last_words(self) -> frozenset[str]:
        """Words that synonyms of fields end with, such as `identifier`: mostly no values."""
        said = (s for f in self.api.fields.values() for s in f.synonyms if " " in s)
        return frozenset(words[-1] for s in said if (words := phrase_words(s)))

    @cached_property
    def scope_param(self) -> str:
        """The parameter of the vocabulary that narrows a search, such as `species`."""
        return next((n for n, p in self.api.params.items() if p.kind == "vocabulary" and p.in_query), "") or next(
            (n for n, p in self.api.params.items() if p.kind == "vocabulary"), ""
        )

    @cached_property
    def scopes(self) -> Trie:
        """The words of the vocabulary that narrows a search, to its values."""
        trie: Trie = {}
        if not self.scope_param:
            return trie
        param = self.api.params[self.scope_param]
        for name, value in self.api.vocabularies[param.vocabulary].items():
            add(trie, name, name)
            add(trie, name.replace("-", " "), name)
            add(trie, str(value), name, 0.3)
        spoken = self.words.get("vocabularies", {})
        for value, forms in spoken.get(param.vocabulary, {}).items():
            for phrase in {str(p) for said in forms.values() for p in said} if isinstance(forms, dict) else ():
                add(trie, phrase, self.api.word_for(param, str(value)))
        for phrase in spoken.get("all", []):
            if param.all:
                add(trie, str(phrase), param.all)
        return trie

    @cached_property
    def frames(self) -> Trie:
        """What people put before a number of the vocabulary: `taxid`, `NCBI taxonomy`."""
        trie: Trie = {}
        if self.scope_param:
            param = self.api.params[self.scope_param]
            told = self.words.get("vocabulary_phrases", {}).get(param.vocabulary, {}).get("number", [])
            for phrase in map(str, told):
                if phrase.endswith("{S}") and phrase != "{S}":
                    add(trie, phrase.removesuffix("{S}"), "")
            for name in dict.fromkeys((param.field, *param.in_query)):
                for said in (name, *(f.synonyms if (f := self.api.fields.get(name)) else ())):
                    add(trie, said, "")
        return trie

    @cached_property
    def nouns(self) -> Trie:
        """What a record is called; under each: whether it is only a general word such as `hit`."""
        trie: Trie = {}
        own = [self.api.noun, *(str(n) for n in self.words.get("nouns", []))]
        for noun in own:
            for form in noun.split("/") if " " not in noun else [noun]:
                add(trie, form, "own")
        for word in RECORD_WORDS:
            add(trie, word, "any", 0.02)
            for noun in dict.fromkeys(own):
                add(trie, f"{noun.partition('/')[0]} {word}", "own")
        return trie

    @cached_property
    def values_of(self) -> dict[str, set[str]]:
        """Words that are values of a field in the lexicon, in small letters."""
        found: dict[str, set[str]] = {}
        for key, values in self.words.get("values", {}).items():
            found.setdefault(key, set()).update(str(v).lower() for v in values)
        return found

    @cached_property
    def phrases(self) -> set[tuple[str, ...]]:
        """Values of several words that the definition or the lexicon names."""
        several = [str(v) for values in self.words.get("values", {}).values() for v in values]
        several += [e for f in self.api.fields.values() for e in f.examples]
        return {tuple(v.lower().split()) for v in several if " " in v}

    @cached_property
    def id_shapes(self) -> tuple[re.Pattern[str], ...]:
        """How a record's id may look: the definition's shapes, and those of the fields that bare ids are sought in."""
        fields = [*self.api.defaults("scopes"), *self.words.get("draw", {}).get("ids", [])]
        own = [f.shape for name in dict.fromkeys(fields) if (f := self.api.fields.get(name)) and f.shape]
        return (*(shape.regex for shape in self.api.ids), *(re.compile(s) for s in own))

    @cached_property
    def assemblies(self) -> dict[str, str]:
        """Spellings of the genome assemblies that intervals may name."""
        spans = self.api.intervals
        if spans is None or not spans.prefixed:
            return {}
        names = [*(spans.model_extra or {})]
        return {said: name for name in names for said in (name.lower(), *ASSEMBLIES.get(name.lower(), ()))}

    def is_id(self, text: str) -> bool:
        """Whether a word is a record's id by its looks."""
        return text.isdigit() or any(shape.fullmatch(text) for shape in self.id_shapes)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words of the tries, for slips of the pen."""
        found: set[str] = set()

        def walk(trie: Trie) -> None:
            for word, below in trie.items():
                if word:
                    found.update((word, word + "s"))
                    walk(below)

        for trie in (self.fields, self.scopes, self.nouns, self.frames):
            walk(trie)
        return frozenset(found)


@lru_cache(maxsize=16)
def known(api: API) -> Known:
    """The index of an API, built once."""
    return Known(api, dict(lexicon(api)))


def phrase_source(phrase: str, slots: Iterable[str] = ("V",)) -> str:
    """A phrase of a lexicon as a pattern: `with the Pfam domain {V}`. A value glued to a word keeps it: `{V:chr}`."""
    out = []
    for chunk in phrase.split():
        glued = re.fullmatch(r"([\w:.-]+)\{V\}", chunk)
        if glued:
            out.append(f"{{V:{glued[1].lower()}}}")
        elif re.search(r"\{\w+\}", chunk):
            out += [
                m if m[0] == "{" else re.sub(r"([()\[\]|])", r"\\\1", m) for m in re.findall(r"\{\w+\}|[^{}]+", chunk)
            ]
        else:
            out += [re.sub(r"([()\[\]|])", r"\\\1", t.word) for t in tokenise(chunk) if t.word not in ARTICLES]
    return " ".join(out)
