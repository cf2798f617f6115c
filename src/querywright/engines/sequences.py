"""One llama.cpp context that holds several sequences, each with a KV cache of its own.

The caches are separate, not one that all share (llama.cpp's `kv_unified`): a shared one lets a prefix be copied for
nothing, but every token is then compared with what all the others hold as well, which costs more than it saves where
the common prefix is short. Whole caches can be copied; that costs what a few tokens of a prompt cost.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from querywright.engines.base import EngineError

if TYPE_CHECKING:
    import numpy as np


class Part(NamedTuple):
    """Tokens of one sequence that are computed in one step.

    Attributes:
        sequence: its number, from 0.
        start: how many tokens it holds already.
        tokens: what follows them.
        wanted: logits are kept behind the tokens of this place on, counted from the sequence's start.
    """

    sequence: int
    start: int
    tokens: list[int]
    wanted: int


class Sequences:
    """The context. Not to be used from two threads at once, and best always from one: OpenMP keeps helpers for each."""

    def __init__(self, cpp: Any, llama: Any, count: int, context: int) -> None:
        """Use a loaded model's own context, or in its place a new one for `count` sequences of `context` tokens each.

        Args:
            cpp, llama: the module `llama_cpp`, and a `llama_cpp.Llama`.

        Raises:
            EngineError: llama.cpp takes no such number of sequences.
            ValueError: there is no memory for them.
        """
        self._cpp, self._llama = cpp, llama
        most = int(cpp.llama_max_parallel_sequences())
        if not 1 <= count <= most:
            raise EngineError(f"{count} slots: llama.cpp works on 1 to {most} requests at once")
        if count > 1:
            params = llama.context_params
            params.n_seq_max, params.kv_unified, params.n_ctx = count, False, context * count
            llama._ctx.close()
            llama._ctx = cpp._internals.LlamaContext(model=llama._model, params=params, verbose=False)
        self.batch_size = int(llama.n_batch)
        self.context = int(cpp.llama_n_ctx_seq(llama._ctx.ctx))
        self._batch = cpp.llama_batch_init(self.batch_size, 0, 1)

    def keep(self, sequence: int, count: int) -> int:
        """Forget what a sequence holds behind its first `count` tokens; how many it holds then, which is none where a
        model can't forget a part."""
        forget, memory = self._cpp.llama_memory_seq_rm, self._llama._ctx.memory
        if forget(memory, sequence, count, -1):
            return count
        forget(memory, sequence, -1, -1)
        return 0

    def copy(self, source: int, target: int) -> None:
        """Let one sequence hold what another holds; the copy itself is made at the next step."""
        self._cpp.llama_memory_seq_cp(self._llama._ctx.memory, source, target, -1, -1)

    def compute(self, parts: Sequence[Part]) -> list[dict[int, int]]:
        """One step, at most `batch_size` tokens.

        Returns:
            For each part the rows of its logits, by the number of tokens that they follow; see `logits`.

        Raises:
            RuntimeError: llama.cpp failed; what it holds of these parts is not known then.
        """
        batch, row = self._batch, 0
        found: list[dict[int, int]] = []
        for part in parts:
            rows = {}
            for place, token in enumerate(part.tokens, start=part.start):
                batch.token[row], batch.pos[row] = token, place
                batch.seq_id[row][0], batch.n_seq_id[row] = part.sequence, 1
                batch.logits[row] = place >= part.wanted
                if place >= part.wanted:
                    rows[place + 1] = row
                row += 1
            found.append(rows)
        batch.n_tokens = row
        code = self._cpp.llama_decode(self._llama._ctx.ctx, batch)
        if code != 0:
            raise RuntimeError(f"llama_decode returned {code}")
        return found

    def logits(self, row: int) -> np.ndarray:
        """One row of the last step's logits, float32 [vocabulary]: a view that the next step overwrites."""
        import numpy as np

        found = self._cpp.llama_get_logits_ith(self._llama._ctx.ctx, row)
        cells = ctypes.cast(found, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(cells, shape=(self._llama.n_vocab(),))

    def close(self) -> None:
        """Free the step's buffers; the context belongs to the model. Idempotent."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._cpp.llama_batch_free(batch)
