"""What several tests need to hold an API's three readers against each other: lark, llguidance's mask, `call.parse`."""

from __future__ import annotations

import runpy
from functools import lru_cache
from pathlib import Path
from typing import Any

import llguidance
from lark import Lark, UnexpectedInput

from querywright.api import call
from querywright.api.definition import API
from querywright.api.grammar import build, mask_source

HELPERS = runpy.run_path(str(Path(__file__).with_name("sampling.py")))
Sampler, mutate = HELPERS["Sampler"], HELPERS["mutate"]


@lru_cache
def parser(api: API) -> Lark:
    return Lark(build(api), parser="lalr", start="call", lexer="contextual", maybe_placeholders=False)


@lru_cache
def matcher(source: str) -> Any:
    made = llguidance.LLMatcher(
        llguidance.LLTokenizer("byte"), llguidance.LLMatcher.grammar_from_lark(source), log_level=0
    )
    assert not made.is_error(), made.get_error()
    return made


def by_lark(api: API, text: str) -> bool:
    try:
        parser(api).parse(text)
    except UnexpectedInput:
        return False
    return True


def by_mask(api: API, text: str) -> bool:
    copy = matcher(mask_source(api)).deep_copy()
    raw = text.encode()
    return bool(copy.try_consume_tokens(list(raw)) == len(raw) and copy.is_accepting())


def check_call(api: API, text: str) -> None:
    read = call.parse(api, text)
    again = call.parse(api, read.text)
    assert again.text == read.text
    assert again.canonical == read.canonical
    assert call.parse(api, read.canonical).canonical == read.canonical
