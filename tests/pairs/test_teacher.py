"""The template teacher: what its pairs cover for every shipped API, personas, and values from lists and records."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from pathlib import Path

import pytest

from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.check import problem
from querywright.pairs.coverage import coverage, operators
from querywright.pairs.draw import Drawer
from querywright.pairs.make import TemplateTeacher, make, pairs, sound
from querywright.pairs.personas import Persona, draw, given, named, read, who
from querywright.pairs.say import Speaker
from querywright.pairs.style import Style, style_of
from querywright.pairs.typed_draw import TypedDrawer
from querywright.pairs.words import called, in_units
from querywright.rows import Row

# of a make of so many pairs, the least shares of fields searched and returned that occur
COVERED = {
    "mygene": (1200, 0.9, 0.85),
    "mydisease": (900, 0.9, 0.85),
    "mychem": (600, 0.12, 0.12),
    "myvariant": (600, 0.12, 0.12),
    "earthquakes": (900, 0.0, 0.0),
}


@lru_cache
def made(name: str) -> list[Row]:
    api, rng = load(name), random.Random(2)
    typed = api.query_language == "none"
    drawer = TypedDrawer(api, rng, []) if typed else Drawer(api, rng, [])
    calls = sound(iter(drawer.call, None))
    return list(pairs(api, TemplateTeacher(api, rng), [], calls, COVERED[name][0], 1))


@pytest.mark.parametrize("name", COVERED)
def test_fields_operators_parameters_and_endpoints_occur(name: str) -> None:
    api, rows = load(name), made(name)
    facts = coverage(api, rows)
    _, searched, returned = COVERED[name]
    for part, least in (("searched", searched), ("returned", returned)):
        if part in facts:
            assert facts[part]["covered"] >= least * facts[part]["all"], (part, facts[part]["covered"])
    assert facts["operators"]["never"] == {}
    assert facts["endpoints"]["never"] == {}
    assert set(facts["parameters"]["never"].values()) <= {"the lexicon says never"}
    wrong = [r for r in rows if problem(api, r)]
    assert len(wrong) <= 0.005 * len(rows), wrong[:3]


def test_a_sweep_brings_what_chance_leaves_out() -> None:
    api = load("mygene")

    def searched(sweep: float) -> int:
        drawer = Drawer(api, random.Random(1), [], sweep)
        found = [{"path": drawer.call().text} for _ in range(700)]
        return int(coverage(api, found)["searched"]["covered"])

    assert searched(0.25) > 1.5 * searched(0.0)


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("symbol:CDK2", {"word"}),
        ('"heat shock" AND NOT _exists_:pdb', {"and", "phrase", "exists", "lacks"}),
        ("(a OR b) AND CD*2", {"and", "or", "grouping", "loose word", "gap"}),
        ("taxid:{5 TO *] AND symbol:CDK?", {"and", "from", "end left out", "one character"}),
        ("hg19.chr1:5-90", {"interval", "assembly"}),
    ],
)
def test_kinds_of_clauses(query: str, kinds: set[str]) -> None:
    node = parse(load("mygene"), f"/v3/query?q={query}").query
    assert node is not None
    assert set(operators(node)) == kinds


def test_numbers_with_units() -> None:
    assert "1.5 Mb" in in_units(1_500_000, True)
    assert "1.5 Mb" not in in_units(1_500_000, False)
    assert "two million" in in_units(2_000_000, False)
    assert in_units(1_234_567, True) == []
    assert in_units(20, True) == []


def test_a_field_without_synonyms_has_words_of_its_own() -> None:
    api = load("mygene")
    bare = {n: f.model_copy(update={"synonyms": ()}) for n, f in api.fields.items()}
    found = called(api.model_copy(update={"fields": bare, "folder": ""}), "pathway.kegg.name")
    assert "pathway kegg name" in found
    assert len(found) > 1


# --- personas ---
def test_a_persona_changes_the_wording_and_nothing_else(tmp_path: Path) -> None:
    api = load("mygene")
    call = parse(api, "/v3/query?q=symbol:CDK2&species=human&fields=uniprot")

    def said(style: Style) -> list[str]:
        speaker = Speaker(api, random.Random(4), style)
        return [speaker.say(call) for _ in range(200)]

    terse, wordy = (said(style_of(named(name, ""), "")) for name in ("terse", "wordy"))
    length = [sum(len(s.split()) for s in lot) / len(lot) for lot in (terse, wordy)]
    assert length[0] < 0.7 * length[1]
    assert sum(s == s.lower().replace("cdk2", "CDK2") for s in said(Style(lower=1.0, names=0.0))) > 150
    assert all("CDK2" in s for s in (*terse, *wordy))


def test_who_asks_is_who_cares() -> None:
    api = load("mygene")
    cast = [Persona("a", "", ("pdb",), Style()), Persona("b", "", ("homologene",), Style())]
    rng = random.Random(1)
    call = parse(api, "/v3/query?q=_exists_:pdb")
    assert [who(cast, call, rng).name for _ in range(200)].count("a") > 150


def test_personas_are_made_read_and_refused(tmp_path: Path) -> None:
    api = load("mygene")
    assert draw(api, 5, random.Random(3)) == draw(api, 5, random.Random(3))
    assert given(api, "4", 1) != given(api, "4", 2)
    own = given(api, "own", 1)
    assert len(own) >= 10
    assert len({p.style for p in own}) > 6
    bad = tmp_path / "p.jsonl"
    for row, reason in (
        ({"name": "x", "stile": {}}, "did you mean 'style'"),
        ({"name": "x", "style": {"terse": 3}}, "no share from 0 to 1"),
        ({"name": "x", "style": "shouting"}, "no style 'shouting'"),
        ({"role": "x"}, "needs a name"),
    ):
        bad.write_text(json.dumps(row) + "\n")
        with pytest.raises(QuerywrightError, match=reason):
            read(bad)
    with pytest.raises(QuerywrightError, match="no personas file"):
        given(api, str(tmp_path / "none.jsonl"), 1)


def test_make_with_personas_and_conversations_is_the_same_twice(mygene: API, tmp_path: Path) -> None:
    options = {"calls": None, "most": 0, "draw": 60, "per_call": 1, "seed": 3, "records": [], "refusals": 0}
    for out in ("a", "b"):
        make(mygene, tmp_path / out, **options, personas=given(mygene, "own", 3), conversations=15)  # type: ignore[arg-type]
    first = (tmp_path / "a" / "pairs.jsonl").read_bytes()
    assert first == (tmp_path / "b" / "pairs.jsonl").read_bytes()
    rows = read_jsonl(tmp_path / "a" / "pairs.jsonl")
    assert len({r["persona"] for r in rows}) > 5
    assert {r["teacher"] for r in rows} == {"templates"}
    assert sum(bool(r.get("turns")) for r in rows) == 15
