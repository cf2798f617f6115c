"""Cohen's kappa: by hand, and over pairs of responses."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from querywright.preferences.agreement import agreement, agreements, aspect, told, with_others
from querywright.statistics import cohen_kappa


def rows(judge: Any, n: int = 60, seed: int = 1) -> list[dict[str, Any]]:
    """Prompts with four responses, of which one judge says 1 to 4 and the other what `judge` makes of it."""
    chance = random.Random(seed)
    made = []
    for i in range(n):
        responses = []
        for k in chance.sample(range(4), 4):
            ratings = {"honesty": k + 1.0, "execution": judge(k + 1.0, chance)}
            responses.append({"model": f"m{k}", "sample": 0, "response": str(k), "ratings": ratings, "rating": k + 1.0})
        made.append({"prompt_hash": f"p{i}", "text": "t", "responses": responses})
    return made


def test_kappa_by_hand() -> None:
    """50 grants, two readers: 20 both yes, 15 both no, 5 and 10 apart: (0.7 - 0.5) / (1 - 0.5)."""
    found = cohen_kappa("y" * 25 + "n" * 25, "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15)
    assert found["n"] == 50
    assert found["agreement"] == pytest.approx(0.7)
    assert found["kappa"] == pytest.approx(0.4)
    assert 0.05 < found["low"] < 0.4 < found["high"] < 0.7


def test_kappa_of_nothing_and_of_one_label() -> None:
    assert cohen_kappa([], [])["n"] == 0
    assert math.isnan(cohen_kappa("aaa", "aaa")["kappa"])
    with pytest.raises(ValueError, match="same items"):
        cohen_kappa("ab", "a")


def test_items_of_a_group_are_drawn_together() -> None:
    """The same labels ten times over are no more evidence, where they belong together."""
    a, b = "yynn" * 5, "ynny" * 2 + "yynn" * 3
    alone = cohen_kappa(a, b)
    tenfold = cohen_kappa(
        [x for x in a for _ in range(10)], [x for x in b for _ in range(10)], [i for i in range(20) for _ in range(10)]
    )
    free = cohen_kappa([x for x in a for _ in range(10)], [x for x in b for _ in range(10)])
    assert tenfold["kappa"] == pytest.approx(alone["kappa"])
    assert tenfold["high"] - tenfold["low"] == pytest.approx(alone["high"] - alone["low"], abs=0.05)
    assert free["high"] - free["low"] < 0.5 * (alone["high"] - alone["low"])


def test_judges_that_order_alike_agree_whatever_their_scale() -> None:
    found = agreement(rows(lambda r, _: 1 + r / 10), aspect("honesty"), aspect("execution"))
    assert (found["pairs"], found["agreement"], found["kappa"]) == (360, 1.0, 1.0)


def test_opposite_and_random_judges() -> None:
    opposite = agreement(rows(lambda r, _: 5 - r), aspect("honesty"), aspect("execution"))
    assert opposite["kappa"] == pytest.approx(-1.0)
    guess = agreement(rows(lambda r, chance: chance.random()), aspect("honesty"), aspect("execution"))
    assert guess["low"] < 0 < guess["high"]
    assert abs(guess["kappa"]) < 0.15


def test_a_judge_that_calls_all_alike_decides_nothing() -> None:
    found = agreement(rows(lambda r, _: 3.0), aspect("honesty"), aspect("execution"))
    assert found["agreement"] == 0.0
    assert (found["decided"], found["decided_kappa"]) == (0, None)


def test_the_order_of_the_responses_does_not_matter() -> None:
    made = rows(lambda r, chance: r + chance.choice([-1.5, 0, 1.5]))
    ordered = [{**row, "responses": sorted(row["responses"], key=lambda r: r["model"])} for row in made]
    one, other = (agreement(x, aspect("honesty"), aspect("execution")) for x in (made, ordered))
    assert one == other
    assert 0.2 < one["kappa"] < 0.95


def test_unrated_responses_and_the_reference_are_left_out() -> None:
    made = rows(lambda r, _: r, n=1)
    made[0]["responses"][0]["ratings"]["honesty"] = None
    made[0]["responses"][1]["model"] = "reference"
    assert agreement(made, aspect("honesty"), aspect("execution"))["pairs"] == 1


def test_all_couples_are_told() -> None:
    found = agreements(rows(lambda r, _: r), ["honesty", "helpfulness"])
    assert [f["judges"] for f in found] == [["mean of aspects", "execution"], ["honesty", "execution"]]
    assert all("kappa 1.00 [1.00, 1.00]" in line for line in told(found))
    assert "too few" in next(told([{**found[0], "kappa": None}]))


def test_two_sets_of_rated_rows() -> None:
    mine = rows(lambda r, _: r)
    theirs = [{**row, "responses": [{**r, "rating": 5 - r["rating"]} for r in row["responses"]]} for row in mine[:30]]
    theirs[0]["responses"][0]["response"] = "another text"
    found = with_others(mine, theirs, "b")
    assert (found["pairs"], found["kappa"]) == (29 * 6 + 3, -1.0)
