"""What a run ran on: the device's name, the memory that it took, the versions of the libraries."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchtune", "torchao", "transformers", "peft", "bitsandbytes", "safetensors", "tokenizers")
OF_BACKEND = {"torchtune": {"transformers", "peft"}, "peft": {"torchao"}}  # what a backend does not use


def packages(backend: str) -> dict[str, str]:
    """Versions of Python and of the installed libraries that a backend trains with."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            if name not in OF_BACKEND.get(backend, ()):
                found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> str:
    """What a device is called: ``NVIDIA H100 80GB HBM3``, or ``AMD EPYC 7B13 (CPU, 1 thread)``."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device)) if torch.cuda.is_available() else device
    if device != "cpu":
        return device
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    n = int(os.environ.get("OMP_NUM_THREADS") or 0) if os.environ.get("OMP_NUM_THREADS", "").isdigit() else 0
    n = n or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return f"{name} (CPU, {n} thread{'s' * (n > 1)})"


def peak_memory(device: str, *, children: bool = False) -> int:
    """The most memory, in bytes, that this process used: on the GPU what torch allocated, else what was resident.

    Args:
        children: of the largest process that this one has waited for instead; 0 on a GPU, which tells its own only.
    """
    if device.startswith("cuda"):
        if children:
            return 0
        import torch

        return int(torch.cuda.max_memory_allocated(device)) if torch.cuda.is_available() else 0
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
