"""DPO through our loop: the numbers of torchtune's own recipe, whichever way rows are packed or dealt out, and a run
that is stopped or killed goes on inside its epoch. On a tiny model; `test_dpo` has torchtune's command on the real one.
"""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from querywright.artefacts import MANIFEST
from querywright.finetune.job import Job, run_facts
from querywright.finetune.loop import run
from querywright.finetune.resume import RESUME
from tests.finetune.interrupting import run_killed, run_until
from tests.finetune.tiny import dpo_config, tiny_checkpoint

ADAPTER = "adapter/adapter_model.safetensors"
PLAIN = {"model___component_": "torchtune.models.llama3_2.lora_llama3_2"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("querywright.finetune.record.plot_losses", lambda folder: (folder / "losses.png").touch())


@pytest.fixture
def source(workspace: Path, rows: list[list[dict[str, str]]]) -> Path:
    """The conversations, each with another one's answer as the one that is not wanted."""
    path = workspace / "pairs" / "train.dpo.jsonl"
    lines = [
        {"prompt": row[:-1], "chosen": row[-1:], "rejected": other[-1:]}
        for row, other in zip(rows[:24], rows[24:], strict=True)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def job_of(cfg: Any) -> Job:
    from querywright.finetune.dpo import Recipe

    made: Job = Recipe(cfg=cfg).job(cfg, run_facts(cfg, "torchtune"))
    return made


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text(encoding="utf-8").splitlines()]


def trained(cfg: Any) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The log's rows, and the adapter."""
    run(job_of(cfg))
    return logged(Path(cfg.output_dir)), load_file(Path(cfg.output_dir) / ADAPTER)


TOLD = ("loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "log_probs/chosen",
        "log_probs/rejected")  # fmt: skip


def assert_close(one: Any, other: Any, names: tuple[str, ...] = TOLD) -> None:
    """In float32 what differs is the order of sums; a log probability is a sum of dozens of numbers of some nats."""
    for name in names:
        found = [row[name] for row in one[0]]
        assert found == pytest.approx([row[name] for row in other[0]], rel=1e-4, abs=2e-4), name
    largest = max(float(w.abs().max()) for w in one[1].values())
    assert one[1].keys() == other[1].keys()
    for name, weight in one[1].items():
        torch.testing.assert_close(weight, other[1][name], rtol=0, atol=1e-3 * largest)


def test_packed_is_padded(tiny: Path, source: Path, tmp_path: Path) -> None:
    more = {"epochs": 2, "max_steps_per_epoch": 4}
    packed = job_of(dpo_config(tiny, source, tmp_path / "packed", **more))
    assert "parts" in next(iter(packed.loader))
    run(packed)
    found = logged(tmp_path / "packed"), load_file(tmp_path / "packed" / ADAPTER)
    assert_close(found, trained(dpo_config(tiny, source, tmp_path / "padded", **more, **PLAIN)))
    assert found[0][0]["loss"] == pytest.approx(math.log(2), abs=1e-6), "the model is its own reference at first"
    assert found[0][0]["rewards/margins"] == 0
    assert found[0][-1]["loss"] < 0.9 * found[0][0]["loss"], "it learns"
    assert found[0][-1]["rewards/accuracies"] > 0.7
    manifest = json.loads((tmp_path / "packed" / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["steps"], manifest["rows"], manifest["recipe"]) == (8, 24, "lora_dpo_single_device")
    assert manifest["tokens"] > 0
    assert not (tmp_path / "packed" / RESUME).exists()


def test_the_stock_recipe_does_the_same(tiny: Path, source: Path, tmp_path: Path) -> None:
    """torchtune's own class, begun with our numbers; it logs the rewards of a step's last batch only, so one a step."""
    from querywright.finetune.init import start
    from querywright.finetune.recipes import DPO
    from querywright.finetune.stock import Names, stock_recipe

    ours = trained(dpo_config(tiny, source, tmp_path / "ours", clip_grad_norm=None))
    cfg = dpo_config(tiny, source, tmp_path / "stock", **PLAIN)
    recipe = stock_recipe(DPO, "LoRADPORecipeSingleDevice")(cfg)
    recipe.setup(cfg)
    names = Names(recipe._model)
    start(names.trained, int(recipe.seed))
    recipe.train()
    recipe.cleanup()
    assert_close(ours, (logged(tmp_path / "stock"), names.as_peft()))


@pytest.mark.parametrize("way", [{}, PLAIN], ids=["packed", "padded"])
def test_batches_and_accumulation(tiny: Path, source: Path, tmp_path: Path, way: dict[str, Any]) -> None:
    """Whatever a batch is, the loss and the rewards are means over all rows of a step."""
    found = []
    for size, times in ((4, 1), (1, 4)):
        more = {"batch_size": size, "gradient_accumulation_steps": times, "max_steps_per_epoch": 3, **way}
        found.append(trained(dpo_config(tiny, source, tmp_path / f"{size}", **more)))
    assert_close(*found)


def test_the_reference_is_asked_once_for_each_row(
    tiny: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second epoch it is known. That it is the same as if asked again shows where a run was resumed."""
    from querywright.finetune import dpo_loss

    plain, asked = dpo_loss._log_probs, []
    monkeypatch.setattr(dpo_loss, "_log_probs", lambda *given: asked.append(1) or plain(*given))
    trained(dpo_config(tiny, source, tmp_path / "run", epochs=2, max_steps_per_epoch=None))
    assert len(asked) == 2 * 24 + 24


@pytest.mark.parametrize("stopped", [2, 3], ids=["inside an epoch", "between two"])
def test_resumed_is_uninterrupted(tiny: Path, source: Path, tmp_path: Path, stopped: int) -> None:
    more = {"epochs": 2, "max_steps_per_epoch": 3}
    whole = trained(dpo_config(tiny, source, tmp_path / "whole", **more))
    cfg = dpo_config(tiny, source, tmp_path / "parts", **more)
    job = job_of(cfg)
    with pytest.raises(SystemExit) as stop:
        run_until(job, stopped, signal.SIGTERM)
    assert stop.value.code == 130
    assert not (tmp_path / "parts" / MANIFEST).exists()
    parts = trained(cfg)
    assert [[row[name] for name in TOLD] for row in parts[0]] == [[row[name] for name in TOLD] for row in whole[0]]
    assert all(torch.equal(weight, parts[1][name]) for name, weight in whole[1].items())


def test_killed_after_a_step_checkpoint(tiny: Path, source: Path, tmp_path: Path) -> None:
    whole = trained(dpo_config(tiny, source, tmp_path / "whole", max_steps_per_epoch=6))
    cfg = dpo_config(tiny, source, tmp_path / "killed", max_steps_per_epoch=6, save_every_n_steps=3)
    run_killed(cfg, "tests.finetune.test_dpo_loop.job_of(cfg)", 5)
    job = job_of(cfg)
    assert job.step == 3
    run(job)
    assert_close((logged(tmp_path / "killed"), load_file(tmp_path / "killed" / ADAPTER)), whole)


def test_progress_says_what_is_learnt(tiny: Path, source: Path, tmp_path: Path, capsys: Any) -> None:
    trained(dpo_config(tiny, source, tmp_path / "run"))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert lines[0].startswith("step 1/5  loss 0.693")
    assert all("accuracy" in line and "margin" in line and "ETA" in line for line in lines)
