"""How a question is put to a model: alone, with its window's passages, or with passages that were retrieved.

Passages are documents' text: they stand between marks that they can't contain, as material, never as instructions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from querywright.artefacts import content_id, data_dir
from querywright.engines.base import Completion, Engine, EngineError, Message
from querywright.engines.catalogue import Entry
from querywright.engines.fence import code_for, fence, inert_lines, rooms
from querywright.engines.keys import key_of
from querywright.engines.open import is_address, open_engine
from querywright.evaluate import kept
from querywright.evaluate.kept import Answer
from querywright.evaluate.models import Absent
from querywright.evaluate.questions_rows import Question
from querywright.squad import nearest_to_others

SERVER_AT_ONCE = 8  # requests that a server has at once, where its entry does not say
HANG_S = 600.0  # a local model on a busy machine may be silent for so long

Source = kept.Source[Engine]


class Passage(Protocol):
    """A numbered piece of the documents; numbers begin at 1."""

    @property
    def number(self) -> int: ...

    @property
    def text(self) -> str: ...


class Found(Protocol):
    """What retrieval found."""

    @property
    def item(self) -> Passage: ...


class Retriever(Protocol):
    """Finds passages by what a question means."""

    def nearest(self, text: str, k: int) -> Sequence[Found]:
        """At most `k` passages, the nearest first."""
        ...


@dataclass(frozen=True)
class Ask:
    """A question as it is put to a model.

    Attributes:
        shown: numbers of the passages, in their order; empty for none, and where evidence stands for a window.
        parts: what is shown of each.
        cut: whether that is not all of it.
        key: what an answer is kept under: all that the model reads.
    """

    question: Question
    messages: tuple[Message, ...]
    shown: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    cut: bool = False

    @property
    def key(self) -> str:
        return content_id(json.dumps(self.messages, ensure_ascii=False), 16)


def prepare(
    question: Question, strategy: str, passages: Mapping[int, Passage], *, system: str = "", most_chars: int = 12_000,
    k: int = 4, find: Callable[[str, int], Sequence[Found]] | None = None,
) -> Ask | None:  # fmt: skip
    """A question under a strategy; None where it can't be asked so: a window without passages. Where retrieval finds
    nothing the question is asked alone: that is what a user would get.

    Args:
        passages: the documents' chunks by number. A row without a window in them is shown its evidence instead.
        system: of the model's entry, before what every model is told.
        find: a retriever's `nearest`, for `rag`, of `k` passages.
        most_chars: of all passages together; long ones are cut, so that each has its share: at the end, in a window
            around the evidence.
    """
    numbers: list[int] = []
    if strategy == "rag" and find is not None:
        numbers = [hit.item.number for hit in find(question.question, k)]
    elif strategy == "window":
        numbers = _within(question.window, passages)
    texts = {number: text for number in numbers if (text := passages[number].text).strip()}
    if strategy == "window" and not texts and question.evidence.strip():
        texts = {0: question.evidence}  # chunks are numbered from 1
    room = rooms([*map(len, texts.values())], most_chars)
    around = question.evidence if strategy == "window" else ""
    cut = {n: _part(text, most, around) for (n, text), most in zip(texts.items(), room, strict=True)}
    safe = {number: text for number, part in cut.items() if (text := inert_lines(part)).strip()}
    if strategy == "window" and not safe:
        return None
    told = _template("answer_passages" if safe else "answer_closed")
    asked = f"Question: {inert_lines(question.question)}"
    code = code_for(question.question, safe.values())
    messages = (
        {"role": "system", "content": f"{system}\n\n{told}" if system else told},
        {"role": "user", "content": "\n\n".join([*(fence(part, "PASSAGE", code) for part in safe.values()), asked])},
    )
    shown, parts = tuple(number for number in safe if number), tuple(cut[number] for number in safe)
    return Ask(question, messages, shown, parts, sum(map(len, texts.values())) > most_chars)


def _part(text: str, most: int, around: str) -> str:
    """The beginning of a text, or, where that would not hold what is looked for, a part around it."""
    at = max(0, text.find(around))
    if at + len(around) <= most:
        return text[:most]
    begin = min(at, max(0, min(at - (most - len(around)) // 2, len(text) - most)))
    return text[begin : begin + most]


def _within(window: tuple[int, int] | None, passages: Mapping[int, Passage]) -> list[int]:
    """The numbers of a window's passages; the window may be as long as its row says."""
    first, last = window or (1, 0)
    if last - first < len(passages):
        return [number for number in range(first, last + 1) if number in passages]
    return sorted(number for number in passages if first <= number <= last)


@lru_cache(maxsize=4)
def _template(name: str) -> str:
    return (data_dir() / "evaluation" / f"{name}.txt").read_text(encoding="utf-8").strip()


def asking(
    engine: Engine, entry: Entry, *, n: int = 1, temperature: float = 0.7, max_tokens: int = 64, seed: int = 0
) -> Callable[[Ask], Answer]:
    """What asks an engine and returns what is kept of its answer; of several samples the one nearest to the others."""

    def one(ask: Ask) -> Answer:
        # the seed hangs on what is asked, not on its place: the order and a restart change nothing
        own = (seed + int(ask.key[:8], 16)) % 2**31
        done: list[Completion] = []
        tokens_in = 0
        try:
            while len(done) < n:  # not every server knows `n`
                got = engine.generate(
                    ask.messages, max_tokens=max_tokens, temperature=temperature if n > 1 else entry.temperature,
                    seed=own + len(done), n=n - len(done),
                )  # fmt: skip
                if not got:
                    raise EngineError("the server gave no answer", retryable=True)
                tokens_in += got[0].tokens_in  # each request reads the prompt
                done += got
        except EngineError as error:  # this question has no answer; the next may have one
            return {"response": "", "reason": str(error), "retryable": error.retryable, "finish": "error",
                    "tokens_in": tokens_in or None, "tokens_out": sum(one.tokens_out for one in done) or None,
                    "ms": None}  # fmt: skip
        texts = [said(one.text) for one in done]
        best = nearest_to_others(texts)
        return {
            "response": texts[best],
            **({"wrote": done[best].text} if done[best].text != texts[best] else {}),
            **({"drawn": texts} if n > 1 else {}),
            "tokens_in": tokens_in,
            "tokens_out": sum(one.tokens_out for one in done),
            "ms": round(sum(one.ms for one in done), 1),
            "finish": done[best].finish,
        }

    return one


def said(text: str) -> str:
    """The answer in what a model wrote: without its thoughts, without `Answer:` before it, without half characters."""
    text = text.encode("utf-8", "replace").decode()
    text = text.rpartition("</think>")[2].partition("<think>")[0].strip()
    return text[7:].strip() if text[:7].lower() == "answer:" else text


def sources_of(entries: Mapping[str, Entry], locate: Callable[[str], str] = str) -> dict[str, Source]:
    """What answers for each entry of a catalogue; nothing is loaded yet.

    Args:
        locate: `base` or a path to the path or address of a model, such as `finetune.shipped.located`.

    Raises:
        Absent: models that are not there; all of them are named.
    """
    from querywright.evaluate.sweep import fingerprint

    found: dict[str, Source] = {}
    missing: list[str] = []
    for name, entry in entries.items():
        path = locate(entry.model)
        identity: dict[str, Any] = {"weights": path}
        for what, place in (("weights", path), ("adapter", entry.adapter)):
            local = Path((place or "").removeprefix("outlines:"))
            if place and not is_address(place) and not local.exists():
                missing.append(f"{name} ({local})")
            elif place and not is_address(place):
                identity[what] = fingerprint(local)
        key = key_of(entry.api_key or "", name)
        found[name] = Source(_opener(path, entry, key), identity, path)
    if missing:
        raise Absent(f"no model at the path of {', '.join(missing)}", hint="correct the catalogue, or leave these out")
    return found


def _opener(path: str, entry: Entry, key: str | None) -> Any:
    @contextmanager
    def opened() -> Iterator[Engine]:
        slots = (entry.concurrency or SERVER_AT_ONCE) if is_address(path) else entry.slots
        engine = open_engine(
            path, adapter=entry.adapter, threads=entry.threads, slots=slots, isolated=True, hang_s=HANG_S, key=key
        )
        try:
            yield engine
        finally:
            engine.close()

    return opened
