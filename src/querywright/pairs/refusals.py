"""Sentences that no call answers, for any API, with the reason's code: what teaches a model to refuse.

    chat         small talk, thanks, questions about the assistant itself
    topic        other domains; sentences of shipped APIs that have nothing to do with this one; essays, lessons and
                 opinions about the API's own things
    unsupported  the API's own things, but to be written, deleted, drawn, mailed, exported, computed: it only searches
    missing      a request without its value, or about "it" where nothing was said before

A false refusal is worse than a missed one, so these are left out of all four: a bare word or id (a search), fields
without a value (`genes with an OMIM number` asks which have one), a whole request with chatter around it or with an
action behind it ("find X and mail them to me": the first half can be answered), "what is BRCA1?" (a record; "what is a
gene?" is none), sentences of related APIs ("drugs against asthma" at a service of diseases), and domains whose words an
API has itself (no weather for an API of forecasts). "Only in mice" with no turns before it is a search for mice; "the
same for mice" is missing something.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cached_property, lru_cache

from querywright.api.definition import API, load, shipped
from querywright.api.lexicon import lexicon
from querywright.api.query import Term
from querywright.pairs import refusals_english as words
from querywright.pairs.clauses import Unsayable
from querywright.pairs.draw import Drawer
from querywright.pairs.dress import dress, keep, sentence
from querywright.pairs.literals import code
from querywright.pairs.nouns import NO_SCOPE
from querywright.pairs.roles import bound, roles
from querywright.pairs.say import Speaker
from querywright.pairs.typed_draw import TypedDrawer
from querywright.pairs.typed_say import Parts, TypedSpeaker
from querywright.pairs.words import endpoint_nouns, noun_plural, noun_singular
from querywright.rows import Row, refusal_row

SHARES = {"chat": 0.26, "topic": 0.32, "unsupported": 0.22, "missing": 0.20}
_SLOT = re.compile(rf"\{{(N|Ns|F|V|id|what|about|S|{'|'.join(words.SLOTS)})\}}")
_MOST_SLOTS = 24  # slots of slots; a phrase that needs more goes in circles
_PATIENCE = 400  # tries in a row without a new sentence: then an API has no more to refuse
_SHAPES = {"limit", "offset", "page", "format", "direction", "sort"}
_NUMBERS = {"integer", "long", "float", "double", "byte", "date"}
_PLAIN = {
    "a",
    "an",
    "and",
    "or",
    "of",
    "the",
    "for",
    "in",
    "on",
    "with",
    "all",
    "other",
    "whole",
    "its",
    "from",
    "by",
    "to",
    "api",
    "service",
    "catalog",
    "database",
    "data",
    "human",
}
_HOLE = "QHOLEQ"  # stands where a value was, until the sentence is said
# what a value must follow, so that the sentence without it is unfinished and not a request for all that have the field
_CUT = re.compile(
    r"(\bis|\bequals|equal to|=|:|\bof|starts with|starting with|begins with|beginning with|prefix|contains|containing"
    r"|mentions?|includes|looks like|\blike|matches|matching|the pattern|the phrase|the term|the keyword|the word|about"
    r"|related to|for the term|identified by|corresponding to) ['\"]?" + _HOLE
)


def draw_refusals(api: API, n: int, rng: random.Random) -> Iterator[Row]:
    """Up to `n` refusal rows, no sentence twice; same random state, same rows. Fewer where a small API has no more."""
    writer = Refusals(api, rng)
    seen: set[str] = set()
    idle = 0
    while len(seen) < n and idle < _PATIENCE:
        reason = rng.choices([*SHARES], [*SHARES.values()])[0]
        said = getattr(writer, reason)()
        key = " ".join(re.findall(r"\w+", said.lower()))
        idle += 1
        if key and key not in seen:
            seen.add(key)
            idle = 0
            yield refusal_row(api.name, said, reason, teacher="templates")


class Refusals:
    """Writes one sentence of a kind at a time. Same random state, same sentences."""

    def __init__(self, api: API, rng: random.Random) -> None:
        self.api, self.rng = api, rng
        self.typed = api.query_language == "none"
        self.speaker = TypedSpeaker(api, rng) if self.typed else Speaker(api, rng)
        self.drawer = TypedDrawer(api, rng, []) if self.typed else Drawer(api, rng, [])
        self.own = lexicon(api).get("refusals") or {}
        known = identity(api)
        self.domains = [phrases for guards, phrases in words.TOPICS.values() if not known & set(guards.split())]
        self.others = {name: None for name in shipped() if foreign(api, load(name))}
        self.of_others: dict[str, Refusals] = {}

    # --- the four kinds ---
    def chat(self) -> str:
        """Small talk."""
        return dress(self.fill(self.choice("chat", words.CHAT)), self.rng)

    def topic(self) -> str:
        """Something that the API knows nothing about."""
        roll = self.rng.random()
        if roll < 0.25 and self.others:
            return self.foreign()
        if roll < 0.45 or not self.domains:
            return sentence(self.fill(self.rng.choice(words.ABOUT)), [], self.rng)
        return sentence(self.fill(self.choice("topic", self.rng.choice(self.domains))), [], self.rng)

    def unsupported(self) -> str:
        """Something that can't be done with the API's records."""
        phrases = [p for p in words.UNSUPPORTED if self.scopes or "{S}" not in p]
        if any(roles(self.api, e).of(n) == "format" for e, spec in self.api.endpoints.items() for n in spec.params):
            phrases = [p for p in phrases if "{sheet}" not in p]
        return sentence(self.fill(self.choice("unsupported", phrases)), [], self.rng)

    def missing(self) -> str:
        """A request that can't be a call for want of a value, or of what "it" is."""
        roll = self.rng.random()
        if roll < 0.2 and not self.typed and (cut := self.cut()):
            return dress(cut, self.rng)
        if roll < 0.3 and self.quantities:
            return dress(self.fill(self.rng.choice(words.MISSING_RANGE), self.quantities), self.rng)
        phrases = self.choices("missing", words.MISSING)
        if self.typed:  # where nothing has to be given, "an earthquake" can be had
            phrases = [p for p in phrases if not re.search(r"\b(a|one|some) \{N\}", p)]
        return dress(self.fill(self.rng.choice([p for p in phrases if self.scopes or "{S}" not in p])), self.rng)

    # --- what they are built of ---
    def choices(self, reason: str, general: list[str]) -> list[str]:
        """The API's own phrases for a reason (`refusals` of its lexicon) one time in four, else the general ones."""
        own = self.own.get(reason)
        return [str(p) for p in own] if own and self.rng.random() < 0.25 else general

    def choice(self, reason: str, general: list[str]) -> str:
        return self.rng.choice(self.choices(reason, general))

    def fill(self, phrase: str, of: list[str] | None = None) -> str:
        """A phrase with its slots filled, slots of slots too; its fields are taken from `of`, if that is given."""
        noun = noun_singular(str(self.rng.choice(self.nouns)))
        fields = of or self.fields
        field = self.rng.choice(fields)
        used: set[str] = set()

        def slot(found: re.Match[str]) -> str:
            nonlocal field
            name = found[1]
            if name in ("N", "Ns"):
                return noun if name == "N" else noun_plural(noun)
            if name == "F":
                field = self.rng.choice(fields)
                return self.called(field)
            if name == "V":
                return keep(self.value(field))
            if name == "id":
                return keep(self.record_id())
            if name == "what":
                return self.what()
            if name == "about":
                return self.api.about or noun_plural(noun)
            if name == "S":
                return self.rng.choice(self.scopes)
            options = [o for o in words.SLOTS[name] if o not in used] or words.SLOTS[name]
            used.add(chosen := self.rng.choice(options))
            return (
                chosen
                if "{" in chosen or name in ("hm", "ask", "find", "it")
                else keep(chosen)
                if _proper(chosen)
                else chosen
            )

        for _ in range(_MOST_SLOTS):
            phrase, n = _SLOT.subn(slot, phrase, count=1)
            if not n:
                break
        return phrase

    @cached_property
    def nouns(self) -> list[str]:
        """What the API's records are called."""
        if not self.typed:
            return [str(n) for n in self.speaker.words["nouns"] if n != "hit"]
        return [str(n) for n in endpoint_nouns(self.api, next(iter(self.api.endpoints)))]

    @cached_property
    def fields(self) -> list[str]:
        """Fields (parameters) that have values of their own, the much-asked ones more often."""
        if not self.typed:
            held = [f for f in self.api.fields.values() if f.indexed and f.type not in ("object", "boolean")]
            named = [f.name for f in held if f.synonyms] or [f.name for f in held] or [*self.api.fields]
            return [f for f in named for _ in range(round(self.api.fields[f].weight ** 2) or 1)]
        kinds = {"integer", "number", "date", "text", "enum"}
        nouns = {part for e in self.api.endpoints.values() for part in re.findall(r"[a-z]{4,}", e.path)}
        known = {n: roles(self.api, e).of(n) for e, s in self.api.endpoints.items() for n in s.params}
        free = [n for n, role in known.items() if self.api.params[n].kind in kinds and role not in _SHAPES]
        return [n for n in free if not nouns & {n, n + "s"}] or free or [*self.api.params]

    @cached_property
    def quantities(self) -> list[str]:
        """Those of `fields` that are compared by size."""
        if self.typed:
            return [n for n in self.fields if bound(self.api, n)[0] and self.api.params[n].kind != "date"]
        return [f for f in dict.fromkeys(self.fields) if self.api.fields[f].type in _NUMBERS]

    @cached_property
    def scopes(self) -> list[str]:
        """Words of the vocabularies, as nouns ("mice")."""
        own = lexicon(self.api).get("vocabularies") or {}
        forms = [
            f for values in own.values() if isinstance(values, dict) for f in values.values() if isinstance(f, dict)
        ]
        return [str(w) for form in forms for w in form.get("noun", [])]

    def called(self, name: str) -> str:
        """A field or parameter in words; of `minmagnitude` what it bounds."""
        if isinstance(self.speaker, TypedSpeaker):
            quantity = bound(self.api, name)[1]
            return quantity if quantity and self.rng.random() < 0.7 else self.speaker.param(name)
        return self.speaker.field(name)

    def value(self, name: str) -> str:
        """A value of a field or parameter."""
        if isinstance(self.drawer, Drawer):
            return self.drawer.values.draw(name)
        endpoint = next(e for e, spec in self.api.endpoints.items() if name in spec.params)
        drawn = self.drawer.value(name, roles(self.api, endpoint))
        return code(self.rng) if drawn is None else str(drawn)

    def record_id(self) -> str:
        """The id of a record."""
        if isinstance(self.drawer, Drawer):
            return self.drawer.values.item_id(self.drawer._listed("ids"))
        return code(self.rng)

    def what(self) -> str:
        """Records in words, as a real request would name them: `human genes named CDK2`."""
        for _ in range(12):
            try:
                if isinstance(self.speaker, Speaker) and isinstance(self.drawer, Drawer):
                    query = self.drawer.query()
                    if self.rng.random() < 0.3 and (bare := self.speaker.bare(query)):
                        return bare
                    one = self.rng.random() < 0.2
                    text = self.speaker.noun_phrase(query, NO_SCOPE, one)[0]
                    return ("the " if one else self.rng.choice(["", "", "the ", "all ", "all the "])) + text
                text = self.typed_phrase()
            except Unsayable:
                continue
            if text:
                return text
        return noun_plural(noun_singular(self.nouns[0]))

    def typed_phrase(self) -> str:
        """The same of an API without a query language."""
        call = self.drawer.call()
        known = roles(self.api, call.endpoint)
        given = {n: v for n, v in call.params if known.of(n) not in _SHAPES}
        if call.id is not None or not given:
            return ""
        speaker = self.speaker
        assert isinstance(speaker, TypedSpeaker)
        parts = Parts(str(self.rng.choice(endpoint_nouns(self.api, call.endpoint))))
        for name in speaker.ranges(known, given, parts):
            speaker.single(call, name, given, known, parts)
        head = parts.head if parts.literal else noun_plural(noun_singular(parts.head))
        return " ".join([*parts.before, head, *parts.behind[:2]])

    def cut(self) -> str:
        """A request for one value of a field, with the value cut out; empty where none came out unfinished."""
        drawer, speaker = self.drawer, self.speaker
        assert isinstance(drawer, Drawer)
        assert isinstance(speaker, Speaker)
        for _ in range(30):
            name = drawer.field()
            if self.api.fields[name].type == "boolean":
                continue
            one = self.rng.random() < 0.5
            try:
                phrase, _ = speaker.noun_phrase(Term(name, _HOLE, self.rng.choice(["word", "phrase"])), NO_SCOPE, one)
            except Unsayable:
                continue
            frame = self.rng.choice(["{find} {the}", "{find} {the}", "{the}", "{find} the {F} of {the}", "which "])
            text = self.fill(frame.replace("{the}", "the " if one else "")) + re.sub("[\x02\x03]", "", phrase)
            before, _, behind = text.partition(_HOLE)
            if not _CUT.search(text) or behind.strip("'\"? "):
                continue
            blank = self.fill(" {blank}") if self.rng.random() < 0.15 else ""
            return before.rstrip("'\" ") + blank
        return ""

    def foreign(self) -> str:
        """A sentence that asks another API for its records."""
        name = self.rng.choice(list(self.others))
        if name not in self.of_others:
            self.of_others[name] = Refusals(load(name), self.rng)
        other = self.of_others[name]
        nouns = {form for n in (other.api.noun, *other.nouns) for form in (noun_singular(n), noun_plural(n))}
        for _ in range(40):
            call = other.drawer.call()
            try:
                said = other.speaker.say(call)
            except Unsayable:
                continue
            if call.text and any(re.search(rf"\b{re.escape(n)}\b", said.lower()) for n in nouns) and " " in said:
                return said
        return sentence(self.fill(f"{{find}} {noun_plural(noun_singular(other.api.noun))}"), [], self.rng)


def _proper(text: str) -> bool:
    """Whether letter case matters in a word: a name, an address."""
    return bool(re.search(r"[A-Z@.]", text))


def _stems(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    found = {w.lower() for w in re.findall(r"[A-Za-z]{3,}", spaced)}
    return {w[:-3] + "y" if w.endswith("ies") else w.rstrip("s") if not w.endswith("ss") else w for w in found}


@lru_cache(maxsize=32)
def identity(api: API) -> frozenset[str]:
    """The words that say what an API is about, in the singular: of its title, description, nouns and paths."""
    nouns = [str(n) for n in lexicon(api).get("nouns") or []]
    paths = [re.sub(r"\{\w+\}", "", e.path) for e in api.endpoints.values()]
    texts = [api.title, api.about, api.noun, *nouns, *paths]
    plain = (
        _PLAIN | _stems(" ".join(_PLAIN)) | {"query", "metadata", "field", "record", "entry", "hit", "search", "list"}
    )
    return frozenset(w for text in texts for w in _stems(text) if w not in plain)


@lru_cache(maxsize=32)
def foreign(api: API, other: API) -> bool:
    """Whether two APIs have nothing to do with each other, so that one's sentences are refusals of the other.

    They share no word of what they are about, and neither has a field or parameter named like the other's records.
    """
    if api.name == other.name or identity(api) & identity(other):
        return False
    for one, two in ((api, other), (other, api)):
        named = {w for n in [*one.fields, *one.params] for w in _stems(n)}
        if _stems(noun_singular(two.noun)) & named:
            return False
    return True
