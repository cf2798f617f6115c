"""Slots of sentences for typed parameters: quantities, dates, distances, values of enums."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.api.spoken import dates, periods, without_dates
from querywright.pairs.reader.known import Known, Trie, add, known, look
from querywright.pairs.reader.patterns import Found
from querywright.pairs.reader.slots import Slots, Value
from querywright.pairs.reader.tokens import Token
from querywright.pairs.roles import Roles, Span, roles, words

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?)?")
_LONGEST_DATE = 7  # tokens
_BETWEEN_DATES = re.compile(r"[\s,;]*(?:(?:at|of|the|on|utc|day)[\s,;]*)*", re.I)


@dataclass(frozen=True)
class Typed:
    """What is known of a typed API beside its words: the roles of its parameters and how they are called."""

    index: Known
    endpoint: str
    roles: Roles
    quantities: Trie
    params: Trie
    values: Trie


@lru_cache(maxsize=16)
def typed(api: API) -> Typed:
    """The index of a typed API, for its endpoint with the most parameters."""
    endpoint = max(api.endpoints, key=lambda n: len(api.endpoints[n].params))
    found = roles(api, endpoint)
    quantities: Trie = {}
    for span in found.spans:
        for said in dict.fromkeys((span.word, *_called(api, span))):
            add(quantities, said, span, 0.0)
    params: Trie = {}
    for name in api.endpoints[endpoint].params:
        add(params, name, name)
        add(params, words(api, name), name, 0.02)
        for synonym in api.params[name].synonyms:
            add(params, synonym, name, 0.02)
    values: Trie = {}
    nouns = {api.noun, *map(str, lexicon(api).get("nouns", []))}
    for name in api.endpoints[endpoint].params:
        for value in api.params[name].values:
            for said in dict.fromkeys((value, re.sub(r"[-_]", " ", value))):
                add(values, said, (name, value, said in nouns), 0.0)
    return Typed(known(api), endpoint, found, quantities, params, values)


def _called(api: API, span: Span) -> list[str]:
    """What a quantity is called in the synonyms of its ends, without `minimum` and what compares."""
    found = []
    for name in span.names:
        for synonym in api.params[name].synonyms:
            said = re.sub(
                r"\b(minimum|maximum|of at (least|most)|at (least|most)|or (more|less)|above|below|by)\b", "", synonym
            )
            said = " ".join(said.split())
            if said and (said != synonym or span.word in said) and not said.endswith(("than", "of", "since", "after")):
                found.append(said)
    return found


class TypedSlots(Slots):
    """The slots of one sentence to a typed API."""

    def __init__(self, index: Typed, sentence: str, tokens: Sequence[Token], reserved: frozenset[str]) -> None:
        super().__init__(index.index, sentence, tokens, reserved)
        self.typed = index

    def _q(self, at: int) -> list[Found]:
        """A quantity with a range."""
        return list(look(self.typed.quantities, self.tokens, at))

    def _p(self, at: int) -> list[Found]:
        """A parameter by its name or a synonym."""
        return list(look(self.typed.params, self.tokens, at))

    def _ev(self, at: int) -> list[Found]:
        """A value of an enum."""
        return list(look(self.typed.values, self.tokens, at))

    def _u(self, at: int) -> list[Found]:
        """A number with or without its unit, or with one glued to it."""
        text = self.tokens[at].text.rstrip("?")
        glued = re.fullmatch(r"([-−]?\d[\d,]*(?:\.\d+)?)\s*(km|kms|m|°|degrees|miles|mi|%)", text)
        if glued:
            return [(at + 1, (glued[1].replace(",", "").replace("−", "-"), _unit(glued[2])), 0.0)]
        out: list[Found] = []
        for end, n, cost in self("N", at):
            out.append((end, (str(n), ""), cost))
            if end < len(self.tokens) and (unit := _unit(self.tokens[end].word)):
                out.append((end + 1, (str(n), unit), cost - 0.05))
        if self.tokens[at].word in ("minus", "negative") and at + 1 < len(self.tokens):
            out += [(end, ("-" + n[0], n[1]), cost) for end, n, cost in self("U", at + 1) if isinstance(n, tuple)]
        return out

    def _plus(self, at: int) -> list[Found]:
        """`5+`: five or more."""
        found = re.fullmatch(r"(-?\d+(?:\.\d+)?)\+\??", self.tokens[at].text)
        return [(at + 1, (found[1], ""), 0.0)] if found else []

    def _uu(self, at: int) -> list[Found]:
        """Two numbers with a dash or a stroke between them: `3-4.5`, `38/-62.1`."""
        text = self.tokens[at].text.rstrip("?")
        found = re.fullmatch(r"(-?\d+(?:\.\d+)?)(?:[-–/])(-?\d+(?:\.\d+)?)(km|°)?", text)
        if not found:
            return []
        out: list[Found] = [(at + 1, ((found[1], ""), (found[2], "")), 0.0)]
        if at + 1 < len(self.tokens) and (unit := _unit(self.tokens[at + 1].word)):
            out.append((at + 2, ((found[1], unit), (found[2], unit)), -0.05))
        return out

    def _d(self, at: int) -> list[Found]:
        """A day or a moment."""
        out: list[Found] = []
        for end in range(at + 1, min(at + _LONGEST_DATE, len(self.tokens)) + 1):
            text = self._text(at, end)
            if end == at + 1 and _ISO.fullmatch(text):
                out.append((end, text if len(text) > 16 or "T" not in text else text + ":00", 0.0))
            elif re.search(r"\d{4}|\d{8}", text) and _BETWEEN_DATES.fullmatch(without_dates(text)):
                found = dates(text)
                moments = [d for d in found if "T" in d]
                if found and not _period(text):
                    out.append((end, (moments or found)[0], 0.0))
        return out[-3:]

    def _m(self, at: int) -> list[Found]:
        """A month or a year: its first day and the day after its last."""
        out: list[Found] = []
        for end in range(at + 1, min(at + 4, len(self.tokens)) + 1):
            text = self._text(at, end)
            if (period := _period(text)) is not None:
                out.append((end, period, 0.0))
        return out[-1:]

    def _text(self, at: int, end: int) -> str:
        return self.sentence[self.tokens[at].start : self.tokens[end - 1].end].rstrip("?.,;")

    def _w(self, at: int) -> list[Found]:
        """A value of a text parameter: one word, or a quotation."""
        return [(end, v, c) for end, v, c in self("V", at) if isinstance(v, Value) and end == at + 1]


_PERIOD = re.compile(
    r"(?:the (?:year|month of) )?(?:[a-z]+\.?,? (?:of )?)?(?:1[6-9]|2\d)\d\d|(?:1[6-9]|2\d)\d\d-[01]\d", re.I
)


def _period(text: str) -> tuple[str, str] | None:
    if not _PERIOD.fullmatch(text):
        return None
    found = periods(text)
    if len(found) != 1 or (
        re.match(r"[a-z]", text, re.I)
        and found[0][0] == date(found[0][0].year, 1, 1) != found[0][1].replace(month=1, day=1)
    ):
        return None
    low, high = found[0]
    if re.match(r"[a-z]{3}", text, re.I) and (high - low).days > 31:
        return None
    return low.isoformat(), (high + timedelta(days=1)).isoformat()


def _unit(word: str) -> str:
    word = word.lower().strip(".,?")
    if re.fullmatch(r"km|kms|kilomet(er|re)s?", word):
        return "km"
    if re.fullmatch(r"°|degrees?|deg", word):
        return "degrees"
    return "people" if word in ("people", "reports", "persons") else ""
