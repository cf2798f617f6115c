"""Check a training config before anything runs: every mistake at once, each with what was probably meant.

torchtune takes a misspelt key without a word and trains on the default. Here the recipe's keys are read from the
recipe's source, and a component's keys from its signature. For that, whatever ``_component_`` names is imported: a
config is as much to be trusted as a script.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from querywright.artefacts import repo_dir
from querywright.errors import QuerywrightError, did_you_mean, need
from querywright.finetune.check_values import argument_problems, kind_of, node_problems, value_problems
from querywright.finetune.recipes import (
    DPO,
    EVERYWHERE,
    OURS,
    PEFT,
    TORCHTUNE,
    passed_over,
    recipe_keys,
    recipe_of,
)
from querywright.progress import say

# what the recipe itself hands to a component: how many first ones, then by name
GIVEN: dict[str, tuple[int, tuple[str, ...]]] = {
    "optimizer": (1, ()),
    "lr_scheduler": (1, ("num_training_steps", "last_epoch")),
    "dataset": (1, ()),
    "checkpointer": (0, ("should_load_recipe_state",)),
}
CHOICES = {
    "recipe": tuple(OURS),
    "backend": (TORCHTUNE, PEFT),
    "dtype": ("fp32", "bf16"),
    "check_memory": (True, False),
}


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
    if not omega.is_dict(cfg):
        raise QuerywrightError(f"{path} holds no keys", hint="see ft_configs/ for runnable examples")
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
    written = omega.to_yaml(merged, resolve=False)
    referred = set(re.findall(r"\$\{([A-Za-z_]\w*)", written))
    try:
        omega.resolve(merged)
        wrong += problems(merged, referred)
    except Exception as error:
        # what the reference should have found may be misspelt: the keys are looked at all the same
        wrong.append(str(error).splitlines()[0])
        wrong += _key_problems(omega.create(written.replace("${", "$ {")), referred)
    if wrong:
        raise QuerywrightError(
            f"{path}: {len(wrong)} problem{'s' * (len(wrong) > 1)}\n" + "\n".join(f"  - {line}" for line in wrong),
            hint="correct them; nothing was run",
        )
    if over := passed_over(merged):
        say(f"backend peft has no use for, and passes over: {', '.join(over)}")
    return merged


def problems(cfg: Any, variables: Iterable[str] = ()) -> list[str]:
    """Everything wrong with a resolved config; ``variables`` are keys that exist to be referred to."""
    return [*_key_problems(cfg, variables), *value_problems(cfg, recipe_of(cfg))]


def _key_problems(cfg: Any, variables: Iterable[str]) -> list[str]:
    """Keys that nobody reads or that are missing, and choices that there are not."""
    found = [
        f"{key} is {cfg[key]!r}: it must be {' or '.join(str(known).lower() for known in choices)}"
        for key, choices in CHOICES.items()
        if cfg.get(key) is not None and cfg[key] not in choices
    ]
    recipe = recipe_of(cfg)
    if recipe not in OURS:
        return found  # which keys it has is not known
    keys = recipe_keys(recipe)
    allowed = {*keys.needed, *keys.optional, *EVERYWHERE, *OURS[recipe], *variables}
    found += [_unknown(str(key), recipe, allowed) for key in cfg if key not in allowed]
    found += [f"missing key {key!r}" for key in sorted(keys.needed - {str(key) for key in cfg})]
    found += node_problems(cfg, keys.needed)
    if kind_of(cfg.get("model")) is dict:
        found += [f"missing key 'model.{key}'" for key in sorted(keys.model - {str(key) for key in cfg.model})]
    for key, node in cfg.items():
        for part in node if kind_of(node) is list else [node]:
            if _is_component(part):
                found += _component_problems(str(key), dict(part), recipe)
    return found


def _unknown(key: str, recipe: str, allowed: set[str]) -> str:
    """What to say about a key that the recipe does not have; another recipe may have it."""
    rest = {name: {*own, *recipe_keys(name).optional} for name, own in OURS.items() if name != recipe}
    others = [name for name, keys in rest.items() if key in keys]
    if others:
        return f"{key!r} has no meaning for recipe {recipe}: {', '.join(others)} has it"
    return f"unknown key {key!r}{did_you_mean(key, sorted(allowed))}"


def _component_problems(key: str, node: dict[str, Any], recipe: str) -> list[str]:
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
    first, named = (0, ("tokenizer",)) if (key, recipe) == ("dataset", DPO) else GIVEN.get(key, (0, ()))
    open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
    found = [
        f"unknown key '{key}.{name}' for {path}{did_you_mean(name, names)}"
        for name in node
        if name not in names and not open_ended
    ]
    missing = [p.name for p in parameters if p.default is p.empty and p.name in names]
    given = {*names[:first], *named, *node}
    found += [f"missing key '{key}.{name}' for {path}" for name in missing if name not in given]
    return [*found, *argument_problems(key, component, node)]


def _is_component(node: Any) -> bool:
    return kind_of(node) is dict and isinstance(node.get("_component_"), str)


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
        every = [recipe_keys(recipe) for recipe in OURS]
        known = {key for keys in every for key in (*keys.needed, *keys.optional)}
        return head in {*known, *EVERYWHERE, *(key for own in OURS.values() for key in own)}
    return _is_component(cfg.get(head))
