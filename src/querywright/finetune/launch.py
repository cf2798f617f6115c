"""Run a checked config as a process of its own, so that an interrupted or failed run leaves no half state here.

Which one: our loop on torchtune's single-device recipes (LoRA and DPO), the same loop on transformers and PEFT
(``backend: peft``), or torchtune's own recipe for several GPUs, whose adapter then gets the folder and the manifest of
the others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, alone, replacing, write_json
from querywright.errors import QuerywrightError, need
from querywright.finetune.hardware import peak_memory
from querywright.finetune.recipes import DEFAULT, DISTRIBUTED, DPO, PEFT, TORCHTUNE, backend_of, recipe_of
from querywright.finetune.record import LOSSES, RESOLVED, is_finished
from querywright.progress import say

MODULES = {TORCHTUNE: "querywright.finetune.recipe", PEFT: "querywright.finetune.with_peft"}
PREFERENCES = "querywright.finetune.dpo"
# torchtune's `tune`; our package comes first because it keeps a library's remark off the screen
TUNE = "import querywright; from torchtune._cli.tune import main; main()"
STOPPED = (130, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGTERM)
MISTAKE = 2  # what a child returns after saying what to do


def train(cfg: Any) -> int:
    """Train as ``cfg`` (resolved and checked) says; returns the exit code: 0 done, 130 stopped by the user, 2 a mistake
    that the training process has said.

    Raises:
        QuerywrightError: something that the run needs is missing, or the training process failed; its last words are
            above.
    """
    from omegaconf import OmegaConf

    from querywright.finetune.preflight import check

    output, recipe = Path(cfg.output_dir), recipe_of(cfg)
    if (output / MANIFEST).is_file() and is_finished(output, _facts(cfg)):
        say(f"nothing to do: {output / MANIFEST} covers this config and data")
        return 0
    rows = check(cfg)
    line = command(cfg, output / RESOLVED)
    environment = _environment(str(cfg.device))
    with alone(output):  # a run that works there keeps its resolved.yaml
        told = "" if rows is None else f"{rows:,} rows from {cfg.dataset.source}; "
        say(f"{told}config resolved to {output / RESOLVED}")
        with replacing(output / RESOLVED) as out:
            out.write(OmegaConf.to_yaml(cfg))
        if recipe not in (DEFAULT, DPO):
            return _stock(cfg, line, environment, rows or 0)
    code = _wait_for(line, environment)  # our own loop keeps others out by itself
    return MISTAKE if code == MISTAKE else _judged(code)


def _stock(cfg: Any, line: list[str], environment: dict[str, str], rows: int) -> int:
    """Run one of torchtune's own recipes, which knows nothing of runs before it in the same folder."""
    output = Path(cfg.output_dir)
    for old in (MANIFEST, LOSSES):
        (output / old).unlink(missing_ok=True)
    started = time.monotonic()
    code = _judged(_wait_for(line, environment))
    if code:
        say(f"stopped: recipe {recipe_of(cfg)} saves at the end of an epoch only; the same command begins anew")
        return code
    _adopt(cfg, time.monotonic() - started, rows)
    return 0


def _judged(code: int) -> int:
    """130 for a process that was stopped, 0 for one that ended well.

    Raises:
        QuerywrightError: it failed.
    """
    if code in STOPPED:
        return 130
    if code:
        raise QuerywrightError(f"training failed (exit code {code}); its last lines are above", hint="the same command")
    return 0


def command(cfg: Any, resolved: Path) -> list[str]:
    """The training process's command line: our own loop where there is one, else ``tune run RECIPE``."""
    recipe = recipe_of(cfg)
    if recipe in (DEFAULT, DPO):
        module = PREFERENCES if recipe == DPO else MODULES[backend_of(cfg)]
        return [sys.executable, "-m", module, "--config", str(resolved)]
    several = ["--nproc_per_node", str(_processes(cfg))] if recipe == DISTRIBUTED else []
    return [sys.executable, "-c", TUNE, "run", *several, recipe, "--config", str(resolved)]


def _processes(cfg: Any) -> int:
    """One for each GPU, unless the config says how many.

    Raises:
        QuerywrightError: on a CPU: torchtune's recipe opens NCCL whatever the device.
    """
    if str(cfg.device) == "cpu":
        raise QuerywrightError(f"recipe {DISTRIBUTED} needs GPUs", hint=f"recipe={DEFAULT} on a CPU")
    if cfg.get("nproc_per_node"):
        return int(cfg.nproc_per_node)
    return max(1, int(need("torch", extra="train").cuda.device_count()))


def _environment(device: str) -> dict[str, str]:
    # waiting threads sleep instead of spinning: the machine may have something else to do
    own = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "PYTHONWARNINGS": "ignore"}
    if device.startswith("cuda"):
        own["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"  # less is lost between blocks of changing lengths
    return {**own, **os.environ}


def _wait_for(command: list[str], environment: dict[str, str]) -> int:
    """Run a command to its end; signals that reach us reach it once. Returns its exit code.

    The child leads its own process group, so Ctrl-C reaches it from here only, and nothing of it outlives us.
    """
    child = subprocess.Popen(command, env=environment, start_new_session=True)

    def pass_on(signum: int, frame: Any) -> None:
        if child.poll() is None:
            os.killpg(child.pid, signum)

    before = {s: signal.signal(s, pass_on) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        return child.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def _facts(cfg: Any) -> dict[str, Any]:
    from querywright.finetune.job import run_facts

    return run_facts(cfg, backend_of(cfg))


def _adopt(cfg: Any, seconds: float, rows: int) -> None:
    """Give what torchtune's own recipe left (``epoch_N``) the layout and the manifest of our runs.

    Raises:
        QuerywrightError: it left no adapter.
    """
    from querywright.finetune.init import lora_words
    from querywright.finetune.lora import CONFIG, PREFIX, WEIGHTS, read_adapter
    from querywright.finetune.record import finish_run, read_losses

    output = Path(cfg.output_dir)
    made = output / f"epoch_{int(cfg.epochs) - 1}"
    _, weights = read_adapter(made)
    layers = {int(name.removeprefix(PREFIX).split(".")[2]) for name in weights if ".layers." in name}
    words = lora_words(cfg.model, max(layers) + 1 if layers else 1)
    about = {"peft_type": "LORA", "base_model_name_or_path": str(cfg.checkpointer.checkpoint_dir)}
    folder = output / "adapter"
    write_json(folder / CONFIG, {**about, **words.peft(), "fan_in_fan_out": False, "inference_mode": True})
    with replacing(folder / WEIGHTS, "wb") as out:
        out.write((made / WEIGHTS).read_bytes())
    logged = read_losses(output / LOSSES)
    peaks = [row[key] for row in logged for key in row if key.startswith("peak_memory") and row[key] is not None]
    finish_run(
        output,
        _facts(cfg),
        backend=TORCHTUNE,
        steps=int(logged[-1]["step"]) if logged else 0,
        seconds=seconds,
        rows=rows,
        tokens=None,  # torchtune's recipes do not tell
        device=str(cfg.device),
        peak_bytes=int(max(peaks, default=0.0) * 2**30) or peak_memory(str(cfg.device), children=True),
        recipe=recipe_of(cfg),
    )
    say(f"done: {folder}; querywright export makes what it is used through")
