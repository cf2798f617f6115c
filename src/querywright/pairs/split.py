"""Pairs to train, valid and test, by canonical query: no query stands on two sides. And to what trainers read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.artefacts import is_done, read_jsonl, sha256, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.rows import chat

PARTS = ("train", "valid", "test")


def part_of(canonical: str, valid: float, test: float, seed: int) -> str:
    """The side of a canonical query: a hash decides, so that it stays the same when pairs are added."""
    at = int(hashlib.sha256(f"{seed}:{canonical}".encode()).hexdigest()[:8], 16) / 2**32
    return "test" if at < test else "valid" if at < test + valid else "train"


def split(source: Path, out: Path, *, valid: float, test: float, seed: int) -> dict[str, int]:
    """Write `train.jsonl`, `valid.jsonl` and `test.jsonl` into `out`; returns their sizes."""
    config = {"stage": "pairs split", "pairs": sha256(source), "valid": valid, "test": test, "seed": seed}
    if is_done(out, config):
        say(f"split: {out} is whole, nothing to do")
        return {part: len(read_jsonl(out / f"{part}.jsonl")) for part in PARTS}
    rows = read_jsonl(source)
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for r in rows:
        parts[part_of(r["canonical"], valid, test, seed)].append(r)
    empty = [part for part in PARTS if not parts[part]]
    if empty:
        raise QuerywrightError(
            f"{len(rows)} pairs leave {' and '.join(empty)} empty", hint="make more pairs, or larger shares"
        )
    for part in PARTS:
        write_jsonl(out / f"{part}.jsonl", parts[part])
        write_jsonl(out / f"{part}.chat.jsonl", map(chat, parts[part]))
    sizes = {part: len(parts[part]) for part in PARTS}
    write_manifest(out, config, [f"{p}{kind}" for p in PARTS for kind in (".jsonl", ".chat.jsonl")], rows=sizes)
    say("split: " + ", ".join(f"{n} {part}" for part, n in sizes.items()) + ", by canonical query")
    return sizes


def verify(problem_of: Any, rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows that are true pairs, and the others with their reason."""
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for r in rows:
        reason = problem_of(r)
        (bad if reason else good).append({**r, "reason": reason} if reason else r)
    return good, bad
