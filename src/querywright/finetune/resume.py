"""``resume.safetensors``: what a stopped run needs to go on as if it had not been: weights, optimizer, RNG, position.

No pickle: tensors lie flat under ``part|name``, numbers and the position in the file's metadata as JSON. Tensors keep
their own type (``Optimizer.load_state_dict`` would cast float32 moments of bfloat16 weights), 8-bit states as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from querywright.artefacts import replacing
from querywright.errors import QuerywrightError

RESUME = "resume.safetensors"
NUMBERS = (bool, int, float)
PAGED = ("state1", "state2")  # bitsandbytes' names of what its paged optimizers keep in pageable memory


def save_state(
    path: Path, trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, about: dict[str, Any]
) -> None:
    """Write everything to ``path``, whole or not at all.

    Args:
        trained: weights by name; the optimizer's state of others is none.
        about: plain values, such as the step; handed back by :func:`load_state`.

    Raises:
        QuerywrightError: the optimizer keeps something else than tensors and numbers.
    """
    from safetensors.torch import save

    tensors, numbers = flat_state(trained, optimizer)
    on_cpu = sorted(key for key, value in tensors.items() if value.device.type == "cpu")
    groups = [{k: v for k, v in g.items() if isinstance(v, NUMBERS)} for g in optimizer.param_groups]
    tensors |= {f"weight|{name}": p.detach() for name, p in trained.items()}
    tensors |= {f"rng|{kind}": state for kind, state in _rng().items()}
    facts = {"about": about, "numbers": numbers, "groups": groups, "on_cpu": on_cpu}
    # a copy each: states of several weights may share one table, which the format refuses
    copies = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    with replacing(path, "wb") as out:
        out.write(save(copies, metadata={key: json.dumps(value) for key, value in facts.items()}))


def flat_state(
    trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimizer's state as plain tensors and as numbers, both under ``key|name``."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for name, parameter in trained.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if type(value) in (Tensor, nn.Parameter):
                tensors[f"{key}|{name}"] = value
            elif value is None or isinstance(value, NUMBERS):
                numbers[f"{key}|{name}"] = value
            else:
                raise QuerywrightError(
                    f"{type(optimizer).__name__} keeps {key!r} as {type(value).__name__}, which no checkpoint can hold",
                    hint="optimizer=torch.optim.AdamW, or one of bitsandbytes.optim",
                )
    return tensors, numbers


def read_about(path: Path) -> dict[str, Any] | None:
    """What :func:`save_state` was told, None where there is no such file or it is none of ours."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads(file.metadata()["about"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    except Exception as error:  # safetensors' own error is no class of a built-in one
        if type(error).__name__ != "SafetensorError":
            raise
        return None
    return found if isinstance(found, dict) else None


def load_state(path: Path, trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Put weights, optimizer state and RNG back as they were, each tensor in its own type and where it was."""
    with safe_open(path, framework="pt") as file, torch.no_grad():
        facts = {key: json.loads(value) for key, value in file.metadata().items()}
        on_cpu, rng = set(facts["on_cpu"]), {}
        for full in file.keys():  # noqa: SIM118 - safe_open is no mapping
            key, name = full.split("|", 1)
            value = file.get_tensor(full)
            if key == "rng":
                rng[name] = value
            elif key == "weight":
                trained[name].copy_(value)
            else:
                state = optimizer.state[trained[name]]
                state[key] = _placed(optimizer, trained[name], key, value, full in on_cpu)
    for full, number in facts["numbers"].items():
        key, name = full.split("|", 1)
        optimizer.state[trained[name]][key] = number
    for group, saved in zip(optimizer.param_groups, facts["groups"], strict=True):
        group.update(saved)
    torch.set_rng_state(rng["cpu"])
    if "cuda" in rng and torch.cuda.is_available():
        torch.cuda.set_rng_state(rng["cuda"])


def _placed(optimizer: Any, parameter: nn.Parameter, key: str, value: Tensor, on_cpu: bool) -> Tensor:
    """A state where the optimizer wants it; a paged one in paged memory again."""
    if getattr(optimizer, "is_paged", False) and key in PAGED:
        buffer: Tensor = optimizer.get_state_buffer(parameter, dtype=value.dtype)
        return buffer.copy_(value)
    return value if on_cpu else value.to(parameter.device)


def _rng() -> dict[str, Tensor]:
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **cuda}
