"""Refusals: broad, seeded, true for the API they are drawn for, and never a sentence that has an answer."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import lru_cache

import pytest

from querywright.api.call import parse
from querywright.api.definition import load, shipped
from querywright.api.refusal import REASONS
from querywright.pairs import refusals_english as words
from querywright.pairs.check import problem
from querywright.pairs.refusals import SHARES, Refusals, draw_refusals, foreign, identity
from querywright.rows import Row, answer, chat, refusal_row, row


@lru_cache
def drawn(name: str, n: int = 400, seed: int = 5) -> list[Row]:
    return list(draw_refusals(load(name), n, random.Random(seed)))


@pytest.mark.parametrize("name", shipped())
def test_rows_of_every_shipped_api(name: str) -> None:
    rows = drawn(name)
    assert len(rows) == 400
    assert len({r["instruction"].lower() for r in rows}) == 400
    assert set(SHARES) == set(REASONS)
    counts = Counter(r["refusal"] for r in rows)
    assert min(counts.values()) > 40
    for r in rows:
        assert problem(load(name), r) == ""
        assert answer(r) == f"nil {r['refusal']}"
        assert not re.search(r"[{}\x02\x03]|QHOLEQ|  ", r["instruction"]), r["instruction"]
        assert r["instruction"].strip()


def test_same_seed_same_rows() -> None:
    again = list(draw_refusals(load("mygene"), 400, random.Random(5)))
    assert [r["id"] for r in again] == [r["id"] for r in drawn("mygene")]
    other = {r["instruction"] for r in drawn("mygene", 400, 6)}
    assert len(other & {r["instruction"] for r in again}) < 120


def test_thousands_of_different_sentences() -> None:
    rows = list(draw_refusals(load("mygene"), 4000, random.Random(1)))
    assert len(rows) == 4000
    # not one frame repeated: their first three words are of many kinds
    assert len({" ".join(r["instruction"].lower().split()[:3]) for r in rows}) > 1500


def test_every_slot_of_a_phrase_is_known() -> None:
    domains = [phrase for _, phrases in words.TOPICS.values() for phrase in phrases]
    known = {*words.SLOTS, "N", "Ns", "F", "V", "id", "what", "about", "S"}
    general = [*words.CHAT, *words.ABOUT, *words.UNSUPPORTED, *words.MISSING, *words.MISSING_RANGE, *domains]
    nested = [option for options in words.SLOTS.values() for option in options]
    own = [p for name in shipped() for phrases in Refusals(load(name), random.Random(0)).own.values() for p in phrases]
    for phrase in [*general, *nested, *own]:
        assert set(re.findall(r"\{(\w*)\}", phrase)) <= known, phrase


def test_related_apis_are_not_foreign_to_each_other() -> None:
    apis = {name: load(name) for name in shipped()}
    for one in apis.values():
        for two in apis.values():
            seismic = {one.name, two.name} & {"earthquakes"}
            assert foreign(one, two) == (bool(seismic) and one.name != two.name), (one.name, two.name)
    assert "earthquake" in identity(apis["earthquakes"])


def test_a_domain_that_the_api_knows_is_not_refused(tmp_path) -> None:
    (tmp_path / "api.yaml").write_text(
        """
name: forecasts
title: Weather forecasts
about: weather forecasts of cities
base_url: https://weather.example
query_language: none
noun: forecast
endpoints:
  forecasts: {path: /forecasts, params: [city, mintemperature]}
params:
  city: {kind: text}
  mintemperature: {kind: number}
""",
        encoding="utf-8",
    )
    api = load(str(tmp_path / "api.yaml"))
    rows = list(draw_refusals(api, 1200, random.Random(2)))
    assert len(rows) == 1200
    topics = [r["instruction"].lower() for r in rows if r["refusal"] == "topic"]
    assert not [t for t in topics if "rain" in t.split() or "umbrella" in t]
    assert [t for t in topics if "flights" in t or "recipe" in t]
    assert [t for t in topics if "earthquake" in t or "gene" in t]


def test_what_is_missing_is_no_request_for_all_that_have_it() -> None:
    """`genes with an OMIM number` has an answer; `genes whose OMIM number is` has none."""
    writer = Refusals(load("mygene"), random.Random(4))
    cuts = [writer.cut() for _ in range(200)]
    assert len(set(cuts) - {""}) > 100
    names = {w for f in load("mygene").fields.values() for w in (f.name, *f.synonyms)}
    for said in filter(None, cuts):
        whole = re.search(r"\b(?:with|having|have|has)(?: an?| any| the| their)? ([\w. ]+)$", said)
        assert not (whole and whole[1] in names), said


def test_verify_knows_refusals_and_turns() -> None:
    api = load("mygene")
    good = refusal_row("mygene", "what's for dinner?", "topic")
    assert problem(api, good) == ""
    assert problem(api, {**good, "refusal": "whim"}) == "bad_refusal"
    assert problem(api, {**good, "path": "/v3/query?q=dinner"}) == "bad_refusal"
    assert problem(api, {**good, "instruction": " "}) == "no_sentence"
    call = parse(api, "/v3/query?q=symbol:CDK2&species=mouse")
    turns = [
        {"role": "user", "content": "genes with symbol CDK2"},
        {"role": "assistant", "content": "/v3/query?q=symbol:CDK2"},
    ]
    assert problem(api, row(call, "only in mice", "turns", turns=turns)) == ""
    assert problem(api, row(call, "only in mice", "turns", turns=turns[1:])) == ""
    assert problem(api, row(call, "only in mice", "drawn")) == "literal_missing"
    assert chat(row(call, "only in mice", "turns", turns=turns))["messages"][1:3] == turns


def test_verify_knows_turns_of_typed_apis() -> None:
    api = load("earthquakes")
    call = parse(api, "/fdsnws/event/1/query?starttime=2020-01-01&minmagnitude=5.5&limit=10")
    turns = [
        {"role": "user", "content": "something else"},
        {"role": "assistant", "content": "/fdsnws/event/1/query?starttime=2020-01-01&minmagnitude=5.5"},
    ]
    assert problem(api, row(call, "just ten of them", "turns", turns=turns)) == ""
    assert problem(api, row(call, "just ten of them", "turns")) == "literal_missing"
