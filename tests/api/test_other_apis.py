"""What MyVariant, MyChem and MyDisease have of their own: ids by shape, positions, assemblies, older names."""

from __future__ import annotations

import pytest

from querywright.api.call import CallError, parse
from querywright.api.definition import load

SAME = [
    ("myvariant", "/v1/variant/rs121913527", "/variant/dbsnp.rsid:RS121913527"),
    ("myvariant", "/v1/variant/CA123456?assembly=hg38", "/v1/variant/caid:ca123456?assembly=HG38"),
    ("myvariant", "/v1/variant/chr2:g.1000A>T", "/v1/variant/chr2%3Ag.1000A%3ET?assembly=hg19&jsonld=true"),
    ("myvariant", "/v1/variant/clinvar.variant_id:77", "/v1/variant/ClinVar:77"),
    ("myvariant", "/v1/query?q=chr2:500-500", "/v1/query?q=chr2:500"),
    ("myvariant", "/v1/query?q=NOT _exists_:dbsnp", "/v1/query?q=_missing_:dbsnp"),
    ("myvariant", '/v1/query?q="chr2:g.1000A>T"', "/v1/query?q=chr2:g.1000A%3ET"),
    ("myvariant", "/v1/query?q=chrom:7", "/v1/query?q=CHROM:7"),
    ("myvariant", "/v1/query?q=clinvar.variant_id:77", "/v1/query?q=clinvar.variant_id:(77)"),
    ("myvariant", "/v1/variant/chr2:g.1000A>T", "/v1/variant/chr2:1000A>T"),
    ("myvariant", "/v1/variant/chr2:g.1000A>T", "/v1/variant/chr2:g1000A>T"),
    ("mychem", "/v1/chem/DB00100", "/v1/drug/drugbank:db00100"),
    ("mychem", "/v1/chem/CHEBI:1234", "/v1/compound/chebi:CHEBI:1234"),
    ("mychem", "/v1/chem/424242", "/v1/chem/PubChem.Compound:424242"),
    ("mychem", "/v1/query?q=aspirin&fields=chembl", "/v1/query?q=aspirin&fields=chembl.*"),
    ("mychem", "/v1/query?q=pubchem.inchikey:X", "/v1/query?q=pubchem.inchi_key:X"),
    ("mydisease", "/v1/disease/MONDO:0001234", "/v1/disease/mOnDo:MONDO:0001234"),
    ("mydisease", r"/v1/query?q=DOID\:4321", "/v1/query?q=DOID:4321"),
]


def _canonical(name: str, path: str) -> str:
    return parse(load(name), path).canonical


@pytest.mark.parametrize(("name", "x", "y"), SAME)
def test_same(name: str, x: str, y: str) -> None:
    assert _canonical(name, x) == _canonical(name, y)


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("myvariant", "/v1/variant/rs1?assembly=hg38", "/v1/variant/rs1"),
        ("myvariant", "/v1/query?q=chr2:500&assembly=hg38", "/v1/query?q=chr2:500"),
        ("myvariant", "/v1/query?q=dbsnp.rsid:rs1", "/v1/query?q=rs1"),
        ("mychem", "/v1/chem/CHEBI:1234", "/v1/chem/1234"),
    ],
)
def test_different(name: str, x: str, y: str) -> None:
    assert _canonical(name, x) != _canonical(name, y)


@pytest.mark.parametrize(
    ("name", "path", "code"),
    [
        ("myvariant", "/v1/variant/chr2:..1000A>T", "bad_id"),
        ("myvariant", "/v1/variant/chr2:g.1000A", "bad_id"),
        ("myvariant", "/v1/variant/", "bad_id"),
        ("myvariant", "/v1/query?q=chr2:500&assembly=hg17", "bad_value"),
        ("myvariant", "/v1/query?q=hg19.chr2:1-500", "unknown_field"),
        ("mychem", "/v1/query?q=chr2:1-500", "unknown_field"),
        ("mychem", "/v1/chem/nosuch.field:7", "unknown_field"),
        ("mydisease", "/v1/query?fields=mondo", "missing_parameter"),
        ("mydisease", "/v1/query?q=mondo.mondo:MONDO:0001234", "bad_query"),
    ],
)
def test_refused(name: str, path: str, code: str) -> None:
    with pytest.raises(CallError) as error:
        parse(load(name), path)
    assert error.value.code == code, str(error.value)


def test_an_id_is_sent_as_the_service_keeps_it() -> None:
    call = parse(load("mygene"), "/v3/query?q=mgi:88339")
    assert call.text == "/v3/query?q=MGI:88339"  # what a model writes
    assert call.path == "/v3/query?q=MGI:MGI%5C:88339"
    assert parse(load("mygene"), call.path) == call
