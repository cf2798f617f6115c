"""The pairs that a sweep asks: our own held-out ones, or anyone's rows of `api`, `instruction` and `path`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.artefacts import content_id, read_jsonl
from querywright.errors import QuerywrightError
from querywright.progress import say


@dataclass(frozen=True)
class Pair:
    """One sentence with the call that it asks for.

    Attributes:
        expected: the call as a path, as the file has it.
        signature: of the expected call, or empty where it is none.
        weight: how often people send such a call (for traffic-weighted scores).
    """

    id: str
    instruction: str
    expected: str
    signature: str
    source: str = ""
    weight: float = 1.0

    @property
    def key(self) -> str:
        """What a response depends on: the sentence alone. Pairs with the same sentence share one."""
        return content_id(self.instruction, 16)


def load(api: API, path: Path | str, seed: int = 0) -> list[Pair]:
    """Read the pairs of one API, in an order drawn with `seed` (so that the first n are a fair sample).

    Rows of other APIs are passed over; rows whose path is no call stay, since leaving them out would flatter.

    Raises:
        QuerywrightError: no such file, rows without the three keys, or none of this API.
    """
    if not Path(path).is_file():
        raise QuerywrightError(
            f"no pairs file {str(path)!r}", hint=f"querywright pairs makes one, or pairs=FILE with rows of {_KEYS}"
        )
    rows = read_jsonl(path)
    mine = [(number, row) for number, row in enumerate(rows, 1) if row.get("api", api.name) == api.name]
    broken = [number for number, row in mine if not all(isinstance(row.get(k), str) for k in ("instruction", "path"))]
    if broken:
        which = ", ".join(map(str, broken[:5]))
        raise QuerywrightError(f"{path}: {len(broken)} rows lack a key (rows {which})", hint=f"each needs {_KEYS}")
    if not mine:
        names = sorted({str(row.get("api")) for row in rows})
        raise QuerywrightError(f"{path} has no pairs for {api.name}", hint=f"it has {', '.join(names) or 'no rows'}")
    pairs = list({pair.id: pair for pair in (_pair(api, row) for _, row in mine)}.values())
    no_call = sum(not p.signature for p in pairs)
    others, repeats = len(rows) - len(mine), len(mine) - len(pairs)
    notes = [f"{n} {what}" for n, what in ((others, "of other APIs passed over"), (repeats, "repeats left out"),
                                           (no_call, "whose path is no call count as wrong")) if n]  # fmt: skip
    say(f"{path}: {len(pairs)} pairs{' (' + ', '.join(notes) + ')' if notes else ''}")
    pairs.sort(key=lambda p: p.id)
    random.Random(seed).shuffle(pairs)
    return pairs


def check_examples(examples: Path | str, pairs: list[Pair]) -> None:
    """Refuse examples that show an answer: a sentence that is asked must not stand among them.

    Raises:
        QuerywrightError: it does; or the file cannot be read.
    """
    asked = {pair.instruction for pair in pairs}
    shared = [row for row in read_jsonl(examples) if str(row.get("instruction", "")).strip() in asked]
    if shared:
        raise QuerywrightError(
            f"{len(shared)} sentences of {examples} are asked as well, such as {shared[0]['instruction']!r}",
            hint="querywright pairs split keeps them apart; or examples=FILE",
        )


_KEYS = "api, instruction, path"


def _pair(api: API, row: dict[str, Any]) -> Pair:
    instruction, path = row["instruction"].strip(), row["path"].strip()
    try:
        signature = parse(api, path).signature
    except CallError:
        signature = ""
    return Pair(
        id=content_id(f"{instruction}\n{path}"),
        instruction=instruction,
        expected=path,
        signature=signature,
        source=str(row.get("source", "")),
        weight=float(row.get("weight") or 1.0),
    )
