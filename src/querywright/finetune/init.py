"""What both backends know of a LoRA adapter: the config's words, its weights' names, the numbers they start from.

torchtune and PEFT draw the same distribution in another order. Here a weight's numbers depend on the seed and on its
PEFT name alone, so that the two begin equal, and a layer with more layers beside it begins as it would alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from querywright.artefacts import content_id
from querywright.errors import QuerywrightError
from querywright.finetune.lora import PREFIX

# torchtune's word for a projection -> the checkpoint's
PROJECTIONS = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "output_proj": "o_proj"}
MLP = ("gate_proj", "up_proj", "down_proj")
OUTPUT = "lm_head"
WRAPPED = "_checkpoint_wrapped_module."


@dataclass(frozen=True)
class LoraWords:
    """The LoRA settings of a config's ``model`` node, in PEFT's words.

    Attributes:
        targets: names of the linear layers that carry LoRA.
        layers: indices of the decoder layers that do, None for all.
        quantized: whether the frozen weights are to be in 4 bit (NF4).
    """

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    layers: tuple[int, ...] | None
    quantized: bool

    def peft(self) -> dict[str, Any]:
        """Arguments of ``peft.LoraConfig``, and what ``adapter_config.json`` says."""
        found = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout, "bias": "none"}
        found |= {"target_modules": list(self.targets), "task_type": "CAUSAL_LM"}
        return found | ({"layers_to_transform": list(self.layers)} if self.layers is not None else {})


def lora_words(model: Mapping[str, Any], n_layers: int) -> LoraWords:
    """Read the ``model`` node of a config; what it leaves out is the component's default.

    Args:
        n_layers: of the base model; ``lora_last_layers`` counts from its end.

    Raises:
        QuerywrightError: no LoRA at all, an unknown projection, or DoRA, which exports do not know.
    """
    from torchtune.config._utils import _get_component_from_path

    parameters = inspect.signature(_get_component_from_path(model["_component_"])).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    words = {**defaults, **{str(k): v for k, v in model.items()}}
    if "lora_rank" not in words:
        raise QuerywrightError(f"{model['_component_']} is no LoRA model", hint="a builder that begins with lora_")
    if words.get("use_dora"):
        raise QuerywrightError("model.use_dora: exports know plain LoRA only", hint="model.use_dora=false")
    asked = list(words.get("lora_attn_modules") or ())
    unknown = [name for name in asked if name not in PROJECTIONS]
    if unknown:
        raise QuerywrightError(f"model.lora_attn_modules: {unknown[0]!r} is none of {', '.join(PROJECTIONS)}")
    targets = [PROJECTIONS[name] for name in PROJECTIONS if name in asked]
    targets += MLP if words.get("apply_lora_to_mlp") else ()
    targets += (OUTPUT,) if words.get("apply_lora_to_output") else ()
    if not targets:
        raise QuerywrightError("no projection carries LoRA", hint="model.lora_attn_modules=[q_proj,v_proj]")
    last = words.get("lora_last_layers")
    if last is not None and not 0 < int(last) <= n_layers:
        raise QuerywrightError(f"model.lora_last_layers is {last}: the model has {n_layers} layers")
    return LoraWords(
        rank=int(words["lora_rank"]),
        alpha=words["lora_alpha"],
        dropout=float(words.get("lora_dropout") or 0.0),
        targets=tuple(targets),
        layers=None if last is None or last == n_layers else tuple(range(n_layers - int(last), n_layers)),
        quantized=bool(words.get("quantize_base")),
    )


@cache
def _names() -> dict[str, str]:
    from torchtune.models.convert_weights import _FROM_HF

    return {ours.replace(".weight", f".lora_{x.lower()}.weight"): theirs.replace(".weight", f".lora_{x}.weight")
            for theirs, ours in _FROM_HF.items() if ours for x in "AB"}  # fmt: skip


def peft_name(name: str) -> str:
    """torchtune's name of a LoRA weight -> PEFT's: ``layers.3.attn.q_proj.lora_a.weight`` ->
    ``base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight``."""
    from torchtune.models.convert_weights import get_mapped_key

    return PREFIX + str(get_mapped_key(name.replace(WRAPPED, ""), _names()))


def start_numbers(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """What a LoRA weight starts from, float32: zeros for B; for A [rank, in] uniform within ``1 / sqrt(in)``.

    That is ``kaiming_uniform_(a=sqrt(5))``, which both libraries use (Hu et al. 2021, arXiv:2106.09685, and PEFT's
    ``LoraLayer.reset_lora_parameters``).
    """
    if ".lora_B." in name:
        return torch.zeros(shape)
    own = torch.Generator().manual_seed(int(content_id(f"{seed}|{name}", 15), 16))
    bound = 1 / math.sqrt(shape[-1])
    return torch.empty(shape).uniform_(-bound, bound, generator=own)


def start(trained: Mapping[str, nn.Parameter], seed: int) -> None:
    """Give LoRA weights (by PEFT name) their first numbers, in place."""
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(start_numbers(name, tuple(parameter.shape), seed))
