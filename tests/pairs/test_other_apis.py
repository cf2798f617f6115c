"""Lucene APIs beside MyGene: the shipped ones, and one that nobody wrote words for."""

from __future__ import annotations

import random
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import load
from querywright.pairs.check import problem, report
from querywright.pairs.draw import Drawer
from querywright.pairs.make import TemplateTeacher, pairs, sound
from querywright.pairs.words import noun_plural, plural, singular, words

UNSEEN = str(Path(__file__).parent / "minerals" / "api.yaml")
APIS = {"myvariant": "variants", "mychem": "drugs", "mydisease": "diseases", UNSEEN: "minerals"}


@lru_cache
def made(name: str) -> list[dict[str, Any]]:
    api, rng = load(name), random.Random(4)
    calls = sound(iter(Drawer(api, rng, []).call, None))
    return list(pairs(api, TemplateTeacher(api, rng), [], calls, 500, 1))


@pytest.mark.parametrize("name", APIS)
def test_pairs_are_true_and_speak_of_the_api(name: str) -> None:
    rows = made(name)
    assert [r for r in rows if problem(load(name), r)] == []
    said = " ".join(r["instruction"].lower() for r in rows)
    assert said.count(APIS[name]) > 20
    paths = [r["path"] for r in rows]
    for kind in ("&fields=", "&size=", "_exists_:", " AND ", " TO ", "*"):
        assert any(kind in p for p in paths), kind
    assert len({parse(load(name), p).endpoint for p in paths}) > 1


@pytest.mark.parametrize("name", ["mychem", "mydisease", UNSEEN])
def test_no_words_of_genes_where_there_are_none(name: str) -> None:
    loose = [r["instruction"] for r in made(name) if re.fullmatch(r"/v1/query\?q=[^:&]*", r["path"])]
    assert loose
    for sentence in loose:
        assert not re.search(r"\b(genes?|species|symbol|chromosome|Entrez)\b", sentence), sentence


def test_variants_have_assemblies_positions_and_ids() -> None:
    api, rows = load("myvariant"), made("myvariant")
    paths = [r["path"] for r in rows]
    assert any("assembly=hg38" in p for p in paths)
    assert any(re.search(r"q=chr\w+:(\d+)-(?!\1\b)\d+", p) for p in paths)
    ids = [p.partition("/variant/")[2] for p in paths if "/variant/" in p]
    assert any(i.startswith("rs") for i in ids)
    assert any(":g." in i for i in ids)
    teacher = TemplateTeacher(api, random.Random(1))
    call = parse(api, "/v1/query?q=chr8:7194707&assembly=hg38")
    said = " ".join(teacher.instructions(call, 60))
    assert "chr8:7194707" in said
    assert re.search(r"position 7,?194,?707", said)
    assert re.search(r"hg38|GRCh38", said)
    assert "7194707-7194707" not in said


def test_an_api_without_words_is_covered() -> None:
    facts = report(load(UNSEEN), made(UNSEEN))
    assert facts["parameters_never"] == []
    assert facts["never_searched"] == []
    assert facts["never_returned"] == []
    years = [int(y) for r in made(UNSEEN) for y in re.findall(r"foundYear:(\d+)", r["path"])]
    assert years
    assert all(1887 <= y <= 2024 for y in years)


def test_plurals() -> None:
    assert [plural(w) for w in ("gene", "assay", "study", "process", "search", "data")] == [
        "genes", "assays", "studies", "processes", "searches", "data",
    ]  # fmt: skip
    assert noun_plural("analysis") == "analyses"
    assert noun_plural("index/indices") == "indices"
    assert [singular(w) for w in ("countries", "boxes", "books", "status", "series", "gas")] == [
        "country", "box", "book", "status", "series", "gas",
    ]  # fmt: skip
    assert "get mineral {V}" in words(load(UNSEEN))["item"]
