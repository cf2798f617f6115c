"""Values only from the sentence: what a grounded grammar lets through, and what it does not."""

from __future__ import annotations

import random
import re
import runpy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from lark import Lark

from querywright.api import call
from querywright.api.definition import API, load
from querywright.api.grammar import mask_source
from querywright.generate.ground import ground, spans

llguidance = pytest.importorskip("llguidance")
HELPERS = runpy.run_path(str(Path(__file__).parents[1] / "api" / "sampling.py"))


@lru_cache
def matcher(sentence: str | None) -> Any:
    api = load("mygene")
    source = mask_source(api) if sentence is None else ground(api, sentence)
    made = llguidance.LLMatcher(
        llguidance.LLTokenizer("byte"), llguidance.LLMatcher.grammar_from_lark(source), log_level=0
    )
    assert not made.is_error(), made.get_error()
    return made


def allows(sentence: str | None, text: str) -> bool:
    copy = matcher(sentence).deep_copy()
    raw = text.encode()
    return bool(copy.try_consume_tokens(list(raw)) == len(raw) and copy.is_accepting())


@pytest.mark.parametrize(
    ("sentence", "query"),
    [
        ("Which gene has Entrez ID 1017?", "entrezgene:1017"),
        ("gene cdk2", "symbol:CDK2"),
        ("Gene CDK2, please", "symbol:cdk2"),
        ("all genes whose symbol starts with CDK", "symbol:CDK*"),
        ("symbols like CDK? and ker*n", "symbol:CDK? ker*n"),
        ('genes with "cell cycle" in the name', 'name:"cell cycle"'),
        ("genes named tumor suppressors", 'name:"tumor suppressor"'),
        ("zinc-finger genes", 'name:"zinc finger"'),
        ("protein coding genes", "type_of_gene:protein-coding"),
        ("pseudogenes", "type_of_gene:pseudo"),
        ("annotated with GO:0006915", "go:0006915"),
        ("annotated with GO:0006915", r"GO\:0006915"),
        ("on chr7 between 1,000 and 2,000", "genomic_pos.start:[1000 TO 2000] AND genomic_pos.chr:7"),
        ("in hg19.chr8:135,272-619,667", "hg19.chr8:135272-619667"),
        ("chromosome X from 1.5 Mb to 2 Mb", "chrX:1500000-2000000"),
        ("longer than two thousand", "genomic_pos.start:>2000"),
        ("on the reverse strand", r"entrezgene:\-1"),
        ("genes of the yeast that are not human", "NOT taxid:9606"),
        ("R&D 50% of #1 a+b", 'name:"R%26D 50%25 of %231 a%2Bb"'),
        ("l(2)03709-related genes", r"symbol:l\(2\)03709"),
        ("???", "*"),
        ("", "_exists_:pdb"),
    ],
)
def test_what_the_sentence_says_can_be_written(mygene: API, sentence: str, query: str) -> None:
    path = f"/v3/query?q={query}"
    assert allows(sentence, path)
    call.parse(mygene, path)


@pytest.mark.parametrize(
    ("sentence", "path"),
    [
        ("gene CDK2", "/v3/query?q=symbol:CDK"),  # cut short
        ("gene CDK2", "/v3/query?q=symbol:CDK4"),
        ("gene 1017", "/v3/query?q=entrezgene:101"),
        ("gene 1017", "/v3/gene/10170"),
        ("gene 1017", "/v3/query?q=1017&size=5"),
        ("genes with tumor suppressor in the name", '/v3/query?q=name:"tumor sup"'),
        ("genes with tumor suppressor in the name", '/v3/query?q=name:"oncogene suppressor"'),
        ("genes on chromosome 7", "/v3/query?q=genomic_pos.start:>100"),
        ("human genes", "/v3/query?q=*&species=12345"),
        ("human genes", "/v3/query?q=*&species=mouse"),
        ("genes named ratio", "/v3/query?q=*&species=rat"),
        ("kinase genes", "/v3/query?q=kinase&species=human"),
        ("kinase genes", "/v3/query?q=kinase&from=10"),
    ],
)
def test_what_it_does_not_say_can_not(mygene: API, sentence: str, path: str) -> None:
    assert allows(None, path), "the example has to be a call"
    assert not allows(sentence, path)


@pytest.mark.parametrize(
    ("sentence", "tail"),
    [
        ("the first 20 human genes", "&species=human&size=20"),
        ("twenty genes", "&size=20"),
        ("skip twenty-five genes", "&from=25"),
        ("page 3 of 20 hits each", "&size=20&from=40"),
        ("how many genes are there?", "&size=0"),
        ("genes of humns and mice", "&species=human,mouse"),
        ("how many genes", "&size=0"),
        ("gene of Danio rerio", "&species=zebrafish&fields=symbol&sort=-name"),
        ("of taxon 9913", "&species=9913"),
    ],
)
def test_parameters_follow_the_sentence(sentence: str, tail: str) -> None:
    assert allows(sentence, "/v3/query?q=*" + tail)


ODD = ["", '"', "\\", "AND OR NOT a", "a" * 3000, "word " * 500, "-1 -- !x /re/ ;a =b |c ,d",
       "[x] {y} ^2 ~3 \x00 nul\x7f",
       "zażółć 漢字 \u2028 \u00a0 e\u0301 \U0001f600 \ufeff \ufffd", ":: a:b c::d",
       "1e5 1.5.6 007 99999999999999999999",
       'R&D "50%" of #1 (G1/S), 1-2 Mb']  # fmt: skip


@pytest.mark.parametrize("sentence", ODD)
def test_grounded_is_a_part_of_the_grammar(mygene: API, sentence: str) -> None:
    source = ground(mygene, sentence)
    sampler = HELPERS["Sampler"](Lark(source, parser="lalr", start="call", lexer="contextual"), 1)
    taken = 0
    for text in (sampler.draw() for _ in range(150)):
        if allows(sentence, text):
            taken += 1
            assert allows(None, text), text
            call.parse(mygene, text)
    assert taken > 100


def test_template_pairs_can_be_written(mygene: API) -> None:
    make = pytest.importorskip("querywright.pairs.make")
    from querywright.pairs.draw import Drawer

    rng = random.Random(3)
    calls = iter(Drawer(mygene, rng, []).call, None)
    rows = list(make.pairs(mygene, make.TemplateTeacher(mygene, rng), [], calls, 150, 1))
    missed = [(r["instruction"], r["path"]) for r in rows if not allows(r["instruction"], r["path"])]
    assert len(missed) <= 0.02 * len(rows), missed


def test_a_word_as_long_as_a_file_is_passed_over(mygene: API) -> None:
    assert ground(mygene, "A" * 100_000 + " CDK2") == ground(mygene, "CDK2")


def test_spans_of_numbers() -> None:
    got = spans("between 1,500 and 2.5 kb, a dozen, twenty-one, the third")
    assert {"1500", "2500", "12", "21", "3"} <= set(got.numbers)


def test_no_record_is_asked_for_where_no_id_is_said() -> None:
    """A grammar that has to finish `/v1/variant/` without an id in the sentence would invent one."""
    api = load("myvariant")
    without = ground(api, "ClinVar variation ID 17661, return the preferred name")
    assert "variant_call" not in re.search(r"(?m)^call: .*$", without)[0]  # type: ignore[index]
    assert "variant_call" in re.search(r"(?m)^call: .*$", ground(api, "the record of rs58991260"))[0]  # type: ignore[index]


def test_a_record_is_asked_for_by_what_looks_like_an_id() -> None:
    for api, sentence, wanted in (
        ("mygene", "give me the uniprot id of the gene with entrez gene id 1017", ["1017"]),
        ("mychem", "compound with key BSYNRYMUTXBXSQ-UHFFFAOYSA-N", ["BSYNRYMUTXBXSQ-UHFFFAOYSA-N"]),
    ):
        terminal = re.search(r"(?m)^ID: /(.*)/$", ground(load(api), sentence))
        assert terminal
        words = {w for w in ["1017", "gene", "entrezgene", "compound", *wanted] if re.fullmatch(terminal[1], w)}
        assert words == set(wanted)
