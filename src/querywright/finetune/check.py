"""Check a training config before anything runs: every mistake at once, each with what was probably meant.

torchtune takes a misspelt key without a word and trains on the default. Here the recipe's keys are read from the
recipe's source, and a component's keys from its signature.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from querywright.artefacts import repo_dir
from querywright.errors import QuerywrightError, did_you_mean, need

# what the recipe itself hands to a component, first positional, then by name
GIVEN: dict[str, tuple[int, tuple[str, ...]]] = {
    "optimizer": (1, ()),
    "lr_scheduler": (1, ("num_training_steps", "last_epoch")),
    "dataset": (1, ()),
    "checkpointer": (0, ("should_load_recipe_state",)),
}
OURS = ("save_every_minutes", "max_minutes", "start_adapter")
POSITIVE = ("batch_size", "epochs", "gradient_accumulation_steps", "optimizer.lr", "model.lora_rank", "max_minutes")


def find_config(name: str) -> Path:
    """A config by path, or a shipped one by name.

    Raises:
        QuerywrightError: neither exists.
    """
    if Path(name).is_file():
        return Path(name)
    folder = repo_dir() / "ft_configs"
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    known = list(shipped)
    raise QuerywrightError(
        f"no training config {name!r}{did_you_mean(Path(name).stem, known)}",
        hint=f"a file, or one of: {', '.join(known) or 'none shipped'}",
    )


def load(path: Path, overrides: Sequence[str]) -> Any:
    """The config with ``key=value`` overrides merged in, resolved and checked.

    ``optimizer=torch.optim.SGD`` replaces a component; a value may hold ``=``.

    Raises:
        QuerywrightError: unreadable YAML, an override without ``=``, or any problem that :func:`problems` finds.
    """
    omega = need("omegaconf", extra="train").OmegaConf
    try:
        cfg = omega.load(path)
    except Exception as error:
        raise QuerywrightError(f"{path} is no YAML: {error}", hint="see ft_configs/ for runnable examples") from error
    merged = cfg
    wrong = []
    for item in overrides:
        key, sign, value = item.partition("=")
        if not sign or not key:
            wrong.append(f"{item!r} is not key=value")
            continue
        if "." not in key and _is_component(cfg.get(key)):
            key += "._component_"
        elif not _holds(cfg, key) and not _may_add(cfg, key):
            wrong.append(f"unknown key {key!r}{did_you_mean(key, sorted(_paths(cfg)))}")
            continue
        merged = omega.merge(merged, omega.from_dotlist([f"{key}={value}"]))
    try:
        referred = set(re.findall(r"\$\{([A-Za-z_]+)", omega.to_yaml(merged, resolve=False)))
        omega.resolve(merged)
    except Exception as error:
        wrong.append(str(error).splitlines()[0])
        referred = set()
    wrong += problems(merged, referred) if not wrong or referred else []
    if wrong:
        raise QuerywrightError(
            f"{path}: {len(wrong)} problem{'s' * (len(wrong) > 1)}\n" + "\n".join(f"  - {line}" for line in wrong),
            hint="correct them; nothing was run",
        )
    return merged


def problems(cfg: Any, variables: Iterable[str] = ()) -> list[str]:
    """Everything wrong with a resolved config; ``variables`` are keys that exist to be referred to."""
    needed, optional = recipe_keys()
    allowed = {*needed, *optional, *OURS, *variables}
    found = [f"unknown key {key!r}{did_you_mean(str(key), sorted(allowed))}" for key in cfg if key not in allowed]
    found += [f"missing key {key!r}" for key in sorted(needed - {str(key) for key in cfg})]
    for key, node in cfg.items():
        if _is_component(node):
            found += _component_problems(str(key), dict(node))
    from omegaconf import OmegaConf

    for key in POSITIVE:
        value = OmegaConf.select(cfg, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            found.append(f"{key} is {value!r}: it must be a number above 0")
    start = cfg.get("start_adapter")
    if start and not (Path(start) / "adapter_model.safetensors").is_file():
        found.append(f"start_adapter: no adapter in {start}")
    return found


def recipe_keys() -> tuple[set[str], set[str]]:
    """The keys that torchtune's recipe cannot do without, and those it looks for."""
    need("torchtune", extra="train")
    spec = find_spec("torchtune")
    assert spec is not None, "need() found it"
    source = (Path(str(spec.origin)).parents[1] / "recipes" / "lora_finetune_single_device.py").read_text(
        encoding="utf-8"
    )
    needed = set(re.findall(r"\bcfg\.(?!get\b)([a-z_]+)", source))
    optional = {*re.findall(r"""\bcfg\.get\(\s*["']([a-z_]+)["']""", source), "profiler"}
    return needed - optional, optional


def _component_problems(key: str, node: dict[str, Any]) -> list[str]:
    from torchtune.config._errors import InstantiationError
    from torchtune.config._utils import _get_component_from_path

    path = node.pop("_component_")
    try:
        component = _get_component_from_path(path)
        signature = inspect.signature(component)
    except (InstantiationError, ValueError, TypeError) as error:
        return [f"{key}._component_: cannot load {path!r} ({str(error).splitlines()[0]})"]
    parameters = signature.parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    first, named = GIVEN.get(key, (0, ()))
    open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
    found = [
        f"unknown key '{key}.{name}' for {path}{did_you_mean(name, names)}"
        for name in node
        if name not in names and not open_ended
    ]
    missing = [p.name for p in parameters if p.default is p.empty and p.name in names]
    given = {*names[:first], *named, *node}
    return found + [f"missing key '{key}.{name}' for {path}" for name in missing if name not in given]


def _is_component(node: Any) -> bool:
    return hasattr(node, "keys") and "_component_" in node


def _paths(node: Any, prefix: str = "") -> set[str]:
    """All dotted keys of a config."""
    found: set[str] = set()
    for key in node:
        child = node._get_node(key)
        found.add(f"{prefix}{key}")
        if hasattr(child, "keys"):
            found |= _paths(child, f"{prefix}{key}.")
    return found


def _holds(cfg: Any, key: str) -> bool:
    return key in _paths(cfg)


def _may_add(cfg: Any, key: str) -> bool:
    """Whether a key that the file leaves out is one that the recipe or a component takes (checked later)."""
    head, _, rest = key.partition(".")
    if not rest:
        needed, optional = recipe_keys()
        return head in {*needed, *optional, *OURS}
    return _is_component(cfg.get(head))
