"""The recipes that a training config can be for, and the keys that each of them reads.

torchtune's recipes are files to run, not modules: which keys a recipe takes is written nowhere but in its source, so it
is read from there. ``tune run`` passes over keys that it does not know, which is why the same file can hold ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from querywright.errors import need

DEFAULT = "lora_finetune_single_device"
DISTRIBUTED = "lora_finetune_distributed"
DPO = "lora_dpo_single_device"
TORCHTUNE, PEFT = "torchtune", "peft"

# keys of ours in every config, and what they are for
EVERYWHERE = {
    "recipe": "which recipe the file is for",
    "backend": "torchtune or peft",
    "workspace": "the API's folder, to be referred to",
    "check_memory": "false: train although the plan says that memory is not enough",
}
# keys of ours that one recipe has and the others have not
OURS: dict[str, tuple[str, ...]] = {
    DEFAULT: ("save_every_minutes", "save_every_n_steps", "max_minutes", "start_adapter"),
    DISTRIBUTED: ("nproc_per_node",),
    DPO: ("save_every_minutes", "save_every_n_steps", "max_minutes", "clip_grad_norm"),
}


@dataclass(frozen=True)
class Keys:
    """Top-level keys of a recipe, and the keys of ``model`` that it reads on its own account."""

    needed: frozenset[str]
    optional: frozenset[str]
    model: frozenset[str]


def recipe_of(cfg: Any) -> str:
    """The recipe that a config is for."""
    return str(cfg.get("recipe") or DEFAULT)


def backend_of(cfg: Any) -> str:
    """The library that a config is to be trained with."""
    return str(cfg.get("backend") or TORCHTUNE)


@lru_cache
def recipe_file(recipe: str) -> Path:
    """The file of one of torchtune's recipes.

    Raises:
        QuerywrightError: torchtune is not installed.
    """
    need("torchtune", extra="train")
    spec = find_spec("torchtune")
    assert spec is not None, "need() found it"
    return Path(str(spec.origin)).parents[1] / "recipes" / f"{recipe}.py"


@lru_cache
def recipe_keys(recipe: str = DEFAULT) -> Keys:
    """The keys that one of torchtune's recipes cannot do without, and those it looks for."""
    source = recipe_file(recipe).read_text(encoding="utf-8")
    needed, optional = _read_by(source)
    if "cfg.get(PROFILER_KEY" in source:
        optional.add("profiler")
    model = set(re.findall(r"\bcfg_model\.(?!get\b)([a-z_]+)", source))
    return Keys(frozenset(needed - optional), frozenset(optional), frozenset(model))


def passed_over(cfg: Any) -> list[str]:
    """Keys that a recipe of torchtune reads and the PEFT backend has no use for; none where that is not asked for."""
    if backend_of(cfg) != PEFT:
        return []
    files = [Path(__file__).with_name(name) for name in ("with_peft.py", "loop.py", "job.py", "batches.py", "init.py")]
    needed, optional = _read_by("".join(path.read_text(encoding="utf-8") for path in files))
    keys = recipe_keys()
    return [key for key in cfg if key in keys.needed | keys.optional and key not in needed | optional]


def _read_by(source: str) -> tuple[set[str], set[str]]:
    """The keys that a source takes from ``cfg`` as they are, and those that may be missing."""
    needed = set(re.findall(r"\bcfg\.(?!get\b)([a-z_]+)", source))
    return needed, set(re.findall(r"""\bcfg\.get\(\s*["']([a-z_]+)["']""", source))
