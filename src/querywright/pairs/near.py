"""Rows that are one row: the same words, nearly the same words, the same meaning by embeddings.

Rows of conversations are never one: each is a thing that happened, and a model learns from how often it did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from querywright.pairs.mask import mask
from querywright.progress import track
from querywright.rows import Row, answer, observed, said

if TYPE_CHECKING:
    import numpy as np

THRESHOLD = 0.95  # cosine of two sentences from which one is taken for a rewording of the other
_BLOCK = 1024
_AT_ONCE = 256  # sentences embedded between two looks at the clock


def key(r: Row) -> str:
    """What a split must not share: the call's canonical form; where a row has none, all that was said."""
    return str(r.get("canonical") or plain(r))


def plain(r: Row) -> str:
    """What was said, without letter case, spaces and the end mark: two rows with the same are one sentence."""
    return " ".join(said(r).lower().split()).rstrip(" .?!")


def meant(r: Row) -> str:
    """What a row's answer means: a call's canonical form, or the answer itself."""
    return str(r.get("canonical") or r["path"]) if r.get("path") else answer(r)


def drop_same(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Of rows that say the same keep one.

    Rejected are `duplicate` (same words, same meaning) and `ambiguous` (same words, another meaning than most rows
    with these words; all of them where no meaning has most). What was observed passes: see `rows.observed`.
    """
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for r in rows:
        votes[_said(r)][meant(r)] += 1
    kept, rejected = [], []
    seen: set[tuple[str, str, str]] = set()
    for r in rows:
        if observed(r):
            kept.append(r)
            continue
        counts = votes[_said(r)].most_common(2)
        tied = len(counts) > 1 and counts[0][1] == counts[1][1]
        if tied or meant(r) != counts[0][0]:
            rejected.append({**r, "reason": "ambiguous"})
        elif (*_said(r), meant(r)) in seen:
            rejected.append({**r, "reason": "duplicate"})
        else:
            seen.add((*_said(r), meant(r)))
            kept.append(r)
    return kept, rejected


def drop_template(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Of rows with one meaning and one template (their words with literals masked) keep the first: the others differ in
    letter case, punctuation or a literal's spelling alone, and get the reason `near_duplicate`."""
    kept, rejected = [], []
    seen: set[tuple[str, str]] = set()
    for r in rows:
        k = (meant(r), mask(r)) if r.get("path") else (meant(r), plain(r))
        if k in seen and not observed(r):
            rejected.append({**r, "reason": "near_duplicate"})
        else:
            seen.add(k)
            kept.append(r)
    return kept, rejected


def drop_near(rows: Sequence[Row], threshold: float) -> tuple[list[Row], list[Row]]:
    """Of rows with one meaning whose sentences are nearer than `threshold` (a cosine) keep the first; the others get
    the reason `near_duplicate`. Exact, within the rows of each meaning."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, r in enumerate(rows):
        if not observed(r):
            groups[meant(r)].append(i)
    several = [group for group in groups.values() if len(group) > 1]
    flat = [i for group in several for i in group]
    at = {i: n for n, i in enumerate(flat)}
    vectors = embedded([said(rows[i]) for i in flat], "near")
    out: set[int] = set()
    for group in several:
        kept: list[int] = []
        for i in group:
            if any(float(vectors[at[i]] @ vectors[at[j]]) >= threshold for j in kept):
                out.add(i)
            else:
                kept.append(i)
    rejected = [{**rows[i], "reason": "near_duplicate"} for i in sorted(out)]
    return [r for i, r in enumerate(rows) if i not in out], rejected


def embedded(texts: Sequence[str], what: str) -> np.ndarray:
    """Embed many texts and show how far it is: float32 of shape (len(texts), 384), rows of unit length."""
    import numpy as np

    from querywright.engines.embed import DIMENSIONS, embed

    starts = range(0, len(texts), _AT_ONCE)
    told = f"{what}: embedding, blocks of {_AT_ONCE}"
    blocks = [embed(list(texts[at : at + _AT_ONCE])) for at in track(starts, told)]
    return np.concatenate([np.zeros((0, DIMENSIONS), dtype=np.float32), *blocks])


def nearest(these: np.ndarray, those: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of `these` the index of the nearest of `those` and its cosine.

    Exact, as a flat index would be, and in blocks, so that memory stays at about 1024 rows of scores.

    Args:
        these, those: float32 of shapes (n, d) and (m, d), rows of unit length, m > 0.

    Returns:
        int64 and float32, both of shape (n,).
    """
    import numpy as np

    at, best = np.zeros(len(these), dtype=np.int64), np.zeros(len(these), dtype=np.float32)
    for start in range(0, len(these), _BLOCK):
        scores = these[start : start + _BLOCK] @ those.T
        found = scores.argmax(axis=1)
        at[start : start + _BLOCK] = found
        best[start : start + _BLOCK] = scores[np.arange(len(found)), found]
    return at, best


def _said(r: Row) -> tuple[str, str]:
    return str(r.get("api") or r.get("system") or ""), plain(r)
