"""The frozen test set: the same file in every retrain, by its hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.artefacts import read_jsonl, replacing, sha256, write_json
from querywright.errors import QuerywrightError
from querywright.finetune.promoted import MODELS
from querywright.progress import say

RECORD, COPY = "frozen.json", "frozen.jsonl"


def test_set(api: str, workspace: Path) -> Path:
    """The test split of a workspace.

    Raises:
        QuerywrightError: there is none.
    """
    path = workspace / "pairs" / "test.jsonl"
    if not path.is_file():
        raise QuerywrightError(
            f"no test split: {path} is missing, and nothing can be compared without it",
            hint=f"querywright pairs make --api {api}, pairs verify, pairs split --out {path.parent} write one",
        )
    return path


def frozen_set(api: API, workspace: Path, *, refreeze: bool = False) -> tuple[Path, str]:
    """The frozen test set, `pairs/test.jsonl` of the workspace, and its SHA-256.

    The first time its hash is recorded in `models/frozen.json` and a copy is kept beside it; later it has to be the
    same, since figures on another one can't be compared.

    Args:
        refreeze: take the test set as it is now for the frozen one from now on; the hashes before are kept.

    Raises:
        QuerywrightError: there is no test split, or it is not the one that was frozen.
    """
    path, record = test_set(api.name, workspace), workspace / MODELS / RECORD
    digest = sha256(path)
    try:
        known: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        before = str(known["sha256"])
    except FileNotFoundError:
        known, before = {}, ""
    except (OSError, ValueError, TypeError, KeyError) as error:
        if not refreeze:
            raise QuerywrightError(f"{record} is damaged: {error!r}", hint="--refreeze writes it anew") from error
        known, before = {}, ""
    if before and before != digest and not refreeze:
        raise QuerywrightError(
            f"the frozen test set changed: {path} has SHA-256 {digest[:12]}, frozen was {before[:12]}; scores on"
            " the two can't be compared",
            hint=f"cp {record.parent / COPY} {path} brings it back; --refreeze takes the new one from now on",
        )
    if before != digest:
        rows = sum(row.get("api", api.name) == api.name for row in read_jsonl(path))
        with replacing(record.parent / COPY, "wb") as out:
            out.write(path.read_bytes())
        earlier = [*known.get("earlier", []), before] if before else []
        write_json(record, {"file": str(path), "sha256": digest, "rows": rows, "earlier": earlier})
        say(f"frozen test set: {path}, {rows} pairs, SHA-256 {digest[:12]}; recorded in {record}")
    return path, digest
