"""Conversations: every edit leads from one call to the next, and the last call is the pair's."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest

from querywright.api.call import parse
from querywright.api.definition import load
from querywright.pairs.check import problem
from querywright.pairs.draw import Drawer
from querywright.pairs.make import TemplateTeacher, sound
from querywright.pairs.turns import Conversation, converse
from querywright.pairs.typed_draw import TypedDrawer


@lru_cache
def conversations(name: str) -> list[Conversation]:
    api, rng = load(name), random.Random(5)
    drawer = TypedDrawer(api, rng, []) if api.query_language == "none" else Drawer(api, rng, [])
    calls, speaker = sound(iter(drawer.call, None)), TemplateTeacher(api, rng).speaker
    found = (converse(speaker, next(calls), lambda: next(calls)) for _ in range(110))
    return [c for c in found if c is not None]


@pytest.mark.parametrize("name", ["mygene", "mydisease", "earthquakes"])
def test_edits_lead_from_the_first_call_to_the_last(name: str) -> None:
    found = conversations(name)
    assert len(found) > 60
    for c in found:
        assert len(c.sentences) == len(c.calls) == len(c.edits) + 1
        call = c.calls[0]
        for edit, after in zip(c.edits, c.calls[1:], strict=True):
            changed = edit.apply(call)
            assert changed.canonical == after.canonical
            assert changed.canonical != call.canonical
            call = changed
        assert parse(call.api, call.text).canonical == c.calls[-1].canonical


@pytest.mark.parametrize("name", ["mygene", "mydisease", "earthquakes"])
def test_rows_hold_the_turns_and_the_final_call(name: str) -> None:
    rows = [c.row() for c in conversations(name)]
    assert {len(r["turns"]) for r in rows} >= {2, 4}
    for r in rows:
        assert [t["role"] for t in r["turns"]] == ["user", "assistant"] * (len(r["turns"]) // 2)
        assert r["turns"][-1]["content"] != r["path"]
    wrong = [r for r in rows if problem(load(name), r)]
    assert len(wrong) <= 0.02 * len(rows), wrong[:3]


def test_follow_ups_are_of_many_kinds() -> None:
    changes = set()
    for c in conversations("mygene"):
        for edit, before in zip(c.edits, c.calls, strict=False):
            names = {n for n, _ in edit.params}
            changes |= names or {"anew" if edit.anew else "id" if edit.id else "query"}
            if "fields" in names:
                more = len(dict(edit.params)["fields"]) > len(before.get("fields", ()))
                changes.add("more fields" if more else "fewer fields")
    assert {"species", "fields", "more fields", "fewer fields", "size", "sort", "query", "anew", "id"} <= changes
