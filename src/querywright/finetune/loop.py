"""The training loop of both backends: steps that can stop, be killed and go on, and what a finished run leaves.

A backend (:mod:`querywright.finetune.recipe` on torchtune, :mod:`querywright.finetune.with_peft` on transformers and
PEFT, :mod:`querywright.finetune.dpo` for preferences) builds a :class:`querywright.finetune.job.Job` and hands it over.
The loss of a step is the mean over all answer tokens of the step (of preferences: over its rows), however they are
dealt out to batches: batch 4 is the same as 2 batches of 2 accumulated.
"""

from __future__ import annotations

import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from querywright.artefacts import replacing, write_json
from querywright.errors import QuerywrightError
from querywright.finetune.batches import TOKENS, steps_per_epoch
from querywright.finetune.job import Job, save
from querywright.finetune.lora import CONFIG, WEIGHTS
from querywright.finetune.record import finish_run
from querywright.finetune.resume import RESUME, flat_state
from querywright.progress import say

SAY_EVERY_S = 10.0
STOPPED = 130


def run(job: Job) -> None:
    """Train until the last step or ``max_minutes``, then write what a run leaves.

    Raises:
        SystemExit: 130 after SIGINT or SIGTERM; everything needed to go on is saved.
        QuerywrightError: the loss is no number any more.
    """
    with _stoppable(job):
        over = _train(job)
        save(job)
    if not over:
        say(f"stopped after step {job.step}; the same command goes on from there")
        raise SystemExit(STOPPED)
    _finish(job)


def _train(job: Job) -> bool:
    """All steps that are left; whether that was all, or somebody asked to stop."""
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
    for batches in () if over else _steps(job, total, per_epoch):
        step_started, seen = time.monotonic(), job.tokens
        _advance_schedule(job, total, budget_s)
        loss, norm = _step(job, batches)
        if job.step == first + 1:
            flat_state(job.trained, job.optimizer)  # what can't be saved is said now, not after minutes
        now = time.monotonic()
        job.seconds = before + now - started
        rate, told = job.optimizer.param_groups[0]["lr"], job.told()
        if job.step % int(cfg.get("log_every_n_steps") or 1) == 0:
            numbers = {"loss": loss, **told, "lr": rate, "grad_norm": norm, "seconds": job.seconds}
            numbers["tokens_per_s"] = (job.tokens - seen) / (now - step_started)
            if cfg.get("log_peak_memory_stats") and job.device.type == "cuda":
                numbers["peak_memory_gib"] = torch.cuda.max_memory_allocated(job.device) / 2**30
            job.log.log_dict(numbers, step=job.step)
        over = job.step >= total or job.seconds >= budget_s
        if now - said >= SAY_EVERY_S or job.step == first + 1 or over:
            said = now
            left = (now - started) / (job.step - first) * (total - job.step)
            left = max(0.0, min(left, budget_s - job.seconds))
            more = "".join(f"{word} {told[name]:.3f}  " for name, word in job.shown.items() if name in told)
            say(f"step {job.step}/{total}  loss {loss:.4f}  {more}lr {rate:.2e}  ETA {clock(left)}")
        if over or job.stop:
            break
        if now - saved >= save_every_s or (save_every and job.step % save_every == 0):
            save(job)
            saved = now
    return over


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
    if job.scheduler is None:  # the rate stays as it is
        return
    done = max(job.step, int(total * job.seconds / budget_s))
    job.scheduler.last_epoch = done - 1  # step() adds one, then asks the schedule
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have it called after a step
        job.scheduler.step()


def _step(job: Job, batches: list[dict[str, Any]]) -> tuple[float, float]:
    """One optimizer step over some batches; returns the mean loss and the gradient's norm."""
    weights = [_answers(batch, job.ignore_index) if job.weight is None else job.weight(batch) for batch in batches]
    whole = max(sum(weights), 1)
    summed = torch.zeros((), device=job.device)
    for batch, n in zip(batches, weights, strict=True):
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


def _answers(batch: dict[str, Any], ignore_index: int) -> int:
    """Answer tokens: a label is what the token before it has to say, so the first of a row is nobody's."""
    return int((batch["labels"][..., 1:] != ignore_index).sum())


def _on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    if device.type != "cpu":
        from torchtune.utils import batch_to_device

        batch_to_device(batch, device)
    return batch


@contextmanager
def _stoppable(job: Job) -> Iterator[None]:
    """First SIGINT or SIGTERM: stop after this step. Second: at once; the last checkpoint stays."""

    def asked(signum: int, frame: Any) -> None:
        if job.stop:
            raise SystemExit(STOPPED)
        job.stop = True
        say("stopping after this step; once more to stop at once")

    before = {s: signal.signal(s, asked) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _finish(job: Job) -> None:
    """The adapter, the loss plot, and last the manifest; the checkpoint goes then."""
    from safetensors import torch as tensors

    job.log.close()
    folder = job.output / "adapter"
    about = {"peft_type": "LORA", "base_model_name_or_path": str(job.cfg.checkpointer.checkpoint_dir)}
    write_json(folder / CONFIG, {**about, **job.lora.peft(), "fan_in_fan_out": False, "inference_mode": True})
    with replacing(folder / WEIGHTS, "wb") as out:
        out.write(
            tensors.save({k: v.contiguous() for k, v in sorted(job.adapter().items())}, metadata={"format": "pt"})
        )
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
        recipe=job.cfg.get("recipe"),
    )
    (job.output / RESUME).unlink(missing_ok=True)
    say(f"done in {clock(job.seconds)}: {folder}; querywright export makes what it is used through")


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; with hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
