"""A model that was trained further is kept only if it is not worse: in what it answers, and in the answers' form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="needs the extra eval")

from rich.console import Console
from typer.testing import CliRunner

from querywright.api.definition import API
from querywright.artefacts import write_jsonl
from querywright.cli import eval_models
from querywright.cli.eval import app
from querywright.errors import QuerywrightError
from querywright.evaluate import gate as room
from querywright.evaluate import suite
from querywright.evaluate.config import Config
from querywright.evaluate.decision import Bounds
from querywright.evaluate.learnt import refuse_learnt
from querywright.evaluate.sweep import Answer, Cell, Source
from querywright.rows import Message

N = 120
Writes = Callable[[str, int], str]  # decoding and the sentence's number to an answer; "" runs out of tokens


def right(decoding: str, n: int) -> str:
    return f"/v3/gene/{n}"


def breaks_form(decoding: str, n: int) -> str:
    """Under the grammar as good as ever; free, every tenth answer is no call any more."""
    return "Sure! The gene is:" if decoding == "free" and n % 10 == 0 else right(decoding, n)


def runs_on(decoding: str, n: int) -> str:
    return "" if decoding == "free" and n % 10 == 0 else right(decoding, n)


def wrong_calls(decoding: str, n: int) -> str:
    return "/v3/gene/1" if n % 8 == 0 else right(decoding, n)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "test.jsonl"
    rows = [{"api": "mygene", "instruction": f"Show gene {n}", "path": right("", n)} for n in range(1000, 1000 + N)]
    write_jsonl(path, rows)
    return path


class Models:
    """Answers for both models of a gate, by the letters in their paths."""

    def __init__(self, before: Writes, after: Writes) -> None:
        self.writes = {"old.gguf": before, "new.gguf": after}
        self.weights = {"old.gguf": "1", "new.gguf": "2"}
        self.asked: list[tuple[str, str]] = []

    def __call__(self, config: Config, api: API) -> tuple[dict[str, Source], dict[str, str]]:
        found, missing = {}, {}
        for name, model in config.models.items():
            path = model.path_for("llama")
            if path not in self.writes:
                missing[name] = path
            else:
                found[name] = Source(self._opener(path), {"weights": self.weights[path]}, path)
        return found, missing

    def _opener(self, path: str) -> Any:
        def ask(cell: Cell, instruction: str, seed: int, turns: Sequence[Message] = ()) -> Answer:
            self.asked.append((path, cell.decoding))
            text = self.writes[path](cell.decoding, int(instruction.split()[-1]))
            return {"response": text, "path": text, "ok": True, "reason": "", "tokens_in": 9, "tokens_out": len(text),
                    "ms": 1.0, "finish": "stop" if text else "length"}  # fmt: skip

        @contextmanager
        def opened() -> Iterator[Any]:
            yield ask

        return opened


def judged(
    api: API, tmp_path: Path, pairs: Path, models: Models, after: str = "new.gguf", **more: Any
) -> dict[str, Any]:  # fmt: skip
    config = room.plan("mygene", "old.gguf", after, tmp_path / "answers", pairs=str(pairs),
                       decodings="grounded,free", execute=False)  # fmt: skip
    return room.gate(api, config, models, **more)


def test_records_are_opened_when_all_answers_are_there(api: API, tmp_path: Path, pairs: Path) -> None:
    """An index of many records takes a minute; a model that is not there is said before."""

    def opened() -> None:
        raise AssertionError("too early")

    with pytest.raises(QuerywrightError, match="no model at"):
        judged(api, tmp_path, pairs, Models(right, right), records=opened, after="gone.gguf")
    models = Models(right, right)
    with pytest.raises(AssertionError, match="too early"):
        judged(api, tmp_path, pairs, models, records=opened)
    assert len(models.asked) == 4 * N, "everything was asked before"


def test_an_equal_model_is_kept(api: API, tmp_path: Path, pairs: Path) -> None:
    made = judged(api, tmp_path, pairs, Models(right, right))
    assert (made["keep"], made["reasons"], made["better"]) == (True, [], False)
    assert {d: made["compared"][d]["valid"]["n"] for d in made["compared"]} == {"grounded": N, "free": N}
    assert made["before"]["path"] == "old.gguf"
    assert len(made["pairs"]["sha256"]) == 64


def test_a_gain_may_be_asked_for(api: API, tmp_path: Path, pairs: Path) -> None:
    made = judged(api, tmp_path, pairs, Models(right, right), must_gain=True)
    assert not made["keep"]
    assert "grounded: not better with confidence" in made["reasons"][0]
    made = judged(api, tmp_path / "other", pairs, Models(wrong_calls, right), must_gain=True)
    assert made["keep"]
    assert made["better"]
    assert {line["change"] for line in made["changed"]} == {"won"}
    assert made["changed"][0]["before"] == "/v3/gene/1"


def test_form_that_breaks_in_free_text_is_seen_although_the_grammar_hides_it(
    api: API, tmp_path: Path, pairs: Path
) -> None:
    for number, writes in enumerate((breaks_form, runs_on)):
        made = judged(api, tmp_path / str(number), pairs, Models(right, writes))
        assert not made["keep"]
        assert all(reason.startswith("free: ") for reason in made["reasons"])
        assert any("worse on valid answers: -10.0 points" in reason for reason in made["reasons"])
        assert made["compared"]["grounded"]["same"]["difference"] == 0
        assert made["compared"]["free"]["cut"] == {"before": 0, "after": N // 10 * number}


def test_wrong_calls_are_seen(api: API, tmp_path: Path, pairs: Path) -> None:
    made = judged(api, tmp_path, pairs, Models(right, wrong_calls))
    assert not made["keep"]
    assert any(reason.startswith("grounded: worse on right answers: -12.5 points") for reason in made["reasons"])
    assert not any("valid" in reason for reason in made["reasons"])
    made = judged(api, tmp_path, pairs, Models(right, wrong_calls), bounds=Bounds(margin=0.25))
    assert made["keep"], "as the bounds say"


def test_what_calls_find_is_shown_and_decides_nothing() -> None:
    """It is told of the sentences on which both models' hits are known; a call that finds nothing tells nothing."""

    def rows(hits: list[float | None]) -> list[dict[str, Any]]:
        return [
            {"id": str(n), "signature": "s", "decoding": "free", "same": 1.0, "valid": 1.0, "hits_same": hit,
             "tokens_out": 20, "instruction": "i", "expected": "e", "path": "p", "finish": "stop"}
            for n, hit in enumerate(hits)
        ]  # fmt: skip

    made = room.decide(rows([1.0] * 90 + [None] * 10), rows([0.0] * 80 + [None] * 20), ["free"])
    assert made["compared"]["free"]["hits_same"]["n"] == 80
    assert made["compared"]["free"]["hits_same"]["lost"] == 80
    assert made["keep"]
    assert "hits_same" not in room.decide(rows([None] * 90), rows([1.0] * 90), ["free"])["compared"]["free"]


def test_one_shape_that_broke_is_seen(api: API, tmp_path: Path, pairs: Path) -> None:
    rows = [{"api": "mygene", "instruction": f"Summaries on {n}", "path": f"/v3/query?q=summary:{n}"}
            for n in range(10)]  # fmt: skip
    with pairs.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

    def one_shape(decoding: str, n: int) -> str:
        return right("", n) if n >= 1000 else f"/v3/query?q={'name' if n < 2 else 'summary'}:{n}"

    made = judged(api, tmp_path, pairs, Models(lambda d, n: one_shape(d, n + 2 if n < 2 else n), one_shape))
    assert made["keep"], "both have these wrong"
    healthy = Models(lambda d, n: right("", n) if n >= 1000 else f"/v3/query?q=summary:{n}", one_shape)
    made = judged(api, tmp_path / "other", pairs, healthy)
    assert [reason for reason in made["reasons"] if reason.startswith("grounded: /v3/query?q=summary:")]
    assert made["shapes"][0]["lost"] == 2


def test_too_few_sentences_to_tell_do_not_pass(api: API, tmp_path: Path, pairs: Path) -> None:
    config = room.plan("mygene", "old.gguf", "new.gguf", tmp_path / "a", pairs=str(pairs), limit=40, execute=False)
    made = room.gate(api, config, Models(right, right))
    assert not made["keep"]
    assert "40 sentences can't rule it out" in made["reasons"][0]


def test_each_model_is_asked_once_whatever_it_is_compared_with(api: API, tmp_path: Path, pairs: Path) -> None:
    models = Models(right, right)
    judged(api, tmp_path, pairs, models)
    assert len(models.asked) == 4 * N
    judged(api, tmp_path, pairs, models)
    assert len(models.asked) == 4 * N, "a second time nothing is asked"
    models.weights["new.gguf"] = "3"
    models.asked.clear()
    judged(api, tmp_path, pairs, models)
    assert {path for path, _ in models.asked} == {"new.gguf"}, "trained anew, it is asked again, and it alone"


def test_a_model_that_can_not_decode_so_is_no_comparison(api: API, tmp_path: Path, pairs: Path) -> None:
    """A server that takes no grammars fails each request; that is not the model's doing."""

    class Refuses(Models):
        def _opener(self, path: str) -> Any:
            opened = super()._opener(path)

            @contextmanager
            def fails() -> Iterator[Any]:
                with opened() as ask:
                    yield (
                        lambda cell, *rest: (
                            {"response": "", "path": "", "finish": "error", "reason": "no grammars"}
                            if cell.decoding == "grounded"
                            else ask(cell, *rest)
                        )
                    )

            return fails

    with pytest.raises(QuerywrightError, match=r"no answers of .* under grounded"):
        judged(api, tmp_path, pairs, Refuses(right, right))


def test_the_same_weights_are_no_comparison(api: API, tmp_path: Path, pairs: Path) -> None:
    models = Models(right, right)
    models.weights["new.gguf"] = "1"
    with pytest.raises(QuerywrightError, match="the same weights"):
        judged(api, tmp_path, pairs, models)
    with pytest.raises(QuerywrightError, match=r"are both old\.gguf"):
        room.plan("mygene", "old.gguf", "./old.gguf", tmp_path)
    del models.writes["new.gguf"]
    with pytest.raises(QuerywrightError, match=r"no model at new\.gguf"):
        judged(api, tmp_path, pairs, models)


def test_who_tries_often_has_to_be_better_by_more(
    api: API, tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def five_wrong(decoding: str, n: int) -> str:
        return "/v3/gene/1" if n < 1005 else right(decoding, n)

    models = Models(five_wrong, right)
    found = []
    for weights in ("2", "3", "4"):
        models.weights["new.gguf"] = weights
        found.append(judged(api, tmp_path, pairs, models, must_gain=True))
    assert [(one["tries"], one["keep"]) for one in found] == [(1, True), (2, False), (3, False)], "p = 0.031 each"
    assert "times 3 candidates" in found[-1]["reasons"][0]
    assert judged(api, tmp_path, pairs, models)["tries"] == 3, "the same model again is no new try"
    log = tmp_path / "answers" / "gates.jsonl"
    assert len(log.read_text().splitlines()) == 3
    log.write_text(log.read_text() + '{"before": 3}\n[]\n{"at')
    assert judged(api, tmp_path, pairs, models)["tries"] == 3, "a damaged line is passed over"
    capsys.readouterr()
    pairs.write_text(pairs.read_text() + "\n")
    assert judged(api, tmp_path, pairs, models)["tries"] == 1
    assert "changed since the gate of" in capsys.readouterr().err


def test_labels_are_names_of_files_and_tell_models_apart(tmp_path: Path) -> None:
    given = ["base", "tuned", "http://127.0.0.1:8000/v1#a/b", str(tmp_path / "x y" / "m.gguf"), "m.gguf", "../é"]
    labels = [room.label(one) for one in given]
    assert len(set(labels)) == len(labels)
    for path in given:
        room.plan("mygene", path, "other.gguf", tmp_path)  # a name that can't be a file's is refused here


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "show gene 1005 "}], "chosen": []},
        {"messages": [{"role": "user", "content": "Show gene 1005"}, {"role": "assistant", "content": "/v3"}]},
        {"instruction": "Show gene 1005"},
        {"text": "Show  gene 1005"},
    ],
)
def test_sentences_that_were_learnt_are_refused(api: API, tmp_path: Path, pairs: Path, row: dict[str, Any]) -> None:
    asked = suite.load(api, pairs)
    learnt = tmp_path / "train.jsonl"
    write_jsonl(learnt, [{"text": "Show gene 5"}, {"prompt": [3, {}]}, {"prompt": None, "turns": 3}, {}])
    refuse_learnt(asked, [learnt])
    write_jsonl(learnt, [{"text": "Show gene 5"}, row])
    with pytest.raises(QuerywrightError, match=r"1 rows of .* are sentences of the test set"):
        refuse_learnt(asked, [learnt])


def test_the_table_tells_the_verdict(api: API, tmp_path: Path, pairs: Path, capsys: Any) -> None:
    made = judged(api, tmp_path, pairs, Models(right, runs_on))
    Console(width=130).print(room.table(json.loads(json.dumps(made))))
    shown = capsys.readouterr().out
    for words in ("mygene: drop, not shown to be better", "valid answers", "-10.0", "12 cut"):
        assert words in shown


def test_the_command_says_keep_or_drop_by_its_exit_code(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["gate", "--api", "mygene", "--before", "old.gguf", "--after", "new.gguf", "--pairs", str(pairs),
             "--out", str(tmp_path / "out"), "--no-execute"]  # fmt: skip
    for name in ("old.gguf", "new.gguf"):
        done = CliRunner().invoke(app, words)
        assert f"no model at {name}" in str(done.exception)
        (tmp_path / name).touch()
    done = CliRunner().invoke(app, [*words, "--pairs", "gone.jsonl"])
    assert "no test set at gone.jsonl" in str(done.exception)
    assert "--pairs FILE" in done.exception.hint  # type: ignore[union-attr]
    monkeypatch.setattr(eval_models, "sources_of", Models(right, right))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    made = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert made["keep"]
    assert made["bounds"]["margin"] == 0.05
    monkeypatch.setattr(eval_models, "sources_of", Models(right, right))
    done = CliRunner().invoke(app, [*words, "--better", "--json", "--decoding", "free"])
    assert done.exit_code == 1
    assert list(json.loads(done.stdout)["compared"]) == ["free"]
    learnt = tmp_path / "train.jsonl"
    write_jsonl(learnt, [{"text": "Show gene 1007"}])
    done = CliRunner().invoke(app, [*words, "--trained-on", str(learnt)])
    assert isinstance(done.exception, QuerywrightError)
