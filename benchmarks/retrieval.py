"""How many of the fields that a call needs are found by its sentence: recall@k of each way to search, in one run.

    python benchmarks/retrieval.py [--api mygene ...] [--pairs FILE.jsonl] [--no-meaning]

By default on sentences written for the purpose (tests/evaluate/written.jsonl); the search by words got its constants
from others, but for MyDisease's. `whole` is the share of sentences all of whose fields are among the first 8. The
embedding of an API's fields takes a minute or two on two cores and is kept under work/. Needs the extras rag and bench.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.api.nearest import nearest_fields, words
from querywright.artefacts import read_jsonl
from querywright.generate.retrieve import by_meaning, fields

KS = (4, 8, 16, 24)
Search = Callable[[str, int], list[str]]


def named(api: API, text: str) -> set[str]:
    """Fields that a call's text names."""
    return {name for name in re.findall(r"[A-Za-z_][\w.+-]*", text) if name in api.fields}


def bm25(api: API) -> Search:
    """BM25 (the package bm25s) over names, synonyms and descriptions, the same stems as ours."""
    import bm25s

    names = list(api.fields)
    texts = [words(" ".join([re.sub(r"[._]", " ", f.name), *f.synonyms, f.description])) for f in api.fields.values()]
    index = bm25s.BM25()
    index.index(texts, show_progress=False)

    def search(text: str, k: int) -> list[str]:
        found, _ = index.retrieve([words(text)], k=min(k, len(names)), show_progress=False)
        return [names[int(i)] for i in found[0]]

    return search


def through(retriever: Any) -> Search:
    """A retriever as a function to names."""
    return lambda text, k: [hit.item.name for hit in retriever.nearest(text, k)]


def measure(api: API, rows: list[tuple[str, set[str]]], search: Search) -> tuple[list[float], float, float]:
    """Recall at each k, the share of sentences that are whole at 8, and milliseconds a sentence."""
    start = time.perf_counter()
    found = [search(sentence, max(KS)) for sentence, _ in rows]
    ms = 1000 * (time.perf_counter() - start) / len(rows)
    wanted = sum(len(need) for _, need in rows)
    recall = [sum(len(need & set(f[:k])) for f, (_, need) in zip(found, rows, strict=True)) / wanted for k in KS]
    whole = sum(need <= set(f[:8]) for f, (_, need) in zip(found, rows, strict=True)) / len(rows)
    return recall, whole, ms


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", nargs="+", default=["mygene", "myvariant", "mychem", "mydisease"])
    parser.add_argument("--pairs", type=Path, default=Path("tests/evaluate/written.jsonl"))
    parser.add_argument("--no-meaning", action="store_true", help="leave the embeddings out")
    options = parser.parse_args()
    print(f"{'api':10} {'search':12} {'n':>4} " + " ".join(f"{f'@{k}':>5}" for k in KS) + f" {'whole':>6} {'ms':>7}")
    for name in options.api:
        api = load(name)
        pairs = [r for r in read_jsonl(options.pairs) if r["api"] == name and r.get("path")]
        rows = [(r["instruction"], need) for r in pairs if (need := named(api, parse(api, r["path"]).text))]
        if not rows:
            continue
        ways: dict[str, Search] = {"BM25": bm25(api), "words, values": lambda t, k: nearest_fields(api, t, k)}  # noqa: B023
        if not options.no_meaning:
            cache = Path("work") / name / "retrieval" / "fields"
            ways |= {"meaning": through(by_meaning(api, cache)), "fused": through(fields(api, cache))}
        for way, search in ways.items():
            recall, whole, ms = measure(api, rows, search)
            shares = " ".join(f"{100 * r:5.0f}" for r in recall)
            print(f"{name:10} {way:12} {len(rows):4} {shares} {100 * whole:6.0f} {ms:7.1f}", flush=True)


if __name__ == "__main__":
    main()
