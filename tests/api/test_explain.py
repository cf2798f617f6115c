"""A call in words."""

from __future__ import annotations

import pytest

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.api.explain import explain


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (
            "/v3/query?q=symbol:CDK2&species=human&fields=symbol,taxid&size=5",
            [
                "genes whose symbol is CDK2",
                "only human",
                "return only symbol and taxonomy ID (taxid)",
                "at most 5 hits",
            ],
        ),
        ("/v3/query?q=cdk2", ["genes with the word cdk2 in any main field"]),
        (
            '/v3/query?q="tumor suppressor" NOT receptor',
            [
                'genes with the phrase "tumor suppressor" in any main field',
                "but not those with the word receptor in any main field",
            ],
        ),
        (
            "/v3/query?q=symbol:CDK? AND _exists_:summary",
            ["genes whose symbol has the form CDK?", "and that have a value for summary"],
        ),
        (
            "/v3/query?q=(symbol:CDK2 OR symbol:BTK) AND name:kinase",
            ["genes (whose symbol is CDK2 or whose symbol is BTK)", "and whose name contains kinase"],
        ),
        ("/v3/query?q=chrX:1000-20000&species=mouse", ["genes on chromosome X between 1,000 and 20,000", "only mouse"]),
        (
            "/v3/query?q=genomic_pos.start:[1 TO 9]&sort=-taxid,symbol&from=10",
            [
                "genes whose start position (genomic_pos.start) is 1 to 9",
                "without the first 10 hits",
                "sorted by taxonomy ID (taxid), highest first, then by symbol",
            ],
        ),
        ("/v3/query?q=genomic_pos.start:>100", ["genes whose start position (genomic_pos.start) is more than 100"]),
        (
            "/v3/query?q=*&facets=taxid&size=0&species_facet_filter=mouse",
            [
                "all genes",
                "no hits, only how many there are",
                "count the hits by taxonomy ID (taxid)",
                "hits only of mouse, counts of all",
            ],
        ),
        (
            "/v3/query?q=symbol:x&entrezonly=true&fetch_all=1",
            ["genes whose symbol is x", "only genes with Entrez gene ID (entrezgene)", "all hits, page after page"],
        ),
        ("/v3/gene/1017?fields=all", ["the gene with the id 1017"]),
        ("/v3/gene/symbol:CDK2", ["the gene whose symbol is CDK2"]),
        ("/v3/species/9606", ["the species with the id 9606"]),
        ("/v3/metadata", ["facts about the service"]),
        ("/v3/metadata/fields?search=uniprot", ["the list of fields", "search: uniprot"]),
        ("/v3/query?scroll_id=abc", ["the next page of an earlier search"]),
    ],
)
def test_words(mygene: API, path: str, lines: list[str]) -> None:
    assert explain(parse(mygene, path)) == lines
