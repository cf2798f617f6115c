"""Several APIs side by side, and together: each sentence once, by its own API's definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import load
from querywright.evaluate import safe_pickle, score, several
from querywright.evaluate.config import Config, check
from querywright.evaluate.models import Absent

PATHS = {
    "mygene": [("/v3/gene/1017", "/v3/gene/1017"), ("/v3/query?q=cdk2", "/v3/query?q=CDK2"), ("/v3/gene/1", "no call")],
    "mychem": [("/v1/chem/CHEMBL25", "/v1/chem/CHEMBL26")],
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    given = {"api": [*PATHS], "models": {"m": "m.gguf"}, "name": "both", "out": str(tmp_path / "out")}
    return check(given, "test")


@pytest.fixture
def scored(config: Config) -> dict[str, Any]:
    found = {}
    for api, paths in PATHS.items():
        rows = [
            {"id": str(i), "instruction": f"sentence {i}", "expected": meant, "path": given, "signature": "",
             "api": api, "source": "", "weight": 1.0, "model": "m", "strategy": "tuned", "decoding": "free", "n": 1,
             "engine": "llama", "ms": 5.0, "tokens_in": 3, "tokens_out": 4, "finish": "stop"}
            for i, (meant, given) in enumerate(paths)
        ]  # fmt: skip
        folder = Path(config.of(api).out)
        folder.mkdir(parents=True)
        (folder / "responses_both.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[api] = score.score(load(api), rows)
    return found


def test_each_sentence_counts_once_and_each_api_alike(config: Config, scored: dict[str, Any]) -> None:
    found = several.together(config, scored)
    (cell,) = found["cells"]
    assert (cell["n"], cell["apis"]) == (4, ["mygene", "mychem"])
    assert cell["metrics"]["same"]["mean"] == pytest.approx(2 / 4)
    assert cell["same_by_api"] == pytest.approx((2 / 3 + 0) / 2)
    assert [found["apis"][api]["cells"][0]["n"] for api in PATHS] == [3, 1]
    with pytest.raises(Absent):
        several.together(config, {})


def test_what_is_written_is_of_all_apis(config: Config, scored: dict[str, Any]) -> None:
    found = several.together(config, scored)
    files = several.write(config, found)
    assert all(file.is_file() for file in files)
    out = Path(config.out)
    assert json.loads((out / "scores.json").read_text())["cells"] == found["cells"]
    rows = [json.loads(line) for line in (out / "responses_both.jsonl").read_text().splitlines()]
    assert [row["api"] for row in rows] == ["mygene"] * 3 + ["mychem"]
    assert safe_pickle.load(out / "responses_both.pkl") == rows
    page = (out / "report.html").read_text()
    assert 'href="mychem/report.html"' in page
    assert several.table(found).row_count == 3
