"""Count what a piece of training allocates, tensor by tensor, on any device or on none.

The planner's constants were read off such counts, and tests hold its formulas against them. Under
``torch._subclasses.FakeTensorMode`` shapes of any size can be counted without their memory. What happens inside a
kernel is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Bytes of all storages that live, now and at the highest, from the moment it is entered.

    Attributes:
        now, peak: bytes; set ``peak = now`` to watch a part of a step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._live: dict[int, Any] = {}

    def add(self, tensors: Iterable[Any]) -> None:
        """Count tensors that were there before."""
        for tensor in tensors:
            self._add(tensor)

    def _add(self, tensor: Any) -> None:
        if not isinstance(tensor, Tensor):
            return
        if hasattr(tensor, "__tensor_flatten__"):  # NF4 and other tensors made of tensors
            for name in tensor.__tensor_flatten__()[0]:
                self._add(getattr(tensor, name))
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._live:
            return

        def gone(_: Any) -> None:
            self._live.pop(key, None)
            self.now -= size

        self._live[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it made."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            self._add(leaf)
        return out


class Saved:
    """Bytes that autograd keeps for the backward pass of what runs inside: each storage once, none of ``own``."""

    def __init__(self, own: Iterable[Tensor]) -> None:
        self.bytes = 0
        self._known = {self._place(tensor) for tensor in own}
        self._seen: dict[int, Tensor] = {}  # the tensors too: a place that is freed would be used again
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def __enter__(self) -> Saved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def _pack(self, tensor: Tensor) -> Tensor:
        place = self._place(tensor)
        if place and place not in self._known and place not in self._seen:
            self._seen[place] = tensor
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor

    @staticmethod
    def _place(tensor: Tensor) -> int:
        if hasattr(tensor, "__tensor_flatten__"):
            return 0
        return int(tensor.untyped_storage().data_ptr())


def peak_rss() -> int:
    """Bytes of memory that this process has had at most."""
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
