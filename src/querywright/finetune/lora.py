"""LoRA adapters as files in PEFT's layout: read, write, and what they add to a weight. NumPy only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import replacing, write_json
from querywright.errors import QuerywrightError, need

if TYPE_CHECKING:
    import numpy as np

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
# what a config may ask for that is no sum of a weight and B @ A of one rank
STRANGE = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "fan_in_fan_out", "lora_bias")


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Config and weights of an adapter; weights of 16 bit without a NumPy type (bfloat16) come as float32.

    Raises:
        QuerywrightError: a file is missing or damaged, or the adapter is no plain LoRA.
    """
    import safetensors

    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise QuerywrightError(f"no adapter in {folder}: {', '.join(missing)} missing", hint="querywright finetune")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        strange = [key for key in STRANGE if config.get(key)]
        if config.get("peft_type") != "LORA" or strange:
            what = f" ({', '.join(strange)})" if strange else ""
            raise QuerywrightError(
                f"{folder} is no plain LoRA adapter{what}", hint="merge it with peft and use the checkpoint"
            )
        return config, _arrays(folder / WEIGHTS)
    except (ValueError, AttributeError, OSError, safetensors.SafetensorError) as error:
        raise QuerywrightError(f"the adapter in {folder} is damaged: {error}", hint="querywright finetune") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        names = list(file.keys())
        if any(file.get_slice(name).get_dtype() == "BF16" for name in names):
            need("torch", extra="train")
            from safetensors.torch import load_file

            return {name: weight.float().numpy() for name, weight in load_file(path).items()}
        return {name: file.get_tensor(name) for name in names}


def scale_of(config: Mapping[str, Any]) -> float:
    """What ``B @ A`` is multiplied by: ``alpha / r``, or ``alpha / sqrt(r)`` where ``use_rslora`` says so."""
    rank = float(config["r"])
    return float(config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank))


class Deltas(Mapping[str, "np.ndarray"]):
    """What an adapter adds: name of the checkpoint's weight -> ``scale * B @ A``, float32 [out, in].

    Each is made when it is asked for: all of them together are as large as the model.
    """

    def __init__(self, config: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        """Of what ``read_adapter`` gives."""
        self.scale = scale_of(config)
        end = ".lora_A.weight"
        self._parts = {
            key.removeprefix(PREFIX).replace(end, ".weight"): (a, weights[key.replace(".lora_A.", ".lora_B.")])
            for key, a in weights.items()
            if key.endswith(end)
        }
        self.shapes = {name: (b.shape[0], a.shape[1]) for name, (a, b) in self._parts.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        a, b = self._parts[name]
        added: np.ndarray = self.scale * (b.astype("float32") @ a.astype("float32"))
        return added

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts


def deltas(config: dict[str, Any], weights: dict[str, np.ndarray]) -> Deltas:
    """What the adapter that `read_adapter` read adds to its base."""
    return Deltas(config, weights)


def as_torchtune(weights: dict[str, np.ndarray], heads: int, kv_heads: int) -> dict[str, np.ndarray]:
    """PEFT's weights under torchtune's names, float32: the way back of ``tune_to_peft_adapter_weights``.

    torchtune keeps the rows of query and key projections in another order (pairs of a rotation stand together), so
    their B matrices are put into it. Names that torchtune does not know are left out.
    """
    from torchtune.models.convert_weights import _FROM_HF, get_mapped_key

    names = {k.replace(".weight", f".lora_{x}.weight"): v.replace(".weight", f".lora_{x.lower()}.weight")
             for k, v in _FROM_HF.items() if v for x in "AB"}  # fmt: skip
    found = {}
    for key, weight in weights.items():
        count = {"q_proj": heads, "k_proj": kv_heads}.get(key.split(".")[-3])
        if count and ".lora_B." in key:
            rows, rank = weight.shape
            weight = weight.reshape(count, 2, rows // count // 2, rank).swapaxes(1, 2).reshape(rows, rank)
        found[get_mapped_key(key.removeprefix(PREFIX), names)] = weight.astype("float32")
    return found


def write_adapter(source: Path, folder: Path, base_model: str) -> None:
    """Copy torchtune's adapter to ``folder`` in 16 bit, with all that PEFT wants to know in its config.

    float16 keeps three more bits than bfloat16, and LoRA weights are far from its limits (checked).
    """
    import numpy as np
    from safetensors.numpy import save

    config, weights = read_adapter(source)
    largest = max(float(np.abs(w).max()) for w in weights.values())
    if not largest < 1e3:
        raise QuerywrightError(f"{source}: a weight of {largest:g}: the training diverged", hint="a lower optimizer.lr")
    known = {key: config[key] for key in ("r", "lora_alpha")} | {"target_modules": sorted(config["target_modules"])}
    known |= {key: config[key] for key in ("use_rslora", "layers_to_transform") if config.get(key)}
    fixed = {"task_type": "CAUSAL_LM", "bias": "none", "lora_dropout": 0.0, "fan_in_fan_out": False}
    about = {"peft_type": "LORA", "base_model_name_or_path": base_model, "inference_mode": True}
    write_json(folder / CONFIG, {**about, **known, **fixed})
    halves = {name: np.ascontiguousarray(w.astype(np.float16)) for name, w in sorted(weights.items())}
    with replacing(folder / WEIGHTS, "wb") as out:
        out.write(save(halves, metadata={"format": "pt"}))
