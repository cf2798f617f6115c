"""The field tables of the shipped APIs are complete, legal and usable for writing sentences."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import pytest

from querywright.api.call import Call, normalise, parse
from querywright.api.definition import load, shipped
from querywright.api.query import Term

APIS = Path(__file__).resolve().parents[2] / "data" / "apis"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
COLUMNS = [
    "name",
    "type",
    "indexed",
    "default_search",
    "analysis",
    "description",
    "synonyms",
    "examples",
    "shape",
    "weight",
]
# How a value of each type may be compared by the server.
LEGAL_ANALYSIS = {
    "keyword": {"exact", "lower"},
    "text": {"text", "lower"},
    "integer": {"number"},
    "long": {"number"},
    "float": {"number"},
    "double": {"number"},
    "byte": {"number"},
    "date": {"number"},
    "boolean": {"exact"},
    "object": {"object"},
}
# What each table must hold at least: fields of the schema, and what older releases served.
FIELDS = {"mygene": 355, "myvariant": 1615, "mychem": 1082, "mydisease": 264}
UNWRITABLE = re.compile(r"[^\w.\-@]")  # a name with a space or a stroke in it can't stand before a colon

Row = dict[str, str]
LUCENE = [name for name in shipped() if load(name).query_language == "lucene"]
every_api = pytest.mark.parametrize("api", LUCENE)


@lru_cache(maxsize=8)
def table(api: str) -> tuple[Row, ...]:
    """All rows of an API's table, in file order."""
    with (APIS / api / "fields.csv").open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        assert reader.fieldnames == COLUMNS
        return tuple(reader)


def _parts(cell: str) -> list[str]:
    return cell.split("|") if cell else []


def _leaves(api: str) -> list[Row]:
    return [row for row in table(api) if row["indexed"] == "true" and row["type"] != "object"]


@every_api
def test_every_field_once(api: str) -> None:
    names = [row["name"] for row in table(api)]
    assert len(names) == len(set(names))
    assert len(names) >= FIELDS.get(api, 1)


@every_api
def test_facts_are_those_of_the_service(api: str) -> None:
    source = SHARED / "schema" / f"{api}_fields.json"
    if not source.is_file():
        pytest.skip(f"{source.name} of the service is not here to compare with")
    rows = {row["name"]: row for row in table(api)}
    wrong = []
    for name, facts in json.loads(source.read_text(encoding="utf-8")).items():
        if UNWRITABLE.search(name):
            continue
        row = rows.get(name)
        expected = (
            facts["type"],
            str(bool(facts["index"])).lower(),
            str(bool(facts.get("searched_by_default"))).lower(),
        )
        if row is None or (row["type"], row["indexed"], row["default_search"]) != expected:
            wrong.append((name, expected, row and (row["type"], row["indexed"], row["default_search"])))
    assert wrong == []


@every_api
def test_descriptions_are_no_sentences_of_the_service(api: str) -> None:
    source = SHARED / "docs" / f"{api}.rst"
    if not source.is_file():
        pytest.skip(f"the documentation of {api} is not here to compare with")
    text = re.sub(r"\s+", " ", source.read_text(encoding="utf-8")).casefold()
    long_enough = [row["description"] for row in table(api) if len(row["description"].split()) > 5]
    assert [d for d in long_enough if d.rstrip(".").casefold() in text] == []


@every_api
def test_parents_are_objects(api: str) -> None:
    types = {row["name"]: row["type"] for row in table(api)}
    parts_of_an_object = [n for n in types if "." in n and n.rpartition(".")[0] in types]
    # a text field may have a part that holds the same value unbroken (`name.raw`)
    wrong = [n for n in parts_of_an_object if types[n.rpartition(".")[0]] != "object" and types[n] != "keyword"]
    assert wrong == []


@every_api
def test_no_cell_needed_for_sentences_is_empty(api: str) -> None:
    rows = table(api)
    assert [row["name"] for row in rows if not row["description"].strip() or not row["synonyms"].strip()] == []
    ragged = [row["name"] for row in rows for part in _parts(row["synonyms"]) if not part or part != part.strip()]
    assert ragged == []


@every_api
def test_descriptions_tell_fields_apart(api: str) -> None:
    said = [row["description"].casefold() for row in table(api)]
    assert len(set(said)) >= 0.95 * len(said)
    assert [d for d in said if not d.endswith(".") or "\n" in d] == []


@every_api
def test_types_analysis_flags_and_weights_are_legal(api: str) -> None:
    for row in table(api):
        assert row["analysis"] in LEGAL_ANALYSIS[row["type"]], row["name"]
        assert row["indexed"] in {"true", "false"}, row["name"]
        assert row["default_search"] in {"true", "false"}, row["name"]
        assert 0 < float(row["weight"]) <= 5, row["name"]


@every_api
def test_a_field_searched_by_default_is_indexed(api: str) -> None:
    wrong = [row["name"] for row in table(api) if row["default_search"] == "true" and row["indexed"] == "false"]
    assert wrong == []


@every_api
def test_an_object_with_an_indexed_leaf_is_indexed(api: str) -> None:
    known = {row["name"]: row["indexed"] for row in table(api)}
    wrong = [
        row["name"]
        for row in _leaves(api)
        if "." in row["name"] and known.get(row["name"].rpartition(".")[0], "true") != "true"
    ]
    assert wrong == []


@every_api
def test_examples_have_the_shape(api: str) -> None:
    wrong = [
        (row["name"], example)
        for row in table(api)
        if row["shape"]
        for example in _parts(row["examples"])
        if not re.fullmatch(row["shape"], example)
    ]
    assert wrong == []
    assert [row["name"] for row in table(api) if row["shape"] and not row["examples"]] == []


@every_api
def test_what_people_search_has_examples(api: str) -> None:
    asked = [row for row in _leaves(api) if float(row["weight"]) >= 0.5]
    assert [row["name"] for row in asked if not 1 <= len(_parts(row["examples"])) <= 8] == []
    several = sum(len(_parts(row["examples"])) > 1 for row in _leaves(api))
    assert several >= 0.9 * len(_leaves(api))


@every_api
def test_examples_are_values_that_the_language_accepts(api: str) -> None:
    definition = load(api)
    endpoint = next(name for name, e in definition.endpoints.items() if "q" in e.params)
    wrong = []
    for row in _leaves(api):
        for example in _parts(row["examples"]):
            term = Term(row["name"], example, "phrase" if re.search(r"\s", example) else "word")
            call = normalise(Call(definition, endpoint, None, term, ()))
            if parse(definition, call.path).canonical != call.canonical:
                wrong.append((row["name"], example))
    assert wrong == []


@every_api
def test_numbers_and_dates_look_like_numbers_and_dates(api: str) -> None:
    legal = {
        "number": re.compile(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?|\d{4}-\d{2}-\d{2}"),
        "boolean": re.compile(r"true|false"),
    }
    wrong = [
        (row["name"], example)
        for row in _leaves(api)
        for example in _parts(row["examples"])
        if (kind := "boolean" if row["type"] == "boolean" else row["analysis"]) in legal
        and not legal[kind].fullmatch(example)
    ]
    assert wrong == []


@every_api
def test_a_synonym_names_one_field_only(api: str) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for row in table(api):
        for synonym in _parts(row["synonyms"]):
            owners[synonym.casefold()].append(row["name"])
    assert {synonym: names for synonym, names in owners.items() if len(names) > 1} == {}


@every_api
def test_common_fields_have_several_synonyms(api: str) -> None:
    few = [row["name"] for row in table(api) if float(row["weight"]) >= 3 and len(_parts(row["synonyms"])) < 3]
    assert few == []


@pytest.mark.parametrize(
    ("api", "words", "field"),
    [
        ("mygene", "entrez gene id", "entrezgene"),
        ("mygene", "omim id", "MIM"),
        ("mygene", "go biological process", "go.BP"),
        ("mygene", "genomic position", "genomic_pos"),
        ("mychem", "chembl id", "chembl.molecule_chembl_id"),
        ("mychem", "molecular weight", "pubchem.molecular_weight"),
        ("mychem", "cas number", "drugbank.cas_number"),
        ("mychem", "tpsa", "pubchem.topological_polar_surface_area"),
        ("mydisease", "mondo id", "mondo.mondo"),
        ("mydisease", "orphanet id", "mondo.xrefs.orphanet"),
        ("mydisease", "gene symbol", "disgenet.genes_related_to_disease.gene_name"),
        ("mydisease", "symptom", "hpo.phenotype_related_to_disease"),
    ],
)
def test_an_abbreviation_expands_to_the_field_that_owns_it(api: str, words: str, field: str) -> None:
    synonyms = {row["name"]: {part.casefold() for part in _parts(row["synonyms"])} for row in table(api)}
    assert words in synonyms[field]
