"""Rated rows to preference rows: which two responses make a pair, and what gives none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querywright import protected
from querywright.artefacts import write_jsonl
from querywright.errors import QuerywrightError
from querywright.finetune.preferences import read_preferences
from querywright.preferences.choose import ALL, REASONS, choose

Rated = tuple[str, str, float | None]


def row(*responses: Rated, name: str = "p1", **more: Any) -> dict[str, Any]:
    given = [
        {"model": m, "sample": 0, "response": text, "ratings": {"helpfulness": r}, "rating": r}
        for m, text, r in responses
    ]
    return {"prompt_hash": name, "text": f"say {name}", "responses": given, **more}


FOUR = (("a", "Aa", 5.0), ("b", "Bb", 2.0), ("c", "Cc", 3.0), ("d", "Dd", None))


def test_the_best_is_chosen_and_a_worse_one_rejected() -> None:
    found = choose([row(*FOUR, name=f"p{n}") for n in range(60)])
    assert len(found.rows) == 60
    assert {r["chosen_model"] for r in found.rows} == {"a"}
    assert {r["rejected_model"] for r in found.rows} == {"b", "c"}, "sampled, and never the unrated one"
    for r in found.rows:
        assert r["chosen_rating"] > r["rejected_rating"]
        assert r["ratings"] == {"chosen": {"helpfulness": 5.0}, "rejected": {"helpfulness": r["rejected_rating"]}}


def test_all_worse_ones_are_rejected() -> None:
    assert [r["rejected_model"] for r in choose([row(*FOUR)], rejected=ALL).rows] == ["b", "c"]


def test_a_margin_leaves_near_ones_out() -> None:
    assert [r["rejected_model"] for r in choose([row(*FOUR)], rejected=ALL, margin=2.5).rows] == ["b"]
    assert choose([row(*FOUR)], margin=3.5).left_out == {"tied": 1}


@pytest.mark.parametrize(
    ("responses", "reason"),
    [
        ([("a", "A", 3.0), ("b", "B", 3.0)], "tied"),
        ([("a", "A", 3.0), ("b", "B", None)], "unrated"),
        ([], "unrated"),
        ([("a", "A", 3.0), ("b", " ", 1.0)], "unrated"),
        ([("a", "A", 3.0), ("b", "A\n", 1.0)], "alike"),
    ],
)
def test_a_prompt_without_a_pair_is_counted(responses: list[Rated], reason: str) -> None:
    found = choose([row(*responses), row(*FOUR, name="other")])
    assert found.left_out == {reason: 1}
    assert len(found.rows) == 1
    assert any(REASONS[reason] in line for line in found.told())
    assert found.report()["left_out"] == {reason: 1}


def test_one_text_rated_twice_counts_once_with_its_mean() -> None:
    found = choose([row(("a", "same", 5.0), ("b", "same ", 2.0), ("c", "other", 4.0))])
    assert [(r["chosen_model"], r["rejected_rating"]) for r in found.rows] == [("c", 3.5)]
    assert found.merged == 1


def test_of_responses_rated_alike_the_tie_decides() -> None:
    one = row(("long", "/q?a=1&b=2", 4.0), ("short", "/q?a=1", 4.0), ("alike", "/q?b=1", 4.0))
    for response, tie in zip(one["responses"], (-10.0, -6.0, -6.0), strict=True):
        response["tie"] = tie
    found = choose([one], rejected=ALL)
    assert [(r["chosen_model"] in ("short", "alike"), r["rejected_model"]) for r in found.rows] == [(True, "long")]
    assert choose([one], margin=1.0).left_out == {"tied": 1}


def test_a_response_that_was_cut_off_is_never_chosen() -> None:
    one = row(("a", "an endless", 5.0), ("b", "B", 3.0), ("c", "C", 1.0))
    one["responses"][0]["finish"] = "length"
    assert [(r["chosen_model"], r["rejected_model"]) for r in choose([one]).rows] == [("b", "c")]
    one["responses"].pop()
    assert choose([one]).left_out == {"cut_off": 1}


def test_the_same_prompt_gives_the_same_pair_in_any_company() -> None:
    rows = [row(*FOUR, name=f"p{n}") for n in range(30)]
    whole = {r["prompt_hash"]: r for r in choose(rows, seed=3).rows}
    backwards = [{**r, "responses": r["responses"][::-1]} for r in reversed(rows[10:])]
    assert all(whole[r["prompt_hash"]] == r for r in choose(backwards, seed=3).rows)
    assert [r["rejected_model"] for r in choose(rows, seed=4).rows] != [
        r["rejected_model"] for r in choose(rows, seed=3).rows
    ]


def test_rows_load_as_they_are(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    rows = [
        row(*FOUR, name="p1", system="Be brief.", turns=turns, id="x"),
        row(*FOUR, name="p2", tools=["t"], chosen="mine"),
    ]
    path = tmp_path / "preferences.jsonl"
    write_jsonl(path, choose(rows).rows)
    first, second = read_preferences(path)
    assert [m["role"] for m in first.prompt] == ["system", "user", "assistant", "user"]
    assert first.prompt[-1]["content"] == "say p1"
    assert first.chosen == [{"role": "assistant", "content": "Aa"}]
    assert len(second.prompt) == 1
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert kept[0]["id"] == "x"
    assert "tools" not in kept[1], "a trainer would act on it"
    assert kept[1]["metadata"] == {"tools": ["t"], "chosen": "mine"}
    assert not {"text", "turns", "system", "responses"} & {*kept[0]}


def test_it_loads_as_a_data_set_of_the_hub(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra `train` is not installed")
    write_jsonl(tmp_path / "p.jsonl", choose([row(*FOUR, name=f"p{n}") for n in range(3)]).rows)
    table = datasets.load_dataset("json", data_files=str(tmp_path / "p.jsonl"), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    assert table[0]["chosen"] == [{"role": "assistant", "content": "Aa"}]
    assert {"prompt", "chosen", "rejected"} <= {*table.column_names}


def test_an_api_asks_in_its_own_way() -> None:
    found = choose(
        [row(*FOUR)], render=lambda r: [{"role": "system", "content": "S"}, {"role": "user", "content": r["text"]}]
    )
    assert found.rows[0]["prompt"] == [{"role": "system", "content": "S"}, {"role": "user", "content": "say p1"}]


def test_protected_sentences_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "held.txt"
    protected.protect(["say p1", "a turn"], file)
    monkeypatch.setenv(protected.VARIABLE, str(file))
    in_turns = row(*FOUR, name="p2", turns=[{"role": "user", "content": "A turn."}])
    assert choose([row(*FOUR), in_turns]).left_out == {"protected": 2}


@pytest.mark.parametrize("wrong", [{"rejected": "smaple"}, {"margin": -1.0}, {"margin": float("nan")}])
def test_wrong_options_are_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(QuerywrightError):
        choose([], **wrong)


@pytest.mark.parametrize("turns", ["hello", [{"role": "user"}], {"role": "user"}])
def test_turns_that_are_none_are_said(turns: Any) -> None:
    with pytest.raises(QuerywrightError, match="prompt p1: `turns`"):
        choose([row(*FOUR, turns=turns)])


RESPONSE = st.tuples(
    st.sampled_from("abcd"),
    st.sampled_from(["", "x", "x ", "y", "z"]),
    st.one_of(st.none(), st.sampled_from([1.0, 2.5, 5.0])),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(RESPONSE, max_size=5), max_size=5),
    st.sampled_from(["sample", ALL]),
    st.randoms(use_true_random=False),
)
def test_every_prompt_is_a_pair_or_counted(rows: list[list[Rated]], how: str, chance: random.Random) -> None:
    made = [row(*responses, name=f"p{n}") for n, responses in enumerate(rows)]
    found = choose(made, rejected=how, seed=chance.randrange(9))
    paired = {r["prompt_hash"] for r in found.rows}
    assert len(paired) + found.left_out.total() == found.prompts == len(rows)
    for r in found.rows:
        assert r["chosen_rating"] > r["rejected_rating"]
        assert r["chosen"][0]["content"].strip() != r["rejected"][0]["content"].strip() != ""
