"""What a finished mix holds (see `mix`): which aspects it asks about, and in which files."""

from __future__ import annotations

import json
from pathlib import Path

from querywright.artefacts import MANIFEST
from querywright.errors import QuerywrightError
from querywright.preferences.aspects import rank

FULL = "full"
_NOT_MIXED = "querywright preferences mix --output DIR writes DIR/NAME/ASPECT"


def aspect_files(source: Path | str) -> dict[str, list[Path]]:
    """The files of each aspect of a mix, the usual four aspects first.

    They are those that its manifest names: a mix that was killed has none, and half of it, with aspects of an earlier
    one beside, would be judged as if it were all.

    Raises:
        QuerywrightError: there is no mix, it was not written to its end, or one of its files is gone.
    """
    source = Path(source)
    folders = sorted(p for p in source.iterdir() if p.is_dir()) if source.is_dir() else []
    try:
        named = [str(name) for name in json.loads((source / MANIFEST).read_text(encoding="utf-8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        if (source / FULL).is_dir():
            raise _broken(source, f"no {MANIFEST}: it was stopped before its end") from None
        inside = [str(p) for p in folders if (p / FULL).is_dir()]
        hint = f"--input {inside[0]}" if inside else _NOT_MIXED
        raise QuerywrightError(f"no folders of aspects in {source}", hint=hint) from None
    if gone := [name for name in named if not (source / name).is_file()]:
        raise _broken(source, f"{gone[0]} is gone")
    found: dict[str, list[Path]] = {}
    for name in sorted(named):
        folder, _, file = name.partition("/")
        if file and folder != FULL:
            found.setdefault(folder, []).append(source / name)
    if not found or not (source / FULL).is_dir():
        raise QuerywrightError(f"{source} is no mix: it asks about no aspect", hint=_NOT_MIXED)
    return dict(sorted(found.items(), key=lambda item: rank(item[0])))


def _broken(source: Path, why: str) -> QuerywrightError:
    return QuerywrightError(f"the mix in {source} is not whole: {why}", hint="the same `preferences mix` again")
