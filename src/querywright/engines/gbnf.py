"""llama.cpp's own grammar sampler, for those who bring a GBNF file. Slower than the mask of llguidance."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from querywright.engines.base import MaskError
from querywright.engines.choose import Step, pick

if TYPE_CHECKING:
    import numpy as np


class GbnfMask:
    """The same face as `mask.Mask`, with its own `pick`: like llama.cpp, it tries the likeliest token first."""

    def __init__(self, cpp: Any, vocab: Any, text: str) -> None:
        self._cpp = cpp
        self._sampler = cpp.llama_sampler_init_grammar(vocab, text.encode(), b"root")
        if not self._sampler:
            raise MaskError("llama.cpp does not read this GBNF grammar", hint="querywright grammar build writes one")
        self._end = cpp.llama_vocab_eot(vocab) if cpp.llama_vocab_eot(vocab) >= 0 else cpp.llama_vocab_eos(vocab)

    def __del__(self) -> None:
        if getattr(self, "_sampler", None):
            self._cpp.llama_sampler_free(self._sampler)

    def pick(self, logits: np.ndarray, temperature: float, rng: np.random.Generator) -> Step:
        """See `choose.pick`; all that is allowed is looked for only where the first try is not."""
        first = pick(logits, None, temperature, rng)
        if self._allowed(first.token, 1)[0]:
            return first._replace(masked=float("nan"))
        import numpy as np

        bits = np.packbits(self._allowed(0, len(logits)), bitorder="little").tobytes()
        return pick(logits, bits, temperature, rng)

    def _allowed(self, first: int, n: int) -> np.ndarray:
        """Whether each of the tokens `first` to `first + n - 1` may come next, bool of shape (n,)."""
        import numpy as np

        rows = np.zeros(n, dtype=[("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])  # llama.h: llama_token_data
        rows["id"] = np.arange(first, first + n)
        data = ctypes.cast(rows.ctypes.data, ctypes.POINTER(self._cpp.llama_token_data))
        array = self._cpp.llama_token_data_array(data, n, -1, False)
        self._cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        kept = np.zeros(n, dtype=bool)
        left = rows[: array.size]
        kept[left["id"] - first] = np.isfinite(left["logit"])
        return kept

    def take(self, token: int) -> None:
        """Move past a token that `pick` gave."""
        self._cpp.llama_sampler_accept(self._sampler, token)

    def forced(self) -> list[int]:
        """GBNF does not say what is forced."""
        return []

    @property
    def may_end(self) -> bool:
        """Whether the text so far is whole."""
        return bool(self._allowed(self._end, 1)[0])

    @property
    def must_end(self) -> bool:
        """Not known; the end token is then all that `pick` can give."""
        return False
