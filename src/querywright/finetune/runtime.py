"""Process settings that training on a CPU wants: allocator and threads."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from querywright.errors import QuerywrightError
from querywright.progress import say

_cores: int | None = None
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for reuse instead of handing them back to the kernel; True where that worked.

    A training step frees and asks again for some gigabytes of activations. By default blocks of megabytes come from
    ``mmap`` and each new one is paged in and zeroed again.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl has no mallopt
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 1 << 30) and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1))


def product_dtype(name: str) -> Any:
    """The torch type for products with frozen weights, None for the model's own; ``auto`` asks the CPU and says so.

    Raises:
        QuerywrightError: another name than auto, fp32, bf16.
    """
    import torch

    if name == "auto" and torch.get_default_dtype() == torch.float32 and _has_amx():
        say("this CPU has AMX: products with frozen weights are in bf16 (model.frozen_products=fp32 for not)")
        return torch.bfloat16
    known = {"auto": None, "fp32": None, "bf16": torch.bfloat16}
    if name not in known:
        raise QuerywrightError(f"model.frozen_products is {name!r}", hint=f"one of: {', '.join(known)}")
    return known[name]


def _has_amx() -> bool:
    import torch

    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())  # no public way to ask yet


def training_threads() -> int:
    """How many threads share a batch: what torch would have used (``OMP_NUM_THREADS``, else the cores).

    The first call leaves torch itself with one: a batch is dealt out to Python threads of one core each (see
    :mod:`querywright.finetune.packed`), and what remains, the optimizer, is too small to share.
    """
    global _cores
    if _cores is None:
        import torch

        _cores = torch.get_num_threads()
        torch.set_num_threads(1)
    return _cores
