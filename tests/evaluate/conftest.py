"""Fixtures: an engine that answers from a list of recorded strings, and an executor over three invented records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from querywright.api.call import Call
from querywright.api.definition import API, load
from querywright.errors import QuerywrightError
from querywright.evaluate.config import Config, check
from querywright.evaluate.sweep import Answer, Asker, Cell, Source
from querywright.rows import Message

PAIRS = [
    ("Find the gene CDK2 in humans", "/v3/query?q=symbol:CDK2&species=human"),
    ("UniProt id of entrez gene 1017", "/v3/query?q=entrezgene:1017&fields=uniprot"),
    ("Genes with insulin in their summary", "/v3/query?q=summary:insulin"),
    ("Show gene 1017 with symbol and name", "/v3/gene/1017?fields=symbol,name"),
    ("Three mouse genes whose name has kinase", "/v3/query?q=name:kinase&species=mouse&size=3"),
]
RECORDED = {
    PAIRS[0][0]: "/v3/query?species=human&q=symbol:cdk2",  # the same call, said differently
    PAIRS[1][0]: "/v3/query?q=entrezgene:1017&fields=uniprot",
    PAIRS[2][0]: "/v3/query?q=name:insulin",
    PAIRS[3][0]: "I am sorry, I cannot do that.",
    PAIRS[4][0]: "/v3/query?q=name:kinase&species=mouse",
}


@dataclass
class Recorded:
    """Answers recorded strings; `stop_after` interrupts like Ctrl-C after so many answers."""

    stop_after: int | None = None
    answers: dict[str, str] = field(default_factory=lambda: dict(RECORDED))
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    opened: int = 0

    def source(self, **identity: Any) -> Source:
        return Source(open=self._open, identity={"weights": "fake", **identity})

    @contextmanager
    def _open(self) -> Iterator[Asker]:
        self.opened += 1
        yield self.ask

    def ask(self, cell: Cell, instruction: str, seed: int, turns: Sequence[Message] = ()) -> Answer:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((cell.name, instruction, seed))
        text = self.answers[instruction]
        return {
            "prompt": f"{cell.strategy}: {instruction}", "response": text, "path": text, "ok": True, "reason": "",
            "tokens_in": 30, "tokens_out": len(text) // 3, "ms": 10.0 + len(text), "finish": "stop", "logprob": -1.5,
        }  # fmt: skip


@dataclass
class Hits:
    total: int
    ids: list[str]


class Executor:
    """Finds by the printed canonical form; refuses what it does not know."""

    FOUND: ClassVar = {
        "/v3/query?q=symbol:cdk2&species=human": Hits(1, ["1017"]),
        "/v3/query?q=entrezgene:1017&fields=uniprot": Hits(1, ["1017"]),
        "/v3/query?q=summary:insulin": Hits(2, ["3630", "16333"]),
        "/v3/query?q=name:insulin": Hits(1, ["3630"]),
        "/v3/gene/1017?fields=name,symbol": Hits(1, ["1017"]),
        "/v3/query?q=name:kinase&species=mouse&size=3": Hits(0, []),
        "/v3/query?q=name:kinase&species=mouse": Hits(0, []),
    }

    def __init__(self) -> None:
        self.runs = 0

    def run(self, call: Call) -> Hits:
        self.runs += 1
        if call.canonical not in self.FOUND:
            raise QuerywrightError(f"unexpected {call.canonical}")
        return self.FOUND[call.canonical]


@pytest.fixture(scope="session")
def api() -> API:
    return load("mygene")


@pytest.fixture
def recorded() -> type[Recorded]:
    """The engine's class: tests decide when it is interrupted and what it answers."""
    return Recorded


@pytest.fixture
def executor() -> Executor:
    return Executor()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two cells of one model over the five PAIRS."""
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"api": "mygene", "instruction": i, "path": p}) + "\n" for i, p in PAIRS))
    return check(
        {"api": "mygene", "name": "t", "models": {"fake": "fake.gguf"}, "strategies": ["tuned", "zero_shot"],
         "decodings": ["free"], "pairs": str(pairs), "out": str(tmp_path / "out")}, "test",
    )  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports on question rows without pictures, and intervals of few draws."""
    monkeypatch.setattr("querywright.statistics.RESAMPLES", 99)
    monkeypatch.setattr("querywright.evaluate.questions_report.draw", lambda found, out: [])
