"""Which retrained model a workspace has promoted: `promoted.json` beside its `models/`, as everybody reads it.

    version   of this format
    current   {id, at, how}; null: none of these models, but the one that stood before (see `finetune.shipped`)
    history   what was current before, the oldest first; a rollback takes the last one
    log       each change: at, how (promoted, forced, rolled back), id, from

An id is the name of a folder in `models/`, which `querywright export` wrote.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError

FILE, MODELS, VERSION = "promoted.json", "models", 1
ID = re.compile(r"[0-9a-f]{12}")


def read_promoted(workspace: Path) -> dict[str, Any]:
    """The record of a workspace, an empty one where there is none.

    Raises:
        QuerywrightError: the file is damaged, or of another version.
    """
    path = Path(workspace) / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"version": VERSION, "current": None, "history": [], "log": []}
    except (OSError, ValueError) as error:
        raise QuerywrightError(f"{path} can't be read: {error}", hint=_REPAIR) from error
    whole = isinstance(found, dict) and found.get("version") == VERSION
    whole = whole and all(isinstance(found.get(key), list) for key in ("history", "log"))
    if not whole or not all(_is_entry(one) for one in (found["current"], *found["history"])):
        raise QuerywrightError(f"{path} is damaged, or of another version", hint=_REPAIR)
    return dict(found)


_REPAIR = "querywright feedback promote ID writes it anew; querywright feedback models lists the ids"


def _is_entry(one: Any) -> bool:
    """Null stands for the model before the first promotion. An id becomes a path: nothing else may."""
    return one is None or (isinstance(one, dict) and isinstance(one.get("id"), str) and bool(ID.fullmatch(one["id"])))


def folder_of(workspace: Path, name: str) -> Path:
    """The folder of a retrained model.

    Raises:
        QuerywrightError: the name is no id.
    """
    if not ID.fullmatch(name):
        raise QuerywrightError(f"{name!r} is no model's id", hint="querywright feedback models lists them")
    return Path(workspace) / MODELS / name
