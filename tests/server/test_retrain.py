"""Corrections to a decision, stage by stage: training and answering are fakes that leave what the real ones leave."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="needs the extra llama")
pytest.importorskip("scipy", reason="needs the extra eval")

from querywright.api.call import parse
from querywright.api.definition import load
from querywright.api.nearest import nearest_fields
from querywright.artefacts import alone, read_jsonl, sha256, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.evaluate import judging, suite
from querywright.evaluate.decision import FROZEN, RECENT, Bounds
from querywright.finetune import shipped
from querywright.generate.confidence import calibration_of
from querywright.pairs import prompted
from querywright.protected import plain
from querywright.rows import Row, row
from server.flywheel import candidate, promotion, retrain
from server.flywheel.candidate import Options
from server.flywheel.retrain import Stages
from server.flywheel.retrain_data import CHAT, CORRECTIONS, Shares
from tests.server.models_made import made

API = load("mygene")
ROOT = Path(__file__).parents[2]
SPECIES = ("human", "mouse", "rat")


def pair(n: int, source: str = "drawn", **more: Any) -> Row:
    """The n-th of pairs that are all different."""
    call = parse(API, f"/v3/query?q=symbol:GENE{n}&species={SPECIES[n % 3]}")
    return {**row(call, f"find the {SPECIES[n % 3]} gene with symbol GENE{n}", source), **more}


def correction(n: int) -> Row:
    """The n-th correction in time; all tests' corrections ask for what no split has."""
    return pair(10_000 + n, "correction", at=f"2026-01-01T00:{n // 60:02}:{n % 60:02}")


@pytest.fixture(autouse=True)
def searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest fields of a sentence are looked for once in all tests: each takes 14 ms."""
    monkeypatch.setattr(prompted, "nearest_fields", nearest)


@cache
def nearest(api: Any, sentence: str, n: int) -> list[str]:
    return nearest_fields(api, sentence, n)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a split and a model that was trained in it."""
    monkeypatch.setattr(shipped, "data_dir", lambda: tmp_path / "data")
    home = tmp_path / "work" / "mygene"
    made(home / "model", "current")
    write_jsonl(home / "pairs" / "train.jsonl", [pair(n) for n in range(30)])
    write_jsonl(home / "pairs" / "test.jsonl", [pair(1000 + n) for n in range(120)])
    write_jsonl(home / "pairs.jsonl", [correction(n) for n in range(60)])
    return home


class Fakes:
    """Stages that count their runs. `right` says which sentences a model, by its GGUF's word, answers rightly."""

    def __init__(self, right: Callable[[str, Row], bool] | None = None) -> None:
        self.right = right or (lambda model, _: model != "current")
        self.runs: list[str] = []
        self.words: list[str] = []
        self.fail_at = ""
        self.stages = Stages(self.train, self.export, self.ask)

    def _ran(self, stage: str) -> None:
        if self.fail_at == stage:
            self.fail_at = ""
            raise KeyboardInterrupt
        self.runs.append(stage)

    def train(self, config: str, words: list[str]) -> int:
        self._ran("train")
        self.words = words
        return 0

    def export(self, config: str, words: list[str], folder: Path, api: Any, parity: int) -> Path:
        self._ran("export")
        return made(folder, "candidate")

    def ask(
        self, api: Any, definition: str, model: Path, pairs: Path, out: Path, *, decoding: str, limit: int | None
    ) -> list[dict[str, Any]]:
        word = model.read_text(encoding="utf-8")
        self._ran(f"{word}.{out.name}")
        found = suite.load(api, pairs, 0)[:limit]
        return [
            {"id": p.id, "signature": p.signature, "same": float(self.right(word, {"instruction": p.instruction}))}
            for p in found
        ]  # fmt: skip


def options(home: Path, **more: Any) -> Options:
    return Options("mygene", home, home / "pairs.jsonl", **more)


def corrected(r: Row) -> bool:
    return int(r["instruction"].rpartition("GENE")[2]) >= 10_000


def test_a_better_candidate_is_promoted_and_answers(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fakes = Fakes(lambda model, r: model == "candidate" or not corrected(r))
    decision = retrain.retrain(options(workspace), fakes.stages)
    assert decision["promote"]
    folder = workspace / "models" / decision["id"]
    assert json.loads((folder / promotion.DECISION).read_text()) == json.loads(json.dumps(decision))
    assert decision["compared"][RECENT]["n"] == 12
    assert decision["compared"][FROZEN]["n"] == 120
    assert len(decision["items"]) == 132
    assert {(line["part"], line["change"]) for line in decision["changed"]} == {(RECENT, "won")}
    assert len(decision["changed"]) == 12
    assert shipped.ensure_model("mygene", workspace).read_text() == "candidate"
    told = capsys.readouterr().err
    assert "restarted" in told
    assert "learns 48 corrections 4 times and 30 replayed pairs" in told
    assert f"start_adapter={workspace / 'model' / 'adapter'}" in fakes.words
    assert "model.lora_rank=2" in fakes.words, "of the adapter that it starts from"
    assert promotion.rollback(workspace) == "shipped"
    assert shipped.ensure_model("mygene", workspace).read_text() == "current"


def test_a_worse_one_is_not_and_says_why(workspace: Path) -> None:
    decision = retrain.retrain(options(workspace), Fakes(lambda model, r: model == "current").stages)
    assert not decision["promote"]
    assert any("worse on the frozen test set" in reason for reason in decision["reasons"])
    assert shipped.ensure_model("mygene", workspace).read_text() == "current"
    (listed,) = promotion.models(workspace)
    assert (listed["state"], listed["frozen"]["candidate"]["same"]) == ("not better", 0.0)


def test_decided_only_where_asked_so_then_promoted(workspace: Path) -> None:
    fakes = Fakes()
    decision = retrain.retrain(options(workspace, promote=False), fakes.stages)
    assert decision["promote"]
    assert shipped.ensure_model("mygene", workspace).read_text() == "current"
    before = len(fakes.runs)
    assert retrain.retrain(options(workspace), fakes.stages) == json.loads(json.dumps(decision))
    assert len(fakes.runs) == before, "nothing is done twice"
    assert shipped.ensure_model("mygene", workspace).read_text() == "candidate"
    promotion.rollback(workspace)
    retrain.retrain(options(workspace), fakes.stages)
    assert shipped.ensure_model("mygene", workspace).read_text() == "current", "what was taken back stays back"


def test_nothing_that_is_asked_is_learnt(workspace: Path) -> None:
    """Neither sentences nor calls, wherever they come from; the most recent corrections are those held out."""
    rows = [correction(n) for n in range(60)]
    again = {**rows[3], "path": rows[59]["path"], "canonical": rows[59]["canonical"], "id": "again"}  # a recent call
    tested = {**rows[4], "canonical": pair(1005)["canonical"], "path": pair(1005)["path"], "id": "tested"}
    write_jsonl(workspace / "pairs.jsonl", [*reversed(rows), again, tested])
    replayed = [*(pair(n) for n in range(28)), rows[58], {**pair(1007), "id": "x"}]
    write_jsonl(workspace / "pairs" / "train.jsonl", replayed)
    decision = retrain.retrain(options(workspace), Fakes().stages)
    data = workspace / "models" / decision["id"] / promotion.DATA
    recent, learnt = read_jsonl(data / "recent.jsonl"), read_jsonl(data / CORRECTIONS)
    assert [r["id"] for r in recent] == [r["id"] for r in rows[-13:]]
    assert {r["id"] for r in learnt} == {r["id"] for r in rows[:-13]}
    asked = [*recent, *read_jsonl(workspace / "pairs" / "test.jsonl")]
    sentences, calls = {plain(r["instruction"]) for r in asked}, {r["canonical"] for r in asked}
    chats = [one["messages"] for one in read_jsonl(data / CHAT)]
    assert not sentences & {plain(chat[-2]["content"]) for chat in chats}
    assert not calls & {parse(API, chat[-1]["content"]).canonical for chat in chats}
    assert len(chats) == decision["counts"]["rows"] == 4 * 47 + 28
    assert chats[0][0]["content"].count("\n") > 0, "the prompt shows the nearest fields, as when it is asked"


@pytest.mark.parametrize("stage", ["train", "export", "current.frozen", "candidate.recent"])
def test_killed_in_a_stage_it_goes_on_with_the_same_corrections(workspace: Path, stage: str) -> None:
    fakes = Fakes()
    fakes.fail_at = stage
    with pytest.raises(KeyboardInterrupt):
        retrain.retrain(options(workspace), fakes.stages)
    (begun,) = promotion.candidates(workspace)
    assert promotion.read_decision(begun) == {}
    write_jsonl(workspace / "pairs.jsonl", [correction(n) for n in range(70)])  # people went on
    decision = retrain.retrain(options(workspace), fakes.stages)
    assert decision["id"] == begun.name
    assert decision["compared"][RECENT]["n"] == 12


def test_a_training_that_outlived_its_retrain_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with ExitStack() as held:
        held.enter_context(alone(tmp_path))

        def ended(text: str) -> None:
            said.append(text)
            threading.Timer(0.2, held.close).start()

        monkeypatch.setattr(retrain, "say", ended)
        retrain._wait_for(tmp_path)
    assert len(said) == 1
    assert "waiting for it" in said[0]
    retrain._wait_for(tmp_path / "not there")
    assert not (tmp_path / "not there").exists()


def test_stopped_training_is_an_interruption(workspace: Path) -> None:
    fakes = Fakes()
    with pytest.raises(KeyboardInterrupt):
        retrain.retrain(options(workspace), replace(fakes.stages, train=lambda *_: 130))
    with pytest.raises(QuerywrightError, match="did not begin"):
        retrain.retrain(options(workspace), replace(fakes.stages, train=lambda *_: 2))
    assert fakes.runs == []


def test_fresh_begins_anew(workspace: Path) -> None:
    fakes = Fakes()
    fakes.fail_at = "train"
    with pytest.raises(KeyboardInterrupt):
        retrain.retrain(options(workspace), fakes.stages)
    write_jsonl(workspace / "pairs.jsonl", [correction(n) for n in range(70)])
    decision = retrain.retrain(options(workspace, fresh=True), fakes.stages)
    assert decision["compared"][RECENT]["n"] == 14
    assert len(promotion.candidates(workspace)) == 2


def test_damaged_data_is_no_data(workspace: Path) -> None:
    fakes = Fakes()
    fakes.fail_at = "train"
    with pytest.raises(KeyboardInterrupt):
        retrain.retrain(options(workspace), fakes.stages)
    (begun,) = promotion.candidates(workspace)
    whole = sha256(begun / promotion.DATA / CHAT)
    (begun / promotion.DATA / CHAT).write_text("cut sho")
    assert retrain.retrain(options(workspace), fakes.stages)["id"] == begun.name
    assert sha256(begun / promotion.DATA / CHAT) == whole


def test_other_bounds_decide_anew_without_a_training(workspace: Path) -> None:
    fakes = Fakes(lambda model, r: not corrected(r) or (model == "candidate" and r["instruction"][-1] in "0123"))
    first = retrain.retrain(options(workspace), fakes.stages)
    assert not first["promote"]
    second = retrain.retrain(options(workspace, bounds=Bounds(alpha=0.2)), fakes.stages)
    assert second["id"] == first["id"]
    assert second["judged"]["bounds"]["alpha"] == 0.2
    assert second["promote"]


def test_the_next_one_starts_from_the_promoted_one_and_holds_out_what_that_has_not_learnt(workspace: Path) -> None:
    fakes = Fakes()
    first = retrain.retrain(options(workspace), fakes.stages)
    with pytest.raises(QuerywrightError, match="no corrections since the current model was made"):
        retrain.retrain(options(workspace), fakes.stages)
    write_jsonl(workspace / "pairs.jsonl", [correction(n) for n in range(64)])
    fakes.right = lambda *_: True
    second = retrain.retrain(options(workspace), fakes.stages)
    assert second["current"] == first["id"]
    assert f"start_adapter={workspace / 'models' / first['id'] / 'adapter'}" in fakes.words
    learnt = {r["id"] for r in read_jsonl(workspace / "models" / first["id"] / promotion.DATA / CORRECTIONS)}
    held = {r["id"] for r in read_jsonl(workspace / "models" / second["id"] / promotion.DATA / "recent.jsonl")}
    assert len(held) == 13
    assert not held & learnt
    other = retrain.retrain(options(workspace, seed=1), fakes.stages)
    assert (second["tries"], other["tries"]) == (1, 2), "each further try has to be surer"
    assert sorted(promotion.prune(workspace)) == sorted([second["id"], other["id"]])
    third = retrain.retrain(options(workspace, seed=2), fakes.stages)
    assert third["tries"] == 3, "a try that was deleted was one all the same"


def test_the_frozen_test_set_stays_the_same(workspace: Path) -> None:
    retrain.retrain(options(workspace, promote=False), Fakes().stages)
    path = workspace / "pairs" / "test.jsonl"
    before = path.read_bytes()
    write_jsonl(path, [pair(1000 + n) for n in range(119)])
    with pytest.raises(QuerywrightError, match="the frozen test set changed") as caught:
        retrain.retrain(options(workspace), Fakes().stages)
    assert "--refreeze" in caught.value.hint
    copy = workspace / "models" / "frozen.jsonl"
    assert copy.read_bytes() == before
    shutil.copyfile(copy, path)
    retrain.retrain(options(workspace, promote=False), Fakes().stages)
    write_jsonl(path, [pair(1000 + n) for n in range(119)])
    decision = retrain.retrain(options(workspace, promote=False, refreeze=True), Fakes().stages)
    assert decision["compared"][FROZEN]["n"] == 119
    known = json.loads((workspace / "models" / "frozen.json").read_text())
    assert (known["rows"], len(known["earlier"])) == (119, 1)


def test_too_few_corrections(workspace: Path) -> None:
    write_jsonl(workspace / "pairs.jsonl", [correction(n) for n in range(39)])
    with pytest.raises(QuerywrightError, match="has 39 that can be trained on, 40 are needed") as caught:
        retrain.retrain(options(workspace), Fakes().stages)
    assert "querywright serve" in caught.value.hint
    decision = retrain.retrain(options(workspace, shares=Shares(least=39)), Fakes().stages)
    assert decision["compared"][RECENT]["n"] == 8, "a fifth, rounded up"
    (workspace / "pairs.jsonl").unlink()
    with pytest.raises(QuerywrightError, match="no corrections at"):
        retrain.retrain(options(workspace, seed=3), Fakes().stages)


@pytest.mark.parametrize("held", [0.0, 0.19, 0.9])
def test_a_fifth_is_held_out_at_least(workspace: Path, held: float) -> None:
    with pytest.raises(QuerywrightError, match="--held"):
        retrain.retrain(options(workspace, shares=Shares(held=held)), Fakes().stages)


def test_what_is_missing_is_said_before_anything_is_made(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(match: str, hint: str) -> None:
        with pytest.raises(QuerywrightError, match=match) as caught:
            retrain.retrain(options(workspace), Fakes().stages)
        assert hint in caught.value.hint
        assert promotion.candidates(workspace) == []

    adapter = workspace / "model" / "adapter"
    adapter.rename(workspace / "away")
    told("no adapter to start from", "querywright export")
    (workspace / "away").rename(adapter)
    with monkeypatch.context() as full:
        full.setattr(candidate.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
        told("too little space", "--prune")
    with alone(workspace / "models"):
        told("another retrain is at work", "one at a time")
    (workspace / "pairs" / "train.jsonl").unlink()
    told("no training pairs to replay", "--replay 0")
    (workspace / "pairs" / "test.jsonl").unlink()
    told("no test split", "pairs split")
    with pytest.raises(QuerywrightError, match="no workspace"):
        retrain.retrain(replace(options(workspace), workspace=workspace / "misspelt"), Fakes().stages)
    assert not (workspace / "misspelt").exists()


def test_replay_can_be_left_out_loudly(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decision = retrain.retrain(options(workspace, shares=Shares(replay=0.0)), Fakes().stages)
    assert decision["counts"]["replayed"] == 0
    assert "may be forgotten" in capsys.readouterr().err


def test_answers_that_failed_are_no_comparison(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that died is no model that is wrong."""
    failed = {"finish": "error", "reason": "the engine's process died"}
    monkeypatch.setattr("querywright.evaluate.sweep.run", lambda *_: [failed, {"finish": "stop"}])
    with pytest.raises(QuerywrightError, match="1 of 2 sentences got no answer: the engine's process died") as caught:
        judging.ask(
            API, "mygene", Path("model.gguf"), workspace / "pairs" / "test.jsonl", workspace, decoding="free",
            sources=lambda *_: ({}, {}),
        )  # fmt: skip
    assert caught.value.retryable


def test_two_models_are_compared_on_the_same_sentences_only() -> None:
    old = [{"id": "a", "signature": "s", "same": 1.0}, {"id": "b", "signature": "s", "same": 1.0}]
    with pytest.raises(QuerywrightError, match="different sentences"):
        judging.items(FROZEN, old, old[:1])


def test_the_command(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The export's folder will do for its file; every option reaches its place."""
    from querywright.cli import main

    monkeypatch.setattr(retrain, "stages", lambda: Fakes(lambda model, r: model == "current").stages)
    words = ["--pairs", workspace, "--minutes", 3, "--steps", 7, "--passes", 2, "--replay", 0.1, "--limit", 100]
    line = ["querywright", "feedback", "retrain", "--api", "mygene", "--workspace", workspace, *words]
    monkeypatch.setattr("sys.argv", [str(word) for word in line])
    with pytest.raises(SystemExit) as ended:
        main()
    told, said = capsys.readouterr()
    assert not ended.value.code
    assert "not promoted" in told
    assert "worse on the frozen test set" in said
    assert "3 minutes at most, 7 steps" in said
    assert "learns 48 corrections 2 times and 10 replayed pairs (0.1 for each)" in said
    (folder,) = promotion.candidates(workspace)
    assert promotion.read_decision(folder)["judged"]["limit"] == 100


@pytest.mark.slow
def test_a_few_real_steps(tmp_path: Path) -> None:
    """Training, export and answers as they are: two steps make no better model, and it can be promoted by hand."""
    pytest.importorskip("torchtune", reason="needs the extra train")
    pytest.importorskip("llama_cpp", reason="needs the extra llama")
    from querywright.finetune.base import ensure_base, packaged_gguf

    base = ensure_base(ROOT / "work" / "base" / "smollm2-135m")
    home = tmp_path / "work" / "mygene"
    current = made(home / "model")
    shutil.copytree(ROOT / "data" / "adapters" / "general", current.parent / "adapter", dirs_exist_ok=True)
    shutil.copyfile(packaged_gguf(), current)  # the adapter is not merged into it: that takes its time
    config = json.loads((current.parent / "manifest.json").read_text())["config"]
    write_manifest(current.parent, config, [shipped.BEST])
    write_jsonl(home / "pairs" / "train.jsonl", [pair(n) for n in range(6)])
    write_jsonl(home / "pairs" / "test.jsonl", [pair(1000)])
    write_jsonl(home / "pairs.jsonl", [correction(n) for n in range(5)])
    small = ("batch_size=2", f"checkpointer.checkpoint_dir={base}")
    asked = options(home, steps=2, settings=small, shares=Shares(replay=1.0, passes=1, least=5), parity=0)
    decision = retrain.retrain(asked)
    assert decision["current"].startswith("trained-")
    assert (decision["compared"][FROZEN]["n"], decision["compared"][RECENT]["n"]) == (1, 1)
    assert not decision["promote"]
    assert any("not better with confidence" in reason for reason in decision["reasons"])
    folder = home / "models" / decision["id"]
    assert json.loads((folder / "run" / "manifest.json").read_text())["steps"] == 2
    assert retrain.retrain(asked)["at"] == decision["at"], "nothing is done twice"
    kept = {path: path.read_bytes() for path in (home / "models").glob("*/eval/*/cells/*.jsonl")}
    known = json.loads((ROOT / "data/adapters/general/calibration.json").read_text())
    made_of = json.loads((folder / "manifest.json").read_text())["config"]
    write_json(folder / "calibration.json", {**known, "adapter": made_of["adapter_sha256"]})
    assert calibration_of(API, folder / shipped.BEST)
    assert retrain.retrain(replace(asked, bounds=Bounds(alpha=0.5)))["judged"]["bounds"]["alpha"] == 0.5
    assert {path: path.read_bytes() for path in kept} == kept, "each sentence is asked once"
    promotion.promote(home, decision["id"], force=True)
    assert shipped.ensure_model(API, home) == folder / shipped.BEST
