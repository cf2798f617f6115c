"""An assistant whose engine writes what a table says: everything but the model is real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("gradio", reason="needs the extra serve")

from querywright.api.definition import load
from server import app
from server.assistant import Assistant
from server.settings import Limits
from server.store import Store

GOOD = "/v3/query?q=symbol:CDK2&species=human&fields=symbol,uniprot"
ROWS = (
    {"_id": "1017", "_score": 9.1, "symbol": "CDK2", "uniprot": {"Swiss-Prot": "P24941", "TrEMBL": ["A0A024RB10"]}},
    {"_id": "12566", "symbol": "<b>Cdk2</b>", "go": {"BP": [{"id": "GO:1"}, {"id": "GO:2"}]}},
)


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


@dataclass
class FakeHits:
    total: int = 1234
    ids: tuple[str, ...] = ("1017", "12566")
    rows: tuple[dict[str, Any], ...] = ROWS


@dataclass
class FakeRecords:
    """An executor that remembers what it ran."""

    ran: list[str] = field(default_factory=list)

    def run(self, call: Any) -> FakeHits:
        self.ran.append(call.text)
        return FakeHits()


def write(sentence: str, /, *, n: int | None = None) -> FakeAnswer:
    """A table of sentences; everything else is answered with `GOOD`."""
    if "nonsense" in sentence:
        return FakeAnswer("/v3/query?q=symbool:<script>", False, "unknown field 'symbool'")
    if "forever" in sentence:  # looks whole, but the tokens ran out
        return FakeAnswer(GOOD, False, "the model ran out of tokens after 200")
    if "weather" in sentence:
        return FakeAnswer("nil topic", False, "the API knows nothing about this", refused="topic")
    if "guess" in sentence:
        return FakeAnswer(GOOD, confidence=0.2, abstained=True)
    if n is not None:
        return FakeAnswer(GOOD, confidence=n / 10)
    if "crash" in sentence:
        raise RuntimeError("secret detail")
    if "broken" in sentence:
        from querywright.engines.base import MaskError

        raise MaskError("the grammar could not be enforced")
    return FakeAnswer(GOOD)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "feedback.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def assistant() -> Assistant:
    return Assistant(load("mygene"), write, "fake-model", FakeRecords(), "two genes", Limits(waiting=2))


@pytest.fixture
def service(assistant: Assistant, store: Store) -> Any:
    return app.build({"mygene": assistant}, store)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("shared") / "feedback.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_service(shared_store: Store) -> Any:
    """For tests that leave nothing behind: a page takes a second to build."""
    return app.build({"mygene": Assistant(load("mygene"), write, "fake-model", FakeRecords())}, shared_store)
