"""`schema import` of OpenAPI: kinds of parameters, references, what is left out and said, updates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import CallError, parse
from querywright.api.definition import API, load
from querywright.api.grammar import build
from querywright.errors import QuerywrightError
from querywright.schema.import_openapi import read_openapi
from querywright.schema.import_schema import Options, import_schema
from querywright.schema.openapi_paths import name_placeholders
from querywright.schema.sources import Source, load_yaml, read_source
from querywright.schema.write import read_rows

DOCUMENT = """
openapi: 3.1.0
info: {title: Pets, summary: animals that wait for people}
servers:
  - url: "https://{stage}.pets.example/api/{version}/"
    variables: {stage: {default: www}, version: {default: v2}}
paths:
  /pets:
    parameters:
      - {$ref: "#/components/parameters/Limit"}
    get:
      operationId: listPets
      summary: Pets that fit
      parameters:
        - {name: colour, in: query, schema: {$ref: "#/components/schemas/Colour"}}
        - {name: born_after, in: query, schema: {type: string, format: date}, example: 2020-02-01}
        - {name: tag, in: query, schema: {type: array, items: {type: string}}}
        - {name: ids, in: query, explode: false, schema: {type: array, items: {type: integer, minimum: 1}}}
        - {name: kinds, in: query, style: pipeDelimited, schema: {type: array, items: {type: string}}}
        - {name: weight, in: query, schema: {type: [number, "null"], exclusiveMinimum: 0, maximum: 99.5}}
        - {name: score, in: query, schema: {type: integer}}
        - {name: age, in: query, schema: {type: integer, exclusiveMinimum: 2, maximum: 40}}
        - {name: tame, in: query, schema: {type: boolean, default: true}}
        - {name: q, in: query, description: "Words\\n  in the **name**.", schema: {type: string}}
        - {name: code, in: query, schema: {type: string, pattern: "^[A-Z]{3}$"},
           examples: {a: {value: ABC}, b: {value: x}}}
        - {name: slow, in: query, schema: {type: string, pattern: "^(?!a)[a-z]+$"}}
        - {name: where, in: query, schema: {type: object, properties: {x: {type: integer}}}}
        - {name: filter, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: sort, in: query, schema: {type: string, enum: [name, -name], default: name}}
        - {name: one_of, in: query, schema: {oneOf: [{type: integer}, {type: number}]}}
        - {name: const, in: query, schema: {const: only}}
        - {name: old, in: query, deprecated: true, schema: {type: string}}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: session, in: cookie, schema: {type: string}}
        - {name: key, in: query, schema: {type: string}}
      responses:
        "200":
          content:
            application/json:
              schema:
                type: object
                properties:
                  total: {type: integer}
                  items: {type: array, items: {$ref: "#/components/schemas/Pet"}}
    post: {responses: {}}
  /pets/{petId}/visits/{year}:
    get:
      parameters:
        - {name: petId, in: path, required: true, schema: {type: integer}}
        - {name: year, in: path, required: true, schema: {type: integer, minimum: 1990, maximum: 2100}}
        - {name: limit, in: query, schema: {type: integer, maximum: 500}}
      responses: {}
  /pets/{id}:
    get:
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {}
  /search:
    get:
      parameters: [{name: text, in: query, required: true, schema: {type: string}}]
      responses: {}
  /by-place:
    get:
      parameters: [{name: place, in: query, required: true, schema: {type: object}}]
      responses: {}
  /files:
    servers: [{url: "https://files.example"}]
    get: {responses: {}}
components:
  parameters:
    Limit: {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 20}}
  schemas:
    Colour: {type: string, enum: [red, Dark Green, null]}
    Pet:
      allOf:
        - {$ref: "#/components/schemas/Named"}
        - type: object
          properties:
            colour: {$ref: "#/components/schemas/Colour", description: Its colour.}
            weight: {type: [number, "null"], format: double, example: 3.5}
            born: {type: string, format: date}
            parents: {type: array, items: {$ref: "#/components/schemas/Pet"}}
            home: {type: object, properties: {city: {type: string}, id: {type: integer, format: int64}}}
    Named: {type: object, properties: {name: {type: string}}}
  securitySchemes:
    key: {type: apiKey, in: query, name: key}
    login: {type: http, scheme: bearer}
"""


def _read(text: str) -> dict[str, Any]:
    return dict(load_yaml("pets.yaml", text))


def imported(tmp_path: Path, text: str = DOCUMENT, **options: Any) -> API:
    path = tmp_path / "pets.yaml"
    path.write_text(text, encoding="utf-8")
    import_schema([str(path)], tmp_path / "api", Options(name="pets", **options))
    return load.__wrapped__(str(tmp_path / "api"))


@pytest.fixture
def pets(tmp_path: Path) -> API:
    return imported(tmp_path)


def test_every_kind_of_parameter(pets: API) -> None:
    facts = {n: p.model_dump(exclude_defaults=True) for n, p in pets.params.items()}
    for keys in facts.values():
        for key in ("description", "examples"):
            keys.pop(key, None)
    assert facts["colour"] == {"kind": "enum", "values": ("red", "Dark Green"), "field": "colour"}
    assert facts["born_after"] == {"kind": "date", "field": "born", "compare": "ge"}
    assert facts["tag"] == {"kind": "list", "explode": True}
    assert facts["ids"] == {"kind": "list", "items": "integer", "min": 1}
    assert facts["weight"] == {"kind": "number", "min": 0, "max": 99.5, "field": "weight"}
    assert facts["score"] == {"kind": "integer", "min": -(2**31)}  # no minimum, and not the name of a count
    assert facts["age"] == {"kind": "integer", "min": 3, "max": 40}
    assert facts["tame"] == {"kind": "boolean", "default": True}
    assert facts["code"] == {"kind": "text", "pattern": "^[A-Z]{3}$"}
    assert facts["slow"] == {"kind": "text"}
    assert facts["sort"] == {"kind": "enum", "values": ("name", "-name"), "default": "name", "role": "sort"}
    assert facts["one_of"] == {"kind": "number"}
    assert facts["const"] == {"kind": "enum", "values": ("only",)}
    assert facts["limit"] == {"kind": "integer", "max": 500, "role": "limit"}  # two endpoints: what either takes
    assert not {"kinds", "where", "filter", "X-Trace", "session", "key", "place"} & set(facts)


def test_words_and_examples_go_to_their_table(tmp_path: Path, pets: API) -> None:
    rows = {r["name"]: r for r in read_rows(tmp_path / "api" / "params.csv")}
    assert rows["q"]["description"] == "Words in the name."
    assert rows["code"]["examples"] == "ABC"  # the other example is no value of it
    assert pets.params["born_after"].examples == ("2020-02-01",)
    assert next(iter(rows)) == "limit"  # in the document's order


def test_endpoints_have_their_names_paths_and_needs(pets: API) -> None:
    assert pets.base_url == "https://www.pets.example"
    assert {n: (e.path, e.required) for n, e in pets.endpoints.items()} == {
        "list_pets": ("/api/v2/pets", ()),
        "pets_pet_id_visits_year": ("/api/v2/pets/{petId}/visits/{year}", ("petId", "year")),
        "pets_id": ("/api/v2/pets/{petId}", ("petId",)),  # one name for one place
        "search": ("/api/v2/search", ("text",)),
    }
    assert pets.endpoints["list_pets"].description == "Pets that fit"
    assert "limit" in pets.endpoints["list_pets"].params  # the path's own parameters count
    assert pets.unwritten == ("old",)
    assert pets.ignored_params == ("key",)  # a key has no place in a call


def test_one_place_in_paths_has_one_name() -> None:
    assert name_placeholders(["/pets/{id}", "/pets/{petId}/toys/{id}", "/shops/{id}/", "/a/{x}", "/a/{y}/b/{x}"]) == {
        "/pets/{id}": {"id": "petId"},
        "/pets/{petId}/toys/{id}": {"petId": "petId", "id": "toy_id"},
        "/shops/{id}/": {"id": "shop_id"},
        "/a/{x}": {"x": "x"},
        "/a/{y}/b/{x}": {"y": "x", "x": "x_2"},
    }
    assert name_placeholders(["/gene/{id}"], keep_id=True) == {"/gene/{id}": {"id": "id"}}


def test_fields_of_the_records_inside_a_page(pets: API) -> None:
    types = {n: f.type for n, f in pets.fields.items()}
    assert types == {
        "born": "date",
        "colour": "keyword",
        "home": "object",
        "home.city": "text",
        "home.id": "long",
        "name": "text",
        "parents": "object",  # pets again: not followed for ever
        "weight": "double",
    }
    assert pets.fields["colour"].description == "Its colour."
    assert pets.fields["weight"].examples == ("3.5",)


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path)
    said = capsys.readouterr().err
    for told in (
        "OpenAPI 3.1.0, 4 endpoints",
        "not GET: POST /pets",
        "header parameters: X-Trace",
        "cookie parameters: session",
        "it holds an object: where, place",
        "style pipeDelimited: kinds",
        "(content): filter",
        "endpoints that need what a definition can't hold: /by-place",
        "served at another address (files.example): /files",
        "key (apiKey in query), login (http)",
        "slow: its pattern is left out",
        "deprecated, read but not written: old",
        "records stand in items",
    ):
        assert told in said, told


def test_calls_are_read_and_the_grammar_compiles(pets: API) -> None:
    call = parse(
        pets, "/api/v2/pets?colour=dark%20green&tag=b&tag=a&ids=3,4&limit=10&weight=2.50&born_after=2020-01-01"
    )
    assert call.get("colour") == "Dark Green"
    assert call.get("ids") == ("3", "4")
    assert parse(pets, call.path).canonical == call.canonical
    assert parse(pets, "/api/v2/pets?tame=true&key=hidden").canonical == "/api/v2/pets"
    assert parse(pets, "/api/v2/pets/12/visits/2020").get("year") == 2020
    for wrong in ("/api/v2/pets?colour=blue", "/api/v2/pets/12/visits/1980", "/api/v2/search", "/api/v2/pets?nope=1"):
        with pytest.raises(CallError):
            parse(pets, wrong)
    assert "list_pets_call" in build(pets)


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_null_in_the_manner_of_both_versions(version: str) -> None:
    schema = (
        {"type": "integer", "nullable": True} if version < "3.1" else {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    )
    schema |= {"minimum": 0, "exclusiveMinimum": True} if version < "3.1" else {"exclusiveMinimum": 0}
    document = {
        "openapi": version,
        "info": {"title": "t"},
        "servers": [{"url": "https://x.example"}],
        "paths": {"/a": {"get": {"parameters": [{"name": "n", "in": "query", "schema": schema}]}}},
    }
    told = read_openapi(Source("x", "openapi", document), "x")
    assert told.definition["params"]["n"] == {"kind": "integer", "min": 1}
    assert told.definition["endpoints"]["a"]["path"] == "/a"


def test_other_files_beside_the_document_are_read_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "colour.yaml").write_text(
        "Colour: {$ref: '#/Real'}\nReal: {enum: [a, b]}\n", encoding="utf-8"
    )

    def read(ref: str) -> dict[str, Any]:
        document = {
            "openapi": "3.0.0",
            "servers": [{"url": "https://x.example"}],
            "paths": {"/a": {"get": {"parameters": [{"name": "c", "in": "query", "schema": {"$ref": ref}}]}}},
        }
        path = tmp_path / "parts" / "main.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return read_openapi(read_source(str(path)), "x").definition["params"]

    assert read("colour.yaml#/Colour") == {"c": {"kind": "enum", "values": ["a", "b"]}}
    (tmp_path / "secret.yaml").write_text("Colour: {enum: [a]}\n", encoding="utf-8")
    for ref in ("../secret.yaml#/Colour", "http://127.0.0.1:9/x.yaml#/Colour", "#/nowhere", "colour.yaml#/None"):
        with pytest.raises(QuerywrightError):
            read(ref)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("openapi: 3.1.0", "openapi: 4.0.0"), "3.0 and 3.1 are read"),
        (("https://{stage}.pets.example", ""), "does not say where the service is"),
        (("    get:", "    put:"), "has no GET operation"),
        (("#/components/schemas/Named", "#/components/schemas/Pet2"), "nothing is found at"),
        (
            ("Colour: {type: string, enum: [red, Dark Green, null]}", "Colour: {$ref: '#/components/schemas/Colour'}"),
            "itself",
        ),
    ],
)
def test_documents_that_are_no_api(change: tuple[str, str], message: str) -> None:
    text = DOCUMENT.replace(*change).replace("    get: {", "    put: {" if change[1] == "    put:" else "    get: {")
    with pytest.raises(QuerywrightError, match=message):
        read_openapi(Source("pets.yaml", "openapi", _read(text), "pets.yaml"), "pets")


def test_a_query_parameter_makes_it_an_api_with_a_query_language(tmp_path: Path) -> None:
    api = imported(tmp_path, query_param="q")
    assert api.query_language == "lucene"
    call = parse(api, "/api/v2/pets?q=name:rex AND weight:[2 TO 5]&tame=false")
    assert parse(api, call.path).canonical == call.canonical
    with pytest.raises(CallError, match="unknown field"):
        parse(api, "/api/v2/pets?q=nothing:1")
    (tmp_path / "b").mkdir()
    with pytest.raises(QuerywrightError, match="called q"):
        imported(tmp_path / "b", query_param="text")


def test_an_update_changes_only_what_the_source_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path)
    path = tmp_path / "api" / "api.yaml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("title: Pets", "title: Our pets  # the people's name for it")
    text = text.replace("age: {kind: integer, min: 3, max: 40}", "age: {kind: integer, min: 3, max: 30, field: years}")
    text = text.replace("values: [red, Dark Green]", "values: [red, Dark Green, pink]")
    path.write_text(text, encoding="utf-8")
    capsys.readouterr()
    newer = DOCUMENT.replace("enum: [red, Dark Green, null]", "enum: [red, Dark Green, blue]")
    newer = newer.replace("exclusiveMinimum: 2, maximum: 40", "exclusiveMinimum: 0, maximum: 40")
    newer = newer.replace("name: score, in: query", "name: points, in: query")
    api = imported(tmp_path, newer, update=True)
    said = capsys.readouterr().err
    assert api.title == "Our pets"
    assert "# the people's name for it" in path.read_text(encoding="utf-8")
    age = api.params["age"]
    assert (age.min, age.max, age.field) == (1, 30, "years")  # the source's change, and the person's two
    assert api.params["colour"].values == ("red", "Dark Green", "blue", "pink")
    assert "params.colour.values, new (1): blue" in said
    assert "points" in api.params
    assert "score" in api.params
    assert "params.age.min was 3, is 1" in said
    assert "no longer in the source, kept: params score" in said
    assert "points" in api.endpoints["list_pets"].params
