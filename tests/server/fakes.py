"""A service whose models write what a table says: everything but the models is real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from querywright.api.definition import load
from querywright.engines.base import go_on
from server.assistant import Choice, Served
from server.gate import Gate
from server.service import Model, Service
from server.settings import Limits

GOOD = "/v3/query?q=symbol:CDK2&species=human&fields=symbol,uniprot"
MOUSE = "/v3/query?q=symbol:CDK2&species=mouse&fields=symbol,uniprot"
OTHER = "/v3/query?q=name:CDK2&species=human&size=5"
COUNTED = "/v3/query?q=symbol:CDK2&size=0&facets=type_of_gene"
DISEASES = "/v1/query?q=mondo.label:asthma"
ROWS = (
    {"_id": "1017", "_score": 9.1, "symbol": "CDK2", "uniprot": {"Swiss-Prot": "P24941", "TrEMBL": ["A0A024RB10"]}},
    {"_id": "12566", "symbol": "<b>Cdk2</b>", "go": {"BP": [{"id": "GO:1"}, {"id": "GO:2"}]}},
)
FACETS = {"type_of_gene": [("protein-coding", 1200), ("<i>pseudo</i>", 30), ("ncRNA", 4)]}
SLOW_S = 50.0  # what "slowly" takes unless it is given up


@dataclass
class FakeAnswer:
    path: str
    ok: bool = True
    reason: str | None = None
    ms: float = 12.5
    refused: str | None = None
    confidence: float | None = 0.81
    calibrated: bool = True
    abstained: bool = False
    tokens_in: int = 40
    tokens: int = 20
    finish: str = "stop"
    candidates: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class FakeHits:
    total: int = 1234
    ids: tuple[str, ...] = ("1017", "12566")
    rows: tuple[dict[str, Any], ...] = ROWS
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


@dataclass
class FakeRecords:
    """An executor that remembers what it ran."""

    ran: list[str] = field(default_factory=list)

    def run(self, call: Any) -> FakeHits:
        self.ran.append(call.text)
        return FakeHits(rows=(), facets=FACETS) if "facets=" in call.text else FakeHits()


def _table(sentence: str, turns: Sequence[Any], choice: Choice) -> FakeAnswer:
    """A table of sentences; everything else is answered with `GOOD`."""
    if "nonsense" in sentence:
        return FakeAnswer("/v3/query?q=symbool:<script>", False, "unknown field 'symbool'")
    if "forever" in sentence:  # looks whole, but the tokens ran out
        return FakeAnswer(GOOD, False, "the model ran out of tokens after 200")
    if "weather" in sentence:
        return FakeAnswer("nil topic", False, "the API knows nothing about this", refused="topic")
    if "guess" in sentence:
        return FakeAnswer(GOOD, confidence=0.2, abstained=True)
    if "crash" in sentence:
        raise RuntimeError("secret detail")
    if "broken" in sentence:
        from querywright.engines.base import MaskError

        raise MaskError("the grammar could not be enforced")
    if choice.api == "mydisease":
        return FakeAnswer(DISEASES)
    if "how many" in sentence:
        return FakeAnswer(COUNTED)
    return FakeAnswer(MOUSE if turns else OTHER if choice.model == "other-model" else GOOD)


@dataclass
class FakeWriter:
    """Writes a choice's answers from the table, in three pieces. `slowly` in a sentence takes `SLOW_S`; `hold` in one
    waits for `hold`, if there is one. `said` keeps (sentence, turns, n) of all that was asked."""

    choice: Choice
    hold: threading.Event | None = None
    said: list[tuple[str, tuple[Any, ...], int | None]] = field(default_factory=list)

    @property
    def about(self) -> dict[str, Any]:
        return {"api": self.choice.api, "strategy": self.choice.strategy, "decoding": self.choice.decoding}

    def answer(
        self, instruction: str, turns: Sequence[Any] = (), *, n: int | None = None, progress: Any = None,
        max_tokens: int | None = None,
    ) -> FakeAnswer:  # fmt: skip
        if max_tokens is not None and max_tokens < 20:
            return FakeAnswer(GOOD[:max_tokens], False, f"the model ran out of tokens after {max_tokens}",
                              tokens=max_tokens, finish="length")  # fmt: skip
        self.said.append((instruction, tuple(turns), n))
        answer = _table(instruction, turns, self.choice)
        for part in (1, 2, 3):
            go_on(progress, answer.path[: len(answer.path) * part // 3])
        if "slowly" in instruction or (self.hold is not None and "hold" in instruction):
            waits = self.hold if self.hold is not None and "hold" in instruction else threading.Event()
            for _ in range(int(SLOW_S / 0.05)):
                if waits.wait(0.05):
                    break
                go_on(progress, answer.path)
        if n is not None and n > 1 and answer.ok:
            answer.confidence = n / 10
            said = [(answer.path, n / 10, ["model", "sample"]), (OTHER, 0.2, ["reader"]), ("/v3/query?q=(", 0.1, [])]
            answer.candidates = [
                {"path": path, "ok": "(" not in path, "refused": None, "votes": 1, "sources": sources, "hits": None,
                 "confidence": sure, "signs": {}}
                for path, sure, sources in said
            ]  # fmt: skip
        return answer


def make_service(
    *, records: FakeRecords | None = None, limits: Limits | None = None, apis: Sequence[str] = ("mygene", "mydisease"),
    models: Sequence[str] = ("fake-model", "other-model"), hold: threading.Event | None = None,
    writer: Callable[[Choice], Any] | None = None,
) -> Service:  # fmt: skip
    """A service over shipped definitions; the first API and model answer where nothing is chosen."""
    limits = limits or Limits(waiting=2)
    served = {name: Served(load(name), models[0], records or FakeRecords(), f"two {name} records") for name in apis}
    doors = {name: Model(name, f"{name}@1", Gate(limits.waiting, per_client=limits.per_client)) for name in models}
    default = Choice(apis[0], models[0])
    return Service(served, doors, writer or (lambda choice: FakeWriter(choice, hold)), default=default, limits=limits)
