"""Training through the command line on the real model: it learns, stops when asked, and goes on as if it had not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STEPS = 5
ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str]]


def words(workspace: Path, base: Path, *more: str) -> list[str]:
    small = ["batch_size=2", f"max_steps_per_epoch={STEPS}", "max_minutes=null", "lr_scheduler.num_warmup_steps=1"]
    given = [f"workspace={workspace}", f"checkpointer.checkpoint_dir={base}", *small, *more]
    return ["finetune", "smollm2_135m_lora_cpu", *given]


def losses(workspace: Path) -> list[dict[str, Any]]:
    path = workspace / "model" / "quick" / "losses.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_learns_stops_and_goes_on(workspace: Path, base: Path, tmp_path: Path, querywright: Command) -> None:
    from safetensors.numpy import load_file

    whole, parts = workspace, tmp_path / "parts" / "herbarium"
    (parts / "pairs").mkdir(parents=True)
    (parts / "pairs" / "train.chat.jsonl").write_bytes((whole / "pairs" / "train.chat.jsonl").read_bytes())

    code, said = querywright(*words(whole, base))
    assert code == 0, said
    rows = losses(whole)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert "ETA" in said
    out = whole / "model" / "quick"
    assert (out / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "resume.safetensors").exists()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["steps"], manifest["rows"]) == (STEPS, 48)
    assert not list(out.glob("epoch_*")), "export merges, from the adapter"

    # the same in two goes: Ctrl-C after two steps, then the same command
    line = [sys.executable, "-m", "querywright", *words(parts, base)]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 900
    log = parts / "model" / "quick" / "losses.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) >= 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    taken = len(losses(parts))
    assert 2 <= taken < STEPS
    assert not (parts / "model" / "quick" / "manifest.json").exists()
    assert not list((parts / "model" / "quick").glob(".*")), "half-written files"

    code, said = querywright(*words(parts, base))
    assert code == 0, said
    assert f"going on after step {taken}" in said
    assert [row["loss"] for row in losses(parts)] == pytest.approx([row["loss"] for row in rows], abs=1e-3)
    adapters = [load_file(w / "model/quick/adapter/adapter_model.safetensors") for w in (whole, parts)]
    assert all(abs(adapters[0][name] - adapters[1][name]).max() < 1e-3 for name in adapters[0])


@pytest.mark.slow
def test_torchtunes_own_command(workspace: Path, base: Path) -> None:
    """`tune run` with the stock recipe takes the shipped config as it is."""
    tune = [sys.executable, "-m", "torchtune._cli.tune", "run", "lora_finetune_single_device"]
    given = [f"workspace={workspace}", f"checkpointer.checkpoint_dir={base}", "batch_size=2", "max_steps_per_epoch=2"]
    config = ["--config", "ft_configs/smollm2_135m_lora_cpu.yaml", "save_adapter_weights_only=true"]
    done = subprocess.run([*tune, *config, *given], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [row["step"] for row in losses(workspace)] == [1, 2]
    assert (workspace / "model/quick/epoch_0/adapter_model.safetensors").is_file()


def test_mistakes_end_in_a_sentence(workspace: Path, base: Path, querywright: Command) -> None:
    for wrong, told in (("optimizer.lrr=1", "did you mean 'lr'"), (f"dataset.source={base}/none", "no training rows")):
        code, said = querywright(*words(workspace, base, wrong))
        assert code == 2
        assert told in said
        assert "Traceback" not in said
    assert not (workspace / "model").exists()
