"""torchtune's LoRA recipe for one device, with checkpoints inside an epoch, a way to go on, and an ETA.

Run it as torchtune runs recipes of one's own: ``tune run querywright/finetune/recipe --config X.yaml k=v``;
``querywright finetune X k=v`` checks the keys first and then does the same. The stock recipe,
``tune run lora_finetune_single_device``, takes the same configs; it can neither be stopped nor go on.

``max_minutes`` bounds the training time: the learning rate then falls with the time used or with the steps done,
whichever is further, and training ends with the first of them. It may be changed when a stopped run goes on.
``start_adapter`` names the folder of an adapter (PEFT's layout, the same rank) to go on from with other rows or
settings, instead of the base model alone.

A run keeps ``resume.safetensors`` in its output folder (LoRA weights and optimizer state, every
``save_every_minutes``, default 5, and when it is stopped) until it is done; then ``manifest.json`` says so.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torchtune
from omegaconf import DictConfig, OmegaConf
from safetensors import safe_open
from torchtune import config, training, utils

from querywright.artefacts import MANIFEST, content_id, is_done, replacing, sha256, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.lora import WEIGHTS, as_torchtune, read_adapter
from querywright.finetune.record import LAST, LOSSES, PLOT, plot_losses, read_losses
from querywright.progress import say

RESUME = "resume.safetensors"
SAY_EVERY_S = 10.0
STOCK = "lora_finetune_single_device"


def stock_recipe() -> Any:
    """The class of torchtune's own recipe; its folder is no package, so it is loaded by path."""
    path = Path(torchtune.__file__).parent.parent / "recipes" / f"{STOCK}.py"
    spec = importlib.util.spec_from_file_location(f"_{STOCK}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LoRAFinetuneRecipeSingleDevice


def run_facts(cfg: DictConfig) -> dict[str, Any]:
    """What decides a run's result: the resolved config and the data's hash. Equal facts: nothing to do again."""
    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)
    adapter = cfg.get("start_adapter")
    begun = {"start_adapter_sha256": sha256(Path(adapter) / WEIGHTS)} if adapter else {}
    ways = {"save_every_minutes", "log_every_n_steps"}
    return {
        "settings": {str(k): v for k, v in settings.items() if k not in ways},
        "data_sha256": sha256(cfg.dataset.source),
        **begun,
    }


class Recipe(stock_recipe()):  # type: ignore[misc]
    """The stock recipe's set-up and final checkpoint; a training loop that can stop and go on."""

    def setup(self, cfg: DictConfig) -> None:
        """Set up as the stock recipe does, then go on from ``resume.safetensors`` if it fits this run."""
        super().setup(cfg)
        self._facts = run_facts(cfg)
        self._output, self._batch_size = Path(cfg.output_dir), cfg.batch_size
        self._budget_s = 60 * float(cfg.get("max_minutes") or "inf")
        self._save_every_s = 60 * float(cfg.get("save_every_minutes", 5))
        self._trained = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self._seconds, self._stop = 0.0, False
        if cfg.get("start_adapter"):
            self._start_from(Path(cfg.start_adapter))
        self._load_state()
        if hasattr(self._metric_logger, "rewind"):
            self._metric_logger.rewind(self.global_step)

    def _start_from(self, folder: Path) -> None:
        """Take over the weights of an adapter; the optimizer starts anew."""
        about, weights = read_adapter(folder)
        attention = self._model.layers[0].attn
        found = as_torchtune(weights, attention.num_heads, attention.num_kv_heads)
        shapes = {n: tuple(p.shape) for n, p in self._trained.items()}
        scale = attention.q_proj.alpha / attention.q_proj.rank
        if {n: w.shape for n, w in found.items()} != shapes or about["lora_alpha"] / about["r"] != scale:
            raise QuerywrightError(
                f"the adapter in {folder} (rank {about['r']}, alpha {about['lora_alpha']}) does not fit this config",
                hint=f"model.lora_rank={about['r']} model.lora_alpha={about['lora_alpha']}, on the same projections",
            )
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(torch.from_numpy(found[name].copy()))
        say(f"starting from the adapter in {folder}")

    def _save_state(self) -> None:
        """Write weights, optimizer state and step; whole or not at all."""
        from safetensors.torch import save

        tensors = {f"weight|{n}": p.detach() for n, p in self._trained.items()}
        for name, parameter in self._trained.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"{key}|{name}"] = torch.as_tensor(value)
        about = {"step": str(self.global_step), "seconds": str(self._seconds), "run": self._run_id()}
        with replacing(self._output / RESUME, "wb") as out:
            out.write(save(tensors, metadata=about))

    def _run_id(self) -> str:
        settings = {k: v for k, v in self._facts["settings"].items() if k != "max_minutes"}
        return content_id(json.dumps({**self._facts, "settings": settings}, sort_keys=True))

    def _load_state(self) -> None:
        """Take over what an interrupted run of the same config and data left, if there is such."""
        path = self._output / RESUME
        if not path.is_file():
            return
        with safe_open(path, framework="pt") as file:
            about = file.metadata()
            if about["run"] != self._run_id():
                say(f"{path} is of another config or other data: starting from the base model")
                return
            with torch.no_grad():
                for name, parameter in self._trained.items():
                    parameter.copy_(file.get_tensor(f"weight|{name}"))
            for full in file.keys():  # noqa: SIM118 - safe_open is no mapping
                key, name = full.split("|", 1)
                if key != "weight":
                    self._optimizer.state[self._trained[name]][key] = file.get_tensor(full)
        self.global_step, self._seconds = int(about["step"]), float(about["seconds"])
        say(f"going on after step {self.global_step}, from {path}")

    def train(self) -> None:
        """One pass over the data for each epoch; accumulates gradients, clips, steps, logs, saves."""
        total = self.total_epochs * self._steps_per_epoch
        rows_a_step = self._batch_size * self._gradient_accumulation_steps
        weights = sum(p.numel() for p in self._trained.values())
        say(f"training: {total} steps of {rows_a_step} rows, {weights:,} weights")
        before, first = self._seconds, self.global_step
        started = saved = said = time.monotonic()
        over = True  # unless there is a step left to do
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._ask_to_stop)
        while self.global_step < total and self._seconds < self._budget_s and not self._stop:
            epoch, done = divmod(self.global_step, self._steps_per_epoch)
            self._dataloader.sampler.set_epoch(epoch)
            self._dataloader.sampler.load_state_dict({"yielded": done * rows_a_step})
            batches = iter(self._dataloader)
            for _ in range(done, self._steps_per_epoch):
                step_started = time.monotonic()
                self._advance_schedule(total)
                loss, norm, tokens = self._step([next(batches) for _ in range(self._gradient_accumulation_steps)])
                now = time.monotonic()
                self._seconds = before + now - started
                numbers = {"loss": loss, "lr": self._optimizer.param_groups[0]["lr"], "grad_norm": norm}
                speed = {"tokens_per_s": tokens / (now - step_started), "seconds": self._seconds}
                if self.global_step % self._log_every_n_steps == 0:
                    self._metric_logger.log_dict({**numbers, **speed}, step=self.global_step)
                over = self.global_step == total or self._seconds >= self._budget_s
                if now - said >= SAY_EVERY_S or self.global_step == first + 1 or over:
                    said = now
                    left = (now - started) / (self.global_step - first) * (total - self.global_step)
                    left = max(0.0, min(left, self._budget_s - self._seconds))
                    say(f"step {self.global_step}/{total}  loss {loss:.4f}  lr {numbers['lr']:.2e}  ETA {clock(left)}")
                if now - saved >= self._save_every_s:
                    self._save_state()
                    saved = now
                if over or self._stop:
                    break
        self._save_state()
        if self._stop and not over:
            say(f"stopped after step {self.global_step}; the same command goes on from there")
            raise SystemExit(130)
        self._finish()

    def _advance_schedule(self, total: int) -> None:
        """Set the learning rate of the next step: from the steps done, or from the time used if that is further on."""
        done = max(self.global_step, int(total * self._seconds / self._budget_s))
        self._lr_scheduler.last_epoch = done - 1  # step() adds one, then asks the schedule
        self._lr_scheduler.step()

    def _step(self, batches: list[dict[str, Any]]) -> tuple[float, float, int]:
        """One optimizer step over some batches; returns mean loss, gradient norm and answer tokens."""
        tokens, summed = 0, 0.0
        for batch in batches:
            utils.batch_to_device(batch, self._device)
            n = int((batch["labels"] != self._loss_fn.ignore_index).sum())
            loss = self._loss_step(batch) * n
            loss.backward()
            tokens, summed = tokens + n, summed + float(loss.detach())
        training.scale_grads(self._model, torch.tensor(1 / max(tokens, 1)))
        limit = float("inf") if self._clip_grad_norm is None else float(self._clip_grad_norm)
        norm = float(torch.nn.utils.clip_grad_norm_(list(self._trained.values()), max_norm=limit))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.global_step += 1
        return summed / max(tokens, 1), norm, tokens

    def _ask_to_stop(self, signum: int, frame: Any) -> None:
        """First signal: stop after this step. Second: at once; the last checkpoint stays."""
        if self._stop:
            raise SystemExit(130)
        self._stop = True
        say("stopping after this step; once more to stop at once")

    def _finish(self) -> None:
        """The stock recipe's final checkpoint, the loss plot, and last the manifest."""
        self._metric_logger.close()
        last = self.total_epochs - 1
        self.save_checkpoint(epoch=last)
        merged, adapter = self._output / f"epoch_{last}", self._output / "adapter"
        (merged / MANIFEST).unlink(missing_ok=True)  # the base model's, copied along
        # the checkpoint is merged: with the adapter beside it transformers would add it a second time
        adapter.mkdir(exist_ok=True)
        for path in merged.glob("adapter_*"):
            path.replace(adapter / path.name)
        weights = [*merged.glob("*.safetensors"), *adapter.glob("*.safetensors")]
        files = [str(path.relative_to(self._output)) for path in sorted(weights)]
        losses = [row["loss"] for row in read_losses(self._output / LOSSES)][-LAST:]
        if losses:
            files += [LOSSES, plot_losses(self._output).name]
        packages = {name: version(name) for name in ("torch", "torchtune", "torchao")}
        facts = {"steps": self.global_step, "seconds": round(self._seconds, 1), "rows": len(self._dataloader.dataset)}
        loss = round(sum(losses) / len(losses), 4) if losses else None
        write_manifest(self._output, self._facts, files, **facts, mean_last_losses=loss, packages=packages)
        (self._output / RESUME).unlink(missing_ok=True)
        say(f"done in {clock(self._seconds)}: {adapter}, merged {merged}, losses in {self._output / PLOT}")


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; with hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@config.parse
def recipe_main(cfg: DictConfig) -> None:
    """Train as the config says, unless a manifest in its output folder says that just this is done."""
    output = Path(cfg.output_dir)
    if is_done(output, run_facts(cfg)):
        say(f"nothing to do: {output / MANIFEST} covers this config and data")
        return
    if (output / MANIFEST).is_file():
        say(f"{output} holds a run of another config or other data: it is trained anew and replaced")
        (output / MANIFEST).unlink()
    recipe = Recipe(cfg=cfg)
    recipe.setup(cfg=cfg)
    recipe.train()


if __name__ == "__main__":
    sys.exit(recipe_main())
