"""The embedded service for the other shipped APIs, on small made-up records: nothing in it is about genes only."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import API, SchemaField, load, shipped
from querywright.api.executors import EmbeddedExecutor, HttpExecutor
from querywright.api.query import Term, escape, print_query
from querywright.api.records import read_file

pytest.importorskip("tantivy")

RECORDS: dict[str, list[dict[str, Any]]] = {
    "myvariant": [
        {
            "_id": "chr7:g.140453136A>T",
            "chrom": "7",
            "hg19": {"start": 140453136, "end": 140453136},
            "hg38": {"start": 140753336, "end": 140753336},
            "vcf": {"ref": "A", "alt": "T", "position": "140453136"},
            "dbsnp": {"rsid": "rs900000001", "gene": [{"symbol": "BRAF", "geneid": 673}], "vartype": "snv"},
            "cadd": {"phred": 32, "gene": [{"genename": "BRAF"}, {"genename": "QWA1"}]},
            "clinvar": {
                "variant_id": 90001,
                "rcv": [{"accession": "RCV990000001", "clinical_significance": "Pathogenic"}],
            },
        },
        {
            "_id": "chr1:g.35367G>A",
            "chrom": "1",
            "hg19": {"start": 35367, "end": 35367},
            "dbsnp": {"rsid": "rs900000002", "vartype": "snv"},
            "cadd": {"phred": 1.493},
        },
        {"_id": "chrX:g.100_200del", "chrom": "X", "hg19": {"start": 100, "end": 200}, "dbsnp": {"vartype": "del"}},
    ],
    "mychem": [
        {
            "_id": "QWAAAAAAAAAAAA-UHFFFAOYSA-N",
            "chebi": {"id": "CHEBI:990001", "name": "querywrightic acid"},
            "drugbank": {"id": "DB99901", "name": "Querywright"},
            "chembl": {"molecule_chembl_id": "CHEMBL990001", "pref_name": "QUERYWRIGHT"},
            "pubchem": {"cid": 990001, "molecular_weight": 180.16},
            "aeolus": {
                "drug_name": "QUERYWRIGHT",
                "outcomes": [{"name": "Headache", "case_count": 12}, {"name": "Nausea"}],
            },
        },
        {
            "_id": "QWBBBBBBBBBBBB-UHFFFAOYSA-N",
            "drugbank": {"id": "DB99902", "name": "Other"},
            "pubchem": {"cid": 990002, "molecular_weight": 18},
        },
    ],
    "mydisease": [
        {
            "_id": "MONDO:9900001",
            "mondo": {"mondo": "MONDO:9900001", "label": "querywright syndrome", "xrefs": {"doid": ["DOID:990001"]}},
            "disease_ontology": {"doid": "DOID:990001", "name": "querywright syndrome"},
            "ctd": {"chemical_related_to_disease": [{"chemical_name": "Aspirin"}, {"chemical_name": "Imatinib"}]},
        },
        {"_id": "MONDO:9900002", "mondo": {"label": "other syndrome"}},
    ],
}
FIRST = {name: rows[0]["_id"] for name, rows in RECORDS.items()}


@pytest.fixture(scope="module")
def executors() -> dict[str, EmbeddedExecutor]:
    from querywright.api.index import in_memory

    missing = RECORDS.keys() - set(shipped())
    if missing:
        pytest.skip(f"not shipped: {', '.join(sorted(missing))}")
    return {name: EmbeddedExecutor(load(name), index=in_memory(load(name), rows)) for name, rows in RECORDS.items()}


@pytest.mark.parametrize(
    ("name", "path", "total"),
    [
        ("myvariant", "/v1/query?q=rs900000001", 1),
        ("myvariant", "/v1/query?q=dbsnp.rsid:RS900000001", 1),
        ("myvariant", "/v1/query?q=braf", 1),
        ("myvariant", "/v1/query?q=chr7:140453130-140453140", 1),
        ("myvariant", "/v1/query?q=chr7:140453136", 1),
        ("myvariant", "/v1/query?q=chr1:140453136", 0),
        ("myvariant", "/v1/query?q=chrX:150-160", 1),
        ("myvariant", "/v1/query?q=chr7:140753330-140753340", 0),
        ("myvariant", "/v1/query?q=chr7:140753330-140753340&assembly=hg38", 1),
        ("myvariant", "/v1/query?q=cadd.phred:>20", 1),
        ("myvariant", "/v1/query?q=cadd.phred:[1.4 TO 1.5]", 1),
        ("myvariant", "/v1/query?q=_exists_:clinvar AND dbsnp.gene.geneid:673", 1),
        ("myvariant", "/v1/query?q=clinvar.rcv.clinical_significance:pathogenic", 1),
        ("myvariant", '/v1/query?q="chr7:g.140453136A>T"', 1),
        ("mychem", "/v1/query?q=querywright", 1),
        ("mychem", "/v1/query?q=chebi.name:acid", 1),
        ("mychem", "/v1/query?q=drugbank.id:DB99901", 1),
        ("mychem", "/v1/query?q=pubchem.molecular_weight:[100 TO 200]", 1),
        ("mychem", "/v1/query?q=pubchem.molecular_weight:<100", 1),
        ("mychem", "/v1/query?q=aeolus.outcomes.name:headache", 1),
        ("mychem", "/v1/query?q=QWBBBBBBBBBBBB-UHFFFAOYSA-N", 1),
        ("mydisease", "/v1/query?q=syndrome", 2),
        ("mydisease", "/v1/query?q=mondo.label:querywright", 1),
        ("mydisease", '/v1/query?q=mondo.xrefs.doid:"DOID:990001"', 1),
        ("mydisease", "/v1/query?q=ctd.chemical_related_to_disease.chemical_name:imatinib", 1),
    ],
)
def test_searches(executors: dict[str, EmbeddedExecutor], name: str, path: str, total: int) -> None:
    executor = executors[name]
    assert executor.run(parse(executor.api, path)).total == total


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("myvariant", "/v1/variant/chr7:g.140453136A>T"),
        ("myvariant", "/v1/variant/rs900000001"),
        ("myvariant", "/v1/variant/RCV990000001"),
        ("myvariant", "/v1/variant/clinvar.variant_id:90001"),
        ("mychem", "/v1/chem/QWAAAAAAAAAAAA-UHFFFAOYSA-N"),
        ("mychem", "/v1/chem/CHEBI:990001"),
        ("mychem", "/v1/drug/DB99901"),
        ("mychem", "/v1/chem/CHEMBL990001"),
        ("mychem", "/v1/chem/990001"),
        ("mydisease", "/v1/disease/MONDO:9900001"),
        ("mydisease", "/v1/disease/DOID:990001"),
    ],
)
def test_records_by_every_kind_of_id(executors: dict[str, EmbeddedExecutor], name: str, path: str) -> None:
    executor = executors[name]
    assert executor.run(parse(executor.api, path)).ids == (FIRST[name],)


def test_sort_facets_and_fields(executors: dict[str, EmbeddedExecutor]) -> None:
    executor = executors["myvariant"]
    body = executor.answer(parse(executor.api, "/v1/query?q=*&sort=-cadd.phred&fields=cadd.phred&facets=dbsnp.vartype"))
    assert [hit["_id"] for hit in body["hits"]] == [r["_id"] for r in RECORDS["myvariant"]]
    assert body["hits"][1]["cadd"] == {"phred": 1.493}
    assert {t["term"]: t["count"] for t in body["facets"]["dbsnp.vartype"]["terms"]} == {"snv": 2, "del": 1}


@pytest.mark.parametrize("name", RECORDS)
def test_service(executors: dict[str, EmbeddedExecutor], name: str) -> None:
    httpx = pytest.importorskip("httpx")
    from querywright.api.service import serving

    executor = executors[name]
    api = executor.api
    kind = next(e for e, spec in api.endpoints.items() if "{id}" in spec.path)
    with serving(api, executor.index) as url:
        path = f"/v1/{kind}/{FIRST[name]}"
        assert HttpExecutor(api, url).run(parse(api, path)).rows == executor.run(parse(api, path)).rows
        rows = httpx.post(f"{url}/v1/{kind}", data={"ids": f"{FIRST[name]},nothing"}).json()
        assert [(r["query"], r.get("_id"), r.get("notfound")) for r in rows] == [
            (FIRST[name], FIRST[name], None),
            ("nothing", None, True),
        ]
        for alias in api.endpoints[kind].aliases:
            assert (
                httpx.post(url + alias.replace("/{id}", ""), data={"ids": FIRST[name]}).json()[0]["_id"] == FIRST[name]
            )
        assert httpx.get(f"{url}/v1/query?q=nosuchfield:1").status_code == 400
        assert httpx.get(f"{url}/v1/metadata").json()["stats"]["total"] == len(RECORDS[name])


# --- every field ----------------------------------------------------------------------------------------------------
def made_up(field: SchemaField, rng: random.Random) -> Any:
    """A value that fits a field's type."""
    examples = [e for e in field.examples if e]
    if field.type in ("integer", "long", "byte"):
        return rng.randint(1, 100)
    if field.type in ("float", "double"):
        return rng.randint(1, 400) / 4
    if field.type == "boolean":
        return rng.random() < 0.5
    if field.type == "date":
        return f"20{rng.randint(10, 24)}-0{rng.randint(1, 9)}-{rng.randint(10, 28)}"
    return rng.choice(examples) if examples else f"Made-up {rng.randint(1, 99)}"


def put(record: dict[str, Any], name: str, value: Any, many: bool) -> bool:
    """Set a dotted field, in a list of objects if `many`; whether it fits beside what is there."""
    here: Any = record
    *parents, last = name.split(".")
    for part in parents:
        below = here.setdefault(part, [{}] if many else {})
        here = below[0] if isinstance(below, list) else below
        if not isinstance(here, dict):
            return False
    if last in here:
        return False
    here[last] = [value, value] if many else value
    return True


@pytest.mark.parametrize("name", [n for n in shipped() if load(n).query_language == "lucene"])
def test_every_field_can_be_searched(name: str) -> None:
    from querywright.api.index import in_memory

    api, rng = load(name), random.Random(5)
    leaves = [f for f in api.fields.values() if f.type != "object" and f.indexed and f.name not in api.meta_fields]
    put_in: list[tuple[str, str, Any]] = []
    records: list[dict[str, Any]] = []
    for start in range(0, len(leaves), 40):
        record: dict[str, Any] = {"_id": f"made-up-{start}"}
        for field in leaves[start : start + 40]:
            value = made_up(field, rng)
            if put(record, field.name, value, rng.random() < 0.3):
                put_in.append((record["_id"], field.name, value))
        records.append(record)
    executor = EmbeddedExecutor(api, index=in_memory(api, records))
    assert len(put_in) > 0.9 * len(leaves)
    lost = [
        (field, value)
        for record, field, value in rng.sample(put_in, min(len(put_in), 400))
        if record not in found(executor, api, field, value)
    ]
    assert lost == []


def found(executor: EmbeddedExecutor, api: API, field: str, value: Any) -> tuple[str, ...]:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    node = Term(field, text, "phrase" if isinstance(value, str) else "word")
    return executor.run(parse(api, f"{api.endpoints['query'].path}?size=1000&q=" + escape(print_query(node)))).ids


# --- records that are odd -------------------------------------------------------------------------------------------
def test_odd_records_are_indexed(tmp_path: Path) -> None:
    api = load("mygene")
    rows = [
        {"_id": 5, "symbol": "A\ud800B", "name": "x" * 100_000, "taxid": "not a number"},
        {"id": "6", "symbol": ["C", None, {"odd": 1}], "name": " ".join(["word"] * 30_000), "genomic_pos": "nowhere"},
        {"_id": "7", "symbol": {"not": "a text"}, "unknown": {"deep": [[["x"]]]}, "": 1, "taxid": 10**40},
    ]
    file = tmp_path / "odd.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert [r["_id"] for r in read_file(file)] == ["5", "6", "7"]
    executor = EmbeddedExecutor(api, file, tmp_path)
    assert executor.run(parse(api, "/v3/query?q=*")).total == 3
    assert executor.run(parse(api, "/v3/query?q=symbol:c")).ids == ("6",)
    assert executor.run(parse(api, "/v3/gene/7")).total == 1
