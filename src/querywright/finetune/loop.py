"""The training loop of both backends: steps that can stop, be killed and go on, and what a finished run leaves.

A backend (:mod:`querywright.finetune.recipe` on torchtune, :mod:`querywright.finetune.with_peft` on transformers and
PEFT) builds a :class:`Job` and hands it to :func:`run`. The loss of a step is the mean over all answer tokens of the
step, however they are dealt out to batches: batch 4 is the same as 2 batches of 2 accumulated.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from querywright.artefacts import MANIFEST, alone, content_id, is_done, replacing, sha256, write_json
from querywright.errors import QuerywrightError
from querywright.finetune.init import LoraWords
from querywright.finetune.loggers import with_losses
from querywright.finetune.lora import CONFIG, WEIGHTS, read_adapter
from querywright.finetune.record import finish_run
from querywright.finetune.resume import RESUME, flat_state, load_state, read_about, save_state
from querywright.progress import say

SAY_EVERY_S = 10.0
STOPPED = 130
WAYS = frozenset(
    {"save_every_minutes", "save_every_n_steps", "log_every_n_steps", "log_peak_memory_stats", "check_memory"}
)
TOKENS = "n_tokens"  # key that :func:`make_loader` adds to a batch: tokens of its rows, padding not counted


@dataclass
class Job:
    """What a backend hands to the loop.

    Attributes:
        facts: what decides the result (:func:`run_facts`).
        trained: the weights that are trained, by PEFT name.
        loss: mean cross entropy of a batch's answer tokens, shape [], of a batch on the device.
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
    source, adapter = cfg.dataset.get("source"), cfg.get("start_adapter")
    return {
        "settings": {str(k): v for k, v in settings.items() if k not in WAYS},
        **({"data_sha256": sha256(source)} if source else {}),
        **({"start_adapter_sha256": sha256(Path(adapter) / WEIGHTS)} if adapter else {}),
        **({"backend": backend} if backend != "torchtune" else {}),
    }


def make_loader(dataset: Any, collate: Callable[..., dict[str, Any]], *, batch_size: int, shuffle: bool) -> Any:
    """Batches in torchtune's order (its sampler, seed 0, a last part batch left out), with their tokens counted.

    Its generator is its own: a loader that is opened again after a stop leaves the global one as it was.
    """
    from torchdata.stateful_dataloader import StatefulDataLoader
    from torchdata.stateful_dataloader.sampler import StatefulDistributedSampler

    def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {**collate(rows), TOKENS: sum(len(row["tokens"]) for row in rows)}

    sampler = StatefulDistributedSampler(dataset, num_replicas=1, rank=0, shuffle=shuffle, seed=0)
    rest: dict[str, Any] = {"batch_size": batch_size, "drop_last": True, "generator": torch.Generator()}
    return StatefulDataLoader(dataset, sampler=sampler, collate_fn=counted, **rest)


def make_dataset(cfg: Any, tokenizer: Any) -> tuple[Any, bool]:
    """The config's dataset (a list of them is joined, as torchtune does), and whether its rows are packed."""
    from omegaconf import ListConfig
    from torchtune import config
    from torchtune.datasets import ConcatDataset, PackedDataset

    if isinstance(cfg, ListConfig):
        joined = ConcatDataset(datasets=[config.instantiate(one, tokenizer) for one in cfg])
        return joined, bool(getattr(joined, "packed", False))
    made = config.instantiate(cfg, tokenizer)
    return made, isinstance(made, PackedDataset) or bool(cfg.get("packed", False))


def collate_rows(component: Callable[..., Any], tokenizer: Any, ignore_index: int) -> Callable[..., dict[str, Any]]:
    """A collate component with what recipes hand to it."""
    return partial(component, padding_idx=tokenizer.pad_id, ignore_idx=ignore_index)


def steps_per_epoch(cfg: Any, loader: Any) -> int:
    """Optimizer steps of one pass over the rows.

    Raises:
        QuerywrightError: there are fewer rows than one step takes.
    """
    found = len(loader) // int(cfg.gradient_accumulation_steps)
    if not found:
        raise QuerywrightError(
            f"{len(loader.dataset)} rows are too few for one step of "
            f"{cfg.gradient_accumulation_steps} x {cfg.batch_size}",
            hint="batch_size=1 gradient_accumulation_steps=1, or more rows",
        )
    return min(found, int(cfg.get("max_steps_per_epoch") or found))


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
        if left is None or left.get("run") != _run_id(job):
            say(f"{path} is of another config or other data: starting anew")
        else:
            load_state(path, job.trained, job.optimizer)
            job.step, job.seconds, job.tokens = left["step"], left["seconds"], left["tokens"]
            say(f"going on after step {job.step}, from {path}")
    job.log = with_losses(job.log, job.output)
    job.log.rewind(job.step)


def _run_id(job: Job) -> str:
    """Of config and data; ``max_minutes`` may be changed when a stopped run goes on."""
    settings = {k: v for k, v in job.facts["settings"].items() if k != "max_minutes"}
    return content_id(json.dumps({**job.facts, "settings": settings}, sort_keys=True))


def _save(job: Job) -> None:
    about = {"run": _run_id(job), "step": job.step, "seconds": job.seconds, "tokens": job.tokens}
    save_state(job.output / RESUME, job.trained, job.optimizer, about)


def run(job: Job) -> None:
    """Train until the last step or ``max_minutes``, then write what a run leaves.

    Raises:
        SystemExit: 130 after SIGINT or SIGTERM; everything needed to go on is saved.
        QuerywrightError: the loss is no number any more.
    """
    cfg = job.cfg
    per_epoch = steps_per_epoch(cfg, job.loader)
    total, first, before = int(cfg.epochs) * per_epoch, job.step, job.seconds
    budget_s = 60 * float(cfg.get("max_minutes") or "inf")
    save_every_s = 60 * float(cfg.get("save_every_minutes") or 5)
    save_every = int(cfg.get("save_every_n_steps") or 0)
    weights = sum(p.numel() for p in job.trained.values())
    say(f"training: {total} steps of {cfg.batch_size * cfg.gradient_accumulation_steps} rows, {weights:,} weights")
    over = job.step >= total or job.seconds >= budget_s
    started = saved = said = time.monotonic()
    _listen(job)
    for batches in () if over else _steps(job, total, per_epoch):
        step_started, seen = time.monotonic(), job.tokens
        _advance_schedule(job, total, budget_s)
        loss, norm = _step(job, batches)
        if job.step == first + 1:
            flat_state(job.trained, job.optimizer)  # what can't be saved is said now, not after minutes
        now = time.monotonic()
        job.seconds = before + now - started
        rate = job.optimizer.param_groups[0]["lr"]
        if job.step % int(cfg.get("log_every_n_steps") or 1) == 0:
            speed = {"tokens_per_s": (job.tokens - seen) / (now - step_started), "seconds": job.seconds}
            job.log.log_dict({"loss": loss, "lr": rate, "grad_norm": norm, **speed}, step=job.step)
        over = job.step >= total or job.seconds >= budget_s
        if now - said >= SAY_EVERY_S or job.step == first + 1 or over:
            said = now
            left = (now - started) / (job.step - first) * (total - job.step)
            left = max(0.0, min(left, budget_s - job.seconds))
            say(f"step {job.step}/{total}  loss {loss:.4f}  lr {rate:.2e}  ETA {clock(left)}")
        if now - saved >= save_every_s or (save_every and job.step % save_every == 0):
            _save(job)
            saved = now
        if over or job.stop:
            break
    _save(job)
    if job.stop and not over:
        say(f"stopped after step {job.step}; the same command goes on from there")
        raise SystemExit(STOPPED)
    _finish(job)


def _steps(job: Job, total: int, per_epoch: int) -> Iterator[list[dict[str, Any]]]:
    """The batches of each step that is still to do; the place in an epoch's order follows from the step."""
    accumulated = int(job.cfg.gradient_accumulation_steps)
    sampler = job.loader.sampler
    while job.step < total:
        epoch, done = divmod(job.step, per_epoch)
        sampler.set_epoch(epoch)
        sampler.load_state_dict({"yielded": done * accumulated * int(job.cfg.batch_size)})
        batches = iter(job.loader)
        for _ in range(done, per_epoch):
            yield [next(batches) for _ in range(accumulated)]


def _advance_schedule(job: Job, total: int, budget_s: float) -> None:
    """Set the learning rate of the next step: from the steps done, or from the time used if that is further on."""
    done = max(job.step, int(total * job.seconds / budget_s))
    job.scheduler.last_epoch = done - 1  # step() adds one, then asks the schedule
    job.scheduler.step()


def _step(job: Job, batches: list[dict[str, Any]]) -> tuple[float, float]:
    """One optimizer step over some batches; returns the mean loss of their answer tokens and the gradient's norm."""
    # a label is what the token before it has to say: the first of a row is nobody's
    answers = [int((batch["labels"][..., 1:] != job.ignore_index).sum()) for batch in batches]
    whole = max(sum(answers), 1)
    summed = torch.zeros((), device=job.device)
    for batch, n in zip(batches, answers, strict=True):
        job.tokens += batch.pop(TOKENS)
        if n:
            loss = job.loss(_on_device(batch, job.device)) * (n / whole)
            loss.backward()
            summed += loss.detach()
    limit = job.cfg.get("clip_grad_norm")
    parameters = list(job.trained.values())
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, max_norm=math.inf if limit is None else float(limit)))
    if not math.isfinite(norm) or not math.isfinite(float(summed)):
        raise QuerywrightError(
            f"step {job.step + 1}: the loss is {float(summed)} and its gradient {norm}: the training diverged",
            hint="a lower optimizer.lr, or clip_grad_norm=1.0; it goes on from the last checkpoint otherwise",
        )
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    job.step += 1
    return float(summed), norm


def _on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    if device.type != "cpu":
        from torchtune.utils import batch_to_device

        batch_to_device(batch, device)
    return batch


def _listen(job: Job) -> None:
    """First SIGINT or SIGTERM: stop after this step. Second: at once; the last checkpoint stays."""

    def asked(signum: int, frame: Any) -> None:
        if job.stop:
            raise SystemExit(STOPPED)
        job.stop = True
        say("stopping after this step; once more to stop at once")

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, asked)


def _finish(job: Job) -> None:
    """The adapter, the loss plot, and last the manifest; the checkpoint goes then."""
    from safetensors.torch import save

    job.log.close()
    folder = job.output / "adapter"
    about = {"peft_type": "LORA", "base_model_name_or_path": str(job.cfg.checkpointer.checkpoint_dir)}
    write_json(folder / CONFIG, {**about, **job.lora.peft(), "fan_in_fan_out": False, "inference_mode": True})
    with replacing(folder / WEIGHTS, "wb") as out:
        out.write(save({k: v.contiguous() for k, v in sorted(job.adapter().items())}, metadata={"format": "pt"}))
    dataset = job.loader.dataset
    finish_run(
        job.output,
        job.facts,
        backend=job.backend,
        steps=job.step,
        seconds=job.seconds,
        rows=len(getattr(dataset, "ds", dataset)),  # a packed dataset holds the one it was made of
        tokens=job.tokens,
        device=str(job.device),
        dataset_report=getattr(getattr(dataset, "ds", dataset), "report", None),
    )
    (job.output / RESUME).unlink(missing_ok=True)
    say(f"done in {clock(job.seconds)}: {folder}; querywright export makes what it is used through")


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; with hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def main(cfg: Any, backend: str, train: Callable[[Any, dict[str, Any]], None]) -> int:
    """A training process: nothing where a manifest in the output folder covers the config, else ``train(cfg, facts)``.

    Returns:
        Exit code 0, or 2 after a mistake that a person can act on (said, without a traceback).
    """
    output = Path(cfg.output_dir)
    try:
        with alone(output):
            facts = run_facts(cfg, backend)
            if is_done(output, facts):
                say(f"nothing to do: {output / MANIFEST} covers this config and data")
                return 0
            if (output / MANIFEST).is_file():
                say(f"{output} holds a run of another config or other data: it is trained anew and replaced")
                (output / MANIFEST).unlink()
            train(cfg, facts)
    except QuerywrightError as error:
        say(f"error: {error}" + (f"\n  try: {error.hint}" if error.hint else ""))
        return 2
    except torch.OutOfMemoryError as error:
        say(f"error: out of GPU memory ({str(error).splitlines()[0]})")
        say("  try: querywright finetune plan CONFIG, which tells what each setting saves; batch_size=1 first")
        return 2
    return 0
