"""What is nearest to a text by its meaning: an exact search in a flat faiss index. The seam is `Retriever`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from querywright.artefacts import is_done, replacing, write_manifest
from querywright.engines.embed import MODEL, embed
from querywright.errors import need

T = TypeVar("T")


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
