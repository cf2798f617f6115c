"""torchtune's LoRA recipe for one device, with our training loop: checkpoints inside an epoch, a way to go on, an ETA.

Run it as torchtune runs recipes of one's own: ``tune run querywright/finetune/recipe --config X.yaml k=v``;
``querywright finetune X k=v`` checks the keys first and then does the same. The stock recipe,
``tune run lora_finetune_single_device``, takes the same configs; it can neither be stopped nor go on.

``max_minutes`` bounds the training time: the learning rate then falls with the time used or with the steps done,
whichever is further, and training ends with the first of them. It may be changed when a stopped run goes on.
``start_adapter`` names the folder of an adapter (PEFT's layout, the same rank) to go on from with other rows or
settings, instead of the base model alone.

A run keeps ``resume.safetensors`` in its output folder (every ``save_every_minutes``, default 5, every
``save_every_n_steps``, and when it is stopped) until it is done; then ``manifest.json`` says so. It leaves the adapter;
``querywright export`` merges it.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from typing import Any

import torch
import torchtune
from omegaconf import DictConfig
from torch import Tensor
from torchtune import config
from torchtune.data import padded_collate_packed

from querywright.errors import QuerywrightError
from querywright.finetune.batches import collate_rows, make_dataset, make_loader, steps_per_epoch
from querywright.finetune.init import WRAPPED, lora_words, peft_name, start
from querywright.finetune.job import Job, begin, main
from querywright.finetune.loop import run
from querywright.finetune.lora import as_torchtune

STOCK = "lora_finetune_single_device"
# what torchtune tells of each set-up whatever happens; what it says of memory, compiling and mistakes stays
ROUTINE = (
    "Setting manual seed", "Model is initialized", "Tokenizer is initialized", "Optimizer and loss are initialized",
    "Loss is initialized", "Learning rate scheduler is initialized", " Profiling disabled", " Profiler config",
)  # fmt: skip


def stock_recipe() -> Any:
    """The class of torchtune's own recipe; its folder is no package, so it is loaded by path."""
    path = Path(torchtune.__file__).parent.parent / "recipes" / f"{STOCK}.py"
    spec = importlib.util.spec_from_file_location(f"_{STOCK}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LoRAFinetuneRecipeSingleDevice


class Recipe(stock_recipe()):  # type: ignore[misc]
    """The stock recipe's set-up: model, checkpoint, quantised base, compile, activation checkpointing, offloading."""

    def job(self, cfg: DictConfig, facts: dict[str, Any]) -> Job:
        """Set up as the stock recipe does, and hand what it made to the loop."""
        if cfg.get("profiler") and cfg.profiler.get("enabled"):
            raise QuerywrightError("only the stock recipe profiles", hint=f"tune run {STOCK} --config CONFIG")
        self.setup(cfg)
        steps_per_epoch(cfg, self._dataloader)
        trained = {n.replace(WRAPPED, ""): p for n, p in self._model.named_parameters() if p.requires_grad}
        attention = self._model.layers[0].attn
        heads = (attention.num_heads, attention.num_kv_heads)
        job = Job(
            cfg=cfg,
            facts=facts,
            backend="torchtune",
            device=self._device,
            lora=lora_words(cfg.model, len(self._model.layers)),
            trained={peft_name(name): parameter for name, parameter in trained.items()},
            optimizer=self._optimizer,
            scheduler=self._lr_scheduler,
            loader=self._dataloader,
            ignore_index=self._loss_fn.ignore_index,
            loss=self._loss_step,
            adapter=lambda: _as_peft(trained, *heads, attention.head_dim),
            log=self._metric_logger,
        )
        start(job.trained, int(self.seed))
        begin(job, lambda weights: {peft_name(n): _tensor(w) for n, w in as_torchtune(weights, *heads).items()})
        return job

    def _setup_data(self, cfg_dataset: Any, shuffle: bool, batch_size: int, collate_fn: str, **_: Any) -> Any:
        """The loader that both backends use."""
        from torchtune.config._utils import _get_component_from_path

        dataset, packed = make_dataset(cfg_dataset, self._tokenizer)
        own = collate_rows(_get_component_from_path(collate_fn), self._tokenizer, self._loss_fn.ignore_index)
        collate = padded_collate_packed if packed else own
        return make_loader(dataset, collate, batch_size=batch_size, shuffle=shuffle)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array.copy())


def _as_peft(trained: dict[str, Any], heads: int, kv_heads: int, head_dim: int) -> dict[str, Tensor]:
    """Trained weights under torchtune's names -> PEFT's names and order of rows, on the CPU."""
    from torchtune.models.convert_weights import tune_to_peft_adapter_weights

    weights = {name: parameter.detach().cpu() for name, parameter in trained.items()}
    found = tune_to_peft_adapter_weights(weights, num_heads=heads, num_kv_heads=kv_heads, head_dim=head_dim)
    return {str(name): weight.clone() for name, weight in found.items()}


@config.parse
def recipe_main(cfg: DictConfig) -> int:
    """Train as the config says, unless a manifest in its output folder says that just this is done."""
    logging.getLogger("torchtune.utils._logging").addFilter(lambda told: not told.getMessage().startswith(ROUTINE))
    return main(cfg, "torchtune", lambda cfg, facts: run(Recipe(cfg=cfg).job(cfg, facts)))


if __name__ == "__main__":
    sys.exit(recipe_main())
