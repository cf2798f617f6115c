"""Which fields a sentence may mean, found by words and by what its values look like; no model, some milliseconds.

Four kinds of evidence speak for a field: words that one of its synonyms or its name shares with the sentence (rare
words count more, as in BM25's idf, and a synonym that is named whole more than one that is named in part), a known
value of it, a value of its shape, and a word that looks like its values (`CDK2` like `BRCA1`). How often the field is
asked for (its weight) is added. Fields are then taken one by one, and what spoke for one that was taken speaks less for
the next, as in maximal marginal relevance (Carbonell and Goldstein 1998): else twenty fields of ClinVar would push out
the gene that stands beside it.

The tuned prompt shows these fields, in training as in use, so the result depends on the definition only.
"""

from __future__ import annotations

import heapq
import math
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import snowballstemmer

from querywright.api.definition import API, SchemaField
from querywright.api.lexicon import lexicon

_WORD = re.compile(r"[A-Za-z]+|\d+")
_CAMEL = re.compile(r"([a-z])([A-Z])")
_PIECE = re.compile(r"[^\s,;?!()'\"]+")
_STOP = frozenset(
    re.findall(
        r"\w+",
        """a about all an and any are as at be by can could did do does each every fetch find for from get
        give had has have having here how i in into is it its just list many me much my need no not of on
        only or our please show some than that the there this to us want was we what which who whose with
        without would you your""",
    )
)
# chosen on sentences of our own for four APIs; the result hardly moves between half and twice of each
_EVIDENCE = 3.0  # a value, in the units of idf: about one word that every twentieth field has
_WHOLE = 2.0  # exponent of the share of a synonym that the sentence names
_FADE = 0.7  # what is left of a word once a field that it spoke for was taken
FIELDS = 8
"""How many the tuned prompt shows."""
_USUAL = 40  # fields of the largest weight that are candidates without evidence


_STEMMERS = threading.local()  # a stemmer holds the word that it works on: in two threads at once it gives wrong stems


def _stemmer() -> Any:
    if not hasattr(_STEMMERS, "english"):
        _STEMMERS.english = snowballstemmer.stemmer("english")
    return _STEMMERS.english


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


def words(text: str) -> list[str]:
    """Stems of a text's words and its numbers, in order, without the commonest words; `camelCase` is two words."""
    found = _WORD.findall(_CAMEL.sub(r"\1 \2", text))
    return [_stem(w.lower()) for w in found if w.lower() not in _STOP]


def look(value: str) -> str | None:
    """What a value looks like, as runs of capitals, small letters, digits: `BRCA1` is `A9`; None for a plain word."""
    if not re.fullmatch(r"[\w.:-]{2,20}", value, re.ASCII):
        return None
    kind = re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "9", value)))
    return None if kind in ("a", "Aa", "9", "9.9") else kind


class NearestFields:
    """The search over one API's fields; build it once (half a second for 1,600 fields). See `nearest`."""

    def __init__(self, api: API) -> None:
        fields = list(_entries(api))
        self.names = [f.name for f in fields]
        self._base = [math.log(0.05 + f.weight) for f in fields]
        texts = [[*f.synonyms, re.sub(r"[._]", " ", f.name)] for f in fields]
        known = (words(" ".join([*t, f.description])) for f, t in zip(fields, texts, strict=True))
        count = Counter(w for several in known for w in set(several))
        self._idf = {w: math.log(1 + len(fields) / (n + 0.5)) for w, n in count.items()}
        self._phrases: list[tuple[int, frozenset[str], float]] = []  # field, words, their idf in all
        self._with: dict[str, list[int]] = defaultdict(list)  # the phrases that hold a word
        for i, several in enumerate(texts):
            for phrase in filter(None, dict.fromkeys(frozenset(words(text)) for text in several)):  # in their order
                for word in phrase:
                    self._with[word].append(len(self._phrases))
                self._phrases.append((i, phrase, sum(self._idf[w] for w in sorted(phrase))))
        listed = lexicon(api).get("values") or {}
        self._values: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._looks: dict[str, set[int]] = defaultdict(set)
        for i, field in enumerate(fields):
            for value in (*field.examples, *map(str, listed.get(field.name) or ())):
                key = tuple(words(value))
                if any(not w.isdigit() for w in key):
                    self._values[key].add(i)
                if field.type != "object" and (kind := look(value)):
                    self._looks[kind].add(i)
        self._longest = max(map(len, self._values), default=0)
        self._shapes = [(i, re.compile(f.shape)) for i, f in enumerate(fields) if f.shape]
        self._usual = heapq.nlargest(_USUAL, range(len(fields)), key=lambda i: (self._base[i], -i))

    def nearest(self, text: str, k: int) -> list[str]:
        """Names of at most `k` fields, the likeliest first."""
        found = words(text)
        live = dict.fromkeys(found, 1.0)
        phrases = self._named(live)
        values = self._spoken(text, found)

        def score(i: int) -> tuple[float, Iterable[str]]:
            """Of one field as things stand, and the words that speak for it."""
            named = max(
                ((sum(self._idf[w] * live[w] for w in seen) * part, seen) for seen, part in phrases.get(i, ())),
                default=(0.0, ()),
                key=lambda p: p[0],
            )
            value = max(
                ((v * max((live[w] for w in ws if w in live), default=1.0), ws) for ws, v in values.get(i, ())),
                default=(0.0, ()),
                key=lambda p: p[0],
            )
            return self._base[i] + named[0] + value[0], (*named[1], *value[1])

        # a score only falls as words fade, so the first of the heap that keeps its score is the best: lazy greedy
        heap = [(-score(i)[0], i) for i in {*phrases, *values, *self._usual}]
        heapq.heapify(heap)
        chosen: list[str] = []
        while heap and len(chosen) < k:
            old, i = heapq.heappop(heap)
            now, speaking = score(i)
            if heap and -now > heap[0][0] and -now > old:
                heapq.heappush(heap, (-now, i))
                continue
            chosen.append(self.names[i])
            for word in live.keys() & set(speaking):
                live[word] *= _FADE
        return chosen

    def _named(self, live: dict[str, float]) -> dict[int, list[tuple[list[str], float]]]:
        """For each field its phrases that share words with the sentence: these, and a factor for what is missing."""
        shared: dict[int, list[str]] = defaultdict(list)
        for word in live:
            for at in self._with.get(word, ()):
                shared[at].append(word)
        out: dict[int, list[tuple[list[str], float]]] = defaultdict(list)
        for at, seen in shared.items():
            i, _, mass = self._phrases[at]
            out[i].append((seen, (sum(self._idf[w] for w in seen) / mass) ** _WHOLE))
        return out

    def _spoken(self, text: str, found: list[str]) -> dict[int, list[tuple[tuple[str, ...], float]]]:
        """For each field the values of the sentence that speak for it: their words, and how much."""
        out: dict[int, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for span, fields in self._evidence(text, found):
            for i in fields:
                out[i].append((span, _EVIDENCE / (1 + math.log(len(fields)))))
        return out

    def _evidence(self, text: str, found: list[str]) -> Iterator[tuple[tuple[str, ...], set[int]]]:
        for start in range(len(found)):
            for end in range(start + 1, min(len(found), start + self._longest) + 1):
                if fields := self._values.get(span := tuple(found[start:end])):
                    yield span, fields
        for piece in (p.rstrip(".:") for p in _PIECE.findall(text)):
            span = tuple(words(piece))
            coded = len(piece) >= 4 and any(map(str.isdigit, piece))
            shaped = {i for i, shape in self._shapes if shape.fullmatch(piece)} if coded else set()
            yield from ((span, fields) for fields in (shaped, self._looks.get(look(piece) or "")) if fields)


def _entries(api: API) -> Iterator[SchemaField]:
    """The fields of an API; of one without a query language its parameters, as if they were fields."""
    if api.query_language != "none":
        yield from api.fields.values()
        return
    for name, p in api.params.items():
        if name not in (*api.unwritten, *api.ignored_params):
            yield SchemaField(
                name=name, type="keyword", description=p.description, synonyms=p.synonyms, weight=p.weight,
                examples=(*p.examples, *p.values),
            )  # fmt: skip


@lru_cache(maxsize=8)
def _search(api: API) -> NearestFields:
    return NearestFields(api)


def nearest_fields(api: API, text: str, k: int) -> list[str]:
    """Names of at most `k` fields that a sentence may mean, the likeliest first."""
    return _search(api).nearest(text, k)
