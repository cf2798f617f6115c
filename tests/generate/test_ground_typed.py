"""Values of typed parameters only from the sentence: for the shipped API, and for one that nobody has words for."""

from __future__ import annotations

import random
import runpy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from lark import Lark

from querywright.api import call
from querywright.api.definition import Param, load
from querywright.api.grammar import mask_source
from querywright.generate.ground import ground
from querywright.generate.ground_typed import _texts, typed_terminals
from querywright.generate.prompts import explain

llguidance = pytest.importorskip("llguidance")
TESTS = Path(__file__).parents[1]
HELPERS = runpy.run_path(str(TESTS / "api" / "sampling.py"))
LIBRARY = str(TESTS / "pairs" / "library" / "api.yaml")
QUAKES = "earthquakes"
QUERY = "/fdsnws/event/1/query?"


@lru_cache
def matcher(api: str, sentence: str | None) -> Any:
    source = mask_source(load(api)) if sentence is None else ground(load(api), sentence)
    grammar = llguidance.LLMatcher.grammar_from_lark(source)
    made = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar, log_level=0)
    assert not made.is_error(), made.get_error()
    return made


def allows(api: str, sentence: str | None, text: str) -> bool:
    copy = matcher(api, sentence).deep_copy()
    raw = text.encode()
    return bool(copy.try_consume_tokens(list(raw)) == len(raw) and copy.is_accepting())


@pytest.mark.parametrize(
    ("api", "sentence", "path"),
    [
        (QUAKES, "stronger than 5.5 in March 2021", QUERY + "starttime=2021-03-01&endtime=2021-03-31&minmagnitude=5.5"),
        (QUAKES, "above magnitude five since Jan 3rd, 2019", QUERY + "starttime=2019-01-03&minmagnitude=5"),
        (QUAKES, "within 100 km of 35.5, -120.25", QUERY + "latitude=35.5&longitude=-120.25&maxradiuskm=100"),
        (QUAKES, "quarry blasts at 120.5 W", QUERY + "maxlongitude=-120.5&eventtype=quarry blast"),
        (QUAKES, "the ten largest earthquakes", QUERY + "orderby=magnitude&limit=10"),
        (QUAKES, "the latest earthquake", QUERY + "limit=1"),
        (QUAKES, "event US7000m9g4", QUERY + "eventid=us7000m9g4"),
        (QUAKES, "earthquakes with an orange alert", QUERY + "alertlevel=orange"),
        (QUAKES, "only deleted events", QUERY + "includedeleted=only"),
        (LIBRARY, "novels by Le Guin tagged science fiction or poetry",
         "/api/v2/books?tags=science fiction&tags=poetry&author=Le Guin"),
        (LIBRARY, "loans of the branch Harbour Square since 2020-05-01",
         "/api/v2/branches/Harbour Square/loans?since=2020-05-01"),
        (LIBRARY, "R&D (50%) as large print", "/api/v2/books?q=R%26D (50%25)&formats=large-print"),
        (LIBRARY, "book AB-17", "/api/v2/books/AB-17"),
        (LIBRARY, "which languages are there", "/api/v2/languages"),
        (QUAKES, "that at least 50 people felt, with a gap below 90", QUERY + "minfelt=50&maxgap=90"),
        (QUAKES, "that 50 people reported", QUERY + "minfelt=50"),
        (QUAKES, "revised since 2020-01-01", QUERY + "updatedafter=2020-01-01"),
        (QUAKES, "over 600", QUERY + "minsig=600"),  # no word for any number: all may be meant
    ],
)  # fmt: skip
def test_what_the_sentence_says_can_be_written(api: str, sentence: str, path: str) -> None:
    assert call.parse(load(api), path).text == path
    assert allows(api, sentence, path)


@pytest.mark.parametrize(
    ("api", "sentence", "path"),
    [
        (QUAKES, "above magnitude 5.5", QUERY + "minmagnitude=5.4"),
        (QUAKES, "above magnitude 5.5", QUERY + "minmagnitude=5.5&starttime=2020-01-01"),
        (QUAKES, "in March 2021", QUERY + "starttime=2021-02-01"),
        (QUAKES, "earthquakes with an orange alert", QUERY + "alertlevel=red"),
        (QUAKES, "earthquakes of magnitude 5", QUERY + "minmagnitude=5&alertlevel=red"),
        (QUAKES, "quarry blasts", QUERY + "eventtype=landslide"),
        (QUAKES, "all earthquakes", QUERY + "limit=10"),
        (LIBRARY, "books by Okafor", "/api/v2/books?author=Okaf"),
        (LIBRARY, "books by Okafor", "/api/v2/books?author=Sato"),
        (LIBRARY, "used books", "/api/v2/books?condition=new"),
        (QUAKES, "deeper than 100 km", QUERY + "maxsig=100"),  # a significance was never spoken of
        (QUAKES, "after 17 August 2005", QUERY + "minfelt=17"),  # the numbers of dates are no other values
        (QUAKES, "after 17 August 2005", QUERY + "eventid=2005"),
        (QUAKES, "since 2020-01-01", QUERY + "updatedafter=2020-01-01"),
    ],
)
def test_what_it_does_not_say_can_not(api: str, sentence: str, path: str) -> None:
    call.parse(load(api), path)
    assert not allows(api, sentence, path)


ODD = ["", '"', "a" * 2000, "word " * 300, "\x00 nul\x7f", "zażółć 漢字 \ufeff \ufffd",
       "1e5 -- 1.5.6 007 99999999999999999999",
       "31 February 2021 at 25:99", "R&D 50% of #1 / a+b, [x] 'y'"]  # fmt: skip


@pytest.mark.parametrize("api", [QUAKES, LIBRARY])
@pytest.mark.parametrize("sentence", ODD)
def test_grounded_is_a_part_of_the_grammar(api: str, sentence: str) -> None:
    sampler = HELPERS["Sampler"](Lark(ground(load(api), sentence), parser="lalr", start="call", lexer="contextual"), 1)
    taken = 0
    for text in (sampler.draw() for _ in range(80)):
        if allows(api, sentence, text):
            taken += 1
            assert allows(api, None, text), text
            call.parse(load(api), text)
    assert taken > 50


@pytest.mark.parametrize("api", [QUAKES, LIBRARY])
def test_template_pairs_can_be_written(api: str) -> None:
    make = pytest.importorskip("querywright.pairs.make")
    definition, rng = load(api), random.Random(3)
    calls = make.sound(iter(make.TypedDrawer(definition, rng, []).call, None))
    rows = list(make.pairs(definition, make.TemplateTeacher(definition, rng), [], calls, 120, 1))
    missed = [(r["instruction"], r["path"]) for r in rows if not allows(api, r["instruction"], r["path"])]
    assert len(missed) <= 0.02 * len(rows), missed


def test_zero_shot_explains_typed_parameters() -> None:
    text = explain(load(QUAKES))
    for word in ("USGS Earthquake Catalog", "/fdsnws/event/1/query", "minmagnitude", "green, yellow", "YYYY-MM-DD"):
        assert word in text
    assert "Lucene" not in text
    assert "/api/v2/branches/{branch}/loans" in explain(load(LIBRARY))
    assert len(text) < 9000


def test_a_pattern_that_others_wrote_is_matched_in_linear_time() -> None:
    """`^(a+)+$` takes Python's own engine for ever on such a word."""
    api = load(LIBRARY)
    param = Param(kind="text", pattern="^(a+)+$")
    own = api.model_copy(update={"params": {**api.params, "code": param}})
    assert _texts(own, "code", param, ["a" * 60 + "!", "aaa", "b"], set()) == ["aaa"]


def test_only_the_first_words_of_a_sentence_offer_values() -> None:
    api = load(LIBRARY)
    names = [n for n, p in api.params.items() if p.kind == "integer"]
    near, _ = typed_terminals(api, "word " * 20 + "pages 7", [], names)
    far, _ = typed_terminals(api, "word " * 5_000 + "pages 7", [], names)
    assert near != far
    assert far == typed_terminals(api, "word " * 80, [], names)[0]
