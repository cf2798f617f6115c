"""Training through the command line on the real model: it learns, stops when asked, and goes on as if it had not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STEPS = 5
ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str]]
Tune = Callable[..., None]


def words(workspace: Path, base: Path, *more: str) -> list[str]:
    small = ["batch_size=2", f"max_steps_per_epoch={STEPS}", "max_minutes=null", "lr_scheduler.num_warmup_steps=1"]
    given = [f"workspace={workspace}", f"checkpointer.checkpoint_dir={base}", *small, *more]
    return ["finetune", "smollm2_135m_lora_cpu", *given]


def losses(workspace: Path) -> list[dict[str, Any]]:
    path = workspace / "model" / "quick" / "losses.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_learns_stops_and_goes_on(workspace: Path, base: Path, querywright: Command) -> None:
    """Ctrl-C after two steps, then the same command. That the numbers are those of a run that nobody stopped, to the
    bit, shows `test_backends` on a tiny model."""
    out = workspace / "model" / "quick"
    given = words(workspace, base, "metric_logger._component_=tests.finetune.interrupting.CtrlC")
    line = [sys.executable, "-m", "querywright", *given]
    stopped = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=1500)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "the same command goes on" in stopped.stderr
    before = losses(workspace)
    assert 2 <= len(before) < STEPS
    assert not (out / "manifest.json").exists()
    assert (out / "resume.safetensors").exists()
    assert not list(out.glob(".*")), "half-written files"

    code, said = querywright(*given)
    assert code == 0, said
    assert f"going on after step {len(before)}" in said
    assert "ETA" in said
    rows = losses(workspace)
    assert rows[: len(before)] == before
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert (out / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "resume.safetensors").exists()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["steps"], manifest["rows"]) == (STEPS, 48)
    assert not list(out.glob("epoch_*")), "export merges, from the adapter"


@pytest.mark.slow
def test_torchtunes_own_command(workspace: Path, base: Path, tune: Tune) -> None:
    """`tune run` with the stock recipe takes the shipped config as it is."""
    given = [f"workspace={workspace}", f"checkpointer.checkpoint_dir={base}", "batch_size=2", "max_steps_per_epoch=2"]
    config = ["--config", "ft_configs/smollm2_135m_lora_cpu.yaml", "save_adapter_weights_only=true"]
    tune("run", "lora_finetune_single_device", *config, *given)
    assert [row["step"] for row in losses(workspace)] == [1, 2]
    assert (workspace / "model/quick/epoch_0/adapter_model.safetensors").is_file()


def test_mistakes_end_in_a_sentence(workspace: Path, base: Path, querywright: Command) -> None:
    for wrong, told in (("optimizer.lrr=1", "did you mean 'lr'"), (f"dataset.source={base}/none", "no training rows")):
        code, said = querywright(*words(workspace, base, wrong))
        assert code == 2
        assert told in said
        assert "Traceback" not in said
    assert not (workspace / "model").exists()
