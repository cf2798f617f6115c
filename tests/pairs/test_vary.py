"""Rows of APIs that do not exist: names change everywhere, and nothing but names."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.api.parts import SchemaField
from querywright.api.query import FIELD_PATTERN
from querywright.artefacts import write_jsonl
from querywright.pairs.draw import Drawer
from querywright.pairs.make import sound
from querywright.pairs.prompted import with_fields
from querywright.pairs.split import split
from querywright.pairs.vary import other_name, varied
from querywright.rows import Row, refusal_row, row

LUCENE = ("mygene", "myvariant", "mychem", "mydisease")


def pair(api: str, call: str, sentence: str = "what I look for") -> Row:
    return next(with_fields([row(parse(load(api), call), sentence, "test")]))


def several(
    api: str, call: str, sentence: str = "what I look for", times: int = 12
) -> list[tuple[str, dict[str, str]]]:
    """The call's text under other names, time and again, with the names: old to new."""
    rng, out = random.Random(7), []
    given = pair(api, call, sentence)
    given["fields"] = [*dict.fromkeys([*given["fields"], *named(api, given["path"])])]
    for _ in range(times):
        new = varied(given, rng)
        assert new is not None
        out.append((new["path"], dict(zip(given["fields"], new["system"].splitlines()[1:], strict=True))))
    return out


def named(api: str, text: str) -> list[str]:
    """Fields whose names stand anywhere in a text, values too, without the product's own reading of it."""
    return [name for name in load(api).fields if name in text.replace("%2B", "+")]


def theirs(api: API, names: dict[str, str], noun: str) -> API:
    """The definition with these fields only, under their new names, and with the other record endpoint."""
    told = api.model_dump()
    leaf = {"type": "keyword", "indexed": True}  # an object has lost its parts
    told["fields"] = {new: {**told["fields"][old], **leaf, "name": new} for old, new in names.items()}
    record = next(e for e in told["endpoints"].values() if e["path"].endswith("/{id}"))
    record["path"] = re.sub(r"[a-z]+/\{id\}$", f"{noun}/{{id}}", record["path"])
    return API.model_validate(told)


@pytest.mark.parametrize("name", LUCENE)
def test_drawn_calls_are_calls_of_the_other_api(name: str) -> None:
    """An API that has the new names only reads every call: no name was forgotten, none was made twice."""
    api, rng = load(name), random.Random(11)
    changed = 0
    for call in islice(sound(iter(Drawer(api, rng, []).call, None)), 40):
        given = {**row(call, "what I look for", "test"), "fields": named(name, call.text)}
        new = varied(given, rng)
        assert new is not None
        names = dict(zip(given["fields"], new["system"].splitlines()[1:], strict=True))
        assert len(set(names.values())) == len(names)
        noun = new["system"].splitlines()[0].split(" my")[1].split(" ")[0]
        read = parse(theirs(api, names, noun), new["path"])
        assert len(read.canonical.split(" AND ")) == len(call.canonical.split(" AND "))
        changed += new["path"] != call.text
    assert changed > 20


@pytest.mark.parametrize(
    ("call", "old"),
    [
        ("/v1/query?q=dbnsfp.gerp%2B%2B.rs:>=2", "dbnsfp.gerp++.rs"),
        ("/v1/query?q=_exists_:dbnsfp.gerp%2B%2B", "dbnsfp.gerp++"),
        ("/v1/query?q=_exists_:dbnsfp.m-cap.score AND dbnsfp.m-cap.pred:D", "dbnsfp.m-cap.pred"),
        ("/v1/query?q=brca1&fields=cadd.phred,dbnsfp.gerp%2B%2B.nr,dbnsfp.m-cap&size=3", "dbnsfp.gerp++.nr"),
        ("/v1/query?q=brca1&fields=dbnsfp.fathmm-mkl,dbnsfp.fathmm-mkl.coding_score", "dbnsfp.fathmm-mkl"),
        ("/v1/query?q=brca1&sort=-dbnsfp.list-s2.score,cadd.phred", "dbnsfp.list-s2.score"),
        ("/v1/query?q=brca1&facets=dbnsfp.eigen-pc.phred_coding&size=0", "dbnsfp.eigen-pc.phred_coding"),
    ],
)
def test_names_with_signs_are_whole(call: str, old: str) -> None:
    """A sign of a regular expression in a name is a sign; of two names that begin alike each keeps its own."""
    for path, names in several("myvariant", call):
        assert names[old] in path
        assert names[old] != old
        assert not re.search(r"%2B|m-cap|fathmm-mkl|list-s2|eigen-pc", path)


def test_a_name_with_a_slash_is_renamed_in_a_list() -> None:
    old = "drugcentral.pharmacology_class.fda_chemical/ingredient"
    for path, names in several("mychem", f"/v1/query?q=aspirin&fields=unii,{old}"):
        assert path.split("fields=")[1].split(",") in ([names["unii"], names[old]], [names[old], names["unii"]])


@pytest.mark.parametrize(
    ("api", "call", "kept"),
    [
        ("mygene", '/v3/query?q=name:"a symbol:cdk2 of it"', '"a symbol:cdk2 of it"'),
        ("mygene", r'/v3/query?q=name:"they say \"symbol:x\" there"', r'"they say \"symbol:x\" there"'),
        ("mygene", '/v3/query?q=name:"_exists_:alias"', '"_exists_:alias"'),
        ("mygene", "/v3/query?q=symbol:alias OR alias:name", ":alias OR "),
        ("mygene", "/v3/query?q=name&fields=name", "?q=name&"),
        ("mydisease", "/v1/query?q=mondo.label:hpo", ":hpo"),
    ],
)
def test_a_value_is_no_name(api: str, call: str, kept: str) -> None:
    for path, _ in several(api, call):
        assert kept in path


@pytest.mark.parametrize(
    ("api", "call", "pattern"),
    [
        ("mygene", "/v3/gene/1017", r"/v3/(?!gene/)[a-z]+/1017"),
        ("mygene", "/v3/species/9606", r"/v3/species/9606"),  # not the records: another thing under its own name
        ("mygene", "/v3/metadata/fields", r"/v3/metadata/fields"),
        ("mygene", "/v3/metadata", r"/v3/metadata"),
        ("mygene", "/v3/query?q=cdk2&species=human", r"/v3/query\?q=cdk2&species=human"),
        ("myvariant", "/v1/variant/chr1:g.35367G>A", r"/v1/(?!variant/)[a-z]+/chr1:g\.35367G>A"),
        ("myvariant", "/v1/query?q=chr1:10000-20000", r"/v1/query\?q=chr1:10000-20000"),
    ],
)
def test_of_the_endpoints_only_the_records_is_renamed(api: str, call: str, pattern: str) -> None:
    for path, _ in several(api, call):
        assert re.fullmatch(pattern, path), path


def with_synonyms(**synonyms: tuple[str, ...]) -> tuple[API, list[str]]:
    fields = {name: SchemaField(name=name, type="keyword", synonyms=told) for name, told in synonyms.items()}
    return load("mygene").model_copy(update={"fields": fields}), [*fields]


def test_no_two_fields_get_one_name() -> None:
    """Synonyms that are alike, or another field's very name; a field without synonyms keeps its own."""
    api, names = with_synonyms(alpha=("beta",), beta=("beta", "alpha"), gamma=("beta",), delta=(), epsilon=("delta",))
    rng = random.Random(2)
    for _ in range(200):
        given = {"api": "x", "instruction": "y", "path": "/v3/query?q=alpha:1 AND beta:2 AND delta:3", "fields": names}
        new = varied(given, rng, api)
        assert new is not None
        shown = new["system"].splitlines()[1:]
        assert len(set(shown)) == len(names)
        assert shown[names.index("delta")] == "delta"
        assert new["path"] == "/v3/query?q={}:1 AND {}:2 AND delta:3".format(*shown[:2])


@pytest.mark.parametrize("synonym", ["1000 Genomes frequency", "3D structure", "5", "hg19 start", "Ångström value"])
def test_other_names_are_names(synonym: str) -> None:
    rng = random.Random(4)
    for _ in range(30):
        assert re.fullmatch(FIELD_PATTERN, other_name(synonym, rng))


def test_odd_definitions() -> None:
    rng = random.Random(3)
    for synonyms in ((), ("",), ("???",), ("日本",), ("3-D (x, y)",), ("a" * 300,)):
        api, names = with_synonyms(one=synonyms)
        given: dict[str, Any] = {"api": "x", "instruction": "y", "path": "/v3/query?q=one:two", "fields": names}
        for _ in range(10):
            new = varied(given, rng, api)
            assert new is not None
            assert new["path"] == f"/v3/query?q={new['system'].splitlines()[1]}:two"
    empty, _ = with_synonyms()
    new = varied({"api": "x", "instruction": "y", "path": "/v3/gene/7", "fields": []}, rng, empty)
    assert new is not None
    assert re.fullmatch(r"/v3/[a-z]+/7", new["path"])
    assert len(new["system"].splitlines()) == 1


@pytest.mark.parametrize("sentence", ["genes with type_of_gene ncRNA", "the MGI:88357 one with type_of_gene, please"])
def test_a_sentence_with_the_very_name_keeps_it(sentence: str) -> None:
    given = pair("mygene", "/v3/query?q=type_of_gene:ncRNA", sentence)
    assert varied(given, random.Random(1)) is None


def test_a_name_that_the_prompt_does_not_show_would_be_a_guess() -> None:
    rng = random.Random(1)
    given = {"api": "mygene", "instruction": "y", "path": "/v3/query?q=symbol:alias&fields=uniprot"}
    assert varied({**given, "fields": ["symbol"]}, rng) is None
    assert varied({**given, "fields": ["uniprot", "alias"]}, rng) is None
    new = varied({**given, "fields": ["uniprot", "symbol"]}, rng)  # `alias` is a value here
    assert new is not None
    assert ":alias&" in new["path"]


def test_rows_that_are_no_calls_of_fields() -> None:
    rng = random.Random(1)
    quake = pair("earthquakes", "/fdsnws/event/1/query?minmagnitude=6")
    assert varied(quake, rng) is None  # parameters are not renamed
    assert varied(next(with_fields([refusal_row("mygene", "what is love", "topic")])), rng) is None


def test_the_same_in_every_process() -> None:
    """A set's order decides nothing."""
    code = (
        "import random; from querywright.pairs.vary import varied;"
        "names = ['symbol', 'name', 'alias', 'taxid', 'summary', 'ensembl.gene', 'uniprot'];"
        "row = {'api': 'mygene', 'instruction': 'y', 'path': '/v3/query?q=symbol:a AND uniprot:b', 'fields': names};"
        "print([varied(row, random.Random(i)) for i in range(5)])"
    )
    made = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True)
        for seed in ("1", "2", "3")
    ]
    assert made[0].stdout.count(b"instruction") == 5, made[0].stderr
    assert made[0].stdout == made[1].stdout == made[2].stdout


def test_rows_of_several_apis_keep_to_their_own(tmp_path: Path) -> None:
    """`--api` is for rows of an API that is not shipped; the others are renamed by their own synonyms."""
    minerals = load(str(Path(__file__).parent / "minerals" / "api.yaml"))
    calls = [f"/v1/query?q=chembl.pref_name:x{i}" for i in range(60)]
    rows = [row(parse(load("mychem"), call), f"the ChEMBL name x{i}", "test") for i, call in enumerate(calls)]
    rows += [{**rows[0], "api": "theirs", "path": "/v1/query?q=x", "canonical": "x", "id": "x"}]
    write_jsonl(tmp_path / "p.jsonl", rows)
    split(tmp_path / "p.jsonl", tmp_path / "s", valid=0.1, test=0.1, seed=1, vary=1, api=minerals)
    answers = [json.loads(line)["messages"][-1]["content"] for line in (tmp_path / "s" / "train.chat.jsonl").open()]
    assert len(answers) > 30
    assert not any("chembl.pref_name" in answer for answer in answers)
