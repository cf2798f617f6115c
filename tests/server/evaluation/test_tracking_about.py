"""What an evaluation's run says first."""

from __future__ import annotations

from server.evaluation.tracking_evaluation import _about


def cell(name: str, mean: float) -> dict[str, object]:
    return {"name": name, "scores": {"f1": {"mean": mean, "low": 0.0, "high": 0.66}}}


def test_the_best_cell_is_named_and_equals_are_not_told_apart() -> None:
    found = _about({}, [cell("a · closed", 0.5), cell("a · window", 0.25)])
    assert found.startswith("Best F1: **a · closed**, 50 % [0, 66], of 2 cells.")
    found = _about({}, [cell("a · closed", 0.0), cell("a · window", 0.0)])
    assert found.startswith("Best F1: 2 cells alike, 0 %, of 2 cells.")
