"""An adapter on a merged base as one adapter on the base below: what a second training (DPO) leaves with.

A second training starts from a checkpoint that the first one's adapter was merged into. What it leaves is useless on
the base that everybody has, and on that one it would answer wrongly without a word. Both adapters add products of two
thin matrices to the same weights, so together they are one adapter whose rank is the sum of both, exactly:
s₁B₁A₁ + s₂B₂A₂ = [s₁B₁ s₂B₂][A₁; A₂].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import data_dir, replacing, sha256, write_json
from querywright.errors import QuerywrightError
from querywright.finetune.base import DEFAULT_FOLDER
from querywright.finetune.lora import CONFIG, WEIGHTS, read_adapter, scale_of
from querywright.finetune.merge import made_by
from querywright.finetune.record import base_facts
from querywright.progress import say

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Below:
    """What a checkpoint was merged of.

    Attributes:
        adapter: folder of the adapter.
        base: folder of the checkpoint that the adapter is of.
        sha256: of the adapter's weights.
    """

    adapter: Path
    base: Path
    sha256: str


def below(checkpoint: Path) -> Below | None:
    """What a checkpoint was merged of, where both are still there, unchanged; None where nothing was merged here, or
    (and that is said) where one of them is gone."""
    made = made_by(checkpoint)
    if made is None:
        return None
    config = made["config"]
    digest = config["adapter_sha256"] if config["source"] == "merge" else made["files"].get(f"adapter/{WEIGHTS}")
    shipped = sorted((data_dir() / "adapters").glob("*")) if config["source"] == "merge" else []
    folders = [checkpoint.parent / "adapter", *shipped]
    adapter = next((f for f in folders if (f / WEIGHTS).is_file() and sha256(f / WEIGHTS) == digest), None)
    named = made.get("base_folder") or _trained_on(made)
    bases = [*([Path(named)] if named else []), DEFAULT_FOLDER]
    base = next((b for b in bases if config.get("base") and base_facts(b).get("sha256") == config["base"]), None)
    if adapter is None or base is None:
        lost = "the adapter" if adapter is None else "the base"
        say(f"{checkpoint} was merged, but {lost} that it was merged of is not there (any more)")
        return None
    return Below(adapter, base, digest)


def _trained_on(made: Mapping[str, Any]) -> str:
    """The base's folder, as an export's manifest holds it in the run's settings."""
    settings = ((made.get("run") or {}).get("config") or {}).get("settings") or {}
    return str((settings.get("checkpointer") or {}).get("checkpoint_dir") or "")


def stack(first: Path, second: Path, folder: Path) -> Path:
    """Write an adapter that adds what two adapters of the same shapes add together; returns `folder`.

    Where only one of them has a projection, the other's part of it is zero.
    """
    import numpy as np
    from safetensors.numpy import save

    (one, a), (other, b) = read_adapter(first), read_adapter(second)
    ranks, scales = (int(one["r"]), int(other["r"])), (scale_of(one), scale_of(other))
    names = sorted(key for key in {**a, **b} if key.endswith(".lora_A.weight"))
    weights: dict[str, np.ndarray] = {}
    for name in names:
        parts = [_parts(w, name, r, s) for w, r, s in zip((a, b), ranks, scales, strict=True)]
        wide = next(p for p in parts if p is not None)
        shaped = [p or _nothing(wide, r) for p, r in zip(parts, ranks, strict=True)]
        weights[name] = np.concatenate([p[0] for p in shaped], axis=0)
        weights[_up(name)] = np.concatenate([p[1] for p in shaped], axis=1)
    modules = sorted({*one["target_modules"], *other["target_modules"]})
    about = {"peft_type": "LORA", "r": sum(ranks), "lora_alpha": sum(ranks), "target_modules": modules}
    first_layers, second_layers = (config.get("layers_to_transform") for config in (one, other))
    if first_layers and second_layers:
        about["layers_to_transform"] = sorted({*first_layers, *second_layers})
    write_json(folder / CONFIG, about)
    with replacing(folder / WEIGHTS, "wb") as out:
        out.write(save({k: np.ascontiguousarray(w) for k, w in weights.items()}, metadata={"format": "pt"}))
    return folder


def _up(name: str) -> str:
    return name.replace(".lora_A.", ".lora_B.")


def _parts(weights: Mapping[str, np.ndarray], name: str, rank: int, scale: float) -> tuple[Any, Any] | None:
    """An adapter's A and B of a projection, its scale in B; None where it has none."""
    if name not in weights:
        return None
    down, up = weights[name].astype("float32"), weights[_up(name)].astype("float32")
    if down.shape[0] != rank:
        raise QuerywrightError(
            f"the adapter's {name} is of rank {down.shape[0]}, not {rank} as its config says", hint="train it again"
        )
    return down, scale * up


def _nothing(like: tuple[Any, Any], rank: int) -> tuple[Any, Any]:
    import numpy as np

    return np.zeros((rank, like[0].shape[1]), "float32"), np.zeros((like[1].shape[0], rank), "float32")
