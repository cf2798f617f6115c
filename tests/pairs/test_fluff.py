"""Fluff: what every sentence says and no reading needs is found and goes; literals, quotes and meaning stay."""

from __future__ import annotations

import re
from typing import Any

import pytest

from querywright.pairs.fluff import SAME, find, remove, report, without

PORTS = ("oslo", "bergen", "malmö", "turku", "gdansk", "kiel", "aarhus", "visby", "tallinn", "riga")


def reading(sentence: str) -> str | None:
    """A reader that knows ports, days and whether to count."""
    words = re.findall(r"[^\W\d_]+", sentence.lower())
    port = next((w for w in words if w in PORTS), None)
    if port is None:
        return None
    return f"/{'count' if 'how many' in sentence.lower() else 'ferries'}?to={port}&day={'today' in words}"


def pair(sentence: str) -> dict[str, Any]:
    call = reading(sentence)
    assert call is not None
    return {"id": sentence, "api": "ferries", "instruction": sentence, "path": call, "canonical": call}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    forms = (
        "I was wondering if you could list ferries to {}, if it isn't too much trouble",
        "I was wondering if you could list ferries to {} today",
        "How many ferries to {}, if it isn't too much trouble?",
        "How many ferries go to {} today?",
    )
    return [pair(form.format(port.title())) for port in PORTS for form in forms]


def test_what_changes_no_reading_is_fluff(rows: list[dict[str, Any]]) -> None:
    found = {p.text: p for p in find(rows, reading)}
    fluff = {text for text, p in found.items() if p.same >= SAME}
    assert "if it isn't too much trouble" in fluff
    assert "i was wondering if you could" in fluff
    assert found["today"].same == 0
    assert found["how many ferries"].same == 0
    best = next(iter(found.values()))
    assert (best.rows, best.share, best.score) == (20, 0.5, 0.5)


def test_it_goes_and_readings_stay(rows: list[dict[str, Any]]) -> None:
    phrases = find(rows, reading)
    kept, changed = remove(rows, [p for p in phrases if p.same >= SAME], reading)
    assert [reading(r["instruction"]) for r in kept] == [r["canonical"] for r in rows]
    assert kept[2]["instruction"] == "How many ferries to Oslo?"
    assert kept[3]["instruction"] == rows[3]["instruction"]
    assert "wondering" not in kept[0]["instruction"]
    assert changed == 30
    assert kept[0]["id"] != rows[0]["id"]
    told = report(rows, kept, phrases, changed)
    assert told["mean_words"]["after"] < told["mean_words"]["before"]
    assert told["rows_changed"] == changed


def test_two_phrases_that_can_each_be_missed_do_not_both_go() -> None:
    def read(sentence: str) -> str | None:
        return "/boats" if re.search(r"boats|ferries", sentence.lower()) else None

    r = {"id": "1", "api": "f", "instruction": "Show boats, the ferries", "path": "/boats", "canonical": "/boats"}
    kept, _ = remove([r], ["show boats", "the ferries"], read)
    assert read(kept[0]["instruction"]) == "/boats"


@pytest.mark.parametrize(
    ("sentence", "phrase", "left"),
    [
        ("Please find boats.", "please", "Find boats."),
        ("Please find boats, please.", "please", "Find boats."),
        ("Find TP53, thank you very much.", "find", "TP53, thank you very much."),
        ("Find iodine in salt", "find", "Iodine in salt"),
        ("Find go:12 in salt", "find", "go:12 in salt"),
        ('show "please" and boats', "please", 'show "please" and boats'),
        ("boats that please me most", "please", "boats that please me most"),
        ("hey there - show boats", "hey there", "show boats"),
        ("show boats; thanks", "thanks", "show boats"),
        ("please", "please", "please"),
    ],
)
def test_deleting_leaves_english_and_literals(sentence: str, phrase: str, left: str) -> None:
    assert without(sentence, phrase.split()) == left


def test_values_of_the_answer_are_never_fluff() -> None:
    rows = [
        {
            "id": str(i),
            "api": "f",
            "instruction": f"list harbour lights {port}",
            "path": "/x?q=lights",
            "canonical": "/x",
        }
        for i, port in enumerate(PORTS * 2)
    ]
    assert all("lights" not in p.text.split() for p in find(rows, lambda _: "/x"))


def test_without_a_reader_a_phrase_that_tells_the_answer_is_kept() -> None:
    rows = []
    for i in range(240):
        asks = ("the invoice is wrong", "the server is down", "who orders lunch")[i % 3]
        text = f"hi everyone, {asks}" if (i // 3) % 2 else asks
        rows.append({"id": str(i), "api": "", "system": "s", "instruction": text, "answer": str(i % 3)})
    fluff = {p.text for p in find(rows) if p.same >= SAME}
    assert "hi everyone" in fluff
    assert not fluff & {"the invoice is wrong", "the server is down", "who orders lunch"}
    kept, changed = remove(rows, fluff)
    assert changed == 120
    assert {r["instruction"] for r in kept} == {"the invoice is wrong", "the server is down", "who orders lunch"}


def test_a_phrase_too_rare_to_tell_nothing_for_certain_is_kept() -> None:
    """Eight rows with one object of a topic, and every answer among them: no dependence is found, none is ruled out."""
    rows = [
        {"id": str(i), "system": "s", "instruction": f"{text}, who knows", "answer": str(i % 4)}
        for i, text in enumerate(
            ["the access token"] * 8 + ["the invoice", "the server", "the lunch", "the train"] * 60
        )
    ]
    found = {p.text: p.same for p in find(rows)}
    assert found["the access token"] < SAME
    assert found["the invoice"] < 0.5


def test_without_a_reader_whole_clauses_go_and_messages_stay_apart() -> None:
    rows = []
    for i in range(400):
        tail = ", for a customer" if i % 2 else ""
        text = f"hello\n\nno hurry, {('the invoice', 'the server')[i // 2 % 2]} is old{tail}"
        text = text if i // 4 % 2 else text.replace("hello\n\nno hurry, ", "it is so that ")
        rows.append({"id": str(i), "system": "s", "instruction": text, "answer": str(i // 2 % 2)})
    phrases = [p for p in find(rows) if p.same >= SAME]
    assert {p.text for p in phrases} == {"hello", "no hurry", "for a customer"}
    kept, changed = remove(rows, phrases)
    assert changed == 300
    assert {r["instruction"] for r in kept if "invoice" in r["instruction"]} == {
        "the invoice is old",
        "it is so that the invoice is old",
    }
    assert without("ok then\n\nhello, bye, see you\n\nyes", ["bye"], whole=True) == "ok then\n\nhello, see you\n\nyes"
    assert without("see you\n\nhello\n\nyes", ["hello"], whole=True) == "see you\n\nyes"
    assert without("one more thing, see you", ["you"], whole=True) == "one more thing, see you"
