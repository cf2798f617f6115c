"""The MyGene.info field table is complete, legal and usable for writing sentences."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[2] / "data" / "apis" / "mygene" / "fields.csv"
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
    "text": {"text"},
    "integer": {"number"},
    "long": {"number"},
    "float": {"number"},
    "date": {"number"},
    "boolean": {"exact"},
    "object": {"object"},
}
WEIGHTS = {"3", "2", "1", "0.1"}

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """All rows of the table, in file order."""
    with TABLE.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        assert reader.fieldnames == COLUMNS
        return list(reader)


def _parts(cell: str) -> list[str]:
    return cell.split("|") if cell else []


def test_every_field_once(rows: list[Row]) -> None:
    names = [row["name"] for row in rows]
    assert len(names) == 355
    assert len(set(names)) == 355


def test_parents_are_objects(rows: list[Row]) -> None:
    types = {row["name"]: row["type"] for row in rows}
    children = [name for name in types if "." in name]
    assert [name for name in children if types.get(name.rpartition(".")[0]) != "object"] == []


def test_no_cell_needed_for_sentences_is_empty(rows: list[Row]) -> None:
    assert [row["name"] for row in rows if not row["description"].strip() or not row["synonyms"].strip()] == []
    ragged = [row["name"] for row in rows for part in _parts(row["synonyms"]) if not part or part != part.strip()]
    assert ragged == []


def test_types_analysis_flags_and_weights_are_legal(rows: list[Row]) -> None:
    for row in rows:
        assert row["analysis"] in LEGAL_ANALYSIS[row["type"]], row["name"]
        assert row["indexed"] in {"true", "false"}, row["name"]
        assert row["default_search"] in {"true", "false"}, row["name"]
        assert row["weight"] in WEIGHTS, row["name"]


def test_a_field_searched_by_default_is_indexed(rows: list[Row]) -> None:
    assert [row["name"] for row in rows if row["default_search"] == "true" and row["indexed"] == "false"] == []


def test_an_object_with_an_indexed_leaf_is_indexed(rows: list[Row]) -> None:
    indexed = {row["name"] for row in rows if row["indexed"] == "true"}
    leaves = [
        row["name"] for row in rows if row["indexed"] == "true" and row["type"] != "object" and "." in row["name"]
    ]
    assert [leaf for leaf in leaves if leaf.rpartition(".")[0] not in indexed] == []


def test_examples_have_the_shape(rows: list[Row]) -> None:
    wrong = [
        (row["name"], example)
        for row in rows
        if row["shape"]
        for example in _parts(row["examples"])
        if not re.fullmatch(row["shape"], example)
    ]
    assert wrong == []
    assert [row["name"] for row in rows if row["shape"] and not row["examples"]] == []


def test_every_queryable_leaf_has_examples(rows: list[Row]) -> None:
    leaves = [row for row in rows if row["indexed"] == "true" and row["type"] != "object"]
    assert [row["name"] for row in leaves if not 2 <= len(_parts(row["examples"])) <= 5] == []


def test_a_synonym_names_one_field_only(rows: list[Row]) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for synonym in _parts(row["synonyms"]):
            owners[synonym.casefold()].append(row["name"])
    assert {synonym: names for synonym, names in owners.items() if len(names) > 1} == {}


def test_common_fields_have_several_synonyms(rows: list[Row]) -> None:
    few = {row["name"]: row["synonyms"] for row in rows if row["weight"] == "3" and len(_parts(row["synonyms"])) < 5}
    assert few == {}


def test_an_abbreviation_expands_to_the_field_that_owns_it(rows: list[Row]) -> None:
    synonyms = {row["name"]: {part.casefold() for part in _parts(row["synonyms"])} for row in rows}
    assert "entrez gene id" in synonyms["entrezgene"]
    assert "omim id" in synonyms["MIM"]
    assert "go biological process" in synonyms["go.BP"]
    assert "genomic position" in synonyms["genomic_pos"]
