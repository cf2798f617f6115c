"""What a grammar takes and refuses, word by word; test_languages.py holds its readers against each other."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from querywright.api import call
from querywright.api.definition import API, load
from querywright.api.grammar import MAX_GROUPS

pytest.importorskip("llguidance")
HELPERS = runpy.run_path(str(Path(__file__).with_name("languages.py")))
check_call = HELPERS["check_call"]


DEEP = "/v3/query?q=" + "(" * (MAX_GROUPS + 1) + "a" + ")" * (MAX_GROUPS + 1)


def by_lark(text: str) -> bool:
    return bool(HELPERS["by_lark"](load("mygene"), text))


def by_mask(text: str, api: API | None = None) -> bool:
    return bool(HELPERS["by_mask"](api or load("mygene"), text))


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


def test_any_definition_compiles(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(
        "name: tiny\ntitle: Tiny\nbase_url: https://example.org\nendpoints:\n"
        "  query: {path: /q, params: [q, n], required: [q]}\n  thing: {path: '/thing/{id}', params: [n]}\n"
        "params:\n  q: {kind: query}\n  n: {kind: integer}\n"
    )
    (tmp_path / "fields.csv").write_text("name,type\nlabel,keyword\nsize.max,integer\n")
    api = load(str(tmp_path / "api.yaml"))
    for text in ("/q?q=label:a AND size.max:>3&n=20", "/thing/x7?n=3", "/thing/x7"):
        assert by_mask(text, api), text
    assert not by_mask("/q?q=symbol:a", api)


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
    sampler = HELPERS["Sampler"](HELPERS["parser"](mygene), 11)
    ran = 0
    for text in (sampler.draw() for _ in range(400)):
        if by_lark(text):
            assert executor.run(call.parse(mygene, text)).total >= 0, text
            ran += 1
    assert ran > 200


@pytest.mark.parametrize(
    ("shape", "reason"), [("[0-9", "is no regular expression"), (r"X\\d+", "which GBNF has no word for")]
)
def test_an_id_shape_that_cannot_be_used_is_a_sentence(tmp_path: Path, shape: str, reason: str) -> None:
    from querywright.api.gbnf import build_gbnf
    from querywright.errors import QuerywrightError

    (tmp_path / "api.yaml").write_text(
        "name: tiny\ntitle: Tiny\nbase_url: https://example.org\nendpoints:\n  thing: {path: '/thing/{id}'}\n"
        f"params: {{}}\nids: [{{shape: '{shape}:'}}]\n".replace("\\\\", "\\")
    )
    (tmp_path / "fields.csv").write_text("name,type\nlabel,keyword\n")
    with pytest.raises(QuerywrightError, match=reason):
        build_gbnf(load(str(tmp_path / "api.yaml")))
