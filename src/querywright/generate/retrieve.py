"""The fields of an API that are nearest to a sentence. The seam is `engines.nearest.Retriever`.

Behind it stand faiss (by meaning), the words and values of `api.nearest`, and both fused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from querywright.api.definition import API, SchemaField
from querywright.api.nearest import nearest_fields
from querywright.engines.nearest import FaissRetriever, Hit, Retriever

T = TypeVar("T")
_FLAT = 60  # the paper's constant: how little the first ranks differ
_DEPTH = 24  # finds of each retriever that are fused
_WORDS = 3.0  # words find twice as much as the embedding of a whole sentence


def describe(field: SchemaField) -> str:
    """A field in words, as it is embedded."""
    return f"{field.name.replace('.', ' ').replace('_', ' ')}: {', '.join(field.synonyms)}. {field.description}"


class WordsRetriever:
    """Fields by words and values, no model: see `api.nearest`. The score is 1/rank."""

    def __init__(self, api: API) -> None:
        self.api = api

    def nearest(self, text: str, k: int) -> list[Hit[SchemaField]]:
        """See `Retriever.nearest`."""
        names = nearest_fields(self.api, text, k)
        return [Hit(self.api.fields[name], 1 / rank) for rank, name in enumerate(names, 1)]


class FusedRetriever(Generic[T]):
    """Several retrievers' finds by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

    def __init__(self, *weighted: tuple[Retriever[T], float], key: Callable[[T], str]) -> None:
        """Retrievers with the weight of each; `key` tells which of their items are the same."""
        self._weighted = weighted
        self._key = key

    def nearest(self, text: str, k: int) -> list[Hit[T]]:
        """See `Retriever.nearest`; scores are sums of weight / (60 + rank)."""
        items: dict[str, T] = {}
        scores: defaultdict[str, float] = defaultdict(float)
        for retriever, weight in self._weighted:
            for rank, hit in enumerate(retriever.nearest(text, max(k, _DEPTH)), 1):
                name = self._key(hit.item)
                items.setdefault(name, hit.item)
                scores[name] += weight / (_FLAT + rank)
        best = sorted(scores, key=lambda name: -scores[name])[:k]
        return [Hit(items[name], scores[name]) for name in best]


def by_meaning(api: API, folder: Path | None = None) -> FaissRetriever[SchemaField]:
    """An API's fields by the embedding of name, synonyms and description."""
    chosen = [f for f in api.fields.values() if f.description or f.synonyms]
    return FaissRetriever(chosen, [describe(f) for f in chosen], folder)


def fields(api: API, folder: Path | None = None) -> Retriever[SchemaField]:
    """A retriever of an API's fields: by words and values, and by meaning, fused (`benchmarks/retrieval.py`)."""
    return FusedRetriever((WordsRetriever(api), _WORDS), (by_meaning(api, folder), 1.0), key=lambda f: f.name)
