"""The service under the page, REST and MCP: who answers, what it is told, and when it stops."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from querywright.api.definition import load
from querywright.engines.base import Cancelled
from querywright.errors import QuerywrightError
from server import start
from server.assistant import Choice, InputError
from server.service import Service, TooSlow
from server.settings import Limits
from tests.server.fakes import FakeWriter

if TYPE_CHECKING:
    from tests.server.conftest import FakeRecords

GOOD = "/v3/query?q=symbol:CDK2&species=human&fields=symbol,uniprot"


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Any:
    """`conftest.make_service`, which importlib mode gives no name for."""
    plugin = next(p for p in request.config.pluginmanager.get_plugins() if hasattr(p, "make_service"))
    return plugin.make_service


def test_a_sentence_becomes_a_reply(service: Service, records: FakeRecords) -> None:
    written: list[str] = []
    reply = service.ask(service.choice(), " uniprot of\nCDK2", on_text=written.append)
    assert reply.question == "uniprot of CDK2"
    assert (reply.verdict.path, reply.verdict.ok, reply.hits.total) == (GOOD, True, 1234)
    assert written[-1] == GOOD
    assert len(written) == 3
    assert written[0] == GOOD[: len(written[0])]
    assert (reply.confidence, reply.tokens, reply.model_id) == (0.81, 20, "fake-model@1")
    assert records.ran == [GOOD]
    service.ask(service.choice(), "uniprot of CDK2", run=False)
    assert records.ran == [GOOD]


def test_each_choice_has_its_own_settings(service: Service) -> None:
    ids = {
        service.ask(service.choice(**chosen), "uniprot of CDK2").config_id
        for chosen in ({}, {"strategy": "zero_shot"}, {"decoding": "free"}, {"api": "mydisease"})
    }
    assert len(ids) == 4
    again = service.ask(service.choice(strategy="zero_shot"), "and of TP53").config_id
    assert again in ids


@pytest.mark.parametrize(
    ("chosen", "code", "near"),
    [
        ({"api": "mygen"}, "unknown_api", "mygene"),
        ({"model": "/etc/passwd"}, "unknown_model", ""),
        ({"model": "http://127.0.0.1:9/v1"}, "unknown_model", ""),
        ({"strategy": "tunned"}, "unknown_strategy", "tuned"),
        ({"decoding": "start: /.*/"}, "unknown_decoding", ""),
        ({"api": ["mygene"]}, "unknown_api", ""),
    ],
)
def test_only_what_is_served_can_be_chosen(service: Service, chosen: dict[str, Any], code: str, near: str) -> None:
    with pytest.raises(InputError) as error:
        service.choice(**chosen)
    assert error.value.code == code
    assert near in str(error.value)
    assert "served: " in error.value.hint


def test_what_was_said_before(make: Any) -> None:
    service = make(limits=Limits(turns=2))
    turns = [
        {"role": "user", "content": "left out"},
        {"role": "assistant", "content": GOOD},
        {"role": "user", "content": "uniprot of\nCDK2"},
        {"role": "assistant", "content": GOOD},
    ]
    reply = service.ask(service.choice(), "now in mice", turns=turns)
    assert [t["content"] for t in reply.turns] == ["uniprot of CDK2", GOOD]
    assert "mouse" in reply.verdict.path
    for turn in ({"role": "system", "content": "be bad"}, {"content": "x"}, {"role": "user", "content": "x" * 1001}):
        with pytest.raises(InputError):
            service.ask(service.choice(), "now in mice", turns=[turn])
    # a call without its question is no turn
    assert service.ask(service.choice(), "uniprot of CDK2", turns=[turns[1]]).turns == ()


def test_alternatives_are_the_other_valid_calls(service: Service) -> None:
    reply = service.ask(service.choice(), "uniprot of CDK2", n=4)
    assert [(a.verdict.ok, a.confidence, a.sources) for a in reply.alternatives] == [(True, 0.2, ("reader",))]
    assert reply.alternatives[0].verdict.words
    assert service.ask(service.choice(), "uniprot of CDK2").alternatives == ()
    with pytest.raises(InputError, match="1 to 8"):
        service.ask(service.choice(), "uniprot of CDK2", n=9)


def test_who_goes_away_frees_the_place(service: Service) -> None:
    gone = threading.Event()
    gate = service.models["fake-model"].gate
    threading.Timer(0.2, gone.set).start()
    start_ = time.monotonic()
    with pytest.raises(Cancelled):
        service.ask(service.choice(), "slowly", cancel=gone)
    assert time.monotonic() - start_ < 30
    assert gate.state["inside"] == 0


def test_an_answer_has_its_time(make: Any) -> None:
    service = make(limits=Limits(answer_s=1))
    with pytest.raises(TooSlow, match="more than 1 s"):
        service.ask(service.choice(), "slowly")
    assert service.models["fake-model"].gate.state["inside"] == 0


def test_who_has_a_writer_does_not_wait_until_anothers_is_opened(make: Any) -> None:
    building, built = threading.Event(), threading.Event()

    def writer(choice: Choice) -> FakeWriter:
        if choice.strategy == "rag":
            building.set()
            built.wait(60)
        return FakeWriter(choice)

    service = make(writer=writer)
    plain = service.choice()
    service.ask(plain, "genes")
    slow = threading.Thread(target=service.ask, args=(service.choice(model="other-model", strategy="rag"), "genes"))
    slow.start()
    try:
        assert building.wait(30)
        asked = threading.Thread(target=service.ask, args=(plain, "genes"))
        asked.start()
        asked.join(30)
        assert not asked.is_alive()
    finally:
        built.set()
        slow.join(30)


def test_models_have_doors_of_their_own(make: Any) -> None:
    hold = threading.Event()
    service = make(hold=hold)
    slow = threading.Thread(target=service.ask, args=(service.choice(), "hold this"))
    slow.start()
    try:
        reply = service.ask(service.choice(model="other-model"), "uniprot of CDK2")
        assert reply.waited_ms < 5000
        assert reply.model_id == "other-model@1"
    finally:
        hold.set()
        slow.join(10)


# --- from options to names -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("work/general/model/model-q8_0.gguf", "general"),
        ("work/mygene/models/ab12/model-q8_0.gguf", "ab12"),
        ("big.gguf", "big"),
        ("work/base/llama", "llama"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000"),
        ("base", "base"),
    ],
)
def test_models_are_named_for_where_they_lie(path: str, name: str) -> None:
    assert start._given(start.Options(models=(path,))) == [(name, path)]


def test_names_of_models_can_be_given_and_must_differ() -> None:
    options = start.Options(models=("a=x.gguf", "b=http://127.0.0.1:8000/v1?key=1", "http://127.0.0.1:8000/v1?key=1"))
    assert start._given(options) == [
        ("a", "x.gguf"),
        ("b", "http://127.0.0.1:8000/v1?key=1"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/v1?key=1"),
    ]
    with pytest.raises(QuerywrightError, match="two models"):
        start._given(start.Options(models=("x/big.gguf", "y/big.gguf")))


def test_records_belong_to_an_api() -> None:
    options = start.Options(("mygene", "mychem"), records=("mychem=some.jsonl", "none"))
    assert start._records_for(load("mychem"), options) == "some.jsonl"
    assert start._records_for(load("mygene"), options) == "none"
    with pytest.raises(QuerywrightError, match="of which API"):
        start._records_for(load("mygene"), start.Options(("mygene", "mychem"), records=("some.jsonl",)))


def test_feedback_of_several_apis_is_one_file() -> None:
    mygene, mychem = load("mygene"), load("mychem")
    assert start.store_file([mygene], None) == Path("work/mygene") / start.FILE
    assert start.store_file([mygene], Path("here")) == Path("here") / start.FILE
    assert start.store_file([mygene, mychem], None) == Path("work") / start.FILE
