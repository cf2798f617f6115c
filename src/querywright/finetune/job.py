"""A training run as both backends see it: what it is made of, what decides its result, how it begins and goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from querywright.artefacts import MANIFEST, alone, content_id, sha256
from querywright.errors import QuerywrightError
from querywright.finetune.init import LoraWords
from querywright.finetune.loggers import with_losses
from querywright.finetune.lora import WEIGHTS, read_adapter
from querywright.finetune.record import is_finished, merged_id
from querywright.finetune.resume import RESUME, load_state, read_about, save_state
from querywright.progress import say

LOGGER = "querywright.finetune.record.JSONLogger"
# settings that do not change what comes out
WAYS = frozenset(
    {"save_every_minutes", "save_every_n_steps", "log_every_n_steps", "log_peak_memory_stats", "check_memory"}
)


@dataclass
class Job:
    """What a backend hands to the loop.

    Attributes:
        facts: what decides the result (:func:`run_facts`).
        trained: the weights that are trained, by PEFT name.
        loss: mean loss of what :attr:`weight` counts, shape [], of a batch on the device.
        weight: how much a batch counts in its step's mean; by default its answer tokens.
        told: further numbers of the step just done, by name, for the log; asked for once a step.
        shown: which of them the progress line shows, and under what word.
        adapter: the trained weights as PEFT wants them, by PEFT name, on the CPU.
        step: optimizer steps done; ``seconds`` and ``tokens`` were spent on them.
    """

    cfg: Any
    facts: dict[str, Any]
    backend: str
    device: torch.device
    lora: LoraWords
    trained: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    scheduler: Any
    loader: Any
    ignore_index: int
    loss: Callable[[dict[str, Any]], Tensor]
    adapter: Callable[[], dict[str, Tensor]]
    log: Any
    weight: Callable[[dict[str, Any]], int] | None = None
    told: Callable[[], dict[str, float]] = dict
    shown: dict[str, str] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    stop: bool = field(default=False, init=False)

    @property
    def output(self) -> Path:
        """The run's folder."""
        return Path(self.cfg.output_dir)


def run_facts(cfg: Any, backend: str) -> dict[str, Any]:
    """What decides a run's result: the resolved config and the data's hash. Equal facts: nothing to do again."""
    from omegaconf import OmegaConf

    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)
    adapter = cfg.get("start_adapter")
    if "metric_logger" in settings:  # who else is told the losses changes nothing
        settings["metric_logger"] = {"_component_": LOGGER, "log_dir": settings["output_dir"]}
    parts = cfg.dataset if OmegaConf.is_list(cfg.dataset) else [cfg.dataset]
    hashes = [sha256(part.source) for part in parts if part.get("source") and Path(part.source).is_file()]
    return {
        "settings": {str(k): v for k, v in settings.items() if k not in WAYS},
        **({"data_sha256": hashes[0] if len(hashes) == 1 else hashes} if hashes else {}),
        **({"start_adapter_sha256": sha256(Path(adapter) / WEIGHTS)} if adapter else {}),
        **({"backend": backend} if backend != "torchtune" else {}),
    }


def begin(job: Job, given: Callable[[dict[str, Any]], dict[str, Tensor]]) -> None:
    """Take over ``start_adapter``'s weights, then what an interrupted run of the same config and data left.

    Args:
        given: PEFT's weights (NumPy arrays by name) -> those of ``job.trained``, in the backend's own order.
    """
    if job.cfg.get("start_adapter"):
        folder = Path(job.cfg.start_adapter)
        about, weights = read_adapter(folder)
        found = given(weights)
        shapes = {n: tuple(p.shape) for n, p in job.trained.items()}
        fits = {n: tuple(w.shape) for n, w in found.items()} == shapes
        if not fits or about["lora_alpha"] / about["r"] != job.lora.alpha / job.lora.rank:
            raise QuerywrightError(
                f"the adapter in {folder} (rank {about['r']}, alpha {about['lora_alpha']}) does not fit this config",
                hint=f"model.lora_rank={about['r']} model.lora_alpha={about['lora_alpha']}, on the same projections",
            )
        with torch.no_grad():
            for name, parameter in job.trained.items():
                parameter.copy_(found[name])
        say(f"starting from the adapter in {folder}")
    path = job.output / RESUME
    if path.is_file():
        left = read_about(path)
        base = merged_id(job.facts)
        if left is None or left.get("run") != run_id(job) or left.get("base", base) != base:
            say(f"{path} is of another config, other data or another base: starting anew")
        else:
            load_state(path, job.trained, job.optimizer)
            job.step, job.seconds, job.tokens = left["step"], left["seconds"], left["tokens"]
            say(f"going on after step {job.step}, from {path}")
    job.log = with_losses(job.log, job.output)
    job.log.rewind(job.step)


def run_id(job: Job) -> str:
    """Of config and data; ``max_minutes`` may be changed when a stopped run goes on."""
    settings = {k: v for k, v in job.facts["settings"].items() if k != "max_minutes"}
    return content_id(json.dumps({**job.facts, "settings": settings}, sort_keys=True))


def save(job: Job) -> None:
    """Write the checkpoint that :func:`begin` goes on from."""
    about = {"run": run_id(job), "step": job.step, "seconds": job.seconds, "tokens": job.tokens}
    about["base"] = merged_id(job.facts)
    save_state(job.output / RESUME, job.trained, job.optimizer, about)


def main(cfg: Any, backend: str, train: Callable[[Any, dict[str, Any]], None]) -> int:
    """A training process: nothing where a manifest in the output folder covers the config, else ``train(cfg, facts)``.

    Returns:
        Exit code 0, or 2 after a mistake that a person can act on (said, without a traceback).
    """
    output = Path(cfg.output_dir)
    try:
        with alone(output):
            facts = run_facts(cfg, backend)
            if is_finished(output, facts):
                say(f"nothing to do: {output / MANIFEST} covers this config and data")
                return 0
            if (output / MANIFEST).is_file():
                say(
                    f"{output} holds a run of another config, other data or another base: it is trained anew and"
                    " replaced; output_dir=ANOTHER/FOLDER keeps both"
                )
                (output / MANIFEST).unlink()
            train(cfg, facts)
    except QuerywrightError as error:
        say(f"error: {error}" + (f"\n  try: {error.hint}" if error.hint else ""))
        return 2
    except torch.OutOfMemoryError as error:
        say(f"error: out of GPU memory ({str(error).splitlines()[0]})")
        say("  try: querywright finetune plan CONFIG, which tells what each setting saves; or batch_size=1")
        return 2
    return 0
