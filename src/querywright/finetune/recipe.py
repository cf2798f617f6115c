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

import sys
from typing import Any

from omegaconf import DictConfig
from torchtune import config
from torchtune.data import padded_collate_packed

from querywright.errors import QuerywrightError
from querywright.finetune.batches import collate_rows, make_dataset, make_loader, steps_per_epoch
from querywright.finetune.job import Job, main
from querywright.finetune.loop import run
from querywright.finetune.recipes import DEFAULT
from querywright.finetune.stock import quiet, stock_job, stock_recipe


class Recipe(stock_recipe(DEFAULT, "LoRAFinetuneRecipeSingleDevice")):  # type: ignore[misc]
    """The stock recipe's set-up: model, checkpoint, quantised base, compile, activation checkpointing, offloading."""

    def job(self, cfg: DictConfig, facts: dict[str, Any]) -> Job:
        """Set up as the stock recipe does, and hand what it made to the loop."""
        if cfg.get("profiler") and cfg.profiler.get("enabled"):
            raise QuerywrightError("only the stock recipe profiles", hint=f"tune run {DEFAULT} --config CONFIG")
        self.setup(cfg)
        steps_per_epoch(cfg, self._dataloader)
        return stock_job(self, cfg, facts, loss=self._loss_step, ignore_index=self._loss_fn.ignore_index)

    def _setup_data(self, cfg_dataset: Any, shuffle: bool, batch_size: int, collate_fn: str, **_: Any) -> Any:
        """The loader that both backends use."""
        from torchtune.config._utils import _get_component_from_path

        dataset, packed = make_dataset(cfg_dataset, self._tokenizer)
        own = collate_rows(_get_component_from_path(collate_fn), self._tokenizer, self._loss_fn.ignore_index)
        collate = padded_collate_packed if packed else own
        return make_loader(dataset, collate, batch_size=batch_size, shuffle=shuffle)


@config.parse
def recipe_main(cfg: DictConfig) -> int:
    """Train as the config says, unless a manifest in its output folder says that just this is done."""
    quiet()
    return main(cfg, "torchtune", lambda cfg, facts: run(Recipe(cfg=cfg).job(cfg, facts)))


if __name__ == "__main__":
    sys.exit(recipe_main())
