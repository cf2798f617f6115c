"""What is nearest to a sentence: fields of an API, passages, or examples. The seam is `Retriever`.

Behind it stand faiss (by meaning), the words and values of `api.nearest`, and both fused.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from querywright.api.definition import API, SchemaField
from querywright.api.nearest import nearest_fields
from querywright.artefacts import is_done, replacing, write_manifest
from querywright.engines.embed import MODEL, embed
from querywright.errors import need

T = TypeVar("T")
_FLAT = 60  # the paper's constant: how little the first ranks differ
_DEPTH = 24  # finds of each retriever that are fused
_WORDS = 3.0  # words find twice as much as the embedding of a whole sentence


@dataclass(frozen=True)
class Hit(Generic[T]):
    """One find; `score` is the cosine, 1 for equal."""

    item: T
    score: float


class Retriever(Protocol[T]):
    """Finds items by what a sentence means."""

    def nearest(self, text: str, k: int) -> list[Hit[T]]:
        """At most `k` items, the nearest first."""
        ...


class FaissRetriever(Generic[T]):
    """Exact search by cosine in a flat faiss index."""

    def __init__(self, items: list[T], texts: list[str], folder: Path | None = None) -> None:
        """Embed `texts` (one for each item), or read their index from `folder` if it holds just these.

        Args:
            folder: where to keep the index; None keeps it in memory.
        """
        faiss: Any = need("faiss", extra="rag")
        self.items = items
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        config = {"model": MODEL, "texts": digest}
        if folder is not None and is_done(folder, config):
            self._index: Any = faiss.read_index(str(folder / "index.faiss"))
            return
        self._index = faiss.IndexFlatIP(embed([""]).shape[1])
        self._index.add(embed(texts))
        if folder is not None:
            with replacing(folder / "index.faiss", "wb") as out:
                out.write(faiss.serialize_index(self._index).tobytes())
            write_manifest(folder, config, ["index.faiss"], rows=len(texts))

    def nearest(self, text: str, k: int) -> list[Hit[T]]:
        """See `Retriever.nearest`."""
        scores, found = self._index.search(embed([text]), min(k, len(self.items)))
        return [Hit(self.items[i], float(s)) for i, s in zip(found[0], scores[0], strict=True) if i >= 0]


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
