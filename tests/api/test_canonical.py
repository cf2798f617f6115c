"""Which calls mean the same, which do not, and what is no call: pairs of paths, as people write them."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from querywright.api import search
from querywright.api.call import CallError, parse, same
from querywright.api.definition import API, load


def path(text: str) -> str:
    """A whole path or URL, or what follows `/v3/query?q=`."""
    whole = text.startswith("/") or "://" in text or text.startswith("mygene.info/")
    return text if whole else f"/v3/query?q={text}"


SAME = [
    ("_missing_:pdb", "NOT _exists_:pdb"),
    ('_exists_:"ensembl.gene" AND cdk2', "_exists_:ensembl.gene AND cdk2"),
    # the path and how it is encoded
    ("cdk2", "/v3/query/?q=cdk2"),
    ("cdk2", "//v3//query?q=cdk2&"),
    ("cdk2", "/query?&q=cdk2#top"),
    ("cdk2", "https://mygene.info/v3/query?q=cdk2"),
    ("cdk2", "HTTP://MyGene.info/v3/query?q=cdk2"),
    ("cdk2", "mygene.info/v3/query?q=cdk2"),
    ("symbol:cdk2", "/v3/%71uery?%71=symbol%3acdk%32"),
    ("a b", "a+b"),
    ("a b", "a%20%20b%09"),
    ("cdk2&fields=symbol,name", "cdk2&fields=symbol%2cname"),
    ("/v3/gene/1017", "/v3/gene/1017/?"),
    ("/v3/gene/ENSG00000123374", "/v3/gene/ensg00000123374"),
    # parameters
    ("cdk2&size=5&species=human", "/v3/query?species=9606&size=005&q=cdk2"),
    ("cdk2&limit=5&skip=2&filter=name", "cdk2&size=5&from=2&fields=name"),
    ("cdk2&size=5", "cdk2&size=5&limit=5"),
    ("cdk2", "cdk2&size=10&from=0&facet_size=10&dotfield=false&entrezonly=0&species=all&fields=&sort="),
    ("cdk2", "cdk2&fields=entrezgene,taxid,symbol,name,_id"),
    ("cdk2&fields=symbol", "cdk2&fields=_id,symbol,_score"),
    ("cdk2&fields=refseq", "cdk2&fields=refseq.rna,refseq"),
    ("cdk2&fields=all", "cdk2&fields=symbol,ALL"),
    ("/v3/gene/1017", "/v3/gene/1017?fields=all"),
    ("cdk2", "cdk2&sort=-_score"),
    ("cdk2", "cdk2&facet_size=5"),
    ("cdk2&facets=taxid,symbol", "cdk2&facets=symbol,taxid&species_facet_filter=all"),
    ("cdk2&fetch_all=TRUE", "cdk2&fetch_all=1&sort=symbol&size=50"),
    ("cdk2&species=human,mouse", "cdk2 AND species:(Mouse OR 9606)"),
    ("cdk2&species=human", "taxid:9606 cdk2&species=human"),
    ("species:human", "*&species=Human"),
    ("taxid:[9606 TO 9606]", "__all__&species=9606"),
    ("symbol:cdk2 OR alias:cdk2", "CDK2&scopes=alias,symbol"),
    ("cdk2 _exists_:pdb NOT _exists_:pfam", "cdk2&exists=pdb&missing=pfam"),
    # operators
    ("a b", "b AND a"),
    ("a b", "%2Bb %2Ba"),
    ("a b", "(b) %26%26 ((a))"),
    ("a OR b", "b || a OR A"),
    ("a OR b", "(a OR b) AND (b OR a)"),
    ("a OR b OR c", "c OR (a OR b)"),
    ("a NOT b", "!b AND a"),
    ("a -b -c", "a AND NOT (c OR b)"),
    ("NOT a", "* -a"),
    ("a", "NOT (NOT a)"),
    ("(a OR b) -c", "NOT c AND (b OR a)"),
    ("symbol:(a NOT b)", "symbol:a AND NOT symbol:b"),
    # values
    ("symbol:cdk2", 'SYMBOL: "CDK2"'),
    ("name:kinase", 'name:"Kinase"~3'),
    ('"a b"', '"A  B"~0'),
    ('symbol:"hla a"', "symbol:hla\\ a"),
    ("cdk2", "cdk2^1.0"),
    ("cdk2^1.5 OR a", "cdk2^1.50 OR a"),
    ("*kinase", "kinase"),
    ("?cdk*", "CDK*"),
    ("symbol:*", "_exists_:symbol"),
    ("hgnc:1771", 'HGNC:"HGNC:1771"'),
    ("mgi:88339", "MGI%5C:88339&scopes=MGI"),
    ("go:0000307", "GO:0000307"),
    ("go:0000307", '"GO:0000307"'),
    ("homologene:74409", "homologene.id:074409"),
    # ranges and intervals
    ("genomic_pos.start:>=5", "genomic_pos.start:[5 TO *}"),
    ("genomic_pos.start:<5", "genomic_pos.start:{* TO 5}"),
    ("genomic_pos.start:[5 TO 7]", 'genomic_pos.start:[ "5" TO "7" ]'),
    ("genomic_pos.start:[5 TO 5]", "genomic_pos.start:5"),
    ("genomic_pos.start:[* TO *]", "_exists_:genomic_pos.start"),
    ("symbol:[A TO C]", "symbol:[a TO c]"),
    ("chrX:151,073,054-151,383,976", "CHRx:151073054-151383976&species:9606"),
    ("hg38.chr1:1-2", "chr1:1-2"),
    ("HG19.chr1:1-2", "hg19.chr1:1-2&species=human"),
]  # fmt: skip

DIFFERENT = [
    ("a AND b", "a OR b"),
    ("a b", '"a b"'),
    ('"a b"', '"b a"'),
    ('"a b"', '"a b"~2'),
    ("a", "a*"),
    ("a?", "a*"),
    ("a\\*", "a*"),
    ("a\\\\*", "a\\*"),
    ("cdk2", "symbol:cdk2"),
    ("a NOT b", "b NOT a"),
    ("(a OR b) AND c", "a OR (b AND c)"),
    ("a AND b OR c", "a AND (b OR c)"),
    ("a OR b AND c", "b AND c"),
    ("(a b)^2 OR c", "(a b) OR c"),
    ("NOT (a AND b)", "NOT a AND NOT b"),
    ("symbol:x~1", "symbol:x~2"),
    ("cdk2&sort=symbol", "cdk2&sort=-symbol"),
    ("cdk2&sort=symbol,taxid", "cdk2&sort=taxid,symbol"),
    ("cdk2&sort=_score", "cdk2"),
    ("cdk2&from=10", "cdk2"),
    ("cdk2&size=0", "cdk2"),
    ("cdk2&fields=_id", "cdk2"),
    ("cdk2&fields=refseq", "cdk2&fields=refseq.rna"),
    ("cdk2&species=human", "cdk2"),
    ("cdk2&species_facet_filter=human", "cdk2&species=human"),
    ("cdk2&species_facet_filter=human", "cdk2"),
    ("cdk2&facets=taxid&facet_size=5", "cdk2&facets=taxid"),
    ("cdk2&dotfield=true", "cdk2"),
    ("cdk2&entrezonly=true", "cdk2&ensemblonly=true"),
    ("cdk2&fetch_all=true", "cdk2"),
    ("cdk2&scopes=entrezgene,ensemblgene,retired", "cdk2"),
    ("a taxid:9606&species=mouse", "a&species=mouse"),
    ("a taxid:9606 taxid:10090", "a&species=human,mouse"),
    ("a OR taxid:9606", "a&species=human"),
    ("a NOT taxid:9606", "a&species=human"),
    ("agr.orthologs.taxid:9606 a", "a&species=human"),
    ("agr.orthologs.isbestscore:TRUE", "agr.orthologs.isbestscore:true"),
    ("genomic_pos.start:>5", "genomic_pos.start:>=5"),
    ("_id:[5 TO 5]", "_id:5"),
    ("chr1:1-2", "hg19.chr1:1-2"),
    ("chr1:1-2", "chr1:1-2&species=mouse"),
    ("chr1:1-2", "chr1:1-2&species=all"),
    ("mm9.chr1:1-2", "mm9.chr1:1-2&species=human"),
    ("/v3/gene/1017", "/v3/gene/1017?fields=symbol,name,taxid,entrezgene"),
    ("/v3/gene/1017", "entrezgene:1017"),
    ("/v3/gene/1017", "/v3/species/1017"),
    ("/v3/query?scroll_id=abc", "/v3/query?scroll_id=ABC"),
]  # fmt: skip

REFUSED = [
    ("/", "unknown endpoint"),
    ("/v4/query?q=a", "known: /v3/query"),
    ("/v3/gene/", "/v3/gene needs an id"),
    ("/v3/gene/a%20b", "is no record id"),
    ("/v3/query", "needs a value for q or scroll_id"),
    ("a&sizes=5", "did you mean 'size'"),
    ("a&size=5&limit=6", "size is given twice"),
    ("a&size=1001", "above the maximum 1000"),
    ("a&species=humann", "did you mean 'human'"),
    ("a&fields=symbl", "did you mean 'symbol'"),
    ("symbl:a", "did you mean 'symbol'"),
    ("refseq.genomic:NT_1", "returned but not indexed"),
    ("-symbl:a (", "did you mean 'symbol'"),
    ("symbol:", "symbol: has no value"),
    ("a ()", "nothing between"),
    ('""', "nothing between"),
    ("(a", "parentheses do not match"),
    ('"a', "quotation mark is not closed"),
    ("symbol:a:b", "colon in a value has to be quoted"),
    ("taxid:[1,5]", "a range is written as"),
    ("_missing_:nofield", "unknown field"),
    ("_exists_:(pdb pfam)", "takes the name of one field"),
    ("chr1:1-" + "9" * 5000, "too many digits"),
    ("a%00", "control or damaged characters"),
    ("a\ud800", "control or damaged characters"),
    ("a%FF", "not UTF-8"),
    ("(" * 41 + "a" + ")" * 41, "too deeply nested"),
    ("a" * 1_000_000, "16384 are read"),
]  # fmt: skip

SLOW = [
    "a-" * 8000 + "(",
    "a@" * 8000 + "(",
    '"a" ' * 4000 + ":",
    "NOT (a OR " * 39 + "b" + ")" * 39,
    "a" + "%26" * 5000,
]


@pytest.mark.parametrize(("x", "y"), SAME)
def test_same(mygene: API, x: str, y: str) -> None:
    first, second = parse(mygene, path(x)), parse(mygene, path(y))
    assert first.canonical == second.canonical
    assert same(first, second)


@pytest.mark.parametrize(("x", "y"), DIFFERENT)
def test_different(mygene: API, x: str, y: str) -> None:
    assert not same(parse(mygene, path(x)), parse(mygene, path(y)))


@pytest.mark.parametrize("text", sorted({text for pair in SAME + DIFFERENT for text in pair}))
def test_every_form_is_a_fixed_point(mygene: API, text: str) -> None:
    call = parse(mygene, path(text))
    for form in (call.text, call.path):
        assert (parse(mygene, form).text, parse(mygene, form).canonical) == (call.text, call.canonical)
    assert parse(mygene, call.canonical).canonical == call.canonical


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused_with_a_reason(mygene: API, text: str, reason: str) -> None:
    with pytest.raises(CallError) as error:
        parse(mygene, path(text))
    assert reason in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("text", SLOW)
def test_odd_text_takes_no_time(mygene: API, text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(CallError):
        parse(mygene, path(text))
    assert time.process_time() - started < 5


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
@example("\\")
@example("a^" + "9" * 400)
@example("\ufeff")
def test_any_text_is_a_call_or_a_call_error(text: str) -> None:
    api = load("mygene")
    for candidate in (text, "/v3/query?q=" + text, "/v3/query?q=symbol:(" + text + ")", "/v3/gene/" + text):
        try:
            call = parse(api, candidate)
        except CallError:
            continue
        assert parse(api, call.text).text == call.text
        assert parse(api, call.canonical).canonical == call.canonical


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a AND b OR c", "a AND b OR c"),
        ("a OR b AND c", "a OR b AND c"),
        ("a OR b c NOT d", "c AND NOT d AND a OR b"),
        ("%2Ba OR b", "a OR b"),  # Lucene's rule where AND is the default
    ],
)
def test_what_only_ranks_is_written_as_lucene_reads_it(mygene: API, text: str, printed: str) -> None:
    assert parse(mygene, path(text)).text == f"/v3/query?q={printed}"


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("*querywright&size=50", "querywright&size=50"),
        ("symbol:qwa1&fields=_id,symbol", "symbol:qwa1&fields=symbol"),
        ("genomic_pos.start:[1000 TO 1000]", "genomic_pos.start:1000"),
        ("symbol:[QWA0 TO QWA9]", "symbol:{* TO qwa9] AND symbol:[qwa0 TO *}"),
        ('"GO:0000307"', "go:0000307"),
        ("chrX:1,900-1,950&species=human", "hg38.chrx:1900-1950"),
        ("symbol:qwa1&facets=taxid&species_facet_filter=all", "symbol:qwa1&facets=taxid&facet_size=10"),
    ],
)
def test_the_service_answers_the_same(mygene: API, index: object, x: str, y: str) -> None:
    answers = [search.answer(index, parse(mygene, path(text))) for text in (x, y)]  # type: ignore[arg-type]
    assert answers[0]["total"] > 0
    hits = [sorted((hit["_id"], *sorted(hit)) for hit in answer["hits"]) for answer in answers]
    assert hits[0] == hits[1]
    assert answers[0].get("facets") == answers[1].get("facets")


def test_an_interval_is_human_unless_the_call_says_otherwise(mygene: API, index: object) -> None:
    found = [
        {hit["_id"] for hit in search.answer(index, parse(mygene, path(f"chrX:1900-1950{rest}&size=1000")))["hits"]}  # type: ignore[arg-type]
        for rest in ("", "&species=mouse", "&species=all")
    ]
    assert found[0] | found[1] <= found[2]
    assert "900002" in found[2] - found[0]


def test_what_was_encoded_once_too_often_is_read_once_for_all(mygene: API) -> None:
    call = parse(mygene, "/v3/query?q=cdk2%26size=5%26species=human")
    assert call.text == "/v3/query?q=cdk2&species=human&size=5"
    assert parse(mygene, "/v3/query?q=cdk%26size=x").text == "/v3/query?q=cdk%26size=x"  # no value of size


def test_either_species_is_only_a_parameter(mygene: API) -> None:
    call = parse(mygene, "/v3/query?q=taxid:9606 OR taxid:10090")
    assert call.text == "/v3/query?q=*&species=human,mouse"


def test_a_bound_that_ends_in_a_colon_is_quoted(mygene: API) -> None:
    call = parse(mygene, '/v3/query?q=symbol:["a:" TO b]')
    assert parse(mygene, call.canonical).canonical == call.canonical


def test_a_signature_keeps_the_shape(mygene: API) -> None:
    signatures = [
        parse(mygene, f"/v3/query?q={q}").signature
        for q in ("a", "a b", "a OR b", "(a OR b) AND c", "symbol:a OR symbol:b", "a NOT b")
    ]
    assert len(set(signatures)) == len(signatures), signatures
    many = ["a OR b OR c", "a OR b OR c OR d OR e"]
    assert len({parse(mygene, f"/v3/query?q={q}").signature for q in many}) == 1
