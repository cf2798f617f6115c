"""The lexicons of the shipped APIs speak of fields that exist, and say the values that they speak of."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from querywright.api.call import Call, normalise, parse
from querywright.api.definition import load, shipped
from querywright.api.lexicon import lexicon

WITH_WORDS = [name for name in shipped() if lexicon(load(name)) and load(name).query_language == "lucene"]
every_api = pytest.mark.parametrize("api", WITH_WORDS)


def _words(api: str, key: str) -> dict[str, Any]:
    found = lexicon(load(api)).get(key) or {}
    assert isinstance(found, dict)
    return found


@every_api
def test_words_belong_to_fields(api: str) -> None:
    fields = load(api).fields
    named = [name for key in ("clauses", "nouns_for", "facet_words", "values") for name in _words(api, key)]
    named += [name for listed in _words(api, "draw").values() if isinstance(listed, list) for name in listed]
    params = load(api).params
    assert [name for name in named if name not in fields and name not in params and name not in ("topics", "_id")] == []


@every_api
def test_clauses_hold_the_value(api: str) -> None:
    wrong = [c for clauses in _words(api, "clauses").values() for c in clauses if c.count("{V}") != 1]
    assert wrong == []


@every_api
def test_a_clause_means_one_field_only(api: str) -> None:
    """`called X` may not stand for two fields: a sentence would then have two right answers."""
    owners: dict[str, list[str]] = defaultdict(list)
    for field, clauses in _words(api, "clauses").items():
        for clause in clauses:
            owners[clause.casefold()].append(field)
    allowed = {"with {v}", "for {v}", "in {v}"}  # the value itself says which field: HP:0001250, a term of inheritance
    assert {c: names for c, names in owners.items() if len(names) > 1 and c not in allowed} == {}


@every_api
def test_values_and_nouns_are_texts(api: str) -> None:
    assert [v for values in _words(api, "values").values() for v in values if not isinstance(v, str | int)] == []
    kinds = [(f, v) for f, nouns in _words(api, "nouns_for").items() for v in nouns if not isinstance(v, str)]
    assert kinds == []
    assert len(_words(api, "values")["topics"]) >= 30


@every_api
def test_ids_to_ask_for_are_ids(api: str) -> None:
    definition = load(api)
    endpoint = next(n for n, e in definition.endpoints.items() if "{id}" in e.path and "fields" in e.params)
    for identifier in lexicon(definition).get("id_values") or []:
        call = normalise(Call(definition, endpoint, str(identifier), None, ()))
        assert parse(definition, call.path).canonical == call.canonical
