"""A cell with questions that have no answer: it ends, goes on after a kill, and is not dropped for their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API
from querywright.engines.base import Completion, EngineError
from querywright.errors import QuerywrightError
from querywright.evaluate import kept, suite, sweep
from querywright.evaluate.config import Config
from querywright.evaluate.models import Absent
from querywright.evaluate.questions import evaluate_questions
from tests.evaluate.doors import Engine, config

pytestmark = pytest.mark.usefixtures("quick")

MANY = 80
TOO_LONG = "the prompt has 5000 tokens, and 64 may follow; the context holds 4096"
FILTERED = "refused: HTTP 400: the prompt was met by our content filter"
ODD = "refused: HTTP 400: no"
HEADER = {"name": "cell"}


def fill(
    path: Path, fails: Callable[[int], str], *, most: int = MANY, stop: int = MANY, given_up: int | None = 20
) -> dict[str, Any]:
    """A run over the cell's questions; `fails` says why one has no answer, `stop` which one it is killed at."""

    def ask(number: int) -> dict[str, Any]:
        if number == stop:
            raise KeyboardInterrupt
        reason = fails(number)
        return {"finish": "error", "reason": reason, "retryable": reason == "busy"} if reason else {"response": "a"}

    there = kept.read(path, HEADER)
    todo = [(str(n), n) for n in range(most) if str(n) not in there]
    return there | dict(kept.fill(path, HEADER, todo, ask, "asking", fresh=not there, given_up=given_up))


def errors(answers: dict[str, Any]) -> int:
    return sum(one.get("finish") == "error" for one in answers.values())


@pytest.mark.parametrize("given_up", [20, None], ids=["questions", "sweep"])
@pytest.mark.parametrize("reason", [TOO_LONG, FILTERED, ODD])
@pytest.mark.parametrize("stop", [0, 1, 30, 79, MANY])
def test_stopped_anywhere_a_cell_with_failures_that_last_ends_as_if_it_had_not_been(
    tmp_path: Path, reason: str, given_up: int | None, stop: int
) -> None:
    def fails(number: int) -> str:
        return reason * (number % 4 == 0 or number > 70)

    if stop < MANY:
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path / "cell.jsonl", fails, stop=stop, given_up=given_up)
    for _ in range(3):  # each asks the 27 again, one behind the other
        answers = fill(tmp_path / "cell.jsonl", fails, given_up=given_up)
        assert (len(answers), errors(answers)) == (MANY, 27)


@pytest.mark.parametrize("reason", [TOO_LONG, FILTERED])
@pytest.mark.parametrize("first", [3, 70])
def test_questions_that_are_too_long_drop_no_model_though_they_come_first(
    tmp_path: Path, reason: str, first: int
) -> None:
    assert errors(fill(tmp_path / "cell.jsonl", lambda number: reason * (number < first))) == first


def test_three_odd_failures_at_the_beginning_drop_no_model_and_twenty_do(tmp_path: Path) -> None:
    assert errors(fill(tmp_path / "few.jsonl", lambda number: ODD * (number < 19))) == 19
    with pytest.raises(Absent, match="HTTP 400"):
        fill(tmp_path / "many.jsonl", lambda number: ODD * (number < 20))


def test_a_model_for_which_everything_is_too_long_can_not_be(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Absent, match="context holds"):
            fill(tmp_path / "cell.jsonl", lambda number: TOO_LONG)


def test_a_key_that_was_withdrawn_ends_a_run_and_no_question_ends_two(tmp_path: Path) -> None:
    def fails(number: int) -> str:
        return "refused: HTTP 401" * (number >= 10)

    for _ in range(3):
        with pytest.raises(QuerywrightError, match="20 in a row got no answer: refused: HTTP 401") as error:
            fill(tmp_path / "cell.jsonl", fails)
        assert not error.value.retryable
    assert errors(fill(tmp_path / "cell.jsonl", fails)) == 70
    assert errors(fill(tmp_path / "cell.jsonl", lambda number: "")) == 0


def test_a_server_that_is_away_is_seen_behind_questions_that_are_too_long(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="3 in a row got no answer: busy") as error:
        fill(tmp_path / "cell.jsonl", lambda number: TOO_LONG if number % 2 else "busy")
    assert error.value.retryable
    with pytest.raises(QuerywrightError, match="1 in a row") as error:
        fill(tmp_path / "last.jsonl", lambda number: "busy" if number == 50 else TOO_LONG)
    assert error.value.retryable, "not left out: it may come back"


def test_a_busy_server_may_say_too_many_tokens(tmp_path: Path) -> None:
    def ask(number: int) -> dict[str, Any]:
        return {"finish": "error", "reason": "HTTP 429: too many tokens per minute", "retryable": True}

    with pytest.raises(QuerywrightError, match="3 in a row"):
        [*kept.fill(tmp_path / "cell.jsonl", HEADER, [(str(n), n) for n in range(9)], ask, "asking", fresh=True)]


def test_an_evaluation_that_was_killed_in_its_second_model_goes_on(tmp_path: Path) -> None:
    class TooLong(Engine):
        def generate(self, messages: Any, **options: Any) -> list[Completion]:
            done = super().generate(messages, **options)
            if len(self.asked) < 4 or self.asked[-1].endswith(("1?", "5?", "7?")):
                raise EngineError(TOO_LONG)
            return done

    rows = [{"question": f"What colour is door {i}?", "answer": "red"} for i in range(1, MANY + 1)]
    made = config(models={"one": {"model": "a.gguf"}, "two": {"model": "b.gguf"}}, strategies="closed")

    def once(second: Engine) -> dict[str, Any]:
        return evaluate_questions(rows, [], made, {"one": TooLong().source(), "two": second.source()}, tmp_path)

    with pytest.raises(KeyboardInterrupt):
        once(TooLong(stop_after=2))
    found = once(TooLong())
    assert (len(found["cells"]), found["left_out"]) == (2, [])
    assert all(24 <= cell["errors"] <= 27 for cell in found["cells"])


def test_a_sweep_keeps_a_model_whose_first_sentences_are_too_long(api: API, config: Config, recorded: Any) -> None:
    class Failing(recorded):  # type: ignore[misc]
        def ask(self, cell: Any, instruction: str, seed: int, turns: Any = ()) -> Any:
            answer = super().ask(cell, instruction, seed, turns)
            return {**answer, "finish": "error", "reason": TOO_LONG} if len(self.asked) < 5 else answer

    pairs = suite.load(api, config.pairs, config.seed)
    rows = sweep.run(config, pairs, {"fake": Failing().source()})
    assert [row["finish"] for row in rows].count("error") == 4
    assert len(rows) == 10
