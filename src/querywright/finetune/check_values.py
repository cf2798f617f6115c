"""The values of a training config: of the kind that their keys take, in a range that makes sense, fitting together."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright.finetune.lora import WEIGHTS
from querywright.finetune.recipes import DEFAULT, PEFT, backend_of

# keys of a recipe whose value is a component
NODES = ("tokenizer", "dataset", "model", "checkpointer", "optimizer", "lr_scheduler", "loss", "metric_logger")
POSITIVE = (
    "batch_size", "epochs", "gradient_accumulation_steps", "optimizer.lr", "model.lora_rank", "max_minutes",
    "max_steps_per_epoch", "save_every_minutes", "save_every_n_steps", "log_every_n_steps", "nproc_per_node",
    "clip_grad_norm", "tokenizer.max_seq_len", "model.vocab_size", "model.num_layers", "model.num_heads",
    "model.num_kv_heads", "model.embed_dim", "model.intermediate_dim",
)  # fmt: skip
WHOLE = (
    "batch_size", "epochs", "gradient_accumulation_steps", "max_steps_per_epoch", "save_every_n_steps",
    "log_every_n_steps", "nproc_per_node",
)  # fmt: skip
NEVER_NULL = ("batch_size", "epochs", "gradient_accumulation_steps", "output_dir", "device", "dtype")
KINDS: dict[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a mapping",
    type(None): "null",
}  # fmt: skip
TOP = {
    "output_dir": str, "device": str, "seed": int, "shuffle": bool, "compile": bool,
    "enable_activation_checkpointing": bool, "enable_activation_offloading": bool, "resume_from_checkpoint": bool,
    "log_peak_memory_stats": bool, "save_adapter_weights_only": bool, "start_adapter": str, "collate_fn": str,
}  # fmt: skip


def node_problems(cfg: Any, needed: typing.Collection[str]) -> list[str]:
    """Keys whose value should be a component and is none: without them nothing else can be looked at."""
    found = []
    for key in (key for key in NODES if key in cfg):
        node = cfg[key]
        parts = list(node) if key == "dataset" and kind_of(node) is list and len(node) else [node]
        if node is None and key not in needed:
            continue
        if not all(kind_of(part) is dict and isinstance(part.get("_component_"), str) for part in parts):
            found.append(f"{key} is {_short(node)}: it must be a component, a mapping with the key _component_")
    return found


def value_problems(cfg: Any, recipe: str) -> list[str]:
    """Values of another kind than their key's, numbers out of range, and settings that do not go together."""
    from omegaconf import OmegaConf

    found = [f"{key} is null: it needs a value" for key in NEVER_NULL if key in cfg and cfg[key] is None]
    found += [
        f"{key} is {_short(cfg[key])}: it must be {KINDS[kind]}"
        for key, kind in TOP.items()
        if cfg.get(key) is not None and kind_of(cfg[key]) is not kind
    ]
    for key in POSITIVE:
        value = OmegaConf.select(cfg, key)
        if value is None:
            continue
        if kind_of(value) not in (int, float) or not 0 < value < 2**63:
            found.append(f"{key} is {_short(value)}: it must be a number above 0")
        elif key in WHOLE and kind_of(value) is not int:
            found.append(f"{key} is {_short(value)}: it must be a whole number")
    start = cfg.get("start_adapter")
    if isinstance(start, str) and start and not (Path(start) / WEIGHTS).is_file():
        found.append(f"start_adapter: no adapter in {start}")
    if backend_of(cfg) == PEFT and recipe != DEFAULT:
        found.append(f"backend peft has no recipe {recipe}: torchtune has it")
    if cfg.get("enable_activation_offloading"):
        if not str(cfg.get("device")).startswith("cuda"):
            found.append(f"enable_activation_offloading needs device cuda; it is {cfg.get('device')}")
        if not cfg.get("enable_activation_checkpointing"):
            found.append("enable_activation_offloading needs enable_activation_checkpointing: true")
    if OmegaConf.select(cfg, "dataset.packed") and not OmegaConf.select(cfg, "tokenizer.max_seq_len"):
        found.append("dataset.packed needs tokenizer.max_seq_len, the length to pack to")
    return found


def argument_problems(key: str, component: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """Arguments of another kind than the component's signature says; what it does not say is let pass."""
    try:
        hints = typing.get_type_hints(component.__init__ if inspect.isclass(component) else component)
        parameters = inspect.signature(component).parameters
    except Exception:  # somebody's own component may be written in any way
        return
    for name, value in given.items():
        kinds = _kinds(hints.get(name, Any))
        known = kinds and name in parameters and (value is None or f"{key}.{name}" not in POSITIVE)
        if not known or value is parameters[name].default or kind_of(value) in kinds:
            continue
        if isinstance(value, str) and "$ {" in value:
            continue  # a reference that leads nowhere, which is said already
        if not (kind_of(value) is int and float in kinds):
            wanted = " or ".join(KINDS[kind] for kind in kinds)
            yield f"{key}.{name} is {_short(value)}: it must be {wanted}"


def kind_of(value: Any) -> type:
    """One of the kinds that YAML knows."""
    if isinstance(value, Mapping):
        return dict
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list
    return type(value)


def _kinds(hint: Any) -> list[Any]:
    """The kinds that an annotation allows; empty where it allows anything else too."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        each = [_kinds(part) for part in typing.get_args(hint)]
        return [kind for kinds in each for kind in kinds] if all(each) else []
    plain = typing.get_origin(hint) or hint
    plain = list if plain in (Sequence, tuple) else dict if plain is Mapping else plain
    return [plain] if plain in KINDS else []


def _short(value: Any) -> str:
    return "null" if value is None else repr(value)[:60]
