"""What a search means: each feature of the query language and each parameter, on real and on made-up genes."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from querywright.api import search
from querywright.api.call import parse


@pytest.fixture
def ask(mygene: Any, index: Any) -> Any:
    def ask(path: str) -> Any:
        return search.answer(index, parse(mygene, path if path.startswith("/") else f"/v3/query?q={path}"))

    return ask


@pytest.fixture
def ids(ask: Any) -> Any:
    return lambda path: [hit["_id"] for hit in ask(path)["hits"]]


QWA = {"900001", "900002", "ENSDARG90000000001"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("symbol:qwa1", QWA),
        ("symbol:QWA?", QWA),
        ("symbol:qw*1", QWA),
        ("alias:qwal", {"900001", "900002"}),
        ("qwa1 AND querywright", {"900001", "900002", "900003"}),  # words may stand in different fields
        ('"querywright alpha kinase"', {"900001", "900002"}),
        ('name:"kinase alpha"~2 AND querywright', {"900001", "900002", "900003"}),
        ("name:querywright NOT symbol:qwa1", {"900003"}),
        ("name:querywright AND (taxid:10090 OR type_of_gene:ncRNA)", {"900002", "900003"}),
        ("entrezgene:900001 OR entrezgene:900003", {"900001", "900003"}),
        ("+symbol:qwa1 -taxid:9606", {"900002", "ENSDARG90000000001"}),
        ("go:0000307", {"900001"}),
        ("go:GO\\:0000307", {"900001"}),
        ("go.BP.id:GO%5C:0006915", {"900001"}),
        ("go:apoptosis", {"900001"}),
        ("MGI:88339", {"900002"}),
        ('mgi:"MGI:88339"', {"900002"}),
        ("refseq:NM_900001", {"900001"}),
        ("refseq:nm_900002", {"900001"}),
        ("NM_900001.7", {"900001"}),
        ("refseq:900001", set()),  # an accession is one word
        ("uniprot:q90001", {"900001"}),
        ("ensembl.transcript:ENST90000000002", {"900001"}),
        ("ENSG90000000009", {"900001"}),
        ("MIM:990002", {"900001"}),
        ("retired:80002", {"900001"}),
        ("retired:nonsense", set()),
        ("summary:insulin AND taxid:9606", {"900001"}),
        ("_exists_:ZFIN", {"ENSDARG90000000001"}),
        ("symbol:qwa1 AND _exists_:refseq", {"900001"}),
        ("symbol:qwa1 AND NOT _exists_:entrezgene", {"ENSDARG90000000001"}),
        ("agr.orthologs.algorithmsmatch:[8 TO 9]", {"900001"}),
        ("agr.orthologs.algorithmsmatch:>9", set()),
        ("agr.orthologs.algorithmsmatch:>=9", {"900001"}),
        ("agr.orthologs.algorithmsmatch:{* TO 9}", set()),
        ("agr.orthologs.isbestscore:true", {"900001"}),
        ("agr.orthologs.isbestscore:false", set()),
        ("clingen.clinical_validity.classification_date:[2018-06 TO 2018-06]", {"900001"}),
        ("clingen.clinical_validity.classification_date:>2018-06-07", set()),
        ("clingen.clinical_validity.classification_date:2018", {"900001"}),
        ("entrezgene:[900001 TO 900002]", {"900001", "900002"}),
        ("symbol:{abc-8 TO abc-9]", {"900003"}),
        ("symbol:abc-9", {"900003"}),
        ("abc-9", {"900003"}),
        ("symbol:qwaa1~1", QWA),
        ("_id:ensdarg90000000001", {"ENSDARG90000000001"}),
        ("HGNC:HGNC%5C:99001", {"900001"}),
    ],
)
def test_query(ids: Any, query: str, expected: set[str]) -> None:
    assert set(ids(query + "&size=100")) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("chrX:1,900-1,950", {"900001"}),
        ("chrx:2000-2100", {"900001"}),  # both ends count
        ("chrX:2001-2100", set()),
        ("chrX:900-999", set()),
        ("chrY:1-100000", set()),  # the position on Y does not lend its end to the one on X
        ("chrX:1900-1950&species=mouse", {"900002"}),
        ("hg19.chrX:5500-5600", {"900001"}),
        ("hg38.chrX:1900-1950", {"900001"}),
        ("mm9.chrX:1400-1450", {"900002"}),
        ("chrX:1,900-1,950 AND type_of_gene:ncRNA", set()),
    ],
)
def test_interval(ids: Any, interval: str, expected: set[str]) -> None:
    assert set(ids(interval + "&size=1000")) & {"900001", "900002"} == expected


def test_official_symbol_comes_first_and_people_before_mice(ids: Any) -> None:
    assert ids("cdk2")[:3] == ["1017", "12566", "42453"]
    assert ids("CDK2&species=mouse,human")[:2] == ["1017", "12566"]
    assert ids("qwa1")[:2] == ["900001", "900002"]
    assert ids("qwa1").index("900003") > 1  # only an alias
    assert ids("tp53")[0] == "7157"


def test_leading_wildcard_is_ignored(ask: Any) -> None:
    assert ask("*querywright")["total"] == ask("querywright")["total"] == 3


def test_species_by_name_number_and_in_the_query(ask: Any) -> None:
    totals = {
        ask(q)["total"]
        for q in ("kinase&species=human", "kinase&species=9606", "kinase AND taxid:9606", "kinase AND species:human")
    }
    assert len(totals) == 1
    assert 0 < totals.pop() < ask("kinase&species=all")["total"]


def test_fields(ask: Any) -> None:
    hit = ask("entrezgene:900001")["hits"][0]
    assert set(hit) == {"_id", "_score", "symbol", "name", "taxid", "entrezgene"}
    hit = ask("entrezgene:900001&fields=ensembl.gene,go.MF,symbol")["hits"][0]
    del hit["_score"]
    assert hit == {
        "_id": "900001",
        "symbol": "QWA1",
        "ensembl": [{"gene": "ENSG90000000001"}, {"gene": "ENSG90000000009"}],
        "go": {"MF": {"id": "GO:0004672", "term": "protein kinase activity"}},
    }
    hit = ask("entrezgene:900001&fields=ensembl.gene,uniprot&dotfield=true")["hits"][0]
    assert hit["ensembl.gene"] == ["ENSG90000000001", "ENSG90000000009"]
    assert hit["uniprot.Swiss-Prot"] == "Q90001"
    assert "clingen" in ask("entrezgene:900001&fields=all")["hits"][0]


def test_size_and_from_page_without_gaps(ids: Any, ask: Any) -> None:
    everything = ids("kinase&size=60")
    assert ids("kinase&size=20") + ids("kinase&size=20&from=20") + ids("kinase&size=20&skip=40") == everything
    assert len(set(everything)) == 60
    none = ask("kinase&size=0")
    assert none["hits"] == []
    assert none["total"] > 60


def test_sort(ask: Any) -> None:
    hits = ask("symbol:cdk*&sort=symbol&size=1000")["hits"]
    symbols = [h["symbol"].lower() for h in hits]
    assert symbols == sorted(symbols)
    hits = ask("symbol:cdk*&sort=-taxid,symbol&size=1000")["hits"]
    keys = [(-h["taxid"], h["symbol"].lower()) for h in hits]
    assert keys == sorted(keys)
    assert len(hits) == ask("symbol:cdk*")["total"]
    starts = ask("symbol:cdk*&sort=-genomic_pos.start&size=1000&fields=genomic_pos.start")["hits"]
    values = [h.get("genomic_pos", {}).get("start") for h in starts]
    have = [v for v in values if v is not None]
    assert have == sorted(have, reverse=True)
    assert values == have + [None] * (len(values) - len(have))
    names = [h["name"].lower() for h in ask("symbol:cdk*&sort=name&size=1000")["hits"]]
    assert names == sorted(names)
    with pytest.raises(search.ServiceError):
        ask("cdk2&sort=genomic_pos")


def test_facets(ask: Any, genes: list[dict[str, Any]]) -> None:
    answer = ask("symbol:qwa1&facets=taxid,type_of_gene&size=0")
    assert answer["facets"]["taxid"] == {
        "_type": "terms",
        "total": 3,
        "other": 0,
        "missing": 0,
        "terms": [{"count": 1, "term": 10090}, {"count": 1, "term": 7955}, {"count": 1, "term": 9606}],
    }
    kinds = ask("*&facets=type_of_gene&facet_size=2&size=0")["facets"]["type_of_gene"]
    assert [t["term"] for t in kinds["terms"]] == ["protein-coding", "pseudo"]
    assert kinds["terms"][0]["count"] == sum(g.get("type_of_gene") == "protein-coding" for g in genes)
    assert kinds["missing"] == sum("type_of_gene" not in g for g in genes)
    assert kinds["total"] + kinds["missing"] == len(genes)
    narrowed = ask("symbol:qwa1&facets=taxid&species_facet_filter=mouse")
    assert narrowed["total"] == 1
    assert narrowed["facets"]["taxid"]["total"] == 3


def test_entrezonly_and_ensemblonly(ids: Any) -> None:
    assert set(ids("symbol:qwa1&entrezonly=true")) == {"900001", "900002"}
    assert set(ids("symbol:qwa1&ensemblonly=1")) == {"900001", "ENSDARG90000000001"}


def test_record_by_id(ask: Any) -> None:
    assert ask("/v3/gene/1017")["symbol"] == "CDK2"
    assert ask("/v3/gene/ENSG90000000009")["_id"] == "900001"
    assert ask("/v3/gene/80002")["_id"] == "900001"  # retired
    assert ask("/v3/gene/ENSDARG90000000001")["symbol"] == "qwa1"
    assert ask("/v3/gene/1017?fields=symbol") == {"_id": "1017", "_version": 1, "symbol": "CDK2"}
    assert set(ask("/v3/gene/1017?fields=symbol,name,taxid,entrezgene")) == {
        "_id",
        "_version",
        "symbol",
        "name",
        "taxid",
        "entrezgene",
    }
    with pytest.raises(search.ServiceError, match="no gene has the id"):
        ask("/v3/gene/1017?species=mouse")


def test_scroll_ends_and_expires(mygene: Any, index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scrolls = search.Scrolls()
    page = search.answer(index, parse(mygene, "/v3/query?q=taxid:9606&fetch_all=true"), scrolls)
    seen = [h["_id"] for h in page["hits"]]
    following = parse(mygene, f"/v3/query?scroll_id={page['_scroll_id']}")
    while len(seen) < page["total"]:
        seen += [h["_id"] for h in search.answer(index, following, scrolls)["hits"]]
    with pytest.raises(search.NoMoreResults):
        search.answer(index, following, scrolls)
    assert len(seen) == len(set(seen)) == page["total"] > 3000
    page = search.answer(index, parse(mygene, "/v3/query?q=taxid:9606&fetch_all=true"), scrolls)
    later = time.monotonic() + 61
    monkeypatch.setattr(search.time, "monotonic", lambda: later)
    with pytest.raises(search.ServiceError, match="stale"):
        search.answer(index, parse(mygene, f"/v3/query?scroll_id={page['_scroll_id']}"), scrolls)


def test_a_search_takes_milliseconds(ask: Any) -> None:
    paths = [quote(q, safe=":*?&=") for q in ("cdk2", "tumor suppressor", "symbol:cdk*", "name:kinase&species=human")]
    for path in paths:
        ask(path)
    started = time.perf_counter()
    for path in paths * 5:
        ask(path)
    assert (time.perf_counter() - started) / 20 < 1  # some milliseconds on a machine that does nothing else
