"""Asks an engine about many items: in batches, what is missing again in smaller ones, every answer kept on disk.

Answers are kept in `answers.jsonl` (see `engines.ledger`): a run that was killed goes on where it was, and a new run
asks only what has changed or has never been answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from querywright.api.definition import API
from querywright.engines.base import Engine
from querywright.engines.ledger import Ledger
from querywright.engines.sender import Prompt, Sender
from querywright.progress import say, track
from querywright.schema import ask
from querywright.schema.evidence import Evidence
from querywright.schema.words import Item, Words

ANSWERS = "answers.jsonl"
BATCH = 8


@dataclass
class Asker:
    """Asks one engine about one API's items.

    Attributes:
        folder: where the answers are kept.
        batch: items of a prompt in the first round.
        anchors: words of which each description has to hold one.
        wait: how to sleep; a test's own takes no time.
    """

    engine: Engine
    api: API
    evidence: Evidence
    folder: Path
    batch: int = BATCH
    anchors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    wait: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._sender = Sender([self.engine], Ledger(self.folder / ANSWERS), wait=self.wait)

    @property
    def asked(self) -> int:
        """Prompts that were sent and answered."""
        return self._sender.asked

    @property
    def kept(self) -> int:
        """Prompts whose answers the folder had."""
        return self._sender.kept

    def ask(self, items: Sequence[Item], guesses: Mapping[str, str], wanted: set[str]) -> dict[str, Words]:
        """Words for the wanted items, by name; names that no answer was good for are left out.

        Batches are cut from all items, whoever wrote about them: an edit leaves the other prompts, and their answers,
        as they are.

        Raises:
            QuerywrightError: the engine is gone, or refuses; what it answered is kept.
        """
        found: dict[str, Words] = {}
        left = list(items)
        sizes = dict.fromkeys((self.batch, max(1, self.batch // 4), 1))
        for round_, size in enumerate([*sizes, 1]):
            if not left:
                break
            if round_:
                say(f"asking again about {len(left)} that an answer lacked, {size} at a time")
            batches = [b for b in _batches(left, size) if any(i.name in wanted for i in b)]
            for part in track(batches, "annotate", len(batches)):
                got = self._answer(part, guesses, again=round_ == len(sizes), found=len(found), of=len(wanted))
                found |= {name: words for name, words in got.items() if name in wanted}
            left = [i for i in items if i.name in wanted and i.name not in found]
        return found

    def _answer(
        self, items: Sequence[Item], guesses: Mapping[str, str], *, again: bool, found: int, of: int
    ) -> dict[str, Words]:
        """One prompt's words. `again`: the same prompt failed before, so the answer is drawn with some chance."""
        prompt = Prompt(
            ask.prompt(self.api, items, self.evidence, guesses),
            ask.schema(items, local=self._sender.local),
            ask.TOKENS_MORE + ask.TOKENS_EACH * len(items),
            temperature=0.6 if again else 0.0,
            seed=int(again),
        )
        text = self._sender.text(
            prompt,
            usable=lambda kept: ask.read(kept, items, self.anchors),
            state=f"{found} of {of} are answered and kept",
        )
        return ask.read(text, items, self.anchors)

    def close(self) -> None:
        """Give the file of answers back."""
        self._sender.ledger.close()


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """At most `size` items in their order; one that is half full ends where another top level begins."""
    part: list[Item] = []
    for item in items:
        other = bool(part) and part[-1].levels[0] != item.levels[0]
        if part and (len(part) >= size or (other and 2 * len(part) >= size)):
            yield part
            part = []
        part.append(item)
    if part:
        yield part
