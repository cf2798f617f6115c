"""Fluff: phrases that many sentences have and that change no reading.

Candidates are the one to six words that clauses of many sentences begin or end with: what stands in the middle of one
is not taken out of it, or what is left would be no English. Literals and quotes belong to no phrase. Each candidate is
deleted from a sample of the sentences that have it, and these are read again; its fluff score is the share of sentences
that have it times the share of readings that stay what they are.

Where nothing reads sentences (rows of conversations), what a phrase tells is its mutual information with the answer. A
phrase of few rows tells little for certain, and "no dependence was found" is not "there is none": it is fluff only
where even the upper bound of what it may tell is next to nothing, which takes a hundred rows or so. And it is a whole
clause, since nothing says whether what is left of one would be English.

Source: Woolf 1957 for G, which is twice the mutual information times the rows, and noncentral chi-square distributed
with that information as the noncentrality; Patnaik 1949 for its mean and variance.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from querywright.pairs.mask import gaps, literals, values
from querywright.progress import track
from querywright.rows import Row, answer, reworded

Reader = Callable[[str], str | None]
"""A sentence's call in canonical form, or None where it can't be read."""

LONGEST = 6
FEWEST = 0.002  # of the rows: rarer phrases are left alone
_LEAST = 8  # rows, whatever their share
_CANDIDATES = 400
_READINGS = 24
_FIRST = 6  # after so many readings, most of them changed, a phrase is given up
SAME = 0.95  # share of readings that stay
_Z = 1.645  # of the upper bound of what a phrase tells: one side, 95 %
_SUBSUMED = 0.95
_LITERAL = "\0"
_BREAK = re.compile(r"[,;:.?!()\n]|(?<!\S)[-–—](?!\S)")
# alone these are no phrase: what they belong to would be left without them
_SMALL = frozenset(
    (
        "a", "am", "an", "and", "any", "are", "at", "be", "by", "can", "do", "does", "for", "from", "give", "has",
        "have", "i", "i'd", "i'm", "if", "in", "is", "it", "its", "like", "me", "my", "not", "of", "on", "or", "that",
        "the", "their", "them", "there", "this", "to", "we", "were", "what", "which", "who", "whose", "with", "would",
        "you",
    )
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True)
class Phrase:
    """A phrase that many sentences have.

    Attributes:
        rows: how many have it; share: of all rows.
        same: share of readings that are the same without it; without a reader the share of the answers' entropy that
            it leaves, at least.
        tried: how many were read.
        score: `share` times `same`.
    """

    text: str
    rows: int
    share: float
    same: float
    tried: int
    score: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


def find(
    rows: Sequence[Row], reader: Reader | None = None, *, longest: int = LONGEST, fewest: float = FEWEST, seed: int = 17
) -> list[Phrase]:
    """Phrases by their fluff score, the highest first; those with `same` of at least `SAME` are fluff.

    Args:
        reader: reads a sentence; None weighs by what a phrase tells of the answer.
        fewest: share of rows that have to have a phrase.
    """
    having = _having(rows, longest, max(_LEAST, math.ceil(fewest * len(rows))), reader is None)
    chosen = _longest_alone(having)[:_CANDIDATES]
    found = []
    read = _remembered(reader) if reader else None
    answers = Counter(answer(r) for r in rows)
    rng = random.Random(seed)
    for words in track(chosen, "fluff: phrases tried"):
        at = having[words]
        if read is not None:
            same, tried = _unchanged(words, [rows[i] for i in rng.sample(at, min(len(at), _READINGS))], read)
        else:
            talks = {rows[i].get("canonical") or rows[i].get("id") or i for i in at}
            same, tried = 1 - told(Counter(answer(rows[i]) for i in at), answers, len(talks)), len(at)
        share = len(at) / len(rows)
        if tried:
            found.append(Phrase(" ".join(words), len(at), share, same, tried, share * same))
    return sorted(found, key=lambda p: (-p.score, p.text))


def remove(rows: Sequence[Row], phrases: Iterable[Phrase | str], reader: Reader | None = None) -> tuple[list[Row], int]:
    """Rows without the phrases, never out of literals or quotes; and how many rows changed.

    With a `reader`, a row keeps each phrase whose loss changes its reading: two that can each be missed may not both.
    Without one, whole clauses go.
    """
    known = {tuple((p.text if isinstance(p, Phrase) else p).split()) for p in phrases}
    longest = max(map(len, known), default=0)
    read = _remembered(reader) if reader else None
    new, changed = [], 0
    for r in track(rows, "fluff: rows"):
        text = r["instruction"]
        there = sorted(known & _edges(text, values(r), longest, read is None), key=lambda p: (-len(p), p))
        if there:
            text = _cut(text, there, values(r), _call(r), read)
        changed += text != r["instruction"]
        new.append(reworded(r, text) if text != r["instruction"] else r)
    return new, changed


def without(sentence: str, phrase: Sequence[str], held: frozenset[str] = frozenset(), whole: bool = False) -> str:
    """A sentence without a phrase at the beginnings and ends of its clauses, or only where it is a `whole` clause;
    tidied. Where nothing would be left, or the phrase is not there, the sentence itself."""
    words, n = list(phrase), len(phrase)
    spans = []
    for clause in _clauses(sentence, held):
        if whole and len(clause) > n:
            continue
        if [w for w, _, _ in clause[:n]] == words:
            spans.append((clause[0][1], clause[n - 1][2]))
        elif [w for w, _, _ in clause[-n:]] == words:
            spans.append((clause[-n][1], clause[-1][2]))
    if not spans:
        return sentence
    fixed = {start for start, _ in literals(sentence, held)}
    letters = list(sentence)
    for start, end in spans:  # what follows inherits the capital, unless it is a literal
        after = next((i for i in range(end, len(sentence)) if not sentence[i].isspace()), -1)
        if after not in fixed and after >= 0 and sentence[start].isupper():
            letters[after] = letters[after].upper()
    capital = "".join(letters)
    text = _tidy("".join(capital[a:b] for a, b in gaps(sentence, spans)))
    return text if _WORD.search(text) else sentence


def report(before: Sequence[Row], after: Sequence[Row], phrases: Sequence[Phrase], changed: int) -> dict[str, Any]:
    """What was found and what its removal did: phrases, rows changed, mean words of a sentence before and after."""

    def mean(rows: Sequence[Row]) -> float:
        return round(sum(len(r["instruction"].split()) for r in rows) / max(1, len(rows)), 2)

    fluff = [p for p in phrases if p.same >= SAME]
    pairs = [(a["instruction"], b["instruction"]) for a, b in zip(before, after, strict=True)]
    return {
        "fluff": [p.as_dict() for p in fluff],
        "kept": [p.as_dict() for p in phrases if p.same < SAME][:20],
        "rows": len(before),
        "rows_changed": changed,
        "mean_words": {"before": mean(before), "after": mean(after)},
        "distinct_sentences": {"before": len({a for a, _ in pairs}), "after": len({b for _, b in pairs})},
        "examples": [{"before": a, "after": b} for a, b in pairs if a != b][:20],
    }


def _having(rows: Sequence[Row], longest: int, fewest: int, whole: bool) -> dict[tuple[str, ...], list[int]]:
    """Rows that have each frequent phrase."""
    counted: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, r in enumerate(rows):
        for phrase in _edges(r["instruction"], values(r), longest, whole):
            counted[phrase].append(i)
    return {phrase: at for phrase, at in counted.items() if len(at) >= fewest and not set(phrase) <= _SMALL}


def _edges(text: str, held: frozenset[str], longest: int, whole: bool) -> set[tuple[str, ...]]:
    """The phrases that clauses of a sentence begin and end with; or the clauses that are phrases as a `whole`."""
    found = set()
    for clause in _clauses(text, held):
        words = [w for w, _, _ in clause]
        if whole and len(words) > longest:
            continue
        for n in range(len(words) if whole else 1, min(longest, len(words)) + 1):
            found |= {tuple(part) for part in (words[:n], words[-n:]) if _LITERAL not in part}
    return found


def _clauses(text: str, held: frozenset[str]) -> Iterator[list[tuple[str, int, int]]]:
    """Words of each clause, lower case, with their places; a literal is one word that no phrase has."""
    spans = literals(text, held)
    pieces = [(_LITERAL, a, b) for a, b in spans]
    for start, end in gaps(text, spans):
        pieces += [(m[0].lower(), start + m.start(), start + m.end()) for m in _WORD.finditer(text[start:end])]
        pieces += [("", start + m.start(), start + m.end()) for m in _BREAK.finditer(text[start:end])]
    clause: list[tuple[str, int, int]] = []
    for piece in sorted(pieces, key=lambda p: p[1]):
        if piece[0]:
            clause.append(piece)
        elif clause:
            yield clause
            clause = []
    if clause:
        yield clause


def _longest_alone(having: dict[tuple[str, ...], list[int]]) -> list[tuple[str, ...]]:
    """Phrases by frequency, without those that hardly ever stand outside of one longer phrase."""
    covered: set[tuple[str, ...]] = set()
    for gram, at in having.items():
        for part in (gram[:-1], gram[1:]):
            if part in having and len(at) >= _SUBSUMED * len(having[part]):
                covered.add(part)
    return sorted((g for g in having if g not in covered), key=lambda g: (-len(having[g]), g))


def _unchanged(words: Sequence[str], rows: Sequence[Row], read: Reader) -> tuple[float, int]:
    """Share of readings that stay without a phrase, and how many sentences could be read with it. A sentence that is
    not read as its own call says nothing about the phrase."""
    same = tried = 0
    for r in rows:
        before = read(r["instruction"])
        if before is None or _call(r) not in ("", before):
            continue
        text = without(r["instruction"], words, values(r))
        if text == r["instruction"]:
            continue
        tried += 1
        same += read(text) == before
        if tried == _FIRST and same < tried / 2:
            break
    return (same / tried if tried else 0.0), tried


def told(here: Counter[str], everywhere: Counter[str], independent: int) -> float:
    """What a phrase may tell of the answer: the upper 95 % bound of their mutual information, on the rows that have it,
    as a share of the answers' entropy; from 0 to 1.

    Args:
        here, everywhere: answers of the rows that have it, and of all rows.
        independent: how many of the rows that have it are independent of each other: a message is seen by several
            rows of its conversation.
    """
    n, size = sum(here.values()), sum(everywhere.values())
    without_it, m = everywhere - here, size - n
    entropy = -sum(c / size * math.log(c / size) for c in everywhere.values() if c)
    if entropy <= 0:
        return 0.0
    if not n or not m:  # all rows have it: that it stands there tells nothing
        return 0.0 if n else 1.0
    g = 0.0
    for said, total in everywhere.items():
        for count, part in ((here[said], n), (without_it[said], m)):
            g += 2 * count * math.log(count * size / (total * part)) if count else 0.0
    g *= independent / n
    k = sum(1 for c in everywhere.values() if c) - 1
    # the noncentrality L with g = k + L - z sqrt(2 (k + 2 L)); a g below its mean tells no less than its mean
    d, z2 = k - max(g, k), 2 * _Z * _Z
    half = d - z2
    bound = -half + math.sqrt(half * half - (d * d - z2 * k))
    return min(1.0, bound / (2 * independent * entropy))


def _cut(text: str, phrases: Sequence[Sequence[str]], held: frozenset[str], call: str, read: Reader | None) -> str:
    bare = text
    for phrase in phrases:
        bare = without(bare, phrase, held, read is None)
    if read is None:
        return bare
    meant = call or read(text)
    if meant is None or read(bare) == meant:
        return bare if meant is not None else text
    for phrase in phrases:  # one of them is needed: take those that are not
        shorter = without(text, phrase, held)
        text = shorter if read(shorter) == meant else text
    return text


def _tidy(text: str) -> str:
    """Spaces, marks and empty messages that a deletion left behind are taken away."""
    if "\n" in text:
        return re.sub(r"\n{3,}", "\n\n", "\n".join(map(_tidy, text.split("\n")))).strip()
    text = re.sub(r"\s+([,;:.?!])", r"\1", re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"([,;:.?!])(?:\s*[,;:])+", r"\1", text)
    return re.sub(r"[,;:\s-]+([.?!])\s*$", r"\1", re.sub(r"^(?:[,;:.?!–—-]*\s+)+", "", text)).rstrip(" ,;:-")


def _call(r: Row) -> str:
    return str(r["canonical"]) if r.get("path") else ""


def _remembered(reader: Reader) -> Reader:
    known: dict[str, str | None] = {}

    def read(sentence: str) -> str | None:
        if sentence not in known:
            known[sentence] = reader(sentence)
        return known[sentence]

    return read
