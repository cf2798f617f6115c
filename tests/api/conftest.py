"""A small embedded service that the tests of this room share: some real genes, and a few with every kind of field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from querywright.api.definition import API, load

RICH: list[dict[str, Any]] = [
    {
        "_id": "900001",
        "entrezgene": "900001",
        "taxid": 9606,
        "symbol": "QWA1",
        "name": "querywright alpha kinase 1",
        "alias": ["QWAL", "p33-like"],
        "type_of_gene": "protein-coding",
        "summary": "Binds insulin receptor substrates.",
        "ensembl": [
            {"gene": "ENSG90000000001", "transcript": ["ENST90000000001", "ENST90000000002"]},
            {"gene": "ENSG90000000009"},
        ],
        "go": {
            "BP": [{"id": "GO:0000307", "term": "cyclin complex"}, {"id": "GO:0006915", "term": "apoptosis"}],
            "MF": {"id": "GO:0004672", "term": "protein kinase activity"},
        },
        "refseq": {"rna": ["NM_900001", "NM_900002.3"], "protein": "NP_900001.1"},
        "uniprot": {"Swiss-Prot": "Q90001", "TrEMBL": ["A0A900", "A0A901"]},
        "genomic_pos": [
            {"chr": "X", "start": 1000, "end": 2000, "strand": 1},
            {"chr": "Y", "start": 500000, "end": 501000, "strand": 1},
        ],
        "genomic_pos_hg19": {"chr": "X", "start": 5000, "end": 6000, "strand": 1},
        "HGNC": "99001",
        "MIM": ["990001", "990002"],
        "retired": [80001, 80002],
        "agr": {"orthologs": [{"geneid": "MGI:9000", "algorithmsmatch": 9, "isbestscore": True}]},
        "clingen": {"clinical_validity": [{"classification": "Definitive", "classification_date": "2018-06-07"}]},
        "pathway": {"kegg": {"id": "hsa04110", "name": "Cell cycle"}},
    },
    {
        "_id": "900002",
        "entrezgene": "900002",
        "taxid": 10090,
        "symbol": "Qwa1",
        "name": "querywright alpha kinase 1",
        "type_of_gene": "protein-coding",
        "MGI": "MGI:88339",
        "alias": "QWAL",
        "genomic_pos": {"chr": "X", "start": 1500, "end": 2500, "strand": -1},
        "genomic_pos_mm9": {"chr": "X", "start": 1400, "end": 2400, "strand": -1},
    },
    {
        "_id": "ENSDARG90000000001",
        "taxid": 7955,
        "symbol": "qwa1",
        "name": "alpha-like kinase (1)",
        "ensembl": {"gene": "ENSDARG90000000001"},
        "ZFIN": "ZDB-GENE-900001-1",
        "type_of_gene": "protein-coding",
    },
    {
        "_id": "900003",
        "entrezgene": "900003",
        "taxid": 9606,
        "symbol": "ABC-9",
        "name": "kinase alpha, querywright",
        "alias": "QWA1",
        "type_of_gene": "ncRNA",
    },
]


@pytest.fixture(scope="session")
def mygene() -> API:
    return load("mygene")


@pytest.fixture(scope="session")
def genes() -> list[dict[str, Any]]:
    """About 12,000 records: every tenth gene of goatools, some families whole, and the rich ones."""
    pytest.importorskip("goatools")
    from querywright.api.records import goatools

    families = ("cdk", "brca", "tp5", "hla-", "il2", "btk", "ins")
    kept = [r for r in goatools() if int(r["_id"]) % 10 == 0 or r["symbol"].lower().startswith(families)]
    return kept + RICH


@pytest.fixture(scope="session")
def index(mygene: API, genes: list[dict[str, Any]]) -> Any:
    pytest.importorskip("tantivy")
    from querywright.api.index import in_memory

    return in_memory(mygene, genes)


@pytest.fixture(scope="session")
def url(mygene: API, index: Any) -> Iterator[str]:
    """The address of the service over `index`."""
    from querywright.api.service import serving

    with serving(mygene, index) as address:
        yield address
