"""Sources that are made to hang an import, or to write more than it should."""

from __future__ import annotations

from typing import Any

import pytest

from querywright.errors import QuerywrightError
from querywright.schema.import_openapi import read_openapi
from querywright.schema.openapi_param import simplified
from querywright.schema.openapi_read import open_document
from querywright.schema.sources import Source, load_yaml


def document(schemas: dict[str, Any] | None = None, parameters: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    answer = {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}}
    get = {"parameters": parameters or [], "responses": answer if schemas else {}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Things"},
        "servers": [{"url": "https://things.example"}],
        "paths": {"/things": {"get": get}},
        "components": {"schemas": schemas or {}},
        **more,
    }


def test_aliases_of_aliases_are_refused() -> None:
    lines = ["openapi: 3.0.0", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(QuerywrightError, match="aliases stand for more than"):
        load_yaml("bomb.yaml", "\n".join(lines))
    with pytest.raises(QuerywrightError, match="stands inside what it names"):
        load_yaml("loop.yaml", "a: &a [*a]")
    assert load_yaml("plain.yaml", "a: &a [1, 2]\nb: *a\nc: {<<: {d: 2020-01-01}}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": "2020-01-01"},
    }
    assert load_yaml("empty.yaml", "") is None


def shared(n: int) -> dict[str, Any]:
    """Schemas that each name the next one six times: 6**n ways through them."""

    def ref(i: int) -> dict[str, str]:
        return {"$ref": f"#/components/schemas/S{i}", "description": "as below"}

    schemas: dict[str, Any] = {
        f"S{i}": {
            "type": "object",
            "anyOf": [ref(i + 1), {"type": "object", "properties": {"a": ref(i + 1)}}],
            "allOf": [ref(i + 1), ref(i + 1)],
            "properties": {"a": ref(i + 1), "b": ref(i + 1)},
        }
        for i in range(n)
    }
    return schemas | {f"S{n}": {"type": "string"}}


def test_schemas_with_many_ways_through_them_are_read_once() -> None:
    source = Source("x.json", "openapi", document(shared(14)))
    root = open_document(source)
    simplified(root.get("components", "schemas", "S0"))
    assert root.book.read < 15 * 10 * 9
    told = read_openapi(source, "x")
    assert told.fields
    assert len(told.fields) <= 2000


def test_too_many_schemas_are_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("querywright.schema.openapi_read.MOST_SCHEMAS", 5)
    told = read_openapi(Source("x.json", "openapi", document(shared(14))), "x")
    assert any("too many schemas" in note for note in told.notes)


def test_a_list_of_itself_has_an_end() -> None:
    schemas = {
        "S0": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/L"}}},
        "L": {"type": "array", "items": {"$ref": "#/components/schemas/L"}},
    }
    assert "a" in read_openapi(Source("x.json", "openapi", document(schemas)), "x").fields


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("^[A-Z]{3}$", True),
        ("^[A-Z]{2}[0-9]+$", True),
        ("[0-9]{3}", False),
        ("^[^a]+$", False),
        (r"^\S+@\S+$", False),
        ("^[A-Z][a-z]+ [A-Z]+$", False),
        (r"^(\w+\s?)*$", False),
        ("^(?!a)[a-z]+$", False),
    ],
)
def test_only_patterns_that_can_be_written_are_kept(pattern: str, kept: bool) -> None:
    parameter = {"name": "tag", "in": "query", "schema": {"type": "string", "pattern": pattern}}
    told = read_openapi(Source("x.json", "openapi", document(parameters=[parameter])), "x")
    assert ("pattern" in told.definition["params"]["tag"]) is kept
    assert any("its pattern is left out" in note for note in told.notes) is not kept
