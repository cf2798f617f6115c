"""Which model answers after a promotion and a rollback, and that nothing in between can leave half a record."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="needs the extra llama")

from querywright import artefacts
from querywright.artefacts import alone, write_json
from querywright.errors import QuerywrightError
from querywright.finetune import shipped
from querywright.finetune.promoted import FILE, read_promoted
from server.flywheel import promotion
from tests.server.models_made import made

A, B, C = "a" * 12, "b" * 12, "c" * 12


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a model that was trained in it, and three candidates: A is better than that, B better than A."""
    monkeypatch.setattr(shipped, "data_dir", lambda: tmp_path / "data")
    home = tmp_path / "work" / "herbarium"
    made(home / "model", "trained here")
    for name in (A, B, C):
        candidate(home, name, name != C, A if name == B else "trained-1")
    return home


def candidate(home: Path, name: str, promote: bool, against: str) -> Path:
    folder = home / "models" / name
    made(folder)
    reasons = [] if promote else ["not better with confidence"]
    write_json(folder / promotion.DECISION, {"promote": promote, "reasons": reasons, "current": against})
    (folder / promotion.DATA).mkdir()
    return folder


def answers(home: Path) -> str:
    """Which model answers: the word in its GGUF."""
    return shipped.ensure_model("herbarium", home).read_text(encoding="utf-8")


def test_promoted_goes_first_and_rollback_goes_back_step_by_step(workspace: Path) -> None:
    assert answers(workspace) == "trained here"
    promotion.promote(workspace, A)
    assert answers(workspace) == A
    assert shipped.standing("herbarium", workspace).adapter == workspace / "models" / A / "adapter"
    promotion.promote(workspace, B)
    assert answers(workspace) == B
    assert promotion.rollback(workspace) == A
    assert answers(workspace) == A
    assert promotion.rollback(workspace) == "shipped"
    assert answers(workspace) == "trained here"
    with pytest.raises(QuerywrightError, match="nothing is promoted"):
        promotion.rollback(workspace)
    log = read_promoted(workspace)["log"]
    told = [(one["how"], one["from"], one["id"]) for one in log]
    assert told == [
        ("promoted", "shipped", A), ("promoted", A, B), ("rolled back", B, A), ("rolled back", A, "shipped"),
    ]  # fmt: skip


def test_back_to_shipped_at_once(workspace: Path) -> None:
    promotion.promote(workspace, A)
    promotion.promote(workspace, B)
    assert promotion.rollback(workspace, "shipped") == "shipped"
    assert answers(workspace) == "trained here"
    assert read_promoted(workspace)["history"] == []
    promotion.promote(workspace, A)
    with pytest.raises(QuerywrightError, match="only 'shipped'"):
        promotion.rollback(workspace, B)


def test_by_hand_only_with_force_and_that_is_recorded(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(QuerywrightError, match="not better with confidence") as caught:
        promotion.promote(workspace, C)
    assert "--force" in caught.value.hint
    assert answers(workspace) == "trained here"
    promotion.promote(workspace, C, force=True)
    assert answers(workspace) == C
    assert "restart" in capsys.readouterr().err
    record = read_promoted(workspace)
    assert (record["current"]["how"], record["log"][-1]["how"]) == ("forced", "forced")
    promotion.promote(workspace, C, force=True)
    assert read_promoted(workspace)["history"] == [None], "twice is once"


def test_better_than_another_model_is_not_better_than_the_current_one(workspace: Path) -> None:
    with pytest.raises(QuerywrightError, match=f"compared with {A}, and current is shipped"):
        promotion.promote(workspace, B)
    promotion.promote(workspace, B, force=True)
    assert read_promoted(workspace)["current"]["how"] == "forced"
    with pytest.raises(QuerywrightError, match=f"compared with trained-1, and current is {B}"):
        promotion.promote(workspace, A)


@pytest.mark.parametrize("name", ["../../etc", "shipped", "", "A" * 12, "d" * 12])
def test_only_a_candidate_can_be_promoted(workspace: Path, name: str) -> None:
    with pytest.raises(QuerywrightError, match="no model"):
        promotion.promote(workspace, name, force=True)
    assert not (workspace / FILE).exists()


def test_a_damaged_candidate_cannot(workspace: Path) -> None:
    (workspace / "models" / A / shipped.BEST).write_text("cut sho")
    with pytest.raises(QuerywrightError, match="no whole model"):
        promotion.promote(workspace, A, force=True)


@pytest.mark.parametrize("name", [shipped.BEST, "adapter/adapter_model.safetensors", "manifest.json"])
def test_a_promoted_model_that_is_damaged_later_is_passed_over_loudly(
    workspace: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promotion.promote(workspace, A)
    (workspace / "models" / A / name).write_text("cut sho")
    assert answers(workspace) == "trained here"
    said = capsys.readouterr().err
    assert "warning: the promoted model" in said
    assert "rollback" in said
    assert promotion.models(workspace)[0]["state"] == "current, but damaged"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 1}', '{"version": 2, "current": null, "history": [], "log": []}',
     '{"version": 1, "current": {"id": "../../model"}, "history": [], "log": []}',
     '{"version": 1, "current": null, "history": [{"id": 3}], "log": []}'],
)  # fmt: skip
def test_a_damaged_record_promotes_nothing(workspace: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / FILE).write_text(text)
    assert answers(workspace) == "trained here"
    assert "warning" in capsys.readouterr().err
    promotion.promote(workspace, A)
    assert answers(workspace) == A
    assert (workspace / f"{FILE}.damaged").read_text() == text


def test_another_prompt_is_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion.promote(workspace, A)
    monkeypatch.setattr(shipped, "prompt_id", lambda: "0ther")
    with pytest.raises(QuerywrightError, match="trained for another prompt") as caught:
        answers(workspace)
    assert "rollback" in caught.value.hint


def test_rollback_to_a_model_that_is_gone_says_so(workspace: Path) -> None:
    promotion.promote(workspace, A)
    promotion.promote(workspace, B)
    (workspace / "models" / A / shipped.BEST).unlink()
    with pytest.raises(QuerywrightError, match=f"the model before, {A}") as caught:
        promotion.rollback(workspace)
    assert "--to shipped" in caught.value.hint
    assert answers(workspace) == B, "nothing changed"
    promotion.rollback(workspace, "shipped")
    assert answers(workspace) == "trained here"


def test_killed_while_it_writes_the_old_record_stands(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion.promote(workspace, A)
    before = (workspace / FILE).read_bytes()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artefacts.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        promotion.promote(workspace, B)
    monkeypatch.undo()
    assert (workspace / FILE).read_bytes() == before
    assert [path.name for path in workspace.iterdir() if FILE in path.name] == [FILE]


def test_two_at_once_lose_nothing(workspace: Path) -> None:
    """Each change is in the log, and the steps back are those forward."""

    def change() -> None:
        for name in (A, B, A, B):
            promotion.promote(workspace, name, force=True)

    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = read_promoted(workspace)
    assert len(record["log"]) == len(record["history"])
    assert [one["from"] for one in record["log"]] == [(one or {"id": "shipped"})["id"] for one in record["history"]]


def test_a_lock_that_stays_is_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "_WAIT_S", 0.1)
    with alone(workspace), pytest.raises(QuerywrightError, match="another run works"):
        promotion.promote(workspace, A)


def test_a_workspace_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no workspace"):
        promotion.rollback(tmp_path / "misspelt")
    assert not (tmp_path / "misspelt").exists()
    assert promotion.models(tmp_path / "misspelt") == []


def test_the_list_tells_state_and_prune_keeps_what_a_rollback_needs(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n, name in enumerate((A, B, C)):
        os.utime(workspace / "models" / name / promotion.DATA, (n, n))
    (workspace / "models" / ("d" * 12) / promotion.DATA).mkdir(parents=True)
    (workspace / "models" / "shipped-1").mkdir()
    promotion.promote(workspace, A)
    promotion.promote(workspace, C, force=True)
    states = {row["id"]: row["state"] for row in promotion.models(workspace)}
    assert states == {A: "promoted before", B: "to promote", C: "current", "d" * 12: "unfinished"}
    assert promotion.prune(workspace) == [B, "d" * 12]
    assert [row["id"] for row in promotion.models(workspace)] == [A, C]
    with alone(workspace / "models"), pytest.raises(QuerywrightError, match="another run"):
        promotion.prune(workspace)


def test_the_commands(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from querywright.cli import main

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            "sys.argv", ["querywright", "feedback", *words, "--api", "mygene", "--workspace", str(workspace)]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    code, _, said = run("promote", C)
    assert code == 2
    assert "--force" in said
    assert run("promote", A)[0] == 0
    code, told, _ = run("models", "--json")
    assert {row["id"]: row["state"] for row in json.loads(told)}[A] == "current"
    code, told, said = run("models")
    assert code == 0
    assert A in told
    assert "not better with confidence" in said
    code, told, said = run("rollback")
    assert (code, told.strip()) == (0, "shipped")
    assert "restart" in said
    code, _, said = run("rollback")
    assert code == 2
    assert "Traceback" not in said
