"""A house of coloured doors: chunks, questions about them, and an engine that reads the colour where it is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.engines.base import Completion, EngineError, Grammar, Message
from querywright.evaluate import kept
from querywright.evaluate.questions import evaluate_questions
from querywright.evaluate.questions_config import Config, check

COLOURS = ("red", "green", "blue", "white", "black", "grey", "pink", "brown", "violet")


@dataclass(frozen=True)
class Chunk:
    number: int
    text: str


CHUNKS = [Chunk(i + 1, f"Door {i + 1} of the house is {colour} and leads nowhere.") for i, colour in enumerate(COLOURS)]
ROWS = [
    {"id": f"q{i}", "question": f"What colour is door {i}?", "answer": COLOURS[i - 1], "evidence": CHUNKS[i - 1].text,
     "evidence_chunk": i, "window": [1 + 2 * ((i - 1) // 2), min(9, 4 + 2 * ((i - 1) // 2))]}
    for i in range(1, 10)
]  # fmt: skip


@dataclass
class Engine:
    """Reads the colour out of the passages that it is shown, says nothing without; as a judge it compares texts."""

    stop_after: int | None = None
    fail: str = ""
    capacity: int = 1
    asked: list[str] = field(default_factory=list)
    opened: int = 0
    liked: int = 0  # how much more it gives to what stands first
    grammars: list[Grammar | None] = field(default_factory=list)

    def source(self, path: str = "fake.gguf", **identity: Any) -> kept.Source[Any]:
        @contextmanager
        def opened() -> Iterator[Engine]:
            self.opened += 1
            yield self

        return kept.Source(opened, {"weights": "fake", **identity}, path)

    def generate(
        self, messages: Sequence[Message], *, grammar: Grammar | None = None, max_tokens: int = 64,
        temperature: float = 0.0, seed: int = 0, n: int = 1, progress: Any = None,
    ) -> list[Completion]:  # fmt: skip
        text = messages[-1]["content"]
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(text)
        self.grammars.append(grammar)
        if self.fail and self.fail in text and not grammar:
            raise EngineError("the server is gone", retryable=True)
        said = self.grade(text) if grammar else self.answer(text)
        return [Completion(said, 20, 3, 10.0 + len(text) % 7, "stop")] * n

    def answer(self, text: str) -> str:
        (number,) = re.findall(r"Question: .*door (\d+)", text)
        found = re.search(rf"Door {number} of the house is (\w+)", text)
        return f"Answer: {found[1]}" if found else "I do not know"

    def grade(self, text: str) -> str:
        parts = dict(re.findall(r"=== (\w+) \w+ begins\n(.*)\n", text))
        grade = 5 - self.liked if parts["ANSWER"] == parts["REFERENCE"] else 1
        return json.dumps({"grade": max(1, grade + self.liked * (text.index("ANSWER") < text.index("REFERENCE")))})

    def describe(self) -> dict[str, Any]:
        return {"engine": "fake", "model": "fake", "liked": self.liked}

    def close(self) -> None: ...


@dataclass(frozen=True)
class Hit:
    item: Chunk


class Words:
    """Finds the chunk with the number in the question; of even doors the one behind it."""

    def nearest(self, text: str, k: int) -> list[Hit]:
        number = int(re.findall(r"\d+", text)[0])
        return [Hit(CHUNKS[number % 9 if number % 2 == 0 else number - 1])]


def config(**changes: Any) -> Config:
    raw = {"models": {"fake": {"model": "fake.gguf"}}, "name": "t", "text_scores": {}}
    return check(raw | changes, "test")


def run(out: Path, engine: Engine, rows: Any = ROWS, chunks: Any = CHUNKS, **changes: Any) -> dict[str, Any]:
    made = config(**changes)
    return evaluate_questions(rows, chunks, made, {name: engine.source() for name in made.entries}, out,
                              retriever=Words())  # fmt: skip


def cells(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cell["name"]: cell for cell in found["cells"]}
