"""torchtune's DPO recipe for one device, with our training loop: checkpoints inside an epoch, a way to go on, an ETA.

``querywright finetune smollm2_135m_dpo_cpu`` runs it. The stock recipe, ``tune run lora_dpo_single_device``, takes the
same configs; it saves at the end of an epoch only and can't go on within one. What it logs is logged here as well
(loss, rewards of both answers, their margin, and the share of rows whose wanted answer gained more), as means over all
rows of a step. The keys of the loop are those of :mod:`querywright.finetune.recipe`, but for ``start_adapter``: the
reference of DPO is the model without its adapter, so what it starts from has to be merged.

SmolLM2 with LoRA on all its projections takes the packed way on a CPU; every other model torchtune's.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from omegaconf import DictConfig
from torchtune import config
from torchtune.data import CROSS_ENTROPY_IGNORE_IDX
from torchtune.modules.peft import disable_adapter

from querywright.finetune.batches import make_dataset, make_loader, steps_per_epoch
from querywright.finetune.dpo_loss import (
    Tally,
    collate_padded,
    collate_pairs,
    packed_loss,
    padded_loss,
    rows_of,
    tokens_of,
)
from querywright.finetune.job import Job, main
from querywright.finetune.loop import run
from querywright.finetune.packed import PackedDecoder
from querywright.finetune.recipes import DPO
from querywright.finetune.stock import quiet, stock_job, stock_recipe
from querywright.progress import say

SHOWN = {"rewards/accuracies": "accuracy", "rewards/margins": "margin"}


class Recipe(stock_recipe(DPO, "LoRADPORecipeSingleDevice")):  # type: ignore[misc]
    """The stock recipe's set-up: model, checkpoint, compile, activation checkpointing, offloading."""

    def job(self, cfg: DictConfig, facts: dict[str, Any]) -> Job:
        """Set up as the stock recipe does, and hand what it made to the loop."""
        self.setup(cfg)
        steps_per_epoch(cfg, self._dataloader)
        tally = Tally()
        if self._packed:
            say("DPO: each prompt is computed once for both answers, and logits for answer tokens only")
            loss = partial(packed_loss, self._model, loss=self._loss_fn, tally=tally, known={})
        else:
            forward, off = partial(self.concatenated_forward, self._model), partial(disable_adapter, self._model)
            loss = partial(padded_loss, forward, off, loss=self._loss_fn, tally=tally)
        more = {"weight": rows_of, "told": tally.told, "shown": SHOWN}
        return stock_job(self, cfg, facts, loss=loss, ignore_index=CROSS_ENTROPY_IGNORE_IDX, **more)

    def _setup_data(self, cfg_dataset: Any, shuffle: bool, batch_size: int) -> tuple[None, Any]:
        """Our loader, which can be opened in the middle of an epoch, for the way that the model goes."""
        plain = self._device.type != "cpu" or self._model_compile or self._enable_activation_checkpointing
        self._packed = isinstance(self._model, PackedDecoder) and not plain
        dataset, _ = make_dataset(cfg_dataset, self._tokenizer)
        ignore = CROSS_ENTROPY_IGNORE_IDX
        padded = partial(collate_padded, padding_idx=self._tokenizer.pad_id, ignore_index=ignore)
        collate = partial(collate_pairs, ignore_index=ignore) if self._packed else padded
        return None, make_loader(dataset, collate, batch_size=batch_size, shuffle=shuffle, tokens_of=tokens_of)


@config.parse
def recipe_main(cfg: DictConfig) -> int:
    """Train as the config says, unless a manifest in its output folder says that just this is done."""
    quiet()
    return main(cfg, "torchtune", lambda cfg, facts: run(Recipe(cfg=cfg).job(cfg, facts)))


if __name__ == "__main__":
    sys.exit(recipe_main())
