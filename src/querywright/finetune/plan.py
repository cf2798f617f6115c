"""What a training config needs before anything is downloaded: memory by what it is for, what each trick saves, time.

``querywright finetune plan CONFIG --gpu 48GB`` prints it; :mod:`querywright.finetune.preflight` asks before training
starts. The formulas are in :mod:`querywright.finetune.memory`; what they were checked against is in
``docs/finetuning.md``. GB are 10^9 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from querywright.errors import QuerywrightError
from querywright.finetune import memory
from querywright.finetune.memory_shape import Setup, Shape
from querywright.finetune.plan_device import GB, Device, cpu_here, gpu_here, gpu_named
from querywright.finetune.plan_levers import Trick, largest, needs, remedy, tricks
from querywright.finetune.plan_shapes import setup_of, shape_of
from querywright.finetune.plan_time import Rows, count_rows, longest_line, tokens_a_second

CUDA_PYTHON = int(3.0 * GB)  # the same with CUDA's libraries loaded, and the data
CLEAR = 0.85  # a plan has to be this much over before it is certain: published peaks are up to 15 % lower than planned


@dataclass(frozen=True)
class Plan:
    """The plan of one config on one device.

    Attributes:
        items: bytes at the peak of a step by what they are for; ``total`` is their sum.
        phase: ``loss`` or ``backward``, or ``loading`` on a CPU whose two copies of the weights need more.
        host: bytes of the host's memory by what for; training on a CPU has none beside ``items``.
        row: tokens of a mean row, where rows are at hand: attention reaches no further.
        largest_sequence, largest_batch: what else would fit, the other as it is; None where memory is not known.
        remedy: ``key=value`` words that make it fit; empty where it does, None where none of ours does.
    """

    shape: Shape
    setup: Setup
    device: Device
    items: dict[str, int]
    phase: str
    host: dict[str, int]
    tricks: list[Trick]
    rows: Rows | None
    epochs: float
    tokens_per_s: float
    mfu: float | None
    row: int | None
    largest_sequence: int | None
    largest_batch: int | None
    remedy: str | None
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Bytes of the device's memory at the peak."""
        return sum(self.items.values())

    @property
    def memory(self) -> int | None:
        """Bytes that there are."""
        return self.device.memory

    @property
    def fits(self) -> bool:
        """Whether it is within the memory; true where that is not known."""
        return self.memory is None or self.total <= self.memory

    @property
    def clearly_too_much(self) -> bool:
        """Whether it does not fit even if the plan is 15 % too high: reason enough not to start."""
        return self.memory is not None and self.total * CLEAR > self.memory

    @property
    def step_tokens(self) -> int:
        """Tokens that one optimizer step computes, on all GPUs."""
        batch: float = self.setup.tokens
        if self.rows and not self.setup.packed:
            batch = self.setup.rows * self.rows.computed / self.rows.rows
        return int(batch * self.setup.accumulation * self.setup.gpus)

    @property
    def hours(self) -> float | None:
        """Hours for all epochs over the rows at hand, and per million tokens without rows."""
        if not self.tokens_per_s:
            return None
        tokens = self.rows.computed * self.epochs if self.rows else 1e6
        return tokens / self.tokens_per_s / 3600

    def message(self) -> str:
        """One line for a run that does not fit: what it needs, what there is."""
        assert self.memory is not None
        most = ", ".join(f"{name} {size / GB:.1f}" for name, size in sorted(self.items.items(), key=_size)[:3])
        return (
            f"training needs about {self.total / GB:.1f} GB ({most}), and {self.device.name} has "
            f"{self.memory / GB:.1f} GB" + (" free" if self.device.cpu else "")
        )

    def hint(self) -> str:
        """What would make it fit."""
        if self.remedy is None:
            return "a smaller model, or a larger GPU: querywright finetune plan CONFIG --gpu A100-80GB"
        return f"with {self.remedy} it fits; check_memory=false trains regardless"

    def lines(self) -> list[str]:
        """The plan as text."""
        from querywright.finetune.plan_lines import lines

        return lines(self)

    def as_dict(self) -> dict[str, Any]:
        """The plan for programs: numbers in bytes and seconds."""
        from querywright.finetune.plan_lines import as_dict

        return as_dict(self)


def _size(item: tuple[str, int]) -> int:
    return -item[1]


def plan(
    cfg: Any,
    memory_bytes: int | None = None,
    gpu: str | None = None,
    *,
    mfu: float | None = None,
    quick: bool = False,
) -> Plan:
    """Plan a resolved config.

    Args:
        memory_bytes: memory that there is, in place of the device's own.
        gpu: a name of ``data/gpus.yaml``, a size such as ``48GB``, or ``cpu``; default: the config's device, with what
            is here. A config for CUDA on a machine without a GPU is planned without a size to fit.
        mfu: measured share of the peak, model operations only, in place of the assumption.
        quick: leave out what takes seconds: counting tokens (the longest line says how long rows are), measuring this
            CPU, trying other sizes.

    Raises:
        QuerywrightError: an unknown GPU, or a model whose shape is not known.
    """
    if mfu is not None and not 0 < mfu <= 1:
        raise QuerywrightError(f"--mfu {mfu} is no share", hint="a number above 0, at most 1, such as 0.35")
    shape, setup = shape_of(cfg.model), setup_of(cfg)
    rows = None if quick else count_rows(cfg, setup)
    if rows:
        setup = setup_of(cfg, rows.longest, rows.largest)
    elif quick:
        setup = setup_of(cfg, longest_line(cfg))
    device, notes = _device(cfg, gpu, setup, quick)
    if memory_bytes is not None:
        device = replace(device, memory=memory_bytes)
    on_cpu = replace(setup, offloading=False) if device.cpu else setup
    if on_cpu != setup:
        notes.append("offloading is for GPUs: planned without")
        setup = on_cpu
    items, phase = needs(shape, setup, device)
    row = rows.tokens // max(1, rows.rows) if rows else None
    steps = cfg.get("max_steps_per_epoch")
    epochs = float(cfg.get("epochs") or 1)
    if rows and steps:
        batch = setup.tokens if setup.packed else setup.rows * rows.computed / rows.rows
        epochs *= min(1.0, int(steps) * setup.accumulation * batch / rows.computed)
    longest = None if quick else largest(shape, setup, device, "sequence")
    most = None if quick else largest(shape, setup, device, "batch")
    made = Plan(
        shape, setup, device, items, phase, _host(shape, setup, device), tricks(shape, setup, device), rows, epochs,
        tokens_a_second(shape, setup, device, mfu, row), mfu, row, longest, most, None, notes,
    )  # fmt: skip
    return replace(made, remedy="" if made.fits else remedy(shape, setup, device))


def _device(cfg: Any, gpu: str | None, setup: Setup, quick: bool) -> tuple[Device, list[str]]:
    """The device to plan for, and what is to be said about it."""
    wanted = (gpu or str(cfg.get("device", "cuda"))).lower()
    if wanted == "cpu":
        return cpu_here(setup.number, measure=not quick), []
    if gpu:
        return gpu_named(gpu), []
    here = gpu_here()
    if here:
        return here, []
    some = gpu_named("48GB")
    note = "no GPU here, none named with --gpu: time is that of an A6000-class card"
    return replace(some, name="a GPU", memory=None), [note]


def _host(shape: Shape, setup: Setup, device: Device) -> dict[str, int]:
    """Host memory: loading the checkpoint, training, and merging afterwards."""
    if device.cpu:
        return {}
    checkpoint = 2 * shape.parameters()  # published in bf16
    # torchtune reads all of it into memory first, on each rank; transformers one file at a time, 5 GB at most
    loading = checkpoint * setup.gpus if setup.backend == "torchtune" else min(checkpoint, 5 * GB)
    return {
        "loading the checkpoint": loading + CUDA_PYTHON * setup.gpus,
        "training": CUDA_PYTHON * setup.gpus + memory.offloaded(shape, setup),
        "saving a merged checkpoint (stock recipe, save_adapter_weights_only: false)": 2 * checkpoint + CUDA_PYTHON,
    }
