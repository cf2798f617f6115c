"""What happens at a click, and that what models, people and records wrote is shown as text."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import fields, replace
from html import unescape
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest

from querywright.api.call import parse
from querywright.api.definition import load, shipped
from querywright.errors import QuerywrightError
from server.assistant import Hits, examples
from server.gate import Busy
from server.keep.store import Store
from server.metrics import Metrics
from server.page import handlers_fix, handlers_readings, handlers_sides, handlers_talk, show_hits
from server.page.handlers import Asker, Talk, View, asker_of
from server.page.handlers_ask import on_ask
from server.page.streaming import Asking, Countdown, Running
from server.service import Service
from server.settings import Limits
from tests.server.fakes import COUNTED, GOOD, MOUSE, OTHER, FakeRecords, make_service

ME = Asker("me", "tab1", personal=True)


@pytest.fixture
def asking(service: Service, store: Store) -> Asking:
    return Asking(service, store)


def seen(views: Iterable[View]) -> View:
    """All views of an event, one over the other, as a page shows them."""
    page = View()
    for view in views:
        page = replace(page, **{f.name: v for f in fields(View) if (v := getattr(view, f.name)) is not None})
    return page


def ask(asking: Asking, sentence: Any, talk: Talk | None = None, asker: Asker = ME, **more: Any) -> View:
    answer = handlers_sides.on_compare if more else on_ask
    return seen(answer(asking, asker, talk or Talk(asking.service.default), sentence, **more))


def plain(html: str | None) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html or ""))


# --- asking ----------------------------------------------------------------------------------------------------------
def test_a_question_shows_call_meaning_hits_and_rows(asking: Asking) -> None:
    shown = ask(asking, "uniprot of CDK2")
    assert shown.talk is not None
    assert shown.talk.ok
    assert plain(shown.call).startswith("/v3/query?q=symbol:CDK2")
    assert shown.facts is not None
    for text in ("valid call", "1,234 genes", "fairly sure, 81%", "12 ms to write", "uniprot.Swiss-Prot", "GO:1, GO:2"):
        assert text in shown.facts
    link = f'href="https://mygene.info{parse(load("mygene"), GOOD).path}"'
    assert link.replace("&", "&amp;") in shown.facts
    assert "curl &#x27;https://mygene.info" in shown.facts
    assert "_score" not in plain(shown.facts)
    assert (shown.running, shown.acting, shown.fixing) == (False, True, False)
    assert "uniprot of CDK2" in (shown.history or "")


def test_the_call_is_told_as_it_is_written(asking: Asking) -> None:
    views = [*on_ask(asking, ME, Talk(asking.service.default), "x")]
    written = [plain(view.call) for view in views if view.call and "qw-writing" in view.call]
    assert len(written) > 1
    assert all(plain(views[-1].call).startswith(text) for text in written)
    assert views[0].running
    assert views[-1].running is False


def test_what_others_wrote_is_escaped(asking: Asking) -> None:
    assert "&lt;b&gt;Cdk2&lt;/b&gt;" in (ask(asking, "x").facts or "")
    shown = ask(asking, "nonsense <img src=x onerror=alert(1)>")
    path = "/v3/query?q=<img src=x>:y"
    pages = [
        *(value for f in fields(View) if isinstance(value := getattr(shown, f.name), str) and f.name != "fix"),
        *handlers_fix.on_edit(asking.service, "mygene", path, len(path)),
        *handlers_fix.on_edit(asking.service, "mygene", "<script>", 8),
        ask(asking, "how many").facts or "",
    ]
    for page in pages:
        assert not re.search(r"<(script|img|b>Cdk|i>)", page)


def test_an_answer_that_is_no_call_says_why(asking: Asking) -> None:
    for sentence in ("nonsense", "forever"):
        shown = ask(asking, sentence)
        assert shown.talk is not None
        assert not shown.talk.ok
        assert shown.talk.answer is not None  # it can be rated and corrected
        assert shown.fixing
        assert "not a valid call" in (shown.facts or "")
        assert "mygene.info" not in (shown.facts or "")


@pytest.mark.parametrize("sentence", ["", "   ", "x" * 1001, None, "broken", "crash"])
def test_failures_are_sentences_on_the_page(asking: Asking, store: Store, sentence: Any) -> None:
    shown = ask(asking, sentence)
    assert shown.talk is not None
    assert shown.talk.answer is None
    assert (shown.running, shown.acting) == (False, False)
    assert re.search(r"qw-bad\b", shown.facts or "")
    assert "secret detail" not in (shown.facts or "")
    assert store.counts("mygene")["answers"] == 0
    assert ask(asking, "x", shown.talk).acting  # and the page goes on


def test_a_refusal_says_what_to_ask_instead(asking: Asking) -> None:
    shown = ask(asking, "how is the weather?")
    assert shown.call == ""
    assert shown.talk is not None
    assert shown.talk.answer is not None
    assert "no call for this" in (shown.facts or "")
    assert "MyGene.info holds annotation of genes of all species" in (shown.facts or "")
    assert "uniprot id of the gene" in (shown.facts or "")  # an example
    assert not re.search(r"qw-bad\b", shown.facts or "")


def test_counted_terms_are_bars_with_names_and_numbers(asking: Asking) -> None:
    facts = ask(asking, "how many by type").facts or ""
    assert plain(facts).count("protein-coding") == 1
    assert re.search(r'<th scope="row">protein-coding</th>.*?width="100.00".*?1,200', facts)
    assert "&lt;i&gt;pseudo&lt;/i&gt;" in facts


def test_records_that_fail_leave_the_call(store: Store) -> None:
    class Down(FakeRecords):
        def run(self, call: Any) -> Any:
            raise QuerywrightError("the service does not answer")

    shown = ask(Asking(make_service(records=Down()), store), "x")
    assert shown.talk is not None
    assert shown.talk.ok
    assert "does not answer" in (shown.facts or "")


def test_an_answer_is_worth_more_than_its_record(asking: Asking, store: Store) -> None:
    store.add_answer = _full  # type: ignore[method-assign]
    shown = ask(asking, "x")
    assert "1,234 genes" in (shown.facts or "")
    assert "is not kept" in (shown.note or "")
    assert "disk" not in (shown.note or "")
    assert shown.talk is not None
    assert "Ask something first" in (handlers_talk.on_rate(store, ME, shown.talk, 1).note or "")


def test_a_choice_that_can_not_be_kept_is_not_thanked_for(asking: Asking, store: Store) -> None:
    store.per_hour = 1
    shown = ask(asking, "x", second=asking.service.choice(model="other-model"))
    assert shown.talk is not None
    for vote in handlers_sides.VOTES:
        note = handlers_sides.on_vote(asking, ME, shown.talk, vote).note or ""
        assert "Not stored" in note
        assert "kept_per_hour" in note
    assert store.counts("mygene")["preferences"] == store.counts("mygene")["up"] == 0


def test_one_client_does_not_hold_all_places_of_the_page_by_waiting(store: Store) -> None:
    hold = threading.Event()
    asking = Asking(make_service(limits=Limits(waiting=0, per_client=2), hold=hold), store)
    choice, stop = asking.service.default, threading.Event()
    inside = asking.stream("c", choice, "hold", stop)
    next(inside)
    counting = asking.stream("c", choice, "x", stop)  # refused by the model, it is tried again in some seconds
    assert isinstance(next(counting), Countdown)
    with pytest.raises(Busy, match="2 questions of yours"):
        next(asking.stream("c", choice, "x", stop))
    other = asking.stream("d", choice, "x", stop)
    assert isinstance(next(other), Countdown)
    for one in (counting, other, inside):
        one.close()
    hold.set()
    assert not asking._clients


def _full(**_: Any) -> int:
    raise QuerywrightError("the disk is full")


def test_questions_of_the_page_are_counted(service: Service, store: Store) -> None:
    metrics = Metrics(service)
    asking = Asking(service, store, metrics)
    for sentence in ("x", "broken", "how is the weather?"):
        ask(asking, sentence)
    said = metrics.text().decode()
    for outcome in ("call", "engine_failed", "refused"):
        assert re.search(rf'querywright_answers_total{{[^}}]*outcome="{outcome}",source="page"}} 1.0', said)


@pytest.mark.parametrize(
    ("state", "personal"),
    [
        ({"address": "127.0.0.1", "user": ""}, True),
        ({"address": "203.0.113.7", "user": ""}, False),
        ({"address": "203.0.113.7", "user": "ann", "client": "ann"}, True),
    ],
)
def test_an_address_of_many_is_no_person(store: Store, state: dict[str, str], personal: bool) -> None:
    class Inner:
        scope: ClassVar[dict[str, Any]] = {"state": {"client": state["address"], **state}}
        client = None

    class Sent:
        request = Inner()
        session_hash = "abc<script>"

    asker = asker_of(store, Sent())
    assert (asker.personal, asker.tab) == (personal, "")
    assert re.fullmatch("[0-9a-f]{32}", asker.client)


def test_stopping_says_so_and_frees_the_place(asking: Asking) -> None:
    views = on_ask(asking, ME, Talk(asking.service.default), "slowly")
    first = next(views)
    assert first.running
    while "symbol" not in (next(views).call or ""):
        pass
    asking.running.stop(ME.tab)
    last = seen(views)
    assert "Stopped" in (last.facts or "")
    assert last.running is False
    _freed(asking.service)


def test_a_closed_tab_frees_the_place(asking: Asking) -> None:
    views = on_ask(asking, ME, Talk(asking.service.default), "slowly")
    while "symbol" not in (next(views).call or ""):
        pass
    views.close()  # type: ignore[attr-defined]  # what Gradio does when the browser has gone
    _freed(asking.service)


def _freed(service: Service) -> None:
    until = time.monotonic() + 30  # an answer that nobody stops takes longer
    while service.models["fake-model"].gate.state["inside"]:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_who_has_to_wait_is_told_how_long_and_asked_for_again(store: Store) -> None:
    hold = threading.Event()
    service = make_service(hold=hold, limits=Limits(waiting=0))
    asking = Asking(service, store)
    other = threading.Thread(target=lambda: ask(asking, "hold", asker=Asker("other", "tab2")))
    other.start()
    while not service.models["fake-model"].gate.state["inside"]:
        time.sleep(0.01)
    said = []
    for view in on_ask(asking, ME, Talk(service.default), "x"):
        said.append(view.say or "")
        if "Trying again in" in said[-1]:
            hold.set()
    other.join(10)
    assert any("Trying again in" in text for text in said)
    assert "1,234 genes" in said[-1]


def test_a_place_in_the_queue_is_waited_for_aloud(store: Store) -> None:
    hold = threading.Event()
    service = make_service(hold=hold)
    asking = Asking(service, store)
    other = threading.Thread(target=lambda: service.ask(service.choice(), "hold"))
    other.start()
    while not service.models["fake-model"].gate.state["inside"]:
        time.sleep(0.01)
    said = []
    for view in on_ask(asking, ME, Talk(service.default), "x"):
        said.append(view.say or "")
        if "Waiting" in said[-1]:
            hold.set()
    other.join(10)
    assert "Waiting for the model …" in said
    assert "1,234 genes" in said[-1]


def test_a_tab_that_asks_again_gives_up_its_first_question() -> None:
    running = Running()
    first = running.start("a")
    other = running.start("b")
    second = running.start("a")
    assert (first.is_set(), second.is_set(), other.is_set()) == (True, False, False)
    assert running.replaced("a", first)
    running.end("a", first)
    assert not running.replaced("a", second)
    assert running.stop("a")
    assert second.is_set()
    assert not running.stop("a")


# --- what may be done with an answer ---------------------------------------------------------------------------------
def test_other_readings_are_listed_and_one_is_taken(asking: Asking, store: Store) -> None:
    first = ask(asking, "uniprot of CDK2").talk
    assert first is not None
    listed = seen(handlers_readings.on_readings(asking, ME, first))
    assert "read without a model" in (listed.readings or "")
    assert listed.talk is not None
    assert [one.verdict.path for one in listed.talk.readings] == [GOOD, OTHER]
    taken = handlers_readings.on_reading(asking, ME, listed.talk, 1)
    assert taken.talk is not None
    assert taken.talk.path == OTHER
    assert "unsure, 20%" in (taken.facts or "")
    (kept,) = store.preferences("mygene")
    assert (kept.chosen.path, kept.rejected.path) == (OTHER, GOOD)
    for odd in (7, -1, None, "0", True):
        assert handlers_readings.on_reading(asking, ME, replace(listed.talk, readings=()), odd).facts is None
    assert len(store.preferences("mygene")) == 1


@pytest.mark.parametrize("vote", ["left", "right", "both", "neither"])
def test_two_answers_are_judged(asking: Asking, store: Store, vote: str) -> None:
    second = asking.service.choice(model="other-model")
    shown = ask(asking, "uniprot of CDK2", second=second, blind=True)
    assert shown.voting
    assert shown.talk is not None
    assert shown.talk.sides is not None
    assert "model" not in plain(shown.sides)  # names are told afterwards
    assert "ms to" not in plain(shown.sides)
    judged = handlers_sides.on_vote(asking, ME, shown.talk, vote)
    assert "fake-model" in plain(judged.sides)
    assert judged.talk is not None
    if vote in ("left", "right"):
        (kept,) = store.preferences("mygene")
        assert kept.chosen.path == judged.talk.path
        assert {kept.chosen.path, kept.rejected.path} == {GOOD, OTHER}
    else:
        counts = store.counts("mygene")
        assert (counts["preferences"], counts["up"], counts["down"]) == (0, *((2, 0) if vote == "both" else (0, 2)))
    assert handlers_sides.on_vote(asking, ME, judged.talk, vote).facts is None  # once


def test_sides_are_shuffled_only_where_that_is_asked_for(asking: Asking) -> None:
    second = asking.service.choice(model="other-model")
    orders = set()
    for _ in range(12):
        talk = ask(asking, "x", second=second, blind=True).talk
        assert talk is not None
        assert talk.sides is not None
        orders.add(talk.sides[0].path)
    assert orders == {GOOD, OTHER}  # by chance alone, one in 2,048
    shown = ask(asking, "x", second=second, blind=False)
    assert re.search(r"Left fake-model.*Right other-model", plain(shown.sides))


def test_two_that_agree_are_not_judged(asking: Asking) -> None:
    shown = ask(asking, "x", second=asking.service.choice(decoding="free"))
    assert "Both wrote the same call" in (shown.say or "")
    assert not shown.voting
    assert shown.acting


def test_a_refinement_goes_on_from_the_call(asking: Asking, store: Store) -> None:
    first = ask(asking, "uniprot of CDK2").talk
    assert first is not None
    refining = handlers_talk.on_refine(first)
    assert "uniprot of CDK2" in (refining.thread or "")
    assert refining.talk is not None
    shown = ask(asking, "only mice", refining.talk)
    assert shown.talk is not None
    assert shown.talk.path == MOUSE
    kept = store.answer(shown.talk.answer or 0)
    assert kept is not None
    assert [turn["content"] for turn in kept.turns] == ["uniprot of CDK2", GOOD]
    failed = ask(asking, "broken", shown.talk)
    assert failed.talk is not None
    assert failed.talk.refining  # a failure loses nothing
    assert failed.talk.path == MOUSE
    new = handlers_talk.on_new(shown.talk)
    assert (new.thread, new.result) == ("", False)
    assert handlers_talk.on_refine(Talk(asking.service.default)).thread is None


def test_earlier_questions_come_back_with_their_calls(asking: Asking, store: Store) -> None:
    talk = ask(asking, "uniprot of CDK2").talk
    talk = ask(asking, "how many by type", talk).talk
    assert talk is not None
    assert talk.answer is not None
    opened = handlers_talk.on_open(asking.service, store, ME, Talk(asking.service.default))
    assert (opened.history or "").index("how many") < (opened.history or "").index("uniprot of")
    back = handlers_talk.on_history(asking.service, store, ME, Talk(asking.service.default), talk.answer)
    assert (back.box, plain(back.call).removesuffix("Copy")) == ("how many by type", COUNTED)
    stranger = Asker("you", "tab2", personal=True)
    nothing = Talk(asking.service.default)
    assert handlers_talk.on_history(asking.service, store, stranger, nothing, talk.answer).facts is None
    assert "Nothing was asked" in (handlers_talk.on_open(asking.service, store, stranger, talk).history or "")
    shared = Asker("me", "tab3", personal=False)  # an address that several people may have: this tab's own only
    assert "Nothing was asked" in (
        handlers_talk.on_open(asking.service, store, shared, Talk(asking.service.default)).history or ""
    )
    assert "how many" in (handlers_talk.on_open(asking.service, store, shared, talk).history or "")
    assert handlers_talk.on_history(asking.service, store, shared, nothing, talk.answer).facts is None


def test_ratings_are_stored_for_ones_own_answers(asking: Asking, store: Store) -> None:
    talk = ask(asking, "x").talk
    assert talk is not None
    assert handlers_talk.on_rate(store, ME, talk, -1).fixing
    assert store.counts("mygene")["down"] == 1
    assert "Not stored" in (handlers_talk.on_rate(store, Asker("you"), talk, 1).note or "")
    assert "Ask something first" in (handlers_talk.on_rate(store, ME, Talk(asking.service.default), 1).note or "")


# --- correcting ------------------------------------------------------------------------------------------------------
def test_a_correction_is_checked_while_it_is_typed(service: Service) -> None:
    def edit(path: Any) -> str:
        return handlers_fix.on_edit(service, "mygene", path)[0]

    assert "did you mean &#x27;symbol&#x27;" in edit("/v3/query?q=symbool:CDK2")
    assert "qw-good" in edit("/v3/query?q=symbol:CDK2")
    for odd in ("", None, 7, "\ud800", "x" * 5000, "/v3/query?q=" + "(" * 3000):
        assert "not valid" in edit(odd)
        assert handlers_fix.on_edit(service, "mygene", odd, 3) is not None


def test_corrections_are_stored_valid_or_marked_and_given_back(asking: Asking, store: Store) -> None:
    talk = ask(asking, "uniprot of CDK2").talk
    assert talk is not None

    def correct(path: Any, of: Talk = talk, asker: Asker = ME) -> View:
        return handlers_fix.on_correct(asking.service, store, asker, of, path)

    kept = correct(" /v3/query?q=symbol:CDK2 ")
    assert "Thank you" in (kept.note or "")
    assert kept.talk is not None
    assert kept.talk.path == "/v3/query?q=symbol:CDK2"  # a refinement goes on from here
    marked = correct("/v3/query?q=symbool:CDK2")
    assert "marked as not valid" in (marked.note or "")
    for nothing in ("", "  ", None, "x" * 5000):
        assert "Not stored" in (correct(nothing).note or "")
    assert "Ask something first" in (correct("/v3/query?q=symbol:CDK2", Talk(asking.service.default)).note or "")
    assert "Not stored" in (correct("/v3/query?q=symbol:CDK2", asker=Asker("you")).note or "")
    file = re.search(r'href="data:application/jsonl;charset=utf-8,([^"]+)"', marked.own or "")
    assert file is not None
    rows = [json.loads(line) for line in unquote(file[1]).splitlines()]
    assert [(row["instruction"], row["path"], row["ok"]) for row in rows] == [
        ("uniprot of CDK2", "/v3/query?q=symbol:CDK2", True),
        ("uniprot of CDK2", "/v3/query?q=symbool:CDK2", False),
    ]
    assert handlers_talk.own(asking.service, store, Asker("you", personal=True)) == []
    assert handlers_talk.own(asking.service, store, Asker("me", "tab9", personal=False)) == []


def test_a_corrected_call_is_run_and_not_kept(service: Service, records: FakeRecords, store: Store) -> None:
    assert "1,234 genes" in handlers_fix.on_run(service, "mygene", "/v3/query?q=symbol:CDK2&size=3")
    assert records.ran == ["/v3/query?q=symbol:CDK2&size=3"]
    assert "not valid" in handlers_fix.on_run(service, "mygene", "/v3/query?q=")
    assert store.counts("mygene")["corrections"] == 0


# --- hits ------------------------------------------------------------------------------------------------------------
def test_long_and_nested_cells_are_cut() -> None:
    rows = ({"_id": "1", "a": {"b": [{"c": "x" * 500}, {"c": None}]}, "many": {str(n): n for n in range(30)}},)
    names, cells = show_hits.table(Hits(1, ("1",), rows), Limits())
    assert names[:2] == ["_id", "a.b.c"]
    assert len(names) == Limits().columns
    assert max(len(cell) for cell in cells[0]) == Limits().cell_chars
    assert show_hits.rows(Hits(0), Limits()) == ""
    assert show_hits.exports(Hits(0), Limits()) == ""


def test_saved_hits_are_no_formulas() -> None:
    hits = Hits(1, ("1",), ({"_id": "1", "name": '=HYPERLINK("x")', "z": -3, "q": 'a "b", c'},))
    links = dict(re.findall(r'download="([^"]+)" href="data:[^,]+,([^"]+)"', show_hits.exports(hits, Limits())))
    text = unquote(links["hits.csv"])
    assert "'=HYPERLINK" in text
    assert ",-3," in text
    assert json.loads(unquote(links["hits.json"])) == [*hits.rows]


def test_shipped_examples_are_sentences() -> None:
    assert all(len(examples(load(name))) >= 4 for name in shipped())
    assert examples(load("mygene").model_copy(update={"folder": "nowhere"})) == []
