"""A confidence is measured as it deserves: perfect, useless, tied and missing ones are told apart."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from querywright.evaluate import chart
from querywright.evaluate.reliability import reliability, threshold_for


def rows(pairs: list[tuple[float | None, int]]) -> list[dict[str, Any]]:
    return [{"confidence": sure, "same": float(right)} for sure, right in pairs]


def drawn(n: int, seed: int = 1) -> list[dict[str, Any]]:
    """Answers that are right as often as their confidence says."""
    rng = random.Random(seed)
    return rows([(p, int(rng.random() < p)) for p in (rng.random() for _ in range(n))])


def test_a_calibrated_confidence() -> None:
    found = reliability(drawn(1000))["reliability"]
    assert found["ece"] < 0.05
    assert found["brier"] == pytest.approx(1 / 6, abs=0.03), "the mean of p (1 - p) over all p"
    assert found["brier_base"] == pytest.approx(0.25, abs=0.01)
    assert found["auroc"] == pytest.approx(5 / 6, abs=0.03)
    assert sum(b["n"] for b in found["bins"]) == 1000
    # of the answers from t on (1 + t) / 2 are right: 95 % from 0.9 on, a tenth of all
    assert found["chosen"]["threshold"] == pytest.approx(0.9, abs=0.06)
    answered = found["chosen"]["answered"]
    assert answered["low"] < 0.1 < answered["high"]
    assert found["held_out"]["right"]["mean"] == pytest.approx(0.95, abs=0.05)
    assert reliability(drawn(1000))["reliability"] == found, "the same seed gives the same figures"


def test_one_that_is_too_sure() -> None:
    found = reliability(rows([(0.99, i % 2) for i in range(100)]))["reliability"]
    assert found["ece"] == pytest.approx(0.49)
    assert found["chosen"]["threshold"] is None, "equal confidences are answered together or not at all"
    assert found["chosen"]["answered"]["mean"] == 0
    assert found["chosen"]["right"] is None
    assert found["auroc"] == 0.5
    assert found["calibrated"]
    assert not reliability([{"confidence": 0.5, "same": 1.0, "calibrated": False}])["reliability"]["calibrated"]


def test_thresholds() -> None:
    sure, right = np.array([0.9, 0.8, 0.8, 0.7, 0.1]), np.array([1, 1, 1, 0, 1])
    assert threshold_for(sure, right, 1.0) == 0.8
    assert threshold_for(sure, right, 0.75) == 0.1, "4 of 5: as low as it goes"
    assert threshold_for(sure[3:], right[3:], 0.95) is None


def test_what_has_no_confidence_is_not_answered() -> None:
    found = reliability(rows([(0.9, 1)] * 30 + [(None, 0)] * 10))["reliability"]
    assert (found["n"], found["known"]) == (40, 30)
    assert found["chosen"]["answered"]["mean"] == 0.75
    assert found["held_out"]["answered"]["mean"] == 0.75
    assert found["curve"][-1] == {"threshold": 0.9, "answered": 0.75, "right": 1.0}
    assert found["auroc"] is None
    assert reliability(rows([(None, 1)] * 5)) == {}
    assert reliability([{"same": 1.0}]) == {}


def test_one_answer_is_enough_to_draw(tmp_path: Path) -> None:
    cell = {"name": "a", "metrics": {"same": {"mean": 1.0}}, **reliability(rows([(0.5, 1)]))}
    assert [path.suffix for path in chart.confidence([cell], tmp_path / "c")] == [".png", ".svg"]
    assert "a: answers 100 %" in (tmp_path / "c.svg").read_text()
    assert chart.confidence([{"name": "b"}], tmp_path / "d") == []
