"""What a row of feedback has to pass by itself before anything may be trained on it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.executors import Executor
from querywright.api.refusal import refused
from querywright.engines.fence import CONTROL
from querywright.errors import QuerywrightError
from querywright.pairs.near import key, plain
from querywright.pairs.read import fault, read_pairs
from querywright.pairs.split import SIDES, UNSEEN
from querywright.protected import hashes, holds
from querywright.rows import Row

LONGEST = 4_000
"""Characters that a row may have in all; what a page takes is less, but programs' texts come as well."""


class Sieve:
    """Judges rows, each call run once.

    Args:
        executor: runs calls; None takes calls that were not run.
        folder: a split's folder, as `pairs split` writes it.
        frozen: more test rows, a file of pairs.
        allow_empty: take calls that find nothing.

    Attributes:
        sides: how many rows of each side of the split are known.

    Raises:
        QuerywrightError: a file of the split can't be read.
    """

    def __init__(
        self,
        api: API,
        executor: Executor | None,
        *,
        folder: Path | None = None,
        frozen: Path | None = None,
        allow_empty: bool = False,
    ) -> None:
        self._api, self._executor, self._allow_empty = api, executor, allow_empty
        self._protected = hashes()
        self._ran: dict[str, str] = {}
        self._said: set[str] = set()  # sentences of the training set
        self._held: set[str] = set()  # sentences and calls that are asked in tests
        self._shapes: set[str] = set()  # shapes that stand in the test of unseen shapes only
        self.sides: dict[str, int] = {}
        for side, path in _files(folder, frozen):
            self._know(side, (r for r in read_pairs(path) if r.get("api", api.name) == api.name))

    def _know(self, side: str, rows: Iterable[Row]) -> None:
        self.sides[side] = 0
        for r in rows:
            self.sides[side] += 1
            if side == SIDES[0]:
                self._said.add(plain(r))
                continue
            self._held |= {plain(r), key(r)}
            if side == UNSEEN and r.get("signature") and not r.get("refusal"):
                self._shapes.add(r["signature"])

    def reason(self, r: Row, *others: str) -> str:
        """Why a row may not be learnt (see `feedback.REASONS`); the empty string where it may.

        Args:
            others: what else a model would read: the answer that is not wanted.
        """
        turns = r.get("turns", ())
        said = [r["instruction"], *(t["content"] for t in turns)]
        texts = [*said, r["path"], *others]
        if fault(r) or not r["instruction"] or sum(map(len, texts)) > LONGEST or any(map(_damaged, texts)):
            return "damaged"
        if self._personal(texts):
            return "personal"
        if holds(r, self._protected):
            return "protected"
        try:
            calls = [parse(self._api, r["path"]), *self._earlier(turns)]
        except (CallError, RecursionError):
            return "damaged"
        asked = {plain(r), *(call.canonical for call in calls)}
        if asked & self._held or any(call.signature in self._shapes for call in calls):
            return "held_out"
        if plain(r) in self._said:
            return "known"
        if calls[0].canonical not in self._ran:
            self._ran[calls[0].canonical] = self._run(calls[0])
        return self._ran[calls[0].canonical]

    def _personal(self, texts: Iterable[str]) -> bool:
        from querywright.logs.personal import kinds, readings
        from querywright.logs.privacy import scrub

        params = frozenset(self._api.params)
        return any(kinds(readings(text)) or (text.startswith("/") and scrub(text, params).found) for text in texts)

    def _earlier(self, turns: Iterable[dict[str, str]]) -> Iterable[Call]:
        """The calls that were answered before; anything else but a refusal raises CallError."""
        for turn in turns:
            if turn["role"] == "assistant" and not refused(turn["content"]):
                yield parse(self._api, turn["content"])

    def _run(self, call: Call) -> str:
        if self._executor is None:
            return ""
        try:
            found = self._executor.run(call)
        except (QuerywrightError, RecursionError):
            return "failed"
        return "" if found.total or self._allow_empty else "no_hits"


def _damaged(text: str) -> bool:
    """Whether a text holds what nobody types: what can't be stored or seen, or a model's control tokens."""
    return "\ufffd" in text or bool(CONTROL.search(text)) or any(not (c.isprintable() or c.isspace()) for c in text)


def _files(folder: Path | None, frozen: Path | None) -> list[tuple[str, Path]]:
    """The sides of a split that are there, and the frozen test set."""
    found = [(side, folder / f"{side}.jsonl") for side in SIDES] if folder else []
    return [(side, path) for side, path in [*found, ("frozen", frozen)] if path is not None and path.is_file()]
