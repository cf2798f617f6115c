"""What may come next in a call that is being typed."""

from __future__ import annotations

import random

import pytest

from querywright.api.definition import load
from server.page.suggest import MOST, suggest


def after(text: str, api: str = "mygene", cursor: int | None = None) -> list[str]:
    """The texts with each suggestion put in."""
    at = len(text) if cursor is None else cursor
    found = suggest(load(api), text, at)
    return [text[: found.start] + item.text + text[found.end :] for item in found.items]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", "/v3/query?"),
        ("/v3/g", "/v3/gene/"),
        ("/v3/query?", "/v3/query?q="),
        ("/v3/query?q=x&spe", "/v3/query?q=x&species="),
        ("/v3/query?q=x&species=mo", "/v3/query?q=x&species=mouse"),
        ("/v3/query?q=sym", "/v3/query?q=symbol:"),
        ("/v3/query?q=omim", "/v3/query?q=MIM:"),  # another name of the field
        ("/v3/query?q=symbool", "/v3/query?q=symbol:"),  # misspelt
        ("/v3/query?q=symbol:CDK2 A", "/v3/query?q=symbol:CDK2 AND "),
        ("/v3/query?q=symbol:CDK2 AND (type_o", "/v3/query?q=symbol:CDK2 AND (type_of_gene:"),
        ("/v3/query?q=type_of_gene:ps", "/v3/query?q=type_of_gene:pseudo"),
        ("/v3/query?q=x&fields=symbol,uniprot.S", "/v3/query?q=x&fields=symbol,uniprot.Swiss-Prot"),
        ("/v3/query?q=x&sort=-entrez", "/v3/query?q=x&sort=-entrezgene"),
    ],
)
def test_the_likeliest_comes_first(text: str, first: str) -> None:
    assert after(text)[0] == first


def test_a_typed_api_offers_its_parameters_and_their_values() -> None:
    assert after("/fdsnws/event/1/query?minmag", "earthquakes")[0] == "/fdsnws/event/1/query?minmagnitude="
    assert after("/fdsnws/event/1/query?alertlevel=o", "earthquakes") == ["/fdsnws/event/1/query?alertlevel=orange"]


def test_a_word_in_the_middle_is_replaced_whole() -> None:
    text = "/v3/query?q=symb:CDK2&size=3"
    assert after(text, cursor=text.index("b:") + 1)[0] == "/v3/query?q=symbol:CDK2&size=3"


@pytest.mark.parametrize(
    "text", ['/v3/query?q="cyclin dep', "/v3/query?q=symbol", "/v3/query?nothing=x", "/v3/query?q=xqzw"]
)
def test_nothing_useful_is_nothing(text: str) -> None:
    assert text not in after(text)
    if text != "/v3/query?q=symbol":
        assert after(text) == []


def test_a_parameter_is_offered_once_and_only_where_it_belongs() -> None:
    assert "/v3/query?q=x&q=" not in after("/v3/query?q=x&q")
    assert after("/v3/gene/1017?si") == []


def test_whatever_is_typed_is_survived() -> None:
    draw = random.Random(0)
    for name in ("mygene", "earthquakes"):
        for _ in range(400):
            text = "".join(draw.choices("/v3query?&=:,. ()\"'-+%<>{}[]\\é😀abcsymbolfields", k=draw.randrange(60)))
            found = suggest(load(name), text, draw.randrange(-2, 70))
            assert 0 <= found.start <= found.end <= len(text)
            assert len(found.items) <= MOST
