"""Hidden states below the first trained layer, kept over epochs: the frozen layers read each row once.

A frozen layer gives the same output for the same row in every epoch. Where LoRA sits on the upper layers only
(``lora_last_layers``), the input of the first trained layer is written to a temporary file that has no name, in
16 bit: 1.2 kB a token at width 576. The file goes with the process, however that ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST = 65_504.0  # of float16


class LowerCache:
    """Rows of hidden states by the number of their row in the data; safe for several threads.

    Args:
        width: numbers a token, ``d``.
        folder: where the file lies; default: the system's folder for temporary files.
    """

    def __init__(self, width: int, folder: str | None = None) -> None:
        self.width = width
        # not a name in the folder: nothing is left behind, not even by a kill
        self._file = tempfile.TemporaryFile(dir=folder, prefix="lower")  # noqa: SIM115 - as long as the model
        self._places: dict[int, tuple[int, int]] = {}  # row -> start in bytes, tokens
        self._end, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    @staticmethod
    def rounded(x: Tensor) -> Tensor:
        """``x`` as it will be read back: the first epoch trains on the same numbers as the others."""
        return x.clamp(-LARGEST, LARGEST).half().to(x.dtype)

    def put(self, row: int, x: Tensor) -> None:
        """Keep ``x`` [t, d] for a row; a row that is there already stays."""
        raw = x.detach().half().contiguous().numpy().tobytes()
        with self._lock:
            if row in self._places:
                return
            start, self._end = self._end, self._end + len(raw)
        os.pwrite(self._file.fileno(), raw, start)
        self._places[row] = start, len(x)

    def get(self, rows: Sequence[int], dtype: torch.dtype = torch.float32) -> list[Tensor] | None:
        """One [t, d] for each row, or None where one of them is not kept."""
        found = []
        for row in rows:
            place = self._places.get(row)
            if place is None:
                return None
            raw = os.pread(self._file.fileno(), place[1] * self.width * 2, place[0])
            found.append(torch.frombuffer(bytearray(raw), dtype=torch.float16).view(-1, self.width).to(dtype))
        return found
