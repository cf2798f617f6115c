"""Whether a model that was trained on an old definition is still good for a new one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.api.identity import definition_id
from querywright.artefacts import MANIFEST, sha256
from querywright.errors import QuerywrightError
from querywright.schema.broken_pairs import PairReport
from querywright.schema.diff import Change


@dataclass
class ModelReport:
    """What becomes of a trained model: which definition it was trained on, and what to do."""

    path: str
    trained_on: str
    touched: float | None
    advice: str


def check_model(
    where: Path, old: API, new: API, changes: list[Change], pairs: PairReport | None, pairs_file: Path | None
) -> ModelReport:
    """Judge one model folder (an adapter, an export with a GGUF) or GGUF file by the manifest beside it.

    Raises:
        QuerywrightError: there is no such model.
    """
    folder = where if where.is_dir() else where.parent
    if not where.exists():
        raise QuerywrightError(f"no model at {where}", hint="--model takes a model's folder or a .gguf file")
    told = _manifest(folder)
    ids = set(_found(told, "definition"))
    named = set(_found(told, "api"))
    if named and old.name not in named:
        return ModelReport(str(where), f"another API: {', '.join(sorted(named))}", None, "not concerned")
    if definition_id(new) in ids:
        trained, current = "the new definition", True
    elif definition_id(old) in ids:
        trained, current = "the old definition", False
    else:
        trained, current = (
            ("another definition than these two" if ids else "a definition that its manifest does not name"),
            False,
        )
    touched = None
    if pairs is not None and pairs.rows:
        touched = (pairs.rows - pairs.status["same"] - pairs.status["already refused"]) / pairs.rows
        if (
            pairs_file is not None
            and (hashes := set(_found(told, "data_sha256")))
            and not _same_rows(pairs_file, hashes)
        ):
            trained += "; the pairs given are not the rows that it was trained on"
    return ModelReport(str(where), trained, touched, _advice(current, touched, changes))


def _advice(current: bool, touched: float | None, changes: list[Change]) -> str:
    breaking = [c for c in changes if c.breaks]
    added = sum(c.part == "field" and c.what == "added" for c in changes)
    if current or not changes:
        return "keep it"
    if touched is None:
        if not breaking:
            return f"keep it; it has never seen the {added} new fields" if added else "keep it"
        return "train again; --pairs with its training rows tells how much it learnt that is wrong now"
    if touched == 0:
        return "keep it: none of its training rows is touched" + (f"; {added} new fields are unseen" if added else "")
    if touched < 0.01:
        return f"keep it for now: {touched:.1%} of its training rows are touched; the new grammar refuses what is gone"
    return f"train again on pairs made from the new definition: {touched:.1%} of its training rows are touched"


def _manifest(folder: Path) -> Any:
    for path in (folder / MANIFEST, folder.parent / MANIFEST):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return {}


def _found(value: Any, key: str) -> Iterator[str]:
    """Every text under a key, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key and isinstance(inner, str):
                yield inner
            yield from _found(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _found(inner, key)


def _same_rows(path: Path, hashes: set[str]) -> bool:
    beside = (path, path.with_name(path.name.replace(".jsonl", ".chat.jsonl")))
    return any(p.is_file() and sha256(p) in hashes for p in beside)
