"""The index on disk: built once, built anew when anything it depends on changes, and never half."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from querywright.api import index as indexes
from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.api.records import read, source_of
from querywright.errors import QuerywrightError

pytest.importorskip("tantivy")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    rows = [{"_id": str(n), "entrezgene": str(n), "symbol": f"GEN{n}", "taxid": 9606} for n in range(1, 51)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def test_build_once_and_again_when_records_change(mygene: API, records: Path, tmp_path: Path) -> None:
    first = indexes.build(mygene, records, tmp_path / "w")
    stamp = (first / "manifest.json").stat().st_mtime_ns
    assert indexes.build(mygene, records, tmp_path / "w") == first
    assert (first / "manifest.json").stat().st_mtime_ns == stamp
    records.write_text(records.read_text() + '{"_id": "99", "symbol": "NEW1", "taxid": 9606}\n')
    second = indexes.build(mygene, records, tmp_path / "w")
    assert second != first
    assert indexes.open_index(mygene, records, tmp_path / "w").size == 51


def test_definition_is_part_of_the_key(mygene: API, records: Path, tmp_path: Path) -> None:
    other = load("mygene").model_copy(update={"value_prefixes": {}})
    assert indexes.build(mygene, records, tmp_path) != indexes.build(other, records, tmp_path)


def test_half_an_index_is_built_anew(mygene: API, records: Path, tmp_path: Path) -> None:
    folder = indexes.build(mygene, records, tmp_path)
    (folder / "manifest.json").unlink()
    assert indexes.build(mygene, records, tmp_path) == folder
    assert (folder / "manifest.json").is_file()
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".building-")]


@pytest.mark.parametrize(
    ("line", "reason"), [("{", "not JSON"), ('{"symbol": "X"}', "needs an _id"), ("[1]", "needs an _id")]
)
def test_bad_line_is_named_and_nothing_stays(
    mygene: API, records: Path, tmp_path: Path, line: str, reason: str
) -> None:
    records.write_text(records.read_text() + line + "\n")
    with pytest.raises(QuerywrightError, match=rf"records.jsonl:51: .*{reason}"):
        indexes.build(mygene, records, tmp_path / "w")
    assert list((tmp_path / "w" / "index").iterdir()) == []


def test_gzip_and_plain_are_read_alike(records: Path, tmp_path: Path) -> None:
    packed = tmp_path / "records.jsonl.gz"
    packed.write_bytes(gzip.compress(records.read_bytes()))
    assert list(read(str(packed))) == list(read(str(records)))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(QuerywrightError, match="could not read"):
        list(read(str(packed)))


def test_missing_records_are_told(mygene: API) -> None:
    assert source_of(mygene, None) == "goatools"
    with pytest.raises(QuerywrightError, match="no records file"):
        source_of(mygene, "nothing.jsonl")
    with pytest.raises(QuerywrightError, match="names no records"):
        source_of(mygene.model_copy(update={"records": ""}), None)


def test_goatools_documents(genes: list[dict[str, Any]]) -> None:
    by_id = {g["_id"]: g for g in genes if not g["_id"].startswith(("9000", "ENS"))}
    cdk2 = by_id["1017"]
    assert cdk2["symbol"] == "CDK2"
    assert cdk2["entrezgene"] == "1017"
    assert cdk2["taxid"] == 9606
    assert cdk2["type_of_gene"] == "protein-coding"
    assert cdk2["genomic_pos"]["chr"] == "12"
    assert cdk2["genomic_pos"]["strand"] == 1
    assert cdk2["genomic_pos"]["start"] < cdk2["genomic_pos"]["end"]
    assert {g["taxid"] for g in by_id.values()} == {9606, 10090, 7227}
    assert by_id["30970"]["locus_tag"] == "Dmel_CG3038"
    assert not any(v in ("", [], None) for g in by_id.values() for v in g.values())


@pytest.mark.parametrize(
    ("text", "end", "number"),
    [
        ("2018-06-07", False, 20180607000000),
        ("2018-06", True, 20181231235959 - 600000000),
        ("2018", False, 20180101000000),
        ("2018-06-07T12:30:05.123Z", False, 20180607123005),
        ("June 2018", False, None),
    ],
)
def test_moment(text: str, end: bool, number: int | None) -> None:
    assert indexes.moment(text, end) == number


def test_values_that_do_not_fit_stay_in_the_record(mygene: API) -> None:
    odd: list[dict[str, Any]] = [
        {"_id": "1", "taxid": "mouse", "symbol": 17, "unknown": {"deep": [1]}, "genomic_pos": "nowhere", "alias": None},
        {"_id": "2", "taxid": 10**30, "symbol": "x" * 50_000, "name": ["", "a"], "uniprot": "P1"},
    ]
    from querywright.api import search

    index = indexes.in_memory(mygene, odd)
    answer = search.answer(index, parse(mygene, "/v3/query?q=symbol:17&fields=all"))
    assert answer["hits"][0]["unknown"] == {"deep": [1]}
    assert answer["hits"][0]["taxid"] == "mouse"
    assert search.answer(index, parse(mygene, "/v3/query?q=name:a"))["total"] == 1


def test_columns_are_distinct(mygene: API) -> None:
    names = [*mygene.fields, "a.b", "a_b", "a-b", "a_2e_b", "a+b"]
    assert len({indexes.column(n) for n in names if n != "a_2e_b"}) == len(names) - 1
