"""What training needs with this or that lever pulled: what each saves alone, and which make it fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from querywright.finetune import memory
from querywright.finetune.memory_shape import Setup, Shape
from querywright.finetune.plan_device import GB, Device
from querywright.finetune.plan_time import time_factor

CUDA_CONTEXT = int(0.6 * GB)  # context, cuBLAS and kernels; an assumption
FRAGMENTS = 0.05  # of activations and logits: blocks that the caching allocator cannot hand out again; an assumption
PYTHON = int(0.55 * GB)  # torch, torchtune or transformers imported: 0.46 and 0.58 GB with torch's CPU build on Linux
STEP = 256
CHUNKED = "torchtune.modules.loss.CEWithChunkedOutputLoss"
PAGED = "bitsandbytes.optim.PagedAdamW8bit"
# name, whether it is on, the changes that turn it on and off, the keys that turn it on
Lever = tuple[str, bool, dict[str, Any], dict[str, Any], str]


@dataclass(frozen=True)
class Trick:
    """One lever, alone: what it saves, what it costs, how to set it.

    Attributes:
        on: whether the config has it; ``bytes`` is what it saves then, or would save.
        slower: seconds of a step with it over seconds without.
    """

    name: str
    on: bool
    bytes: int
    slower: float
    keys: str


def needs(shape: Shape, setup: Setup, device: Device) -> tuple[dict[str, int], str]:
    """Bytes on the device by what they are for, overheads among them, and the moment of the peak."""
    items = memory.peak(shape, setup)
    phase = memory.largest_phase(shape, setup)
    if device.cpu:
        items["Python and libraries"] = PYTHON
        loading = 2 * items["frozen weights"] + items["LoRA weights"] + PYTHON
        if loading > sum(items.values()):
            return {"frozen weights": items["frozen weights"], "checkpoint as read": items["frozen weights"],
                    "LoRA weights": items["LoRA weights"], "Python and libraries": PYTHON}, "loading"  # fmt: skip
        return items, phase
    moving = items["activations"] + items["logits and loss"] + items["backward of a layer"]
    items["CUDA context"] = CUDA_CONTEXT
    items["fragments (assumed 5 %)"] = int(FRAGMENTS * moving)
    return items, phase


def _levers(setup: Setup, device: Device) -> list[Lever]:
    """Each lever: its name, whether it is on, the changes that turn it on and off, the keys that turn it on."""
    known: list[Lever] = [
        ("8-bit paged AdamW", "8bit" in setup.optimizer, {"optimizer": "paged8bit"}, {"optimizer": "adamw"},
         f"optimizer={PAGED}"),
        ("chunked cross-entropy", setup.chunks > 0, {"chunks": setup.chunks or 8}, {"chunks": 0}, f"loss={CHUNKED}"),
        ("compile", setup.compile, {"compile": True}, {"compile": False}, "compile=true"),
        ("activation checkpointing", setup.checkpointing, {"checkpointing": True},
         {"checkpointing": False, "offloading": False}, "enable_activation_checkpointing=true"),
        ("offloading to the host", setup.offloading, {"checkpointing": True, "offloading": True}, {"offloading": False},
         "enable_activation_checkpointing=true enable_activation_offloading=true"),
        ("frozen weights in NF4", setup.quantized, {"quantized": True}, {"quantized": False},
         "model.quantize_base=true"),
    ]  # fmt: skip
    if setup.dpo or setup.backend == "peft":  # PEFT's loop has chunks of its own
        known = [lever for lever in known if lever[0] != "chunked cross-entropy"]
    if device.cpu:
        known = [lever for lever in known if lever[0] == "activation checkpointing" and not setup.answers_only]
    if setup.gpus > 1:  # bitsandbytes takes no sharded tensors
        known = [lever for lever in known if lever[0] != "8-bit paged AdamW"]
    return known


def tricks(shape: Shape, setup: Setup, device: Device) -> list[Trick]:
    """What each lever saves or would save, alone, and its cost in time."""
    total = sum(needs(shape, setup, device)[0].values())
    found = []
    for name, on, turn_on, turn_off, keys in _levers(setup, device):
        other = sum(needs(shape, replace(setup, **(turn_off if on else turn_on)), device)[0].values())
        factor = time_factor(shape, setup, device, **(turn_off if on else turn_on))
        saved, slower = (other - total, 1 / factor) if on else (total - other, factor)
        found.append(Trick(name, on, saved, slower, keys))
    half = max(1, setup.sequence // 2)
    sizes: list[tuple[str, dict[str, Any], str]] = [
        ("half the sequence", {"sequence": half}, f"tokenizer.max_seq_len={half}")
    ]
    if setup.batch > 1:
        keys = f"batch_size=1 gradient_accumulation_steps={setup.accumulation * setup.batch}"
        sizes.append(("batch 1, accumulated", {"batch": 1, "accumulation": setup.accumulation * setup.batch}, keys))
    if setup.rank > 8:
        sizes.append(("half the rank", {"rank": setup.rank // 2}, f"model.lora_rank={setup.rank // 2}"))
    for name, changes, keys in sizes:
        other = sum(needs(shape, replace(setup, **changes), device)[0].values())
        found.append(Trick(name, False, total - other, time_factor(shape, setup, device, **changes), keys))
    return found


def remedy(shape: Shape, setup: Setup, device: Device) -> str | None:
    """The fewest of our levers, the cheapest first, with which it fits; None where all of them are not enough."""
    assert device.memory is not None
    tried, words = setup, []
    steps: list[tuple[dict[str, Any], str]] = []
    if setup.batch > 1:
        many = setup.accumulation * setup.batch
        steps.append(({"batch": 1, "accumulation": many}, f"batch_size=1 gradient_accumulation_steps={many}"))
    steps += [(on, keys) for _, is_on, on, _, keys in _levers(setup, device) if not is_on]
    for changes, keys in steps:
        tried = replace(tried, **changes)
        words.append(keys)
        if sum(needs(shape, tried, device)[0].values()) <= device.memory:
            return _joined(words)
    return _shorter(shape, tried, device, words)


def _shorter(shape: Shape, setup: Setup, device: Device, words: Sequence[str]) -> str | None:
    found = largest(shape, setup, device, "sequence")
    return _joined([*words, f"tokenizer.max_seq_len={found}"]) if found else None


def _joined(words: Sequence[str]) -> str:
    """Overrides as they are typed, each once."""
    return " ".join(dict.fromkeys(" ".join(words).split(" ")))


def largest(shape: Shape, setup: Setup, device: Device, what: str) -> int | None:
    """The largest ``sequence`` (in steps of 256) or ``batch`` that fits; 0 where none does, None without a memory."""
    if device.memory is None:
        return None
    unit, most = (STEP, shape.positions // STEP) if what == "sequence" else (1, 4096)

    def fits(n: int) -> bool:
        changes: dict[str, Any] = {what: n * unit}
        return sum(needs(shape, replace(setup, **changes), device)[0].values()) <= (device.memory or 0)

    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low * unit
