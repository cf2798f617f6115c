"""What a second import takes out, what an imported definition calls its records, and what is said of a guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from querywright.schema.annotate import annotate
from querywright.schema.glossary import load_glossary
from querywright.schema.import_schema import Options, import_schema
from querywright.schema.nouns import noun_of, of_path
from querywright.schema.words import Item, Wording
from querywright.schema.write import read_rows


def books(*names: str) -> dict[str, Any]:
    parameters = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names]
    answer = {"type": "array", "items": {"type": "object", "properties": {"isbn": {"type": "string"}}}}
    responses = {"200": {"content": {"application/json": {"schema": answer}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Our\n Library", "description": "=cmd()"},
        "servers": [{"url": "https://books.example"}],
        "paths": {
            "/books": {"get": {"parameters": parameters, "responses": responses}},
            "/books/{isbn}": {"get": {"responses": {}}},
        },
    }


def imported(folder: Path, document: dict[str, Any], **options: Any) -> Path:
    source = folder / "source.json"
    source.write_text(json.dumps(document))
    import_schema([str(source)], folder / "own", Options(name="own", **options))
    load.cache_clear()
    return folder / "own"


def test_what_an_update_kept_a_later_one_takes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = imported(tmp_path, books("title", "language", "year"))
    imported(tmp_path, books("title"), update=True)
    assert set(load(str(own)).params) == {"title", "language", "year", "isbn"}
    capsys.readouterr()
    imported(tmp_path, books("title"), update=True, remove=True)
    told = capsys.readouterr().err
    assert "taken out (2): language, year" in told
    assert "api.yaml: nothing changed" not in told
    assert set(load(str(own)).params) == {"title", "isbn"}
    assert {r["name"] for r in read_rows(own / "params.csv")} == {"title", "isbn"}
    annotate(str(own), work=tmp_path / "work")
    assert {r["name"] for r in read_rows(own / "params.csv")} == {"title", "isbn"}


def test_a_persons_own_parameter_stays(tmp_path: Path) -> None:
    own = imported(tmp_path, books("title"))
    text = (own / "api.yaml").read_text()
    (own / "api.yaml").write_text(text.replace("params:\n", "params:\n  mine: {kind: text}\n", 1))
    with open(own / "params.csv", "a") as table:
        table.write("mine,My own,,,1\n")
    imported(tmp_path, books("title", "year"), update=True, remove=True)
    assert "mine" in load(str(own)).params
    assert load(str(own)).params["mine"].description == "My own"


@pytest.mark.parametrize(
    ("paths", "title", "noun"),
    [
        (["/books", "/books/{isbn}"], "Library", "book"),
        (["/v2/search", "/v2/library-branches/{branch}"], "", "library branch"),
        (["/query", "/count"], "Earthquakes of the world", "earthquake"),
        (["/query", "/count"], "Status service", "record"),
        (["/api/species"], "", "record"),
        (["/categories"], "", "category"),
        (["/authors/{a}/books/{b}", "/authors/{a}"], "", "author"),
    ],
)
def test_the_noun_of_an_api(paths: list[str], title: str, noun: str) -> None:
    assert noun_of(paths, title) == noun


def test_the_noun_of_one_path() -> None:
    assert of_path("/v1/gene/{id}") == "gene"
    assert of_path("/v1/{id}") == ""


def test_words_say_the_noun_and_never_record(tmp_path: Path) -> None:
    own = imported(tmp_path, books("title"))
    api = load(str(own))
    assert (api.noun, api.title) == ("book", "Our Library")
    annotate(str(own), work=tmp_path / "work")
    cells = " ".join(r["synonyms"] for t in ("fields", "params") for r in read_rows(own / f"{t}.csv"))
    assert "book isbn" in cells
    (own / "api.yaml").write_text((own / "api.yaml").read_text().replace("noun: book", "noun: record"))
    for name in ("fields.csv", "annotations.jsonl"):
        (own / name).unlink()
    imported(tmp_path, books("title"), update=True)
    annotate(str(own), work=tmp_path / "work")
    for table in ("fields", "params"):
        assert not [r for r in read_rows(own / f"{table}.csv") if "record " in r["synonyms"]]


def test_a_schema_given_as_a_definition_names_the_import(tmp_path: Path) -> None:
    path = tmp_path / "library.yaml"
    path.write_text(json.dumps(books("title")))
    with pytest.raises(QuerywrightError) as problem:
        load(str(path))
    assert "schema import" in (problem.value.hint or "")


def test_a_mapping_says_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"type": "nested", "properties": {"text": {"type": "text"}}}
    imported(tmp_path, {"mappings": {"properties": {"reviews": rows}}}, item_path="/shop/products/{id}")
    told = capsys.readouterr().err
    assert "assumed as BioThings services have them, /v1/query, /shop/products/{id}" in told
    assert "--query-path and --item-path" in told
    assert "nested, taken as plain objects (1): reviews" in told
    assert load(str(tmp_path / "own")).noun == "product"


def test_a_limit_is_no_book_limit() -> None:
    items = [Item("params", "limit", "integer"), Item("params", "sort", "enum"), Item("params", "isbn", "text")]
    wording = Wording(items, load_glossary(""), "book")
    assert [wording.words(i).synonyms for i in items] == [(), (), ("book isbn",)]
