"""An evaluation on question rows: stopped and gone on it ends the same, nothing is asked twice, scores are right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from querywright import progress
from querywright.engines.base import Completion, EngineError
from querywright.errors import QuerywrightError
from querywright.evaluate import kept, safe_pickle
from querywright.evaluate.questions import evaluate_questions
from tests.evaluate.doors import CHUNKS, COLOURS, ROWS, Chunk, Engine, Words, cells, config, run

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("first", [0, 4])
def test_questions_that_fail_in_every_run_are_wrong_in_the_fourth(tmp_path: Path, first: int) -> None:
    """Three at the end of a cell look like a server that went; but then no run would come to an end."""
    path, header = tmp_path / "cell.jsonl", {"name": "cell"}

    def ask(asked: int) -> dict[str, Any]:
        return {"finish": "error", "reason": "overloaded", "retryable": True} if asked >= first else {"response": "a"}

    def once() -> dict[str, Any]:
        there = kept.read(path, header)
        todo = [(str(n), n) for n in range(first + 3) if str(n) not in there]
        return there | dict(kept.fill(path, header, todo, ask, "asking", fresh=not there))

    for _ in range(3):
        with pytest.raises(QuerywrightError, match="3 in a row got no answer: overloaded") as raised:
            once()
        assert raised.value.retryable
    assert [one.get("finish") for one in once().values()] == [None] * first + ["error"] * 3


def test_each_strategy_is_scored_for_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # with pictures
    found = run(tmp_path, Engine())
    by = cells(found)
    assert [*by] == ["fake · closed", "fake · window", "fake · rag"]
    assert [by[name]["scores"]["f1"]["mean"] for name in by] == [0, 1, pytest.approx(5 / 9)]
    assert by["fake · rag"]["scores"]["retrieval_hit"]["mean"] == pytest.approx(5 / 9)
    assert "retrieval_hit" not in by["fake · window"]["scores"]
    assert by["fake · rag"]["f1_by_hit"]["found"]["mean"] == 1
    assert by["fake · rag"]["f1_by_hit"]["missed"]["mean"] == 0
    assert (by["fake · window"]["tokens_in"], by["fake · window"]["tokens_out"]) == (180, 27)
    assert by["fake · window"]["cost"]["total"] == 0
    assert found["clusters"] == {"by": "window", "n": 5}
    low, high = (by["fake · window"]["scores"]["f1"][end] for end in ("low", "high"))
    assert (low < 0.6, high) == (True, 1), "nine right answers out of five windows are not more than five"
    for place in ("report.html", "scores.json", "responses_t.jsonl", "responses_t.pkl", "scores.png", "manifest.json"):
        assert (tmp_path / place).is_file()
    assert {found["files"]["report"], *found["files"]["plots"]} <= {path.name for path in tmp_path.iterdir()}
    lines = [json.loads(line) for line in (tmp_path / "responses_t.jsonl").read_text().splitlines()]
    assert safe_pickle.load(tmp_path / "responses_t.pkl") == lines
    assert len(lines) == 27
    assert {row["response"] for row in lines if row["strategy"] == "window"} == {*COLOURS}


def test_stopped_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"judge": "fake", "n": [1, 3]}
    first = Engine()
    whole = run(tmp_path / "whole", first, **changes)
    kinds = ("responses_t.jsonl", "responses_t.pkl", "scores.json", "report.html")
    expected = [(tmp_path / "whole" / kind).read_bytes() for kind in kinds]
    for stop in (0, 4, 20, 58, 80):
        out = tmp_path / f"stop{stop}"
        before, after = Engine(stop_after=stop), Engine()
        with pytest.raises(KeyboardInterrupt):
            run(out, before, **changes)
        assert not (out / "scores.json").exists()
        again = run(out, after, **changes)
        assert again["cells"] == whole["cells"]
        assert [(out / kind).read_bytes() for kind in kinds] == expected
        assert sorted(before.asked + after.asked) == sorted(first.asked), "nothing is asked twice"
    third = Engine()
    run(tmp_path / "whole", third, **changes)
    assert (third.asked, third.opened) == ([], 0), "no model is loaded where nothing is left to ask"


def test_several_at_once_are_the_same_as_one_after_the_other(tmp_path: Path) -> None:
    found = [run(tmp_path / str(n), Engine(capacity=n), judge="fake") for n in (1, 4)]
    assert found[0]["cells"] == found[1]["cells"]
    assert (tmp_path / "1" / "responses_t.jsonl").read_bytes() == (tmp_path / "4" / "responses_t.jsonl").read_bytes()


def test_what_changes_the_answers_starts_a_cell_anew_and_nothing_else_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, Engine())
    changed = [*CHUNKS[:2], Chunk(3, "Door 3 of the house is gold."), *CHUNKS[3:]]
    engine = Engine()
    found = run(tmp_path, engine, chunks=changed)
    assert len(engine.asked) == 4 + 2, "the questions of two windows, and the two that retrieve the chunk"
    assert cells(found)["fake · window"]["scores"]["exact"]["mean"] == pytest.approx(8 / 9)
    engine = Engine()
    run(tmp_path, engine, chunks=changed, seed=1)
    assert len(engine.asked) == 27
    assert "seed changed; asking anew" in capsys.readouterr().err
    engine = Engine()
    run(tmp_path, engine, chunks=changed, seed=1, limit=3)
    assert engine.asked == []


def test_a_line_torn_by_a_kill_is_asked_again(tmp_path: Path) -> None:
    whole = run(tmp_path, Engine())
    file = tmp_path / "cells" / "fake.window.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    engine = Engine()
    assert run(tmp_path, engine)["cells"] == whole["cells"]
    assert len(engine.asked) == 1


def test_a_failed_question_is_wrong_and_asked_again(tmp_path: Path) -> None:
    failed = cells(run(tmp_path, Engine(fail="door 4?"), strategies="window", judge="fake"))["fake · window"]
    assert (failed["errors"], failed["scores"]["f1"]["mean"], failed["n"]) == (1, pytest.approx(8 / 9), 9)
    assert failed["scores"]["judge"]["mean"] == pytest.approx(8 / 9)
    engine = Engine()
    again = cells(run(tmp_path, engine, strategies="window"))["fake · window"]
    assert (again["errors"], again["scores"]["f1"]["mean"], len(engine.asked)) == (0, 1, 1)


def test_a_model_that_is_gone_ends_the_run_and_may_come_back(tmp_path: Path) -> None:
    many = [{"question": f"What colour is door {i}?", "answer": "red"} for i in range(1, 60)]

    class Leaves(Engine):
        def answer(self, text: str) -> str:
            if len(self.asked) > 10:
                raise EngineError("the server is gone", retryable=True)
            return super().answer(text)

    with pytest.raises(QuerywrightError, match=r"20 in a row got no answer: the server is gone") as caught:
        run(tmp_path, Leaves(), many, [], strategies="closed")
    assert caught.value.retryable
    engine = Engine()
    run(tmp_path, engine, many, [], strategies="closed")
    assert len(engine.asked) == 59 - 10


@pytest.mark.parametrize(("failing", "first", "again"), [
    (range(9), 3, 9),  # nothing was answered: the first three say so
    (range(3, 4), 9, 1),  # one of nine is that question's, and counts as wrong
    (range(6, 9), 9, 3),  # the last ones of a cell may be all that is seen of a server that went
])  # fmt: skip
def test_a_server_that_is_away_drops_no_model(tmp_path: Path, failing: range, first: int, again: int) -> None:
    class Away(Engine):
        def answer(self, text: str) -> str:
            if len(self.asked) - 1 in failing:
                raise EngineError("the server is away", retryable=True)
            return super().answer(text)

    before, back = Away(), Engine()
    if again == 1:
        assert run(tmp_path, before, strategies="closed")["cells"][0]["errors"] == 1
    else:
        with pytest.raises(QuerywrightError, match=r"fake\.closed: 3 in a row got no answer: the server is") as caught:
            run(tmp_path, before, strategies="closed")
        assert caught.value.retryable
        assert "run the same again" in caught.value.hint
    found = run(tmp_path, back, strategies="closed")
    assert (found["cells"][0]["errors"], found["left_out"]) == (0, [])
    assert [len(before.asked), len(back.asked)] == [first, again]


def test_a_server_that_is_away_from_the_only_question(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="1 in a row") as caught:
        run(tmp_path, Engine(fail="door"), ROWS[:1], strategies="closed")
    assert caught.value.retryable


def test_a_model_that_can_not_answer_is_left_out_and_alone_it_is_an_error(tmp_path: Path) -> None:
    class Refused(Engine):
        def generate(self, messages: Any, **options: Any) -> list[Completion]:
            raise EngineError("wrong key")

    with pytest.raises(QuerywrightError, match=r"no cell gave an answer: fake\.closed: wrong key") as caught:
        run(tmp_path, Refused(), strategies="closed")
    assert not caught.value.retryable


def test_samples_vote(tmp_path: Path) -> None:
    class Wavers(Engine):
        def generate(self, messages: Any, *, n: int = 1, **options: Any) -> list[Completion]:
            (one,) = super().generate(messages, **options)
            texts = ["no idea", one.text, f"{one.text}!"]
            return [Completion(text, 20, 3, 1.0, "stop") for text in texts[:n]]

    rows = cells(run(tmp_path, Wavers(), strategies="window", n=[3]))
    assert rows["fake · window · n=3"]["scores"]["exact"]["mean"] == 1
    (line, *_) = (tmp_path / "responses_t.jsonl").read_text().splitlines()
    assert len(json.loads(line)["drawn"]) == 3
    assert json.loads(line)["tokens_out"] == 9


def test_better_is_told_by_windows(tmp_path: Path) -> None:
    found = run(tmp_path, Engine(), strategies=["window", "closed"])
    (test,) = found["paired"]
    assert (test["best"], test["other"], test["n"], test["groups"]) == ("fake · window", "fake · closed", 9, 5)
    assert (test["difference"], test["only_a"], test["only_b"]) == (1, 5, 0)
    assert test["p"] == pytest.approx(2 * 0.5**5), "five windows, not nine questions"


@pytest.mark.parametrize(
    ("strategies", "said", "bold"),
    [
        ("closed,rag", "Best F1: <b>fake · rag</b>, 56 % [", ["fake · rag"]),
        ("closed", "<div class=box>F1 is 0.</div>", []),
        ("closed,closed2", "F1 is 0 in all 2 cells: none is the best.", []),
        ("window,window2", "Best F1: <b>fake · window</b> and <b>two · window</b>, alike with 100 %, of 2 cells.",
         ["fake · window", "two · window"]),
    ],
)  # fmt: skip
def test_no_cell_is_called_the_best_that_is_not(tmp_path: Path, strategies: str, said: str, bold: list[str]) -> None:
    models = {"fake": {"model": "fake.gguf"}} | ({"two": {"model": "fake.gguf"}} if "2" in strategies else {})
    run(tmp_path, Engine(), models=models, strategies=strategies.partition(",")[0] if "2" in strategies else strategies)
    page = (tmp_path / "report.html").read_text()
    assert said in page
    (table,) = re.findall(r"<h2 id='[^']*'>Scores</h2>(.*?)</table>", page, re.DOTALL)
    assert re.findall(r"<td[^>]*><b>(.*?)</b>", table) == bold
    assert ("Against the best" in page) == (bool(bold) or strategies == "closed")


def test_rows_without_windows_or_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = [{"question": r["question"], "answer": r["answer"], "evidence": r["evidence"] * (i % 2)}
            for i, r in enumerate(ROWS)]  # fmt: skip
    found = run(tmp_path, Engine(), bare, [])
    assert {name: cell["n"] for name, cell in cells(found).items()} == {"fake · closed": 9, "fake · window": 4}
    assert found["clusters"]["by"] == "question"
    assert found["left_out"] == ["rag: there are no documents to search"]
    err = capsys.readouterr().err
    assert "window: 5 of 9 questions have no passages and are not asked" in err
    assert "4 of 9 questions have no window in the documents: they are shown their evidence" in err
    page = (tmp_path / "report.html").read_text()
    assert len(found["notes"]) == 2
    assert all(f"<p>{note}.</p>" in page for note in found["notes"])
    assert json.loads((tmp_path / "scores.json").read_text())["notes"] == found["notes"]
    with pytest.raises(QuerywrightError, match="nothing can be asked"):
        run(tmp_path / "none", Engine(), [{"question": "a", "answer": "b"}], [], strategies=["window", "rag"])


def test_a_window_is_as_long_as_its_row_says(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "window": [1, 10**18]}, {**ROWS[1], "window": [10**17, 10**18], "evidence": ""}]
    found = run(tmp_path, Engine(), rows, strategies="window")
    assert found["cells"][0]["n"] == 1
    assert json.loads((tmp_path / "responses_t.jsonl").read_text())["shown"] == [*range(1, 10)]


def test_where_retrieval_finds_nothing_the_question_is_asked_alone_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nearest = Words.nearest
    monkeypatch.setattr(Words, "nearest", lambda self, text, k: nearest(self, text, k) if "door 1?" in text else [])
    (cell,) = run(tmp_path, Engine(), strategies="rag")["cells"]
    assert (cell["n"], cell["scores"]["f1"]["mean"]) == (9, pytest.approx(1 / 9))
    assert cell["scores"]["retrieval_hit"]["mean"] == pytest.approx(1 / 9)
    assert "retrieval finds nothing for 8 of 9 questions" in capsys.readouterr().err


def test_why_a_model_was_left_out_names_no_machine(tmp_path: Path) -> None:
    address = "http://10.0.0.1:8000/v1#m"
    made = config(strategies="closed", models={"gone": {"model": address}, "fake": {"model": "fake.gguf"}})

    class Gone(Engine):
        def generate(self, messages: Any, **options: Any) -> list[Completion]:
            raise EngineError("http://10.0.0.1:8000/v1/chat: refused")

    sources = {"gone": Gone().source(address), "fake": Engine().source()}
    found = evaluate_questions(ROWS, CHUNKS, made, sources, tmp_path)
    assert found["left_out"] == ["gone.closed: gone/chat: refused"]
    assert "10.0.0.1" not in (tmp_path / "scores.json").read_text()


def test_half_characters_of_a_model_break_no_report(tmp_path: Path) -> None:
    class Breaks(Engine):
        def answer(self, text: str) -> str:
            return "\ud800 red" if "door 1?" in text else "<script>alert(1)</script>"

    rows = [{**row, "document": "\ud800<b>", "id": f"\udfff{row['id']}"} for row in ROWS]
    run(tmp_path, Breaks(), rows, strategies="window", judge="fake")
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "? red" in (tmp_path / "responses_t.jsonl").read_text()


def test_several_references_and_documents(tmp_path: Path) -> None:
    rows = [{"question": f"What colour is door {i}?", "answers": ["of no colour", COLOURS[i % 9]], "window": [1, 9],
             "document": f"house {i}"} for i in range(1, 9)] * 2  # fmt: skip
    rows += [{**rows[0], "document": f"hut {i}"} for i in range(9)]
    found = run(tmp_path, Engine(), rows, strategies="window")
    assert found["n"] == 17
    assert found["clusters"] == {"by": "document", "n": 17}
    assert found["cells"][0]["scores"]["f1"]["mean"] == 0, "the colour of the next door is a wrong answer"


@pytest.mark.parametrize(("capacity", "part"), [(1, "window"), (4, "window"), (1, "judging"), (4, "judging")])
def test_a_cancelled_job_keeps_what_it_has_and_can_be_tried_again(tmp_path: Path, capacity: int, part: str) -> None:
    class Cancels:
        def said(self, text: str) -> None: ...

        def moved(self, what: str, done: int, total: int | None) -> None:
            if part in what and done == 4:
                raise TimeoutError("cancelled")

    whole = run(tmp_path / "whole", Engine(), strategies="window", judge="fake")
    first, second = Engine(capacity=capacity), Engine()
    with pytest.raises(TimeoutError), progress.heard(Cancels()):
        run(tmp_path / "job", first, strategies="window", judge="fake")
    again = run(tmp_path / "job", second, strategies="window", judge="fake")
    assert again["cells"] == whole["cells"]
    asked = [len({*first.asked}), len({*second.asked})]
    assert min(asked) > 0
    assert not {*first.asked} & {*second.asked}, "what was answered is not asked again"
