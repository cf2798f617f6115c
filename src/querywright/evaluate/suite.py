"""The pairs that a sweep asks: our own held-out ones, or anyone's rows of `api`, `instruction` and `path`.

A row may have `turns`, said before its sentence, and `refusal` (a reason's code) in place of a path; a path `nil` or
`nil CODE` says the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.refusal import NIL, REASONS, refusal, refused
from querywright.artefacts import content_id, read_jsonl
from querywright.errors import QuerywrightError
from querywright.evaluate.models import Absent
from querywright.progress import say
from querywright.protected import plain
from querywright.rows import Message, turns_of


@dataclass(frozen=True)
class Pair:
    """One sentence with the call that it asks for.

    Attributes:
        expected: the call as a path, as the file has it; where the answer is a refusal, `nil CODE` or `nil`.
        signature: of the expected call, or empty where it is none; of a refusal its text.
        weight: how often people send such a call (for traffic-weighted scores).
        turns: what was said before the sentence, as chat messages.
        api: the name of the API that it is asked of.
    """

    id: str
    instruction: str
    expected: str
    signature: str
    source: str = ""
    weight: float = 1.0
    turns: tuple[Message, ...] = ()
    api: str = ""

    @property
    def key(self) -> str:
        """What a response depends on: the sentence, and the turns before it. Pairs with the same ones share one."""
        return content_id(_said(self.turns) + self.instruction, 16)


def load(api: API, path: Path | str, seed: int = 0, among: Collection[str] = ()) -> list[Pair]:
    """Read the pairs of one API, in an order drawn with `seed` (so that the first n are a fair sample).

    Rows of other APIs are passed over; rows whose path is no call stay, since leaving them out would flatter.

    Args:
        among: names of all APIs of the sweep. Where it has several, each row has to name its own.

    Raises:
        Absent: no such file, or no rows of this API in it.
        QuerywrightError: rows without the three keys.
    """
    if not Path(path).is_file():
        raise Absent(
            f"no pairs file {str(path)!r}", hint=f"querywright pairs makes one, or pairs=FILE with rows of {_KEYS}"
        )
    rows = read_jsonl(path)
    default = api.name if len(among) < 2 else None
    mine = [(number, row) for number, row in enumerate(rows, 1) if row.get("api", default) == api.name]
    broken = [number for number, row in mine if not _whole(row)]
    if broken:
        which = ", ".join(map(str, broken[:5]))
        raise QuerywrightError(
            f"{path}: {len(broken)} rows lack a key, or have one that can't be (rows {which})",
            hint=f"each needs {_KEYS}; weight is a number",
        )
    if not mine:
        names = sorted({str(row.get("api")) for row in rows})
        raise Absent(f"{path} has no pairs for {api.name}", hint=f"it has {', '.join(names) or 'no rows'}")
    turns = {number: turns_of(row, f"{path}: row {number}") for number, row in mine}
    pairs = list({pair.id: pair for pair in (_pair(api, row, turns[number]) for number, row in mine)}.values())
    no_call = sum(not p.signature for p in pairs)
    others = sum(row.get("api", default) not in {api.name, *among} for row in rows)
    repeats = len(mine) - len(pairs)
    notes = [f"{n} {what}" for n, what in ((others, "of other APIs passed over"), (repeats, "repeats left out"),
                                           (no_call, "whose path is no call count as wrong")) if n]  # fmt: skip
    whose = f" of {api.name}" if len(among) > 1 else ""
    say(f"{path}: {len(pairs)} pairs{whose}{' (' + ', '.join(notes) + ')' if notes else ''}")
    pairs.sort(key=lambda p: p.id)
    random.Random(seed).shuffle(pairs)
    return pairs


def check_examples(examples: Path | str, pairs: list[Pair]) -> None:
    """Refuse examples that show an answer: a sentence that is asked must not stand among them.

    Raises:
        QuerywrightError: it does; or the file cannot be read.
    """
    if not Path(examples).is_file():
        raise QuerywrightError(
            f"icl shows examples, and there is no file {str(examples)!r}",
            hint="querywright pairs make and split write one; or examples=FILE, or --strategy without icl",
        )
    asked = {plain(pair.instruction) for pair in pairs}
    shared = [row for row in read_jsonl(examples) if plain(str(row.get("instruction", ""))) in asked]
    if shared:
        raise QuerywrightError(
            f"{len(shared)} sentences of {examples} are asked as well, such as {shared[0]['instruction']!r}",
            hint="querywright pairs split keeps them apart; or examples=FILE",
        )


_KEYS = "api, instruction, path (or refusal)"


def _whole(row: dict[str, Any]) -> bool:
    weight = row.get("weight") or 0.0
    if not isinstance(row.get("instruction"), str) or not isinstance(weight, int | float):
        return False
    if not 0 <= weight < math.inf:
        return False
    return row["refusal"] in (*REASONS, NIL) if row.get("refusal") else isinstance(row.get("path"), str)


def _said(turns: Iterable[Message]) -> str:
    return "".join(f"{t['role']}: {t['content']}\n" for t in turns)


def _pair(api: API, row: dict[str, Any], turns: list[Message]) -> Pair:
    instruction = row["instruction"].strip().encode("utf-8", "replace").decode()  # half characters fit in no report
    code = row.get("refusal")
    path = (NIL if code == NIL else refusal(code)) if code else row["path"].strip()
    try:
        signature = path if refused(path) else parse(api, path).signature
    except CallError:
        signature = ""
    return Pair(
        id=content_id(f"{_said(turns)}{instruction}\n{path}"),
        instruction=instruction,
        expected=path,
        signature=signature,
        source=str(row.get("source", "")),
        weight=float(row.get("weight") or 1.0),
        turns=tuple(turns),
        api=api.name,
    )
