"""The regular expression of an API's calls takes every call that its examples and its grammar have, and more."""

from __future__ import annotations

import re

import pytest

from querywright.api.call import parse
from querywright.api.definition import load, shipped
from querywright.api.refusal import beside
from querywright.api.regex import build_regex
from querywright.engines.base import Grammar, MaskError
from querywright.engines.mask import Compiler, matches

CALLS = {
    "mygene": ["/v3/query?q=symbol:CDK2 AND taxid:9606&fields=name,symbol&size=3", "/v3/gene/1017?fields=symbol"],
    "myvariant": ["/v1/query?q=chr7:140453130-140453140&assembly=hg38", "/v1/variant/chr7:g.140453136A>T"],
    "mychem": ["/v1/query?q=*&size=0&facets=chembl.max_phase", "/v1/chem/CHEMBL25"],
    "mydisease": ["/v1/disease/MONDO:0016575?fields=mondo.definition"],
    "earthquakes": ["/fdsnws/event/1/query?starttime=2023-01-01&minmagnitude=6&orderby=magnitude&limit=10"],
}
NO_CALLS = [
    "",
    "nil",
    "hello",
    "/v3/query",
    "/v3/query?q=",
    "/v9/query?q=a",
    "/v3/query?q=a&colour=red",
    "/v3/query?q=a\n",
]


@pytest.mark.parametrize("name", shipped())
def test_calls_match_and_other_texts_do_not(name: str) -> None:
    api = load(name)
    pattern = re.compile(build_regex(api))
    for call in CALLS[name]:
        assert parse(api, call)
        assert pattern.fullmatch(call), call
    for text in NO_CALLS:
        assert not pattern.fullmatch(text), text


def test_a_parameter_stands_once_and_in_order() -> None:
    pattern = re.compile(build_regex(load("mygene")))
    assert pattern.fullmatch("/v3/query?q=a&species=human&size=3")
    assert not pattern.fullmatch("/v3/query?q=a&size=3&size=3")
    assert not pattern.fullmatch("/v3/query?q=a&size=three")
    assert pattern.fullmatch("/v3/query?q=symbol:&fields=no.such.field"), "looser than the grammar: `parse` refuses it"


@pytest.mark.parametrize("name", shipped())
def test_the_mask_reads_the_same_expression(name: str) -> None:
    lib = pytest.importorskip("llguidance")
    compiler = Compiler(lib.LLTokenizer("byte"))
    grammar = Grammar(beside(build_regex(load(name)), "regex"), "regex")
    for text in [*CALLS[name], "nil chat"]:
        assert matches(compiler, grammar, list(text.encode())), text
    for text in NO_CALLS:
        assert not matches(compiler, grammar, list(text.encode())), text
    with pytest.raises(MaskError, match="does not compile"):
        compiler.start(Grammar("a(", "regex"))
