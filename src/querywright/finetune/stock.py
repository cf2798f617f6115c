"""What our recipes take from torchtune's own: the set-up of a run, and the names that it gives to LoRA weights."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

import torch
from torch import Tensor

from querywright.finetune.init import WRAPPED, lora_words, peft_name, start
from querywright.finetune.job import Job, begin
from querywright.finetune.lora import as_torchtune
from querywright.finetune.recipes import recipe_file

# what torchtune tells of each set-up whatever happens; what it says of memory, compiling and mistakes stays
ROUTINE = (
    "Setting manual seed", "Model is initialized", "Tokenizer is initialized", "Optimizer and loss are initialized",
    "Loss is initialized", "Loss function is initialized", "Dataset and Sampler are initialized",
    "Learning rate scheduler is initialized", " Profiling disabled", " Profiler config",
)  # fmt: skip


def stock_recipe(recipe: str, name: str) -> Any:
    """The class ``name`` of one of torchtune's recipes; their folder is no package, so it is loaded by path."""
    spec = importlib.util.spec_from_file_location(f"_{recipe}", recipe_file(recipe))
    assert spec is not None, recipe
    assert spec.loader is not None, recipe
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def quiet() -> None:
    """Keep torchtune's routine words off the screen in this process."""
    logging.getLogger("torchtune.utils._logging").addFilter(lambda told: not told.getMessage().startswith(ROUTINE))


class Names:
    """The LoRA weights of a torchtune model under PEFT's names, and both ways between the two orders of rows."""

    def __init__(self, model: Any) -> None:
        own = {n.replace(WRAPPED, ""): p for n, p in model.named_parameters() if p.requires_grad}
        attention = model.layers[0].attn
        self._own, self._heads = own, (attention.num_heads, attention.num_kv_heads)
        self._head_dim = attention.head_dim
        self.trained = {peft_name(name): parameter for name, parameter in own.items()}

    def as_peft(self) -> dict[str, Tensor]:
        """The weights as they are now, as PEFT wants them, on the CPU."""
        from torchtune.models.convert_weights import tune_to_peft_adapter_weights

        weights = {name: parameter.detach().cpu() for name, parameter in self._own.items()}
        heads, kv_heads = self._heads
        found = tune_to_peft_adapter_weights(weights, num_heads=heads, num_kv_heads=kv_heads, head_dim=self._head_dim)
        return {str(name): weight.clone() for name, weight in found.items()}

    def given(self, weights: dict[str, Any]) -> dict[str, Tensor]:
        """PEFT's weights (NumPy arrays) in torchtune's order, by PEFT name."""
        found = as_torchtune(weights, *self._heads)
        return {peft_name(name): torch.from_numpy(weight.copy()) for name, weight in found.items()}


def stock_job(recipe: Any, cfg: Any, facts: dict[str, Any], **more: Any) -> Job:
    """What a stock recipe made in its ``setup``, as a job for our loop: begun with our numbers, or where it stopped.

    Args:
        recipe: an instance that is set up.
        facts: what decides the result (:func:`querywright.finetune.job.run_facts`).
        more: what recipes differ in: ``loss``, ``ignore_index``, and what else :class:`Job` may be told.
    """
    names = Names(recipe._model)
    made = Job(
        cfg=cfg,
        facts=facts,
        backend="torchtune",
        device=recipe._device,
        lora=lora_words(cfg.model, len(recipe._model.layers)),
        trained=names.trained,
        optimizer=recipe._optimizer,
        scheduler=recipe._lr_scheduler,
        loader=recipe._dataloader,
        adapter=names.as_peft,
        log=recipe._metric_logger,
        **more,
    )
    start(made.trained, int(recipe.seed))
    begin(made, names.given)
    return made
