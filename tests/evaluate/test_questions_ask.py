"""What a question is shown, how long its answer may be, and what it costs: as the config says, and as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.engines.base import Completion, EngineError
from querywright.engines.fence import rooms
from querywright.evaluate.questions import evaluate_questions
from querywright.evaluate.questions_ask import Ask, prepare
from querywright.evaluate.questions_rows import questions
from querywright.evaluate.questions_score import score_row
from tests.evaluate.doors import ROWS, Chunk, Engine, Hit, cells, config, run

pytestmark = pytest.mark.usefixtures("quick")

DOOR = "Door 2 of the house is green and leads nowhere."


def asked(chunks: list[Chunk], strategy: str, most_chars: int, **row: Any) -> Ask:
    (question,) = questions([{**ROWS[1], "evidence_chunk": None, "window": [1, len(chunks)], **row}])
    by_number = {chunk.number: chunk for chunk in chunks}
    found = prepare(question, strategy, by_number, most_chars=most_chars, find=lambda text, k: [*map(Hit, chunks)])
    assert found is not None
    return found


def hit(ask: Ask, chunks: list[Chunk]) -> float:
    return float(score_row(ask, {"response": "a"}, {chunk.number: chunk for chunk in chunks}, "rag")["retrieval_hit"])


def test_what_short_texts_leave_the_long_ones_share() -> None:
    assert rooms([9000, 10, 9000, 0], 1000) == [495, 10, 495, 0]
    assert rooms([3, 2, 1], 100) == [3, 2, 1]
    assert rooms([5, 5, 5], 4) == [1, 1, 2]
    assert rooms([], 5) == []


@pytest.mark.parametrize("strategy", ["rag", "window"])
def test_a_long_passage_takes_no_room_of_the_others(strategy: str) -> None:
    chunks = [Chunk(1, "x " * 7000), Chunk(2, " \n\u200b"), Chunk(3, DOOR)]
    ask = asked(chunks, strategy, 4000)
    text = ask.messages[-1]["content"]
    assert DOOR in text
    assert 3900 < text.count("x ") * 2 < 4000
    assert (ask.shown, ask.cut, hit(ask, chunks)) == ((1, 3), True, 1), "an empty chunk is not shown"


def test_evidence_that_was_cut_off_is_not_found() -> None:
    chunks = [Chunk(1, "x " * 3000 + DOOR), Chunk(2, "Door 1 is red.")]
    for row in ({}, {"evidence_chunk": 1}):
        ask = asked(chunks, "rag", 4000, **row)
        assert DOOR not in ask.messages[-1]["content"]
        assert (ask.shown, hit(ask, chunks)) == ((1, 2), 0)
        assert hit(asked(chunks, "rag", 12_000, **row), chunks) == 1


@pytest.mark.parametrize("before", [0, 500, 1990, 3000, 6000])
def test_a_window_is_cut_around_its_evidence(before: int) -> None:
    chunks = [Chunk(1, "x " * (before // 2) + DOOR + " y" * ((6000 - before) // 2)), Chunk(2, "z " * 3000)]
    ask = asked(chunks, "window", 4000)
    assert DOOR in ask.messages[-1]["content"]
    assert [len(part) for part in ask.parts] == [2000, 2000]
    long = asked([Chunk(1, "x " * 50 + "e" * 6000)], "window", 4000, evidence="e" * 5000)
    assert long.parts == ("e" * 4000,)


def test_a_chunk_with_the_same_text_is_as_good() -> None:
    one, other = Chunk(1, DOOR), Chunk(2, "Door 1 is red.")
    everything = [one, other, Chunk(3, f" {DOOR}\n")]
    for evidence in (DOOR, "", "what stands nowhere"):
        assert hit(asked([one], "rag", 4000, evidence_chunk=3, evidence=evidence), everything) == 1
        assert hit(asked([other], "rag", 4000, evidence_chunk=3, evidence=evidence), everything) == 0
    assert hit(asked([other], "rag", 4000, evidence_chunk=2, evidence="red"), everything) == 1
    assert hit(asked([other], "rag", 4000, evidence_chunk=9, evidence=""), everything) == 0, "there is no such chunk"


def test_a_local_model_is_shown_what_its_context_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chunks = [Chunk(i, f"Door {i} of the house is red. " + "x " * 3000) for i in (1, 2)]
    rows = [{**ROWS[0], "window": [1, 2]}]
    models = {"here": {"model": "a.gguf"}, "there": {"model": "http://127.0.0.1:9/v1#m"}}
    lengths = []
    for more in ({}, {"most_chars": 5000}):
        made = config(models=models, strategies="window", **more)
        engines = {name: Engine() for name in models}
        evaluate_questions(rows, chunks, made, {n: e.source(models[n]["model"]) for n, e in engines.items()},
                           tmp_path / str(len(lengths)))  # fmt: skip
        lengths.append([round(len(engine.asked[0]), -3) for engine in engines.values()])
    assert lengths == [[4000, 12000], [5000, 5000]]
    told = capsys.readouterr().err
    for most in ("4,000", "12,000", "5,000"):
        assert told.count(f"window: the passages of 1 questions are cut at {most} characters") == 1


@pytest.mark.parametrize(
    ("entry", "more", "most"),
    [({}, {}, 64), ({"max_tokens": 2048}, {}, 2048), ({"max_tokens": 8}, {}, 8), ({}, {"max_tokens": 700}, 700),
     ({"max_tokens": 512}, {"max_tokens": 32}, 512)],
)  # fmt: skip
def test_an_entry_says_how_long_an_answer_may_be(
    tmp_path: Path, entry: dict[str, int], more: dict[str, int], most: int
) -> None:
    limits = []

    class Sees(Engine):
        def generate(self, messages: Any, *, max_tokens: int = 0, **options: Any) -> list[Completion]:
            limits.append(max_tokens)
            return super().generate(messages, **options)

    models = {"fake": {"model": "fake.gguf", **entry}}
    run(tmp_path, Sees(), ROWS[:1], models=models, strategies="closed", **more)
    header = json.loads((tmp_path / "cells" / "fake.closed.jsonl").read_text().splitlines()[0])
    assert (limits, header["max_tokens"]) == ([most], most)


class OneAtATime(Engine):
    """A server that knows no `n`."""

    def generate(self, messages: Any, **options: Any) -> list[Completion]:
        if len(self.asked) == self.capacity:
            raise EngineError("no more of it")
        self.asked.append(messages[-1]["content"])
        return [Completion("red", 1000, 3, 1.0, "stop")]


def test_every_request_is_paid_for(tmp_path: Path) -> None:
    (cell,) = run(tmp_path / "all", OneAtATime(capacity=99), ROWS[:1], strategies="closed", n=[8])["cells"]
    assert (cell["tokens_in"], cell["tokens_out"]) == (8000, 24)
    rows = [{"question": "What colour is door 1?", "answer": "red"}, {"question": "And door 2?", "answer": "green"}]
    (cell,) = run(tmp_path / "some", OneAtATime(capacity=11), rows, strategies="closed", n=[8])["cells"]
    assert (cell["errors"], cell["tokens_in"], cell["tokens_out"]) == (1, 11_000, 33), "the three were not for nothing"


def test_a_request_that_answers_equal_questions_is_paid_for_once(tmp_path: Path) -> None:
    rows = [{"question": "What colour is door 1?", "answer": "red", "document": str(i)} for i in range(5)]
    engine = OneAtATime(capacity=9)
    (cell,) = run(tmp_path, engine, rows, strategies="closed")["cells"]
    assert (cell["n"], len(engine.asked), cell["tokens_in"], cell["tokens_out"]) == (5, 1, 1000, 3)
    assert cells(run(tmp_path, Engine(), rows, strategies="closed"))["fake · closed"] == cell
