"""A sweep keeps every answer: stopped and run again it ends as if it had not been, and asks nothing twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API
from querywright.errors import QuerywrightError
from querywright.evaluate import safe_pickle, suite, sweep
from querywright.evaluate.config import Config


def run(config: Config, api: API, engine: Any, **identity: Any) -> list[dict[str, Any]]:
    return sweep.run(config, suite.load(api, config.pairs, config.seed), {"fake": engine.source(**identity)})


def written(config: Config) -> list[bytes]:
    return [(Path(config.out) / f"responses_t.{kind}").read_bytes() for kind in ("jsonl", "pkl")]


def test_stopped_anywhere_it_ends_the_same(api: API, config: Config, recorded: Any, tmp_path: Path) -> None:
    whole = run(config, api, recorded())
    expected = written(config)
    assert len(whole) == 10
    for stop in (0, 1, 5, 7):
        again = config.model_copy(update={"out": str(tmp_path / f"stop{stop}")})
        first = recorded(stop_after=stop)
        with pytest.raises(KeyboardInterrupt):
            run(again, api, first)
        assert not (Path(again.out) / "responses_t.jsonl").exists(), "nothing half-written under the final name"
        second = recorded()
        assert run(again, api, second) == whole
        assert written(again) == expected
        assert len(first.asked) + len(second.asked) == 10, "no sentence is asked twice"


def test_run_again_it_loads_no_model(api: API, config: Config, recorded: Any) -> None:
    run(config, api, recorded())
    engine = recorded()
    run(config, api, engine)
    assert (engine.opened, engine.asked) == (0, [])


def test_a_line_torn_by_a_kill_is_asked_again(api: API, config: Config, recorded: Any) -> None:
    whole = run(config, api, recorded())
    cell = Path(config.out) / "cells" / "fake.tuned.free.jsonl"
    cell.write_bytes(cell.read_bytes()[:-9])
    engine = recorded()
    assert run(config, api, engine) == whole
    assert len(engine.asked) == 1
    assert all(json.loads(line) for line in cell.read_text().splitlines())


def test_a_cell_whose_settings_changed_starts_anew(
    api: API, config: Config, recorded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, api, recorded())
    engine = recorded()
    run(config, api, engine, weights="other weights")
    assert len(engine.asked) == 10
    assert "weights changed; asking anew" in capsys.readouterr().err
    for change, asked in (({"n": (2,)}, 10), ({"n": (2,)}, 0), ({}, 0), ({"n": (1, 2)}, 0)):
        engine = recorded()
        run(config.model_copy(update=change), api, engine, weights="other weights")
        assert len(engine.asked) == asked


def test_examples_count_for_the_strategies_that_show_some(api: API, config: Config, recorded: Any) -> None:
    config = config.model_copy(update={"strategies": ("tuned", "icl")})
    run(config, api, recorded(), examples="old")
    engine = recorded()
    run(config, api, engine, examples="new")
    assert {name for name, _, _ in engine.asked} == {"fake.icl.free"}


def test_a_larger_limit_asks_only_what_is_new(api: API, config: Config, recorded: Any) -> None:
    few = run(config.model_copy(update={"limit": 2}), api, recorded())
    engine = recorded()
    more = run(config.model_copy(update={"limit": 4}), api, engine)
    assert len(engine.asked) == 4, "two more in each of two cells"
    assert [row["id"] for row in more[:2]] == [row["id"] for row in few[:2]]


def test_the_seed_of_a_sentence_hangs_on_nothing_else(api: API, config: Config, recorded: Any) -> None:
    one, other = recorded(), recorded()
    run(config, api, one)
    run(config.model_copy(update={"strategies": ("zero_shot",), "limit": 1, "out": config.out + "2"}), api, other)
    assert other.asked[0] in one.asked


def test_the_pickle_says_what_the_jsonl_says(api: API, config: Config, recorded: Any) -> None:
    rows = run(config, api, recorded())
    assert safe_pickle.load(Path(config.out) / "responses_t.pkl") == rows
    lines = (Path(config.out) / "responses_t.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert {"prompt", "response", "tokens_in", "tokens_out", "ms", "finish", "logprob", "expected"} <= set(rows[0])
    assert [rows[0][key] for key in ("api", "model", "n", "engine")] == ["mygene", "fake", 1, "llama"]


def test_other_peoples_rows(api: API, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "people.jsonl"
    rows = [
        {"api": "mygene", "instruction": "a", "path": "/v3/query?q=cdk2", "kind": "docs"},
        {"api": "myvariant", "instruction": "b", "path": "/v1/query?q=rs1"},
        {"instruction": "c", "path": "/v3/nonsense"},
        {"api": "mygene", "instruction": "a", "path": "/v3/query?q=cdk2"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {p.instruction for p in suite.load(api, path)} == {"a", "c"}
    err = capsys.readouterr().err
    assert "1 of other APIs" in err
    assert "1 whose path is no call count as wrong" in err


@pytest.mark.parametrize("row", [{"api": "other", "instruction": "a", "path": "/"}, {"instruction": "a"}, {"path": 3}])
def test_rows_that_are_no_pairs_are_an_error_of_ours(api: API, tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(QuerywrightError):
        suite.load(api, path)
    with pytest.raises(QuerywrightError, match="no pairs file"):
        suite.load(api, tmp_path / "absent.jsonl")


def test_examples_that_are_asked_are_refused(api: API, config: Config) -> None:
    pairs = suite.load(api, config.pairs)
    with pytest.raises(QuerywrightError, match=r"5 sentences of .* are asked as well"):
        suite.check_examples(config.pairs, pairs)
    suite.check_examples(config.pairs, [])
    louder = [replace(pair, instruction=f" {pair.instruction.upper()}!") for pair in pairs]
    with pytest.raises(QuerywrightError, match="asked as well"):
        suite.check_examples(config.pairs, louder)
    with pytest.raises(QuerywrightError, match=r"no file 'absent\.jsonl'"):
        suite.check_examples("absent.jsonl", pairs)


def test_a_failed_request_is_made_again(api: API, config: Config, recorded: Any) -> None:
    class Failing(recorded):  # type: ignore[misc]
        def ask(self, cell: Any, instruction: str, seed: int, turns: Any = ()) -> Any:
            answer = super().ask(cell, instruction, seed, turns)
            return {**answer, "finish": "error"} if "CDK2" in instruction else answer

    failed = run(config, api, Failing())
    assert sum(row["finish"] == "error" for row in failed) == 2
    engine = recorded()
    whole = run(config, api, engine)
    assert [name for name, _, _ in engine.asked] == ["fake.tuned.free", "fake.zero_shot.free"]
    assert all(row["finish"] == "stop" for row in whole)


def test_a_cell_that_only_fails_is_left_out(
    api: API, config: Config, recorded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(recorded):  # type: ignore[misc]
        def ask(self, cell: Any, instruction: str, seed: int, turns: Any = ()) -> Any:
            answer = super().ask(cell, instruction, seed, turns)
            wrong = cell.strategy == "tuned" or self.all_fail
            return {**answer, "finish": "error", "reason": "it takes no grammar"} if wrong else answer

        all_fail = False

    engine = Failing()
    rows = run(config, api, engine)
    assert {row["strategy"] for row in rows} == {"zero_shot"}
    assert sum(name == "fake.tuned.free" for name, _, _ in engine.asked) == 5, "none of them has an answer"
    assert "left out: fake.tuned.free: it takes no grammar" in capsys.readouterr().err
    assert len(run(config, api, recorded())) == 10, "asked again, it is there"
    broken = Failing()
    broken.all_fail = True
    with pytest.raises(QuerywrightError, match="no cell gave an answer"):
        run(config.model_copy(update={"out": config.out + "2"}), api, broken)


def test_a_fingerprint_sees_one_changed_byte(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.bin").write_bytes(b"weights")
    before = sweep.fingerprint(tmp_path / "model")
    assert before == sweep.fingerprint(tmp_path / "model")
    (tmp_path / "model" / "a.bin").write_bytes(b"weightz")
    assert sweep.fingerprint(tmp_path / "model") != before
