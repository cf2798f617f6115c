"""What stands on both sides of a split: the same query, the same words, the same template, the same meaning.

Only the first is a leak that has to be mended: the split promises it. A template on two sides is what a teacher of
templates makes; how much of a test set it is says how much the test set measures.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.errors import QuerywrightError
from querywright.pairs.mask import mask
from querywright.pairs.near import THRESHOLD, embedded, key, nearest, plain
from querywright.pairs.read import read_pairs
from querywright.progress import say
from querywright.rows import Row, answer, said

EXAMPLES = 10
_ORDER = ("train", "valid", "test")


def read_parts(folder: Path) -> dict[str, list[Row]]:
    """The parts of a split by name, train first: `train.jsonl`, `valid.jsonl`, `test.jsonl`, `test_signatures.jsonl`...

    Raises:
        QuerywrightError: there is no train.jsonl, or nothing beside it; a row has no sentence.
    """
    found = [p for p in folder.glob("*.jsonl") if "." not in p.stem and p.stem.startswith(_ORDER)]
    parts = {p.stem: read_pairs(p) for p in sorted(found, key=lambda p: (_ORDER.index(_kind(p.stem)), p.stem))}
    if "train" not in parts or len(parts) < 2:
        raise QuerywrightError(
            f"{folder} holds no split: {', '.join(parts) or 'none of its parts'} found",
            hint="querywright pairs split PAIRS --out DIR makes train.jsonl, valid.jsonl and test.jsonl",
        )
    return parts


def leaks(
    parts: dict[str, list[Row]],
    *,
    api: API | None = None,
    threshold: float = THRESHOLD,
    meaning: bool = True,
    most: int = 20_000,
    seed: int = 17,
) -> dict[str, Any]:
    """Compare each two parts of a split.

    Args:
        api: masks its vocabulary as well.
        threshold: cosine from which two sentences are near.
        meaning: embed sentences; about 3 ms each on one core.
        most: embed at most so many rows of a part; where there are more, drawn with `seed` (and said).

    Returns:
        `rows` of each part; for each two parts (`of` the second, `in` the first) and each way to be the same
        (`query`, `words`, `template`, `meaning`): `rows` of the second part, `share`, and ten `examples`;
        `leak`: whether a query stands on two sides.
    """
    vectors: dict[str, Any] = {}
    if meaning:
        vectors = {name: _embedded(name, rows, most, seed) for name, rows in parts.items() if rows}
    found = []
    for there, here in combinations(parts, 2):
        a, b = parts[there], parts[here]
        same: dict[str, Any] = {
            "query": _shared(a, b, key),
            "words": _shared(a, b, plain),
            "template": _shared(a, b, lambda r: mask(r, api)),
        }
        if meaning and a and b:
            same["meaning"] = _near(vectors[there], vectors[here], threshold)
        found.append({"of": here, "in": there, **same})
    sizes = {name: len(rows) for name, rows in parts.items()}
    return {
        "rows": sizes,
        "threshold": threshold if meaning else None,
        "between": found,
        "leak": any(f["query"]["rows"] for f in found),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The report in a few lines."""
    told = [", ".join(f"{n} {name}" for name, n in found["rows"].items())]
    for f in found["between"]:
        shares = [
            f"{what} {f[what]['rows']} ({100 * f[what]['share']:.1f} %)"
            for what in ("query", "words", "template", "meaning")
            if what in f
        ]
        told.append(f"of {f['of']}, in {f['in']} too: {', '.join(shares)}")
    told.append("a query stands on two sides" if found["leak"] else "no query stands on two sides")
    return told


def _kind(stem: str) -> str:
    return next(k for k in _ORDER if stem.startswith(k))


def _shared(there: Sequence[Row], here: Sequence[Row], of: Callable[[Row], str]) -> dict[str, Any]:
    known: dict[str, Row] = {}
    for r in there:
        known.setdefault(of(r), r)
    both = [(r, known[k]) for r, k in ((r, of(r)) for r in here) if k in known]
    return _told(len(both), len(here), [_example(r, other) for r, other in both[:EXAMPLES]])


def _near(there: tuple[list[Row], Any], here: tuple[list[Row], Any], threshold: float) -> dict[str, Any]:
    at, cosine = nearest(here[1], there[1])
    close = [i for i in cosine.argsort()[::-1] if cosine[i] >= threshold]
    examples = [_example(here[0][i], there[0][at[i]], round(float(cosine[i]), 4)) for i in close[:EXAMPLES]]
    shape = sum(here[0][i].get("signature") == there[0][at[i]].get("signature") for i in close)
    told = _told(len(close), len(here[0]), examples)
    return {**told, "same_signature": shape, "mean_cosine": round(float(cosine.mean()), 4)}


def _told(n: int, of: int, examples: list[dict[str, Any]]) -> dict[str, Any]:
    return {"rows": n, "share": round(n / of, 4) if of else 0.0, "examples": examples}


def _example(r: Row, other: Row, cosine: float | None = None) -> dict[str, Any]:
    pair = {"here": said(r), "answer": answer(r), "there": said(other), "answer_there": answer(other)}
    return pair if cosine is None else {**pair, "cosine": cosine}


def _embedded(name: str, rows: list[Row], most: int, seed: int) -> tuple[list[Row], Any]:
    if len(rows) > most:
        say(f"leaks: {most} of {len(rows)} rows of {name} are embedded (--most)")
        rows = random.Random(f"{seed}:{name}").sample(rows, most)
    return rows, embedded([said(r) for r in rows], f"leaks, {name}")
