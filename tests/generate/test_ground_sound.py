"""No value that the sentence does not say, whatever the model wants: random walks under the mask, judged without it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.api.nodes import Interval, Range, Term, walk
from querywright.api.spoken import numbers
from querywright.generate.ground import ground

llguidance = pytest.importorskip("llguidance")
CASES = [
    ("mygene", "human genes like ENST00000266970 or cdk2 with 'cell cycle' in the name, 1,000,000 of them", "human mt"),
    ("myvariant", "variants of BRCA1 in chr17:43,044,295-43,125,482 of hg38, rs58991260, CADD over 20.5", "hg19 hg38"),
    ("mychem", "does CHEMBL1201585 inhibit Tumor necrosis factor, InChI=1S/C9H8O4/c1-6(10)13-8,(H,11,12)?", ""),
    ("mydisease", 'diseases with "short stature" and MONDO:0016575, ORPHA 558 or gene FBN1, twenty', ""),
]  # fmt: skip


@lru_cache
def start(name: str, sentence: str) -> tuple[API, Any, int]:
    api, tokenizer = load(name), llguidance.LLTokenizer("byte")
    grammar = llguidance.LLMatcher.grammar_from_lark(ground(api, sentence))
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return api, matcher, tokenizer.eos_token


def walked(name: str, sentence: str, rng: random.Random) -> str | None:
    """A text out of random choices among the bytes that the mask allows; None where it did not end in time."""
    _, first, end = start(name, sentence)
    matcher, text = first.deep_copy(), bytearray()
    opening = rng.choice([b"/v3/query?q=", b"/v1/query?q=", b""])  # most of a walk should be spent on values
    if matcher.try_consume_tokens(list(opening)) == len(opening):
        text += opening
    else:
        matcher = first.deep_copy()
    for _ in range(300):
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        assert len(allowed), "the mask leads nowhere"
        # values begin with letters and digits as names of fields do: quotes and colons are where values are
        if end in allowed and rng.random() < 0.4:
            return bytes(text).decode()
        choices = [int(t) for t in allowed if t != end]
        if not choices:
            return bytes(text).decode()
        likely = [t for t in choices if chr(t) in '":[']
        token = rng.choice(likely if likely and rng.random() < 0.4 else choices)
        assert matcher.consume_token(token)
        text.append(token)
    return None


def values(api: API, text: str) -> Iterator[str]:
    """The literal values of a call's query, its id, and its numbers."""
    call = parse(api, text)
    for node in walk(call.query) if call.query is not None else ():
        if isinstance(node, Term):
            yield node.value
        elif isinstance(node, Range):
            yield from (str(end) for end in (node.low, node.high))
        elif isinstance(node, Interval):
            yield from (str(end) for end in (node.start, node.end))
    if call.id:
        yield call.id


def said(value: str, sentence: str, known: str) -> bool:
    """Whether every piece of a value between wildcards is a word or run of words of the sentence, whole."""

    def plain(text: str) -> str:
        return " ".join(re.findall(r"[^\W_]+", text.lower()))

    digits = {*numbers(sentence), "0", "1", ""}
    words = plain(sentence)
    pure = [w for w in words.split() if w.isalpha() or w.isdigit()]  # two of them may be written as one: rs 123, rs123
    glued = " ".join(a + b for a, b in pairwise(words.split()) if a in pure and b in pure)
    words = f" {words} {glued} {plain(known)} "
    for piece in re.split(r"[*?]+", value):
        bare = plain(piece)
        singular = any(f" {bare}{ending} " in words for ending in ("", "s", "es"))
        joined = bare.replace(" ", "") in plain(sentence).replace(" ", "") and len(bare) > 2 and " " in bare
        if not (not bare or singular or piece.lstrip("-") in digits or bare in digits or joined):
            return False
    return True


@pytest.mark.parametrize(("name", "sentence", "known"), CASES)
def test_no_value_from_elsewhere(name: str, sentence: str, known: str) -> None:
    api = start(name, sentence)[0]
    own = f"{known} true false " + " ".join(_known_words(api))
    rng, found = random.Random(5), 0
    for _ in range(120):
        text = walked(name, sentence, rng)
        for value in values(api, text) if text else ():
            found += 1
            assert said(value, sentence, own), (text, value)
    assert found > 20


def _known_words(api: API) -> list[str]:
    from querywright.generate.ground import _known

    return [*_known(api)["words"], *_known(api)["phrases"]]


@pytest.mark.parametrize(
    ("name", "sentence", "right", "wrong"),
    [
        ("mygene", CASES[0][1], "ensembl.transcript:ENST00000266970", "ensembl.transcript:ENTEST00000266970"),
        ("mygene", CASES[0][1], "ensembl.transcript:ENST00000266970", "ensembl.transcript:ENST0000026697"),
        ("myvariant", CASES[1][1], "dbsnp.rsid:rs58991260", "dbsnp.rsid:rs5899126"),
        ("mychem", CASES[2][1], "CHEMBL1201585", "CHEMBL120158"),
        ("mydisease", CASES[3][1], '"MONDO:0016575"', '"MONDO:001657"'),
    ],
)
def test_identifiers_are_whole(name: str, sentence: str, right: str, wrong: str) -> None:
    head = "/v3/query?q=" if name == "mygene" else "/v1/query?q="

    def allows(text: str) -> bool:
        copy = start(name, sentence)[1].deep_copy()
        raw = list(text.encode())
        return bool(copy.try_consume_tokens(raw) == len(raw) and copy.is_accepting())

    assert allows(head + right)
    assert not allows(head + wrong)
