"""What happens at a click, and that what models, people and records wrote is shown as text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import load, shipped
from querywright.errors import QuerywrightError
from server import handlers, show
from server.assistant import Assistant, Hits
from server.page import examples
from server.settings import Limits
from server.store import Store


def test_a_question_shows_call_meaning_hits_and_rows(assistant: Assistant, store: Store) -> None:
    shown = handlers.on_ask(assistant, store, "uniprot of CDK2")
    assert shown.ok
    assert shown.call.startswith("/v3/query?q=symbol:CDK2")
    for text in ("valid call", "1,234 genes", "12 ms to write", "uniprot.Swiss-Prot", "P24941", "GO:1, GO:2"):
        assert text in shown.facts
    assert f'href="https://mygene.info{parse(assistant.api, shown.call).path}"'.replace("&", "&amp;") in shown.facts
    assert "_score" not in shown.facts


def test_what_others_wrote_is_escaped(assistant: Assistant, store: Store) -> None:
    assert "&lt;b&gt;Cdk2&lt;/b&gt;" in handlers.on_ask(assistant, store, "x").facts
    shown = handlers.on_ask(assistant, store, "nonsense")
    pages = [
        shown.facts,
        handlers.on_edit(assistant, "/v3/query?q=<img src=x>:y"),
        handlers.on_edit(assistant, "<script>"),
    ]
    for page in pages:
        assert not re.search(r"<(script|img|b)\b", page)


def test_an_answer_that_is_no_call_says_why(assistant: Assistant, store: Store) -> None:
    for sentence in ("nonsense", "forever"):
        shown = handlers.on_ask(assistant, store, sentence)
        assert not shown.ok
        assert shown.answer is not None  # it can be rated and corrected
        assert "not a valid call" in shown.facts
        assert "mygene.info" not in shown.facts


@pytest.mark.parametrize("sentence", ["", "   ", "x" * 1001, None, "broken"])
def test_failures_are_sentences_on_the_page(assistant: Assistant, store: Store, sentence: Any) -> None:
    shown = handlers.on_ask(assistant, store, sentence)
    assert shown.answer is None
    assert re.search(r"qw-bad\b", shown.facts)
    assert store.counts("mygene")["answers"] == 0


def test_a_correction_is_checked_while_it_is_typed(assistant: Assistant) -> None:
    assert "not valid" in handlers.on_edit(assistant, "/v3/query?q=symbool:CDK2")
    assert "did you mean &#x27;symbol&#x27;" in handlers.on_edit(assistant, "/v3/query?q=symbool:CDK2")
    assert "qw-good" in handlers.on_edit(assistant, "/v3/query?q=symbol:CDK2")
    for odd in ("", None, 7, "\ud800", "x" * 5000, "/v3/query?q=" + "(" * 3000):
        assert "not valid" in handlers.on_edit(assistant, odd)


def test_corrections_are_stored_valid_or_marked(assistant: Assistant, store: Store) -> None:
    answer = handlers.on_ask(assistant, store, "uniprot of CDK2").answer
    assert "Thank you" in handlers.on_correct(assistant, store, answer, " /v3/query?q=symbol:CDK2 ")
    assert "marked as not valid" in handlers.on_correct(assistant, store, answer, "/v3/query?q=symbool:CDK2")
    for nothing in ("", "  ", None, "x" * 5000):
        assert "Not stored" in handlers.on_correct(assistant, store, answer, nothing)
    assert "Ask something first" in handlers.on_correct(assistant, store, None, "/v3/query?q=symbol:CDK2")
    assert [(c.path, c.ok, bool(c.reason)) for c in store.corrections("mygene")] == [
        ("/v3/query?q=symbol:CDK2", True, False),
        ("/v3/query?q=symbool:CDK2", False, True),
    ]


def test_ratings_are_stored(assistant: Assistant, store: Store) -> None:
    answer = handlers.on_ask(assistant, store, "x").answer
    handlers.on_rate(store, answer, -1)
    assert store.counts("mygene")["down"] == 1
    assert "Ask something first" in handlers.on_rate(store, None, 1)


def test_a_corrected_call_is_run_and_not_kept(assistant: Assistant, store: Store) -> None:
    assert "1,234 genes" in handlers.on_run(assistant, "/v3/query?q=symbol:CDK2&size=3")
    assert assistant.executor.ran == ["/v3/query?q=symbol:CDK2&size=3"]  # type: ignore[union-attr]
    assert "not valid" in handlers.on_run(assistant, "/v3/query?q=")
    assert store.counts("mygene")["corrections"] == 0


def test_records_that_fail_leave_the_call(assistant: Assistant, store: Store) -> None:
    class Down:
        def run(self, call: Any) -> Any:
            raise QuerywrightError("the service does not answer")

    assistant.executor = Down()
    shown = handlers.on_ask(assistant, store, "x")
    assert shown.ok
    assert "does not answer" in shown.facts
    assistant.executor = None
    assert "no records to search" in handlers.on_ask(assistant, store, "x").facts


def test_long_and_nested_cells_are_cut() -> None:
    rows = ({"_id": "1", "a": {"b": [{"c": "x" * 500}, {"c": None}]}, "many": {str(n): n for n in range(30)}},)
    names, cells = show.table(Hits(1, ("1",), rows), Limits())
    assert names[:2] == ["_id", "a.b.c"]
    assert len(names) == Limits().columns
    assert max(len(cell) for cell in cells[0]) == Limits().cell_chars
    assert show.rows(Hits(0), Limits()) == ""


def test_a_refusal_says_what_to_ask_instead(assistant: Assistant, store: Store) -> None:
    shown = handlers.on_ask(assistant, store, "how is the weather?")
    assert shown.call == ""
    assert not shown.ok
    assert shown.answer is not None  # it can be rated and corrected like any answer
    assert "no call for this" in shown.facts
    assert "MyGene.info holds annotation of genes of all species" in shown.facts
    assert "uniprot id of the gene" in shown.facts  # an example
    assert not re.search(r"qw-bad\b", shown.facts)


def test_shipped_examples_are_sentences() -> None:
    assert all(len(examples(load(name))) >= 4 for name in shipped())
    assert examples(load("mygene").model_copy(update={"folder": "nowhere"})) == []
