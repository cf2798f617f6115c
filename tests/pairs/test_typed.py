"""Pairs for APIs of plain typed parameters: what parameters are for, drawn calls, sentences, and the check of both."""

from __future__ import annotations

import random
import re
import runpy
import sys
from pathlib import Path

import pytest

from querywright.api.call import CallError, parse
from querywright.api.definition import API, load
from querywright.api.lexicon import lexicon
from querywright.api.param_names import tokens
from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.check import problem, report
from querywright.pairs.make import TemplateTeacher, make, pairs, row, sound
from querywright.pairs.roles import bound, roles
from querywright.pairs.typed_draw import TypedDrawer
from querywright.pairs.typed_say import TypedSpeaker

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.fixture(scope="module")
def library() -> API:
    """A definition that this project ships no words for."""
    return load(str(Path(__file__).parent / "library" / "api.yaml"))


@pytest.fixture(scope="module")
def rows(library: API) -> list[dict[str, object]]:
    rng = random.Random(3)
    calls = sound(iter(TypedDrawer(library, rng, []).call, None))
    return list(pairs(library, TemplateTeacher(library, rng), [], calls, 1200, 1))


def test_ranges_paging_and_orders_are_found_by_name(library: API) -> None:
    known = roles(library, "books")
    assert {(s.word, s.low, s.high) for s in known.spans} == {
        ("published", "publishedAfter", "publishedBefore"),
        ("price", "min_price", "max_price"),
        ("pages", "minPages", ""),
    }
    named = {"q": "search", "sort": "sort", "order": "direction", "page": "page", "per_page": "limit"}
    assert {n: known.of(n) for n in named} == named
    assert roles(library, "loans").spans[0].names == ("since", "until")
    assert bound(library, "minPages") == ("low", "pages")


def test_run_together_names_are_split_by_what_the_definition_knows(library: API) -> None:
    assert tokens(library, "publishedAfter") == ("published", "after")
    assert tokens(library, "per_page") == ("per", "page")
    described = {"minmagnitude": "The magnitude.", "maxradiuskm": "The radius in km.", "mincdi": ""}
    number = library.params["min_price"]
    params = {name: number.model_copy(update={"description": about}) for name, about in described.items()}
    quakes = library.model_copy(update={"params": params})
    assert tokens(quakes, "minmagnitude") == ("min", "magnitude")
    assert tokens(quakes, "maxradiuskm") == ("max", "radius", "km")
    assert tokens(quakes, "mincdi") == ("min", "cdi")


def test_pairs_are_true_and_cover_every_parameter_and_value(library: API, rows: list[dict[str, object]]) -> None:
    reasons = [problem(library, r) for r in rows]
    assert reasons.count("") >= 0.995 * len(rows), [r for r, why in zip(rows, reasons, strict=True) if why][:5]
    facts = report(library, rows)
    assert facts["parameters_never"] == []
    assert facts["enum_values_never"] == []
    assert {parse(library, str(r["path"])).endpoint for r in rows} == set(library.endpoints)


def test_ranges_are_the_right_way_round(library: API, rows: list[dict[str, object]]) -> None:
    both = 0
    for r in rows:
        values = dict(parse(library, str(r["path"])).params)
        for low, high in (("publishedAfter", "publishedBefore"), ("min_price", "max_price"), ("since", "until")):
            if low in values and high in values:
                both += 1
                assert values[low] <= values[high], r  # type: ignore[operator]
    assert both > 100


@pytest.mark.parametrize(
    ("path", "sentence", "reason"),
    [
        ("/api/v2/books?min_price=5&per_page=3", "three books from 5 euros up", ""),
        ("/api/v2/books?min_price=5", "books from 50 euros up", "literal_missing"),
        ("/api/v2/books?publishedAfter=2021-03-01&publishedBefore=2021-03-31", "published in March 2021", ""),
        ("/api/v2/books?publishedAfter=2021-03-02", "published in March 2021", "literal_missing"),
        ("/api/v2/books?publishedAfter=2021-03-02T12:30:00", "published since March 2nd, 2021 at 12:30", ""),
        ("/api/v2/books?condition=damaged", "damaged books", ""),
        ("/api/v2/books?condition=damaged", "used books", "literal_missing"),
        ("/api/v2/books?tags=poetry&tags=travel", "books on travel or poetry", ""),
        ("/api/v2/books?tags=poetry&tags=travel", "books on travel", "literal_missing"),
        ("/api/v2/books?sort=created_at&order=desc", "all books, newest first", ""),
        ("/api/v2/books/41", "book 14", "literal_missing"),
        ("/api/v2/books?condition=torn", "torn books", "bad_value"),
    ],
)
def test_a_value_has_to_be_said(library: API, path: str, sentence: str, reason: str) -> None:
    assert problem(library, {"path": path, "instruction": sentence}) == reason


def test_words_follow_what_a_parameter_is_for(library: API) -> None:
    def said(path: str) -> str:
        speaker = TypedSpeaker(library, random.Random(5))
        return " | ".join(speaker.say(parse(library, path)) for _ in range(120)).lower()

    assert "in may 2020" in said("/api/v2/books?publishedAfter=2020-05-01&publishedBefore=2020-05-31")
    assert "by okafor" in said("/api/v2/books?author=Okafor")
    assert "used books" in said("/api/v2/books?condition=used")
    assert "that have audio" in said("/api/v2/books?has_audio=true")
    assert "page 3 with 40 per page" in said("/api/v2/books?page=3&per_page=40")
    assert "how many books" in said("/api/v2/books/count?language=en")
    assert "languages" in said("/api/v2/languages")
    assert "loans" in said("/api/v2/branches/north/loans?since=2020-01-01")
    assert "book 77" in said("/api/v2/books/77")


def test_a_log_decides_what_is_drawn_often(library: API) -> None:
    logged = [(parse(library, "/api/v2/books?author=Sato"), 100.0), (parse(library, "/api/v2/books?language=en"), 1.0)]
    drawer = TypedDrawer(library, random.Random(1), [], logged)
    known = roles(library, "books")
    assert drawer.liking(("author",), known, 9) > 5 * drawer.liking(("language",), known, 1)


def test_make_is_the_same_twice_and_ends_where_nothing_new_is_left(library: API, tmp_path: Path) -> None:
    for out in ("a", "b"):
        make(library, tmp_path / out, calls=None, most=0, draw=150, per_call=1, seed=5, records=[], refusals=0)
    assert (tmp_path / "a/pairs.jsonl").read_bytes() == (tmp_path / "b/pairs.jsonl").read_bytes()
    assert len(read_jsonl(tmp_path / "a/pairs.jsonl")) == 150
    small = library.model_copy(update={"endpoints": {"languages": library.endpoints["languages"]}})
    made = make(small, tmp_path / "c", calls=None, most=0, draw=100_000, per_call=1, seed=5, records=[], refusals=0)
    assert made == 40


def test_kept_calls_are_said_several_times(library: API) -> None:
    call = parse(library, "/api/v2/books?q=deep%20sea&min_price=3&max_price=9.5&sort=price&order=asc")
    sentences = TemplateTeacher(library, random.Random(2)).instructions(call, 60)
    assert len(sentences) == 60
    assert {problem(library, row(call, s, "log")) for s in sentences} == {""}


def test_new_words_make_new_pairs(tmp_path: Path) -> None:
    source = Path(__file__).parent / "library" / "api.yaml"
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "api.yaml").write_text(source.read_text())
    first = load(str(tmp_path / "api" / "api.yaml"))
    make(first, tmp_path / "out", calls=None, most=0, draw=60, per_call=1, seed=1, records=[])
    before = (tmp_path / "out" / "pairs.jsonl").read_text()
    (tmp_path / "api" / "lexicon.yaml").write_text("nouns: [volume]\n")
    again = load(str(tmp_path / "api"))
    make(again, tmp_path / "out", calls=None, most=0, draw=60, per_call=1, seed=1, records=[])
    assert "volume" not in before
    assert "volumes" in (tmp_path / "out" / "pairs.jsonl").read_text()
    (tmp_path / "api" / "lexicon.yaml").write_text("noun: volume\n")
    with pytest.raises(QuerywrightError, match="'noun'; did you mean 'nouns'"):
        lexicon(again.model_copy())


def test_a_log_from_the_definition_alone(library: API) -> None:
    sys.path.insert(0, str(SAMPLES))
    try:
        script = runpy.run_path(str(SAMPLES / "make_typed_log.py"))
    finally:
        sys.path.remove(str(SAMPLES))
    text = script["make"](library, 400, 1)
    assert text == script["make"](library, 400, 1)
    asked = re.findall(rb'"GET (/api/v2/\S*) HTTP/[\d.]+" 200 ', text)
    read = 0
    for path in asked:
        try:
            parse(library, path.decode())
            read += 1
        except CallError:
            continue
    assert len(asked) > 250
    assert read > 0.9 * len(asked)
