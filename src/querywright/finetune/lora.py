"""LoRA adapters as files in PEFT's layout: read, write, and what they add to a weight. NumPy only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import replacing, write_json
from querywright.errors import QuerywrightError

if TYPE_CHECKING:
    import numpy as np

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Config and weights of an adapter.

    Raises:
        QuerywrightError: a file is missing, or the adapter is no plain LoRA.
    """
    from safetensors.numpy import load_file

    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise QuerywrightError(f"no adapter in {folder}: {', '.join(missing)} missing", hint="querywright finetune")
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("rank_pattern"):
        raise QuerywrightError(f"{folder} is no plain LoRA adapter", hint="merge it with peft and use the checkpoint")
    return config, load_file(folder / WEIGHTS)


def deltas(config: dict[str, Any], weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the adapter adds: name of the checkpoint's weight -> ``alpha / r * B @ A``, float32 [out, in]."""
    scale = config["lora_alpha"] / config["r"]
    found = {}
    for key, a in weights.items():
        if key.endswith(".lora_A.weight"):
            b = weights[key.replace(".lora_A.", ".lora_B.")]
            name = key.removeprefix(PREFIX).replace(".lora_A.weight", ".weight")
            found[name] = scale * (b.astype("float32") @ a.astype("float32"))
    return found


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
    known = {"r": config["r"], "lora_alpha": config["lora_alpha"], "target_modules": sorted(config["target_modules"])}
    fixed = {"task_type": "CAUSAL_LM", "bias": "none", "lora_dropout": 0.0, "fan_in_fan_out": False}
    about = {"peft_type": "LORA", "base_model_name_or_path": base_model, "inference_mode": True}
    write_json(folder / CONFIG, {**about, **known, **fixed})
    halves = {name: np.ascontiguousarray(w.astype(np.float16)) for name, w in sorted(weights.items())}
    with replacing(folder / WEIGHTS, "wb") as out:
        out.write(save(halves, metadata={"format": "pt"}))
