"""Scores say what they claim to: checked against recorded answers whose errors are known."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.evaluate import report, score, suite, sweep
from querywright.evaluate.config import Config
from querywright.evaluate.diagnose import diagnose
from querywright.statistics import holm, interval, paired, weighted_interval, wilson

Q = "/v3/query?q="


@pytest.fixture
def scores(api: API, config: Config, recorded: Any, executor: Any) -> dict[str, Any]:
    rows = sweep.run(config, suite.load(api, config.pairs), {"fake": recorded().source()})
    return score.score(api, rows, executor)


def test_the_numbers_of_a_recorded_sweep(scores: dict[str, Any], executor: Any) -> None:
    cell = scores["cells"][0]
    means = {name: round(m["mean"], 3) for name, m in cell["metrics"].items()}
    assert means == {
        "valid": 0.8, "same": 0.4, "ast_match": 0.2, "query_same": 0.6, "query_f1": 0.6, "fields_f1": 0.8,
        "hits_same": 0.5, "total_same": 0.5, "jaccard": 0.625,
    }  # fmt: skip
    assert cell["metrics"]["hits_same"]["n"] == 4, "the pair that nothing is found for says nothing about hits"
    assert cell["problems"] == {"wrong field": 1, "invalid": 1, "size lost": 1}
    assert cell["confused"] == [["searched", "summary", "name", 1]]
    assert cell["n"] == 5
    assert cell["finish"] == {"stop": 5}
    assert cell["tokens"]["in"] == 30
    assert 10 < cell["ms"]["p50"] < cell["ms"]["p95"]
    assert sum(line["n"] for line in cell["signatures"]) == 5
    assert executor.runs <= 7, "a call is run once, not once for every response"


def test_equal_cells_are_not_told_apart(scores: dict[str, Any]) -> None:
    (test,) = scores["paired"]
    assert (test["difference"], test["only_a"], test["only_b"], test["p_holm"]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("expected", "given", "same", "ast"),
    [
        (Q + "symbol:CDK2&species=human", Q + "symbol:cdk2&species=9606", True, False),
        (Q + "symbol:CDK2&species=human", "/v3/query?species=human&q=symbol:CDK2", True, True),
        (Q + "symbol:CDK2", "/v3/query/?q=symbol%3ACDK2", True, True),
        (Q + "cdk2 cdk3", Q + "cdk2+cdk3", True, True),
        (Q + "cdk2&size=10", Q + "cdk2", True, False),
        (Q + "symbol:CDK2", Q + "symbol:CDK20", False, False),
        (Q + "cdk2&fields=a[", Q + "cdk2", False, False),
        (Q + "cdk2", "http://[broken", False, False),
    ],
)
def test_same_by_meaning_is_wider_than_equal_text(api: API, expected: str, given: str, same: bool, ast: bool) -> None:
    row = score.score_row(api, {"expected": expected, "path": given, "finish": "stop"})
    assert (row["same"], row["ast_match"]) == (same, ast)


def test_what_ran_out_of_tokens_is_no_call(api: API) -> None:
    row = score.score_row(api, {"expected": Q + "cdk2", "path": Q + "cdk2", "finish": "length"})
    assert (row["valid"], row["same"], row["ast_match"], row["reason"]) == (0, 0, 0, "ran out of tokens")


def test_a_failed_engine_is_a_wrong_answer_with_its_reason(api: API) -> None:
    row = score.score_row(api, {"expected": Q + "cdk2", "path": None, "finish": "error", "reason": "no mask"})
    assert (row["valid"], row["problems"], row["reason"]) == (0, ["invalid"], "no mask")


@pytest.mark.parametrize(
    ("expected", "given", "f1"),
    [
        ("", "", 1),
        ("&fields=symbol", "", 0),
        ("", "&fields=symbol", 0),
        ("&fields=symbol,name", "&fields=name,symbol", 1),
        ("&fields=symbol,name", "&fields=symbol", 2 / 3),
        ("&fields=symbol,name,taxid,entrezgene", "", 1),
    ],
)
def test_fields_f1(api: API, expected: str, given: str, f1: float) -> None:
    want, got = parse(api, Q + "cdk2" + expected), parse(api, Q + "cdk2" + given)
    assert score.fields_f1(api, want, got) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("expected", "given", "problems"),
    [
        (Q + "cdk2&species=human", Q + "cdk2", ["species lost"]),
        (Q + "cdk2", Q + "cdk2&species=human", ["species added"]),
        (Q + "cdk2&species=mouse", Q + "cdk2&species=human", ["species changed"]),
        (Q + "cdk2&species=human,mouse", Q + "cdk2&species=human", ["species lost"]),
        (Q + "cdk2&fields=go", Q + "cdk2&fields=go,uniprot", ["fields added"]),
        (Q + "cdk2&fields=go", Q + "cdk2&fields=uniprot", ["fields changed"]),
        (Q + "cdk2&size=5", Q + "cdk2&size=50", ["size changed"]),
        (Q + "cdk2&size=5", Q + "cdk2", ["size lost"]),
        (Q + "symbol:cdk2", Q + "alias:cdk2", ["wrong field"]),
        (Q + "symbol:cdk2", Q + "cdk2", ["wrong field"]),
        (Q + "uniprot.Swiss-Prot:P24941", Q + "uniprot:P24941", ["leaf for parent"]),
        (Q + 'name:"cyclin dependent kinase"', Q + 'name:"cyclin dependent"', ["value cut"]),
        (Q + "ensembl.gene:ENSG00000123374", Q + "ensembl.gene:ENSG00000266970", ["wrong value"]),
        (Q + "symbol:cdk*", Q + "symbol:cdk", ["match kind"]),
        (Q + 'name:"protein kinase"', Q + "name:protein AND name:kinase", ["phrase split"]),
        (Q + "symbol:cdk2 AND name:kinase", Q + "symbol:cdk2", ["clause lost"]),
        (Q + "symbol:cdk2", Q + "symbol:cdk2 AND name:kinase", ["clause added"]),
        (Q + "symbol:cdk2 AND name:kinase", Q + "symbol:cdk2 OR name:kinase", ["OR for AND"]),
        (Q + "symbol:cdk2 AND NOT name:kinase", Q + "symbol:cdk2 AND name:kinase", ["NOT lost"]),
        (Q + "cdk2", "/v3/gene/1017", ["endpoint", "clause lost"]),
        ("/v3/gene/1017", "/v3/gene/1018", ["id", "value damaged"]),
        (Q + "symbol:cdk2 OR name:kinase", Q + "symbol:cdk2 AND name:kinase", ["AND for OR"]),
        (Q + "symbol:cdk2", Q + "NOT symbol:cdk2", ["NOT added"]),
        (Q + "genomic_pos.start:[3 TO 5]", Q + "genomic_pos.start:[3 TO 6]", ["range bounds"]),
        (Q + "(a OR b) AND c", Q + "a OR (b AND c)", ["brackets"]),
        (Q + "_exists_:pdb", Q + "_exists_:go", ["wrong field"]),
        (Q + "_exists_:pdb", Q + "pdb:1abc", ["match kind"]),
        (Q + 'name:"cyclin kinase"', Q + "name:cyclin", ["value cut"]),
        (Q + "name:cyclin", Q + 'name:"cyclin kinase"', ["value lengthened"]),
        (Q + "ensembl.gene:ENST00000266970", Q + "ensembl.gene:ENTEST00000266970", ["value damaged"]),
        (Q + "cdk2", Q + "CDK2&size=10", []),
    ],
)
def test_errors_have_names(api: API, expected: str, given: str, problems: list[str]) -> None:
    assert list(diagnose(parse(api, expected), parse(api, given)).problems) == problems


def test_intervals() -> None:
    low, high = interval([1.0] * 20)
    assert (low, high) == (pytest.approx(0.839, abs=1e-3), 1.0), "20 of 20 is not certainty: Wilson"
    assert interval([0.0] * 20) == (0.0, pytest.approx(0.161, abs=1e-3))
    low, high = interval([1.0] * 30 + [0.0] * 50)
    assert low == pytest.approx(0.27, abs=0.02), "the binomial interval of 30 of 80 is [0.28, 0.48]"
    assert high == pytest.approx(0.48, abs=0.02)
    assert interval([1.0] * 30 + [0.0] * 50) == (low, high), "the same seed gives the same interval"
    assert all(math.isnan(x) for x in interval([]))
    assert weighted_interval([1.0] * 30 + [0.0] * 50, [2.0] * 80) == (low, high), "even weights change nothing"
    heavy = weighted_interval([1.0] * 40 + [0.0], [1.0] * 40 + [400.0])
    assert heavy[0] < 0.1
    assert heavy[1] > 0.9, "one sentence that is most of the traffic leaves everything open"
    assert weighted_interval([1.0, 1.0], [1.0, 0.0]) == wilson(1, 1), "what weighs nothing is not counted"
    assert wilson(1, 1)[0] == pytest.approx(0.207, abs=1e-3)
    assert 0 <= interval([1.0, 0.0])[0] <= interval([1.0, 0.0])[1] <= 1


def test_paired() -> None:
    a, b = [1] * 12 + [0] * 8, [1] * 4 + [0] * 16
    found = paired(a, b)
    assert (found["only_a"], found["only_b"], found["difference"]) == (8, 0, 0.4)
    assert found["p"] == pytest.approx(2 / 2**8), "exact McNemar: eight heads of eight"
    assert 0 < found["low"] < 0.4 < found["high"]
    assert paired(b, a)["difference"] == -0.4
    few = paired([1] * 3 + [0] * 147, [0] * 150)
    assert (few["p"], few["low"] < 0 < few["high"]) == (0.25, True), "the interval agrees with the test"
    assert paired([1] * 50, [1] * 50)["high"] == pytest.approx(0.071, abs=1e-3), "50 alike sentences are not certainty"
    with pytest.raises(ValueError, match="same sentences"):
        paired([1], [1, 0])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_the_report_is_whole_and_the_same_again(config: Config, scores: dict[str, Any]) -> None:
    files = report.write(config, scores)
    before = {path.name: path.read_bytes() for path in files}
    assert {"scores.json", "scores.png", "scores.svg", "report.html"} <= set(before)
    found = json.loads(before["scores.json"])
    assert found["cells"][0]["metrics"]["same"]["mean"] == 0.4
    wrong = {(e["problem"], e["examples"][0]["given"]) for e in found["errors"]}
    assert ("wrong field", "/v3/query?q=name:insulin") in wrong
    page = before["report.html"].decode()
    assert "wrong field" in page
    assert "<svg" in page
    assert "<script" not in page
    report.write(config, scores)
    assert {path.name: path.read_bytes() for path in files} == before
    assert json.loads((Path(config.out) / "manifest.json").read_text())["rows"] == 10


def test_the_page_escapes_what_models_say(config: Config, scores: dict[str, Any]) -> None:
    for row in scores["rows"]:
        row.update(path="<script>alert(1)</script>", problems=["invalid"])
    report.write(config, scores)
    assert "<script>" not in (Path(config.out) / "report.html").read_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit_a_terminal(scores: dict[str, Any], width: int) -> None:
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(report.table(scores, narrow=width < 100), report.problems(scores))
    text = console.export_text()
    assert "40 [" in text
    assert "…" not in text
    assert "meant /v3/query?q=summary:insulin" in text
