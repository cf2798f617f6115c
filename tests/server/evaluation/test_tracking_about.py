"""What an evaluation's run says first."""

from __future__ import annotations

from server.evaluation.tracking_evaluation import _about, _totals


def cell(name: str, mean: float) -> dict[str, object]:
    return {"name": name, "scores": {"f1": {"mean": mean, "low": 0.0, "high": 0.66}}}


def test_the_best_cell_is_named_and_equals_are_not_told_apart() -> None:
    found = _about({}, [cell("a · closed", 0.5), cell("a · window", 0.25)])
    assert found.startswith("Best F1: **a · closed**, 50 % [0, 66], of 2 cells.")
    found = _about({}, [cell("a · closed", 0.0), cell("a · window", 0.0)])
    assert found.startswith("F1 is 0 in all 2 cells: none is the best. Each cell")
    found = _about({}, [cell("a · closed", 0.5), cell("b · rag", 0.1 + 0.4), cell("a · window", 0.2)])
    assert found.startswith("Best F1: **a · closed** and **b · rag**, alike with 50 %, of 3 cells.")
    found = _about({}, [cell(f"a{n} · closed", 0.5) for n in range(4)])
    assert found.startswith("Best F1: 4 cells, alike with 50 %, of 4 cells.")
    assert _about({}, [cell("a · closed", 0.5)]).startswith("F1 of **a · closed**: 50 % [0, 66]. Each cell")


def test_what_was_not_asked_and_how_far_the_judge_goes_is_told() -> None:
    judge = {"name": "a_b", "judged_too": ["a_b"], "asked": 9, "unread": 1, "agreement": 0.5, "order": -0.25,
             "controls": None}  # fmt: skip
    notes = ["window: 1 of 2 questions have no passages and are not asked"]
    found = _about({"judge": judge, "notes": notes, "left_out": ["rag: no documents"]}, [cell("a_b · closed", 0.5)])
    assert r"The judge a\_b judges itself: a\_b is the same model\. window: 1 of 2 questions have no" in found
    assert "are not asked. Left out: rag: no documents. Each cell" in found
    assert r" Judge: a\_b. " in _about({"judge": {**judge, "judged_too": []}}, [cell("a_b · closed", 0.5)])


def test_what_the_judge_took_is_told_beside_what_the_cells_took() -> None:
    cells = [{**cell("a · closed", 0.5), "n": 2, "tokens_in": 10, "tokens_out": 2, "cost": {"total": 0.5}}]
    found = _totals({"judge": {"tokens_in": 700, "tokens_out": 30, "cost": 0.25}}, cells)
    assert (found["tokens_in"], found["cost"]) == (10, 0.5)
    assert [found[f"judge_{name}"] for name in ("tokens_in", "tokens_out", "cost")] == [700, 30, 0.25]
    assert _totals({"judge": None}, cells)["judge_cost"] is None
