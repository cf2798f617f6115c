"""The fields that a sentence may mean: words, values, looks, and room for more than one concept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from querywright.api.definition import API, load, shipped
from querywright.api.nearest import look, nearest_fields, words
from querywright.api.parts import SchemaField
from querywright.errors import QuerywrightError


@pytest.mark.parametrize(
    ("api", "sentence", "wanted"),
    [
        ("mygene", "the UniProt id of the human gene CDK2", {"uniprot", "symbol"}),
        ("mygene", "protein domains (InterPro) of ENSG00000123374", {"interpro", "ensembl.gene"}),
        ("myvariant", "missense variants in BRAF with CADD phred above 30", {"cadd.phred", "dbnsfp.genename"}),
        ("myvariant", "gnomad exome frequency of rs58991260", {"gnomad_exome.af.af", "dbsnp.rsid"}),
        ("mychem", "drugs with molecular formula C6H12O6, their ChEMBL id",
         {"pubchem.molecular_formula", "chembl.molecule_chembl_id"}),
        ("mydisease", "which genes does DisGeNET relate to Marfan syndrome?", {"disgenet.genes_related_to_disease"}),
        ("earthquakes", "earthquakes stronger than magnitude 6 since 2020", {"minmagnitude", "starttime"}),
    ],
)  # fmt: skip
def test_what_is_named_is_found(api: str, sentence: str, wanted: set[str]) -> None:
    assert wanted <= set(nearest_fields(load(api), sentence, 8))


def test_a_source_with_many_fields_leaves_room_for_the_rest() -> None:
    found = nearest_fields(load("myvariant"), "clinvar clinical significance of variants in BRCA1 with their rsid", 8)
    assert "clinvar.rcv.clinical_significance" in found
    assert {"dbnsfp.genename", "clinvar.gene.symbol"} & set(found)
    assert any(name.endswith("rsid") for name in found)


def test_every_api_gives_as_many_as_asked_for_and_no_field_twice() -> None:
    for name in shipped():
        for sentence in ("", "?!", "hello", "x" * 5000, "BRCA1 " * 300, "'\"{}()[]*\\"):
            found = nearest_fields(load(name), sentence, 8)
            assert len(found) == 8 == len(set(found))


def test_the_same_in_every_process() -> None:
    """Training and use run in different processes; a set's order must not decide."""
    code = (
        "import json; from querywright.api.definition import load; from querywright.api.nearest import nearest_fields;"
        "print(json.dumps([nearest_fields(load('mychem'), s, 8) for s in"
        " ('side effects of imatinib in SIDER', 'mass between 180 and 181', 'aspirin')]))"
    )
    made = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True)
        for seed in ("1", "2")
    ]
    assert made[0].stdout == made[1].stdout
    assert len(json.loads(made[0].stdout)) == 3


def test_looks_and_words() -> None:
    assert look("BRCA1") == look("CDK2") == "A9"
    assert look("rs334") == "a9"
    assert look("aspirin") is None
    assert look("two words") is None
    assert words("The clinicalSignificance of ratings: 1,000") == ["clinic", "signific", "rate", "1", "000"]


def defined(*fields: SchemaField) -> API:
    return load("mydisease").model_copy(update={"fields": {f.name: f for f in fields}, "folder": "nowhere"})


def keyword(
    name: str, *synonyms: str, weight: float = 1.0, shape: str = "", examples: tuple[str, ...] = ()
) -> SchemaField:
    return SchemaField(name=name, type="keyword", synonyms=synonyms, weight=weight, shape=shape, examples=examples)


def test_synonyms_of_one_worth_fade_in_their_order() -> None:
    """Two synonyms are named whole and worth the same: the first one has spoken, so what the other names comes next."""
    code = (
        "from querywright.api.definition import load; from querywright.api.nearest import nearest_fields;"
        "from querywright.api.parts import SchemaField as F; found = [];"
        "field = lambda name, *words, weight=1.0: F(name=name, type='keyword', synonyms=words, weight=weight);"
        "names = [[c + 'abcdefgh'[i] for c in ('red', 'blue', 'green')] for i in range(8)];"
        "fields = [(field('zero', f'{x} {y}', f'{x} {z}', weight=3), field('one', y), field('two', z))"
        " for x, y, z in names];"
        "apis = [load('mydisease').model_copy(update={'fields': {f.name: f for f in several}, 'folder': 'nowhere'})"
        " for several in fields];"
        "print([nearest_fields(api, ' '.join(words), 3) for api, words in zip(apis, names)])"
    )
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True
        )
        assert made.stdout.strip() == str([["zero", "two", "one"]] * 8), made.stderr


def test_definitions_with_few_fields_or_odd_ones() -> None:
    assert nearest_fields(defined(), "anything", 8) == []
    assert nearest_fields(load("mygene"), "the symbol", 0) == []
    bare = [keyword("a", weight=0), keyword("gerp++.rs"), keyword("x/(y)", ""), keyword("名前", "名前")]
    bare.append(keyword("...", "?"))
    for sentence in ("", "gerp rs", "名前", "a+b (c) [d] \\ *", "\0\ud800 \u202e", "9" * 3000):
        found = nearest_fields(defined(*bare), sentence, 8)
        assert sorted(found) == sorted(f.name for f in bare)
    assert nearest_fields(defined(*bare), "what is its GERP RS", 8)[0] == "gerp++.rs"


def test_a_name_that_is_another_fields_value() -> None:
    """`alias` is a field and a value here: it speaks for both."""
    kind = keyword("kind", "sort of name", examples=("alias", "symbol"))
    fields = (keyword("alias", "other name"), kind, *map(keyword, "pqrstuvw"))
    assert set(nearest_fields(defined(*fields), "all of the kind alias", 2)) == {"alias", "kind"}
    assert nearest_fields(defined(*fields), "names that are a symbol", 1) == ["kind"]


@pytest.mark.parametrize("sentence", ["disease whose shape is AB12 please", "AB12", "(AB12).", "is it AB12?"])
def test_a_value_of_a_fields_shape(sentence: str) -> None:
    fields = (*map(keyword, "pqrstuvw"), keyword("code", shape=r"[A-Z]{2}\d\d"))
    assert nearest_fields(defined(*fields), sentence, 8)[0] == "code"
    assert nearest_fields(defined(*fields), sentence.replace("AB12", "AB123"), 8)[0] == "p"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('code,keyword,"[A-Z",1', "no regular expression"),
        ("code,keyword,,-1", "greater than or equal to 0"),
        ("code,keyword,,nan", "finite number"),
        ('"co\nde",keyword,,1', "no name of a field"),
        (" ,keyword,,1", "no name of a field"),
    ],
)
def test_fields_that_the_search_could_not_use_are_refused(tmp_path: Path, row: str, said: str) -> None:
    """At the door, with the row's number: not by a traceback of the first question."""
    (tmp_path / "api.yaml").write_text(
        "{name: x, title: X, base_url: 'https://x.example', endpoints: {query: {path: /query, params: [q]}},"
        " params: {q: {kind: query}}}"
    )
    (tmp_path / "fields.csv").write_text(f"name,type,shape,weight\nfine,keyword,,2\n{row}\n")
    with pytest.raises(QuerywrightError, match=said) as caught:
        load(str(tmp_path))
    assert "fields.csv:" in str(caught.value)


def test_threads_do_not_disturb_each_other_s_words() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from querywright.api import nearest

    texts = [" ".join(f"{w}{e}{i}" for w in ("organ", "relat", "nation") for e in ("izations", "ionally", "ing"))
             for i in "abcdefgh"]  # fmt: skip
    nearest._stem.cache_clear()
    alone = [nearest.words(text) for text in texts]
    every = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            nearest._stem.cache_clear()
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(nearest.words, texts)) == alone
    finally:
        sys.setswitchinterval(every)
