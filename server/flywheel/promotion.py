"""Promote a retrained model, go back, list the candidates: `promoted.json`, whole or not at all.

A server opens its model when it starts: a running one goes on with the old model until it is restarted.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from querywright.artefacts import alone, write_json
from querywright.errors import QuerywrightError
from querywright.finetune.promoted import FILE, ID, MODELS, VERSION, folder_of, read_promoted
from querywright.finetune.shipped import whole
from querywright.progress import say

DECISION, DATA = "decision.json", "data"
COMPARED = "compared.json"
"""How many deleted candidates were compared, by current model and frozen test set: a try stays one."""
BEFORE = "shipped"
"""Names what answers without any promotion: a model trained in the workspace, else the shipped one."""
RESTART = "a running server takes it up when it is restarted"
_WAIT_S = 5.0


def promote(workspace: Path, name: str, *, force: bool = False) -> dict[str, Any]:
    """Make a candidate the model that answers; returns the new entry.

    Args:
        force: promote it by hand although its decision says no, or there is none; that is recorded.

    Raises:
        QuerywrightError: no such candidate, one that is damaged or made for another prompt, one that its decision does
            not promote, or that was compared with another model than the current one.
    """
    folder = folder_of(workspace, name)
    if not folder.is_dir():
        raise QuerywrightError(f"no model {name} in {folder.parent}", hint="querywright feedback models lists them")
    if not whole(folder):
        raise QuerywrightError(
            f"{folder} is no whole model: unfinished, damaged, or made for another prompt",
            hint="querywright feedback retrain goes on with it, or makes a new one",
        )
    decision = read_decision(folder)
    with _changing(workspace) as record:
        before = record["current"]
        if before and before["id"] == name:
            say(f"{name} is current already")
            return dict(before)
        against = _against(decision, before)
        if against and not force:
            raise QuerywrightError(
                f"{name} is not to be promoted: {against}", hint=f"querywright feedback promote {name} --force does it"
            )
        how = "forced" if against else "promoted"
        entry = {"id": name, "at": now(), "how": how}
        record["history"].append(before)
        _write(workspace, record, entry, how)
    say(f"{how}: {name}; {RESTART}")
    return entry


def _against(decision: dict[str, Any], current: dict[str, Any] | None) -> str:
    """What speaks against promoting a candidate; empty where it was found better than just the current model."""
    if not decision:
        return "it was not compared with the current model yet"
    if not decision.get("promote"):
        return "; ".join(decision.get("reasons", ())) or "it was not found better"
    other = str(decision.get("current", ""))
    here = current["id"] if current else BEFORE
    if here != (other if ID.fullmatch(other) else BEFORE):
        return f"it was compared with {other}, and current is {here}"
    return ""


def rollback(workspace: Path, to: str = "") -> str:
    """Go back one step, or to `shipped`: nothing promoted; returns what answers now (an id or `shipped`).

    Raises:
        QuerywrightError: nothing was promoted, or the model to go back to is not whole.
    """
    if to not in ("", BEFORE):
        raise QuerywrightError(f"--to {to!r}: only {BEFORE!r}", hint=f"querywright feedback promote {to} for a model")
    with _changing(workspace) as record:
        if record["current"] is None and (to or not record["history"]):
            raise QuerywrightError(
                f"nothing is promoted in {workspace}: there is nothing to go back from",
                hint="querywright feedback models lists the candidates",
            )
        target = None if to else record["history"].pop()
        if to:
            record["history"].clear()
        elif target is not None and not whole(folder_of(workspace, target["id"])):
            raise QuerywrightError(
                f"the model before, {target['id']}, is missing, damaged or made for another prompt",
                hint=f"querywright feedback rollback --to {BEFORE}",
            )
        _write(workspace, record, target, "rolled back")
    now_current = target["id"] if target else BEFORE
    say(f"rolled back: {now_current} answers; {RESTART}")
    return now_current


def read_decision(folder: Path) -> dict[str, Any]:
    """What was decided about a candidate; empty where nothing was, or the file is damaged."""
    try:
        found = json.loads((folder / DECISION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def models(workspace: Path) -> list[dict[str, Any]]:
    """The candidates of a workspace, the oldest first.

    Returns:
        Of each its `id`, `state` (current, promoted before, to promote, not better, unfinished, damaged), how it became
        current (`how`), `at` (when it was decided), `against` (the model it was compared with), the scores on the
        frozen test set (`frozen`) and the recent corrections (`recent`) as the decision has them, `reasons`, `bytes`.
    """
    try:
        record = read_promoted(workspace)
    except QuerywrightError as error:
        say(f"warning: {error}")
        record = {"current": None, "history": [], "log": []}
    log = record["log"]
    rows = []
    for folder in candidates(workspace):
        decision = read_decision(folder)
        mine = [one for one in log if one.get("id") == folder.name]
        compared = decision.get("compared", {})
        rows.append(
            {
                "id": folder.name,
                "state": _state(folder, decision, record["current"], mine),
                "how": str(mine[-1].get("how", "")) if mine else "",
                "at": str(decision.get("at", "")),
                "against": str(decision.get("current", "")),
                "frozen": compared.get("frozen"),
                "recent": compared.get("recent"),
                "reasons": decision.get("reasons", []),
                "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            }
        )
    return rows


def prune(workspace: Path) -> list[str]:
    """Delete the candidates that are neither current nor what a rollback may come back to; returns their ids.

    Raises:
        QuerywrightError: a retrain is at work.
    """
    gone = []
    with alone(workspace / MODELS), _changing(workspace) as record:
        kept = {one["id"] for one in (record["current"], *record["history"]) if one}
        for folder in candidates(workspace):
            if folder.name not in kept:
                decision, deleted = read_decision(folder), _deleted(workspace)
                if decision:
                    deleted[_comparison(decision)] += 1
                    write_json(workspace / MODELS / COMPARED, deleted)
                shutil.rmtree(folder)
                gone.append(folder.name)
    return gone


def tries(workspace: Path, name: str, current: str, digest: str) -> int:
    """Candidates that were compared with a current model on a frozen test set, the named one and deleted ones
    included."""
    asked = {"current": current, "frozen_sha256": digest}
    others = [read_decision(folder) for folder in candidates(workspace) if folder.name != name]
    return 1 + sum(_comparison(one) == _comparison(asked) for one in others) + _deleted(workspace)[_comparison(asked)]


def _comparison(decision: dict[str, Any]) -> str:
    return f"{decision.get('current')} {decision.get('frozen_sha256')}"


def _deleted(workspace: Path) -> Counter[str]:
    try:
        found = json.loads((workspace / MODELS / COMPARED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Counter()
    return Counter(found if isinstance(found, dict) else {})


def candidates(workspace: Path) -> list[Path]:
    """The folders of all candidates, the oldest first."""
    found = [path for path in (workspace / MODELS).glob("*") if ID.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: ((path / DATA).stat().st_mtime if (path / DATA).is_dir() else 0, path.name))


def now() -> str:
    """The time as these files have it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _state(folder: Path, decision: dict[str, Any], current: dict[str, Any] | None, log: list[dict[str, Any]]) -> str:
    here = current is not None and current["id"] == folder.name
    if (here or decision) and not whole(folder):
        return "current, but damaged" if here else "damaged"
    if here:
        return "current"
    if not decision:
        return "unfinished"
    if log:
        return "promoted before"
    return "to promote" if decision.get("promote") else "not better"


@contextmanager
def _changing(workspace: Path) -> Iterator[dict[str, Any]]:
    """The record of a workspace while nobody else changes it; a damaged one begins anew, loudly."""
    if not workspace.is_dir():
        raise QuerywrightError(f"no workspace {workspace}", hint="--workspace FOLDER names another")
    with alone(workspace, patience_s=_WAIT_S):
        try:
            record = read_promoted(workspace)
        except QuerywrightError as error:
            say(f"warning: {error}; it begins anew (the old one: {FILE}.damaged)")
            shutil.copyfile(workspace / FILE, workspace / f"{FILE}.damaged")
            record = {"version": VERSION, "current": None, "history": [], "log": []}
        yield record


def _write(workspace: Path, record: dict[str, Any], entry: dict[str, Any] | None, how: str) -> None:
    before = record["current"]
    record["log"].append(
        {
            "at": now(),
            "how": how,
            "id": entry["id"] if entry else BEFORE,
            "from": before["id"] if before else BEFORE,
        }
    )
    write_json(workspace / FILE, {**record, "version": VERSION, "current": entry})
