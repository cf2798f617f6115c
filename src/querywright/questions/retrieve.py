"""The chunks that are nearest to a question: by meaning (faiss over MiniLM's embeddings), or by their words (BM25).

Chunks are searched in pieces of about a hundred words, since the embedding reads no more than 256 tokens; a chunk is as
near as its nearest piece. Where the packages of the extra `rag` are missing, or the document is very long, words do.
Names and numbers mean little to an embedding, ID st003 the same as st004: a `RoundTrip` looks by both.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from querywright.engines.nearest import FaissRetriever, Hit, Retriever
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.questions.chunks import Chunk
from querywright.questions.words import UNSPACED

MOST_PIECES = 20_000  # embedded one by one; about ten minutes of a core
_PIECE = 700  # characters
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")  # a letter alone where no spaces part words
_K1, _B = 1.5, 0.75
_COMMON = 5000  # chunks with a word; one that more have says next to nothing where a question has a rarer one


def open_retriever(chunks: Sequence[Chunk], folder: Path | None = None, *, by: str = "") -> Retriever[Chunk]:
    """A retriever of chunks; empty ones are never found.

    Args:
        folder: where to keep the index of embeddings; None keeps it in memory.
        by: `meaning` or `words`; by default by meaning where that can be done, said aloud where not.

    Raises:
        QuerywrightError: `by` is neither, or asks for packages that are missing.
    """
    if by not in ("", "meaning", "words"):
        raise QuerywrightError(f"no retrieval by {by!r}", hint="meaning, words")
    pieces = [(chunk, piece) for chunk in chunks for piece in _pieces(chunk.text)]
    if by == "words" or not pieces:
        return WordsRetriever(chunks)
    if not by and len(pieces) > MOST_PIECES:
        say(f"retrieval by words: {len(pieces):,} pieces of text are too many to embed here (at most {MOST_PIECES:,})")
        return WordsRetriever(chunks)
    try:
        return MeaningRetriever(pieces, folder)
    except QuerywrightError as error:
        if by:
            raise
        say(f"retrieval by words: {error}")
        return WordsRetriever(chunks)


class RoundTrip:
    """Whether a question leads back to where it was made."""

    def __init__(self, chunks: Sequence[Chunk], folder: Path | None = None, *, by: str = "") -> None:
        """See `open_retriever`; by default by meaning, and where that does not find it, by words."""
        self._first = open_retriever(chunks, folder, by=by)
        both = not by and isinstance(self._first, MeaningRetriever)
        self._words = WordsRetriever(chunks) if both else None
        self.name = " or ".join(getattr(one, "name", "") for one in (self._first, self._words) if one)

    def back(self, question: str, k: int, home: str, texts: Collection[str]) -> tuple[list[Hit[Chunk]], bool]:
        """What a question finds, and whether that is where it was made: among the `k` nearest one of `texts`, those of
        its window; or else, by words, `home` itself, the text that answers it. Words that as many others have just so
        lead nowhere."""
        hits = self._first.nearest(question, k)
        found = any(hit.item.text in texts for hit in hits)
        if found or self._words is None:
            return hits, found
        worded = self._words.nearest(question, k + 1)
        rival = next((hit.score for hit in worded[k:] if hit.item.text != home), 0.0)
        found = any(hit.item.text == home and hit.score > rival for hit in worded[:k])
        return (worded[:k] if found else hits), found


class MeaningRetriever:
    """Chunks by the cosine of their nearest piece. See `engines.nearest.Retriever`."""

    name = "faiss, all-MiniLM-L6-v2"

    def __init__(self, pieces: Sequence[tuple[Chunk, str]], folder: Path | None = None) -> None:
        self._most = max(Counter(chunk.number for chunk, _ in pieces).values())
        self._found = FaissRetriever([chunk for chunk, _ in pieces], [text for _, text in pieces], folder)

    def nearest(self, text: str, k: int) -> list[Hit[Chunk]]:
        """See `engines.nearest.Retriever.nearest`; the score is the cosine."""
        best: dict[int, Hit[Chunk]] = {}
        for hit in self._found.nearest(text, k * min(self._most, 50)):
            best.setdefault(hit.item.number, hit)
        return [*best.values()][:k]


class WordsRetriever:
    """Chunks by BM25 over their words. See `engines.nearest.Retriever`.

    Source: Robertson and Zaragoza 2009, with k1 = 1.5 and b = 0.75.
    """

    name = "words (BM25)"

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = [chunk for chunk in chunks if chunk.text.strip()]
        lengths = array("I")
        self._places: dict[str, tuple[array[int], array[int]]] = {}  # of each word: in which chunks, and how often
        for place, chunk in enumerate(self._chunks):
            counts = Counter(_words(chunk.text))
            lengths.append(counts.total())
            for word, often in counts.items():
                places, times = self._places.setdefault(word, (array("I"), array("I")))
                places.append(place)
                times.append(often)
        mean = sum(lengths) / max(1, len(lengths)) or 1.0
        self._norms = array("d", (_K1 * (1 - _B + _B * length / mean) for length in lengths))

    def nearest(self, text: str, k: int) -> list[Hit[Chunk]]:
        """See `engines.nearest.Retriever.nearest`; the score is BM25's, above 0, and has no highest value."""
        scores: Counter[int] = Counter()
        known = (self._places[word] for word in {*_words(text)} & self._places.keys())
        for places, times in sorted(known, key=lambda found: (len(found[0]), found[0])):
            if len(places) > _COMMON and scores:
                break
            rare = math.log(1 + (len(self._chunks) - len(places) + 0.5) / (len(places) + 0.5))
            for place, often in zip(places, times, strict=True):
                scores[place] += rare * often * (_K1 + 1) / (often + self._norms[place])  # type: ignore[assignment]
        best = sorted(scores, key=lambda place: (-scores[place], place))[:k]
        return [Hit(self._chunks[place], float(scores[place])) for place in best]


def _words(text: str) -> list[str]:
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in _WORD.findall(text.lower())]


def _pieces(text: str) -> list[str]:
    """A text in pieces of at most `_PIECE` characters, cut between words where there are any."""
    found = []
    start, end = 0, len(text)
    while start < end:
        cut = min(end, start + _PIECE)
        if cut < end:
            space = max(text.rfind(" ", start + _PIECE // 2, cut), text.rfind("\n", start + _PIECE // 2, cut))
            cut = space if space > 0 else cut
        if piece := text[start:cut].strip():
            found.append(piece)
        start = cut
    return found
