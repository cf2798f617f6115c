"""Asks an engine about many items: in batches, what is missing again in smaller ones, every answer kept on disk.

An answer is kept under a hash of the model and the prompt, as a line of `answers.jsonl`: a run that was killed goes on
where it was, and a new run asks only what has changed or has never been answered.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.artefacts import content_id
from querywright.engines.base import Engine, EngineError, MaskError
from querywright.errors import QuerywrightError
from querywright.progress import say, track
from querywright.schema import ask
from querywright.schema.evidence import Evidence
from querywright.schema.words import Item, Words

ANSWERS = "answers.jsonl"
BATCH = 8
_WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)  # seconds, when a server is busy
_HOPELESS = 3  # failures in a row, before anything has worked, that end the run


@dataclass
class Asker:
    """Asks one engine about one API's items.

    Attributes:
        folder: where the answers are kept.
        batch: items of a prompt in the first round.
        anchors: words of which each description has to hold one.
        wait: how to sleep; a test's own takes no time.
        asked: prompts that were sent, `kept` those that the folder had.
    """

    engine: Engine
    api: API
    evidence: Evidence
    folder: Path
    batch: int = BATCH
    anchors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    wait: Callable[[float], None] = time.sleep
    asked: int = 0
    kept: int = 0
    _known: dict[str, str] = field(default_factory=dict)
    _free: bool = False
    _worked: bool = False
    _failed: int = 0

    def __post_init__(self) -> None:
        self._about: dict[str, Any] = {k: v for k, v in self.engine.describe().items() if k != "threads"}
        self._local = self._about.get("engine") != "server"
        path = self.folder / ANSWERS
        if path.is_file():
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:  # the last line may be cut where the run was killed
                        row = json.loads(line)
                        self._known[str(row["key"])] = str(row["text"])
                    except (ValueError, KeyError, TypeError):
                        continue

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
        messages = ask.prompt(self.api, items, self.evidence, guesses)
        key = content_id(json.dumps([self._about, messages, again]), 24)
        words = ask.read(self._known.get(key, ""), items, self.anchors)
        if words:
            self.kept += 1
            return words
        text = self._generate(messages, items, again, f"{found} of {of} are answered and kept")
        self.asked += 1
        if text:
            self._known[key] = text
            self._keep(key, text)
        return ask.read(text, items, self.anchors)

    def _generate(self, messages: list[dict[str, str]], items: Sequence[Item], again: bool, state: str) -> str:
        grammar = None if self._free else ask.schema(items, local=self._local)
        tokens = ask.TOKENS_MORE + ask.TOKENS_EACH * len(items)
        for attempt in range(len(_WAITS) + 1):
            try:
                done = self.engine.generate(
                    messages, grammar=grammar, max_tokens=tokens, temperature=0.6 if again else 0.0, seed=int(again)
                )
            except MaskError as error:
                if self._local or grammar is None:
                    return self._failure(error, state)
                say("the server does not keep to a JSON schema: asking without, and checking what comes back")
                self._free, grammar = True, None
                continue
            except EngineError as error:
                if not error.retryable:
                    return self._failure(error, state)
                patient = self._worked or "HTTP " in str(error)  # somebody is there, and busy
                pause = _WAITS[attempt] if attempt < (len(_WAITS) if patient else 2) else None
                if pause is None:
                    raise QuerywrightError(f"{error}; {state}", hint="run the same command again to go on") from error
                say(f"{error}; trying again in {pause:.0f} s")
                self.wait(pause)
                continue
            self._worked, self._failed = True, 0
            return done[0].text
        return ""

    def _failure(self, error: EngineError, state: str) -> str:
        """One prompt that failed for good: its items are asked again in smaller batches, unless nothing ever worked."""
        self._failed += 1
        if self._failed >= _HOPELESS and not self._worked:
            raise QuerywrightError(f"{error}; {state}", hint=error.hint or "check --model and --url") from error
        return ""

    def _keep(self, key: str, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ANSWERS
        line = json.dumps({"key": key, "text": text}) + "\n"
        with open(path, "a+b") as out:
            if out.tell() and _last_byte(path) != b"\n":  # a line that was cut when a run was killed
                line = "\n" + line
            out.write(line.encode())
            out.flush()
            os.fsync(out.fileno())


def _last_byte(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


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
