"""When a candidate is better: on answers made up so that each rule alone decides."""

from __future__ import annotations

import io
from itertools import count
from typing import Any

import pytest

pytest.importorskip("scipy", reason="needs the extra eval")

from querywright.evaluate.decision import FROZEN, RARE, RECENT, Bounds, Item, decide
from server.flywheel import show

SHAPE = "/v3/query?q=symbol:<word>"
OTHER = "/v3/query?q=name:<word>&size=<n>"


def items(
    part: str, signature: str = SHAPE, *, both: int = 0, won: int = 0, lost: int = 0, none: int = 0
) -> list[Item]:
    """Sentences that both models have right, only the candidate, only the current one, neither."""
    kinds = [(1.0, 1.0)] * both + [(0.0, 1.0)] * won + [(1.0, 0.0)] * lost + [(0.0, 0.0)] * none
    ids = count()
    return [Item(f"{part}{signature}{next(ids)}", part, signature, old, new) for old, new in kinds]


def test_better_is_promoted_with_every_figure() -> None:
    found = decide(items(FROZEN, both=150, won=8, lost=2, none=40) + items(RECENT, both=5, won=12, lost=1, none=12))
    assert (found["promote"], found["reasons"]) == (True, [])
    everything, recent = found["compared"]["all"], found["compared"][RECENT]
    assert (everything["n"], everything["won"], everything["lost"]) == (230, 20, 3)
    assert everything["p"] == pytest.approx(0.000244, abs=1e-6)  # binomial: 20 or more of 23
    assert everything["low"] > 0
    assert recent["current"]["same"] == pytest.approx(6 / 30)
    assert recent["candidate"]["same"] == pytest.approx(17 / 30)


@pytest.mark.parametrize(("won", "lost", "better"), [(5, 0, True), (4, 0, False), (10, 3, True), (10, 4, False)])
def test_better_has_to_be_beyond_chance(won: int, lost: int, better: bool) -> None:
    """The tables of the binomial distribution: 5 of 5 has p = 0.031, 10 of 14 has 0.090."""
    found = decide(items(FROZEN, both=200, none=20) + items(RECENT, won=won, lost=lost, none=6))
    assert found["promote"] is better
    assert all("not better with confidence" in reason for reason in found["reasons"])


def test_no_difference_at_all_is_not_better() -> None:
    found = decide(items(FROZEN, both=90, none=10) + items(RECENT, both=5, none=5))
    assert not found["promote"]
    assert found["compared"]["all"]["p"] == 1.0


def test_trying_often_is_no_way_to_be_promoted() -> None:
    asked = items(FROZEN, both=200, none=20) + items(RECENT, won=6, none=6)
    assert decide(asked, tries=3)["promote"]
    found = decide(asked, tries=4)
    assert not found["promote"]
    assert "4 candidates" in found["reasons"][0]


def test_worse_on_the_frozen_set_is_not_made_good_by_the_recent_corrections() -> None:
    """What was corrected is what the current model had wrong: there it can only lose."""
    found = decide(items(FROZEN, both=160, lost=18, none=22) + items(RECENT, won=60))
    assert found["compared"]["all"]["p"] < 1e-4
    assert not found["promote"]
    assert any("worse on the frozen test set: -9.0 points" in reason for reason in found["reasons"])


def test_a_frozen_set_too_small_to_tell_does_not_pass() -> None:
    """The same answers on all of 40 sentences leave nine points open."""
    few = decide(items(FROZEN, both=30, none=10) + items(RECENT, won=20))
    assert not few["promote"]
    assert "40 sentences can't rule it out" in few["reasons"][0]
    assert decide(items(FROZEN, both=30, none=10) + items(RECENT, won=20), Bounds(margin=0.1))["promote"]
    assert decide(items(FROZEN, both=90, none=30) + items(RECENT, won=20))["promote"]


def test_one_shape_got_worse() -> None:
    better = items(FROZEN, both=190, won=12) + items(RECENT, won=15)
    worse = items(FROZEN, OTHER, both=10, lost=2)
    found = decide(better + worse)
    assert not found["promote"]
    assert any(reason.startswith(f"{OTHER}: -16.7 points on 12 sentences") for reason in found["reasons"])
    assert found["shapes"][0]["lost"] == 2
    assert decide(better + worse, Bounds(shape=0.2))["promote"]
    assert decide(better + worse, Bounds(shape_rows=13))["promote"], "too few rows of this shape"


def test_a_shape_counts_over_both_parts_and_whatever_it_returns() -> None:
    """Shapes that differ in what comes back are too rare each; what is searched is the same."""
    better = items(FROZEN, both=190, won=12) + items(RECENT, won=15)
    rare = [
        item
        for n in range(6)
        for item in items(FROZEN if n % 2 else RECENT, f"/v3/query?q=name:<word>&fields=f{n}", both=1, lost=1)
    ]
    found = decide(better + rare)
    assert not found["promote"]
    assert any(reason.startswith("/v3/query?q=name:<word>&…: -50.0") for reason in found["reasons"])


def test_rare_shapes_are_looked_at_together() -> None:
    better = items(FROZEN, both=190, won=12) + items(RECENT, won=15)
    rare = [item for n in range(11) for item in items(FROZEN, f"/v3/query?q=f{n}:<word>", lost=1)]
    assert any(reason.startswith(RARE) for reason in decide(better + rare)["reasons"])


def test_the_recent_corrections_may_not_get_worse() -> None:
    found = decide(items(FROZEN, both=190, won=30) + items(RECENT, OTHER, both=8, lost=3))
    assert any(reason.startswith("the recent corrections: -27.3 points") for reason in found["reasons"])


@pytest.mark.parametrize("asked", [[], items(RECENT, won=30)])
def test_nothing_to_compare_on_is_not_better(asked: list[Item]) -> None:
    found = decide(asked)
    assert not found["promote"]
    assert any("no sentences" in reason for reason in found["reasons"])


def test_the_table_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    found = {
        "id": "abc",
        "current": "shipped-1",
        **decide(items(FROZEN, both=20, lost=4) + items(RECENT, "[b]x", won=3)),
    }
    out = io.StringIO()
    Console(file=out, width=130).print(show.decision(found))
    text = out.getvalue()
    for told in ("not promoted", "frozen test set", "recent corrections", "100 [86, 100]", "83 [64, 93]", SHAPE):
        assert told in text
    empty: dict[str, Any] = {"id": "abc", "current": "s", **decide([])}
    Console(file=out, width=130).print(show.decision(empty))
