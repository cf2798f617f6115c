"""What training would run on: a GPU by name or size, the one that is here, or this machine's CPU and RAM."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import data_dir
from querywright.errors import QuerywrightError, did_you_mean

CGROUP = Path("/sys/fs/cgroup")
GB = 1_000_000_000


@dataclass(frozen=True)
class Device:
    """Where training would run.

    Attributes:
        memory: bytes that training may use; None where that is not known.
        flops: dense floating-point operations a second in the config's number type.
        bandwidth: bytes a second of its memory.
        source: where the numbers are from.
    """

    name: str
    cpu: bool
    memory: int | None
    flops: float
    bandwidth: float
    source: str


def gpus() -> dict[str, dict[str, Any]]:
    """The entries of ``data/gpus.yaml`` by name."""
    import yaml

    found: dict[str, dict[str, Any]] = yaml.safe_load((data_dir() / "gpus.yaml").read_text(encoding="utf-8"))["gpus"]
    return found


def gpu_named(name: str) -> Device:
    """A GPU by its name in ``data/gpus.yaml``, or a size such as ``48GB``.

    A size is taken literally (GB: 10^9 bytes, a little less than cards of that size show; GiB: 2^30) and given the
    speed of the slowest entry that has as much.

    Raises:
        QuerywrightError: no such name.
    """
    known = gpus()
    folded = {re.sub(r"[^a-z0-9]", "", key.lower()): key for key in known}
    key = folded.get(re.sub(r"[^a-z0-9]|^(?:nvidia|geforce|rtx)+", "", name.lower())) or folded.get(
        re.sub(r"[^a-z0-9]", "", name.lower())
    )
    if key:
        entry = known[key]
        memory = int(float(entry["memory_gb"]) * GB)
        return Device(
            key, False, memory, entry["bf16_tflops"] * 1e12, entry["bandwidth_gb_s"] * 1e9, str(entry["source"])
        )
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:g(i)?b?|b)?", name.lower())
    if not size:
        several = [key for key in known if key.lower().startswith(f"{name.lower()}-")]
        near = did_you_mean(name, list(known))
        raise QuerywrightError(
            f"which {name}: {' or '.join(several)}?" if several else f"no GPU {name!r}{near}",
            hint=f"--gpu 48GB, cpu, or one of: {', '.join(known)}",
        )
    memory = int(float(size[1]) * (2**30 if size[2] else GB))
    slow = min((e for e in known.values() if e["memory_gb"] * GB >= memory), key=_speed, default=None)
    slow = slow or max(known.values(), key=_speed)
    label = f"{size[1]} {'GiB' if size[2] else 'GB'} GPU"
    return Device(
        label, False, memory, slow["bf16_tflops"] * 1e12, slow["bandwidth_gb_s"] * 1e9,
        f"the slowest that has as much: {slow['source']}",
    )  # fmt: skip


def _speed(entry: dict[str, Any]) -> float:
    return float(entry["bf16_tflops"])


def gpu_here() -> Device | None:
    """The first GPU of this machine with what its driver says is there in all; None without torch or a GPU."""
    try:
        import torch

        if not torch.cuda.is_available():
            return None
        about = torch.cuda.get_device_properties(0)
    except (ImportError, RuntimeError):
        return None
    words = set(re.findall(r"[a-z0-9]+", about.name.lower()))
    near = [key for key in gpus() if set(re.findall(r"[a-z0-9]+", key.lower())) & words]
    if near:
        named = gpu_named(min(near, key=lambda key: abs(gpus()[key]["memory_gb"] * GB - about.total_memory)))
    else:
        named = gpu_named(f"{about.total_memory // GB}GB")
    return Device(about.name, False, int(about.total_memory), named.flops, named.bandwidth, named.source)


def ram_available() -> int | None:
    """Bytes that a new process can take: what the kernel says is available, or what is left of a container's limit."""
    free = None
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except OSError:
        try:
            import psutil

            free = int(psutil.virtual_memory().available)
        except ImportError:
            return None
    for limit, used in (
        (CGROUP / "memory.max", CGROUP / "memory.current"),
        (CGROUP / "memory/memory.limit_in_bytes", CGROUP / "memory/memory.usage_in_bytes"),
    ):
        try:
            left = int(limit.read_text()) - int(used.read_text())
        except (OSError, ValueError):  # no such container, or `max`: no limit
            continue
        free = left if free is None else min(free, left)
    return free


def cpu_here(number: int = 4, measure: bool = True) -> Device:
    """This machine's RAM, and its speed in a matrix product of a small model's size, measured for 0.3 seconds."""
    name = f"CPU, {len(os.sched_getaffinity(0)) if sys.platform.startswith('linux') else os.cpu_count()} cores"
    memory = ram_available()
    if not measure:
        return Device(name, True, memory, 0.0, 0.0, "not measured")
    flops = matrix_flops(number)
    kind = "32" if number == 4 else "16"
    return Device(
        name, True, memory, flops, 0.0, f"a {kind}-bit matrix product measured here, {flops / 1e9:.0f} GFLOP/s"
    )


def matrix_flops(number: int = 4, seconds: float = 0.3) -> float:
    """Operations a second of ``[512, 576] @ [576, 1536]`` on all of torch's threads, the best of what fits the time."""
    import torch

    dtype = torch.float32 if number == 4 else torch.bfloat16
    a, b = torch.ones(512, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
    best, end = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(4):
            a @ b
        best = max(best, 4 * 2 * 512 * 576 * 1536 / (time.perf_counter() - start))
    return best
