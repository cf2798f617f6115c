"""Refusals and conversations in a sweep: read, asked, scored, shown; without them nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API
from querywright.errors import QuerywrightError
from querywright.evaluate import report, score, suite, sweep
from querywright.evaluate.config import Config, check

CALL = "/v3/query?q=symbol:CDK2"
TURNS = [{"role": "user", "content": "genes with symbol CDK2"}, {"role": "assistant", "content": CALL}]
ROWS: list[dict[str, Any]] = [
    {"instruction": "hello there", "path": "", "refusal": "chat"},
    {"instruction": "is it raining?", "path": "nil topic"},
    {"instruction": "delete CDK2", "path": "nil"},
    {"instruction": "find the gene", "refusal": "missing"},
    {"instruction": "CDK2", "path": CALL},
    {"instruction": "the gene CDK2, please", "path": CALL},
    {"instruction": "in mice", "path": CALL + "&species=mouse", "turns": TURNS},
]
ANSWERS = {
    "hello there": "nil chat",
    "is it raining?": "nil chat",  # refused, for another reason
    "delete CDK2": "nil unsupported",  # the file does not say why: any reason is right
    "find the gene": CALL,
    "CDK2": "nil missing",
    "the gene CDK2, please": CALL,
    "in mice": CALL + "&species=mouse",
}


def row(expected: str, response: str, **more: Any) -> dict[str, Any]:
    return {"expected": expected, "path": response, "response": response, **more}


@pytest.fixture
def mixed(tmp_path: Path) -> Config:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"api": "mygene", **r}) + "\n" for r in ROWS))
    return check(
        {"api": "mygene", "name": "t", "models": {"fake": "fake.gguf"}, "strategies": ["tuned"],
         "decodings": ["free"], "pairs": str(pairs), "out": str(tmp_path / "out")}, "test",
    )  # fmt: skip


def test_one_response(api: API) -> None:
    right = score.score_row(api, row("nil chat", "nil topic"))
    assert (right["valid"], right["same"], right["problems"], right["refused"]) == (1, 1, [], "topic")
    assert right["hits_same"] is None
    missed = score.score_row(api, row("nil chat", CALL))
    assert (missed["valid"], missed["same"], missed["problems"]) == (1, 0, ["not_refused"])
    noise = score.score_row(api, row("nil chat", "I am fine"))
    assert (noise["valid"], noise["same"], noise["problems"]) == (0, 0, ["invalid"])
    false = score.score_row(api, row(CALL, "nil chat"))
    assert (false["valid"], false["same"], false["problems"]) == (1, 0, ["false_refusal"])
    cut = score.score_row(api, row("nil chat", "nil", finish="length"))
    assert (cut["same"], cut["refused"]) == (0, None)
    failed = score.score_row(api, row("nil chat", "", finish="error"))
    assert (failed["same"], failed["problems"]) == (0, ["invalid"])


def test_pairs_without_refusals_score_as_before(api: API, config: Config, recorded: Any) -> None:
    rows = sweep.run(config, suite.load(api, config.pairs), {"fake": recorded().source()})
    assert not any("turns" in r for r in rows)
    scores = score.score(api, rows)
    cell = scores["cells"][0]
    assert "refusals" not in cell
    assert report.refusals(scores) is None
    # what the five recorded answers scored before there were refusals
    means = {name: round(metric["mean"], 3) for name, metric in cell["metrics"].items()}
    assert means == {"valid": 0.8, "same": 0.4, "ast_match": 0.2, "query_same": 0.6, "query_f1": 0.6, "fields_f1": 0.8}
    assert cell["problems"] == {"wrong field": 1, "invalid": 1, "size lost": 1}


def test_a_sweep_with_refusals_and_turns(api: API, mixed: Config, recorded: Any) -> None:
    engine = recorded(answers=ANSWERS)
    pairs = suite.load(api, mixed.pairs)
    assert {p.instruction: p.expected for p in pairs}["hello there"] == "nil chat"
    assert {p.instruction: p.signature for p in pairs}["find the gene"] == "nil missing"
    rows = sweep.run(mixed, pairs, {"fake": engine.source()})
    assert [list(r["turns"]) for r in rows if "turns" in r] == [TURNS]
    scores = score.score(api, rows)
    cell = scores["cells"][0]
    found = cell["refusals"]
    assert (found["expected"], found["given"]) == (4, 4)
    means = {name: found[name]["mean"] for name in report.REFUSALS}
    assert means == {"recall": 0.75, "precision": 0.75, "false_refusals": pytest.approx(1 / 3), "reason": 0.5}
    assert 0 < found["recall"]["low"] < 0.75 < found["recall"]["high"] <= 1
    assert cell["metrics"]["same"]["mean"] == pytest.approx(5 / 7)
    assert cell["metrics"]["valid"]["mean"] == 1
    assert cell["problems"] == {"false_refusal": 1, "not_refused": 1}
    report.write(mixed, scores)
    assert ">Refusals</h2>" in (Path(mixed.out) / "report.html").read_text()
    table = report.refusals(scores)
    assert table is not None
    assert table.row_count == 1


def test_turns_reach_the_asker_and_make_another_question(api: API, mixed: Config, recorded: Any) -> None:
    heard = {}

    class Hearing(recorded):  # type: ignore[misc]
        def ask(self, cell: Any, instruction: str, seed: int, turns: Any = ()) -> Any:
            heard[instruction] = list(turns)
            return super().ask(cell, instruction, seed, turns)

    pairs = suite.load(api, mixed.pairs)
    sweep.run(mixed, pairs, {"fake": Hearing(answers=ANSWERS).source()})
    assert heard["in mice"] == TURNS
    assert heard["CDK2"] == []
    after = next(p for p in pairs if p.turns)
    assert after.key != suite.Pair("", "in mice", "", "").key


def test_rows_that_are_broken(api: API, tmp_path: Path) -> None:
    for broken, said in (
        ({"instruction": "x", "refusal": "whim"}, "lack a key"),
        ({"instruction": "x"}, "lack a key"),
        ({"instruction": "x", "path": CALL, "weight": "often"}, "weight is a number"),
        ({"instruction": "x", "path": CALL, "weight": -1.0}, "weight is a number"),
        ({"instruction": "x", "path": CALL, "turns": [{"role": "system", "content": "x"}]}, "no chat messages"),
    ):
        (tmp_path / "p.jsonl").write_text(json.dumps({"api": "mygene", **broken}) + "\n")
        with pytest.raises(QuerywrightError) as caught:
            suite.load(api, tmp_path / "p.jsonl")
        assert said in f"{caught.value} {caught.value.hint}"


def test_who_may_refuse(mixed: Config) -> None:
    assert mixed.refuses("tuned")
    assert not mixed.refuses("zero_shot")
    assert mixed.model_copy(update={"refuse": True}).refuses("zero_shot")
    assert not mixed.model_copy(update={"refuse": False}).refuses("tuned")


def test_sentences_that_people_wrote_are_read(api: API) -> None:
    """Refusals and tricky requests written by hand: what a model is measured on beside templates."""
    pairs = suite.load(api, Path(__file__).with_name("refusals_mygene.jsonl"))
    to_refuse = [p for p in pairs if p.expected.startswith("nil ")]
    assert (len(pairs), len(to_refuse)) == (64, 42)
    assert {p.expected for p in to_refuse} == {"nil chat", "nil topic", "nil missing", "nil unsupported"}
    assert all(p.signature for p in pairs)
