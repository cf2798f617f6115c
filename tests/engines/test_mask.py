"""The mask raises; the choice of a token keeps to it."""

from __future__ import annotations

import numpy as np
import pytest

from querywright.engines.base import Grammar, MaskError
from querywright.engines.choose import given, pick
from querywright.engines.mask import Compiler, matches

llguidance = pytest.importorskip("llguidance")
AB = Grammar('start: "ab" /[0-9]+/')


@pytest.fixture
def compiler() -> Compiler:
    return Compiler(llguidance.LLTokenizer("byte"))


def test_forced_tokens_and_the_end(compiler: Compiler) -> None:
    mask = compiler.start(AB)
    assert bytes(mask.forced()) == b"ab"
    for token in b"ab":
        mask.take(token)
    assert not mask.may_end
    mask.take(ord("7"))
    assert mask.may_end
    assert not mask.must_end


def test_a_wrong_token_raises(compiler: Compiler) -> None:
    mask = compiler.start(AB)
    with pytest.raises(MaskError):
        mask.take(ord("x"))
    with pytest.raises(MaskError):  # and the mask does not come back
        mask.bits()


@pytest.mark.parametrize("text", ["start: nope", "start: /(/", "no grammar", ""])
def test_an_invalid_grammar_raises(compiler: Compiler, text: str) -> None:
    with pytest.raises(MaskError, match="does not compile"):
        compiler.start(Grammar(text))


def test_other_kinds_are_refused(compiler: Compiler) -> None:
    with pytest.raises(MaskError, match="gbnf"):
        compiler.start(Grammar('root ::= "a"', "gbnf"))


def test_masks_of_one_grammar_are_independent(compiler: Compiler) -> None:
    first, second = compiler.start(AB), compiler.start(AB)
    first.take(ord("a"))
    assert bytes(second.forced()) == b"ab"


def test_matches(compiler: Compiler) -> None:
    assert matches(compiler, AB, list(b"ab12"))
    assert not matches(compiler, AB, list(b"ab"))
    assert not matches(compiler, AB, list(b"abc"))


def bits(*tokens: int, n: int = 8) -> bytes:
    row = np.zeros(n, dtype=np.uint8)
    row[list(tokens)] = 1
    return np.packbits(row, bitorder="little").tobytes()


def test_pick_takes_the_best_allowed_token() -> None:
    logits = np.array([0.0, 9.0, 3.0, 1.0, 0, 0, 0, 0], dtype=np.float32)
    rng = np.random.default_rng(0)
    assert pick(logits, None, 0.0, rng)[0] == 1
    token, logprob, masked = pick(logits, bits(2, 3), 0.0, rng)
    assert token == 2
    assert masked == pytest.approx(-float(np.log1p(np.exp(-2.0))), abs=1e-6)  # of 3 and 1, nothing else
    assert given(logits, bits(2, 3), 2) == (token, logprob, masked)
    assert logprob == pytest.approx(3.0 - float(np.log(np.exp(logits.astype(np.float64)).sum())), abs=1e-5)
    assert {pick(logits, bits(2, 3), 5.0, rng)[0] for _ in range(50)} == {2, 3}


@pytest.mark.parametrize("values", [[np.nan] * 8, [-np.inf] * 8])
def test_pick_refuses_a_broken_row(values: list[float]) -> None:
    with pytest.raises(ValueError):
        pick(np.array(values, dtype=np.float32), None, 0.0, np.random.default_rng(0))
    with pytest.raises(ValueError):
        pick(np.zeros(8, dtype=np.float32), bits(), 0.0, np.random.default_rng(0))


def test_json_schema(compiler: Compiler) -> None:
    grammar = Grammar('{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}', "json")
    assert matches(compiler, grammar, list(b'{"a": 7}'))
    assert not matches(compiler, grammar, list(b'{"a": "x"}'))
    assert not matches(compiler, grammar, list(b'{"a": 7'))
    with pytest.raises(MaskError):
        compiler.start(Grammar('{"type": 7}', "json"))
