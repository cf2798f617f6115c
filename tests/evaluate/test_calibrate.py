"""Fitting a confidence on answers whose truth is known: made with a known chance of being right."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.api.definition import API
from querywright.cli.eval import app
from querywright.errors import QuerywrightError
from querywright.evaluate.calibrate import calibrate, told
from querywright.generate.confidence import read_calibration

RIGHT, WRONG = "/v3/query?q=symbol:CDK2", "/v3/query?q=symbol:CDK3"
CELL = {"api": "mygene", "model": "m", "strategy": "tuned", "decoding": "grammar"}


def candidate(path: str, weakest: float, **signs: float) -> dict[str, Any]:
    return {"path": path, "ok": True, "refused": None, "signs": {"weakest": weakest, **signs}}


def made(n: int, several: bool = True) -> list[dict[str, Any]]:
    """Answers that are right as often as a logistic function of `weakest` says; else the other candidate is."""
    rng, rows = random.Random(3), []
    for number in range(n):
        weakest = -4 * rng.random()
        right = rng.random() < 1 / (1 + math.exp(-(4 + 3 * weakest)))
        first = candidate(RIGHT if right else WRONG, weakest, most_likely=1.0)
        second = candidate(WRONG if right else RIGHT, -3.9 - weakest, most_likely=0.0)
        row = {**CELL, "id": str(number), "expected": RIGHT, "instruction": str(number), **first}
        rows.append({**row, "candidates": [first, second] if several else []})
    return rows


def test_the_chances_come_back(mygene: API, tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    facts = calibrate({"mygene": mygene}, made(400), out)
    one = read_calibration(out)["one"]
    for weakest in (-3.0, -1.3, -0.2):
        assert one.chance({"weakest": weakest}) == pytest.approx(1 / (1 + math.exp(-(4 + 3 * weakest))), abs=0.1)
    assert set(one.weights) == {"weakest"}, "what only a choice knows is not asked of one pass"
    assert facts["one"]["brier"] < facts["one"]["brier_base"]
    assert facts["one"]["ece"] < 0.1
    assert facts["several"]["right"] > facts["one"]["right"] + 0.1, "the other candidate is taken where it is likelier"
    # 0.88 by the true chances; a penalised fit says a little less, and the lowest threshold that holds is taken
    assert facts["one"]["threshold"] == pytest.approx(0.85, abs=0.1)
    assert "95% are right" in told("one", facts["one"])
    assert set(read_calibration(out)) == {"one", "several"}


def test_one_pass_alone(mygene: API, tmp_path: Path) -> None:
    assert set(calibrate({"mygene": mygene}, made(60, several=False), tmp_path / "c.json")) == {"one"}


def test_what_can_not_be_fitted_is_said(mygene: API, tmp_path: Path) -> None:
    rows = made(60)
    for wrong, said in (
        ([*rows, {**rows[0], "model": "other"}], "of one model"),
        ([*rows, *({**row, "n": 5} for row in rows)], "of one model"),
        (rows[:20], "at least 30"),
        ([{**row, "signs": {}} for row in rows], "0 answers with signs"),
        ([{**row, "expected": row["path"]} for row in made(60, several=False)], "nothing to tell apart"),
    ):
        with pytest.raises(QuerywrightError, match=said):
            calibrate({"mygene": mygene}, wrong, tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_the_command(tmp_path: Path) -> None:
    file, out = tmp_path / "responses_x.jsonl", tmp_path / "model" / "calibration.json"
    out.parent.mkdir()
    (out.parent / "manifest.json").write_text('{"config": {"adapter_sha256": "abc"}}')
    others = [{**row, "model": "other"} for row in made(40)]
    lines = [*made(80), *others, *({**row, "strategy": "rag"} for row in others)]
    file.write_text("".join(json.dumps(row) + "\n" for row in lines))
    done = CliRunner().invoke(app, ["calibrate", str(file), "--out", str(out), "--cell", "m.tuned.grammar", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[0])["one"]["n"] == 80
    assert json.loads(out.read_text())["adapter"] == "abc"
    failed = CliRunner().invoke(app, ["calibrate", str(file), "--out", str(out)])
    assert isinstance(failed.exception, QuerywrightError)
    assert "--cell" in failed.exception.hint
