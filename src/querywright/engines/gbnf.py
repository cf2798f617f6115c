"""llama.cpp's own grammar sampler, for those who bring a GBNF file. Slower than the mask of llguidance."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from querywright.engines.base import MaskError
from querywright.engines.choose import pick

if TYPE_CHECKING:
    import numpy as np


class GbnfMask:
    """The same face as `mask.Mask`, with its own `pick`: like llama.cpp, it tries the likeliest token first."""

    def __init__(self, cpp: Any, vocab: Any, text: str) -> None:
        self._cpp = cpp
        self._sampler = cpp.llama_sampler_init_grammar(vocab, text.encode(), b"root")
        if not self._sampler:
            raise MaskError("llama.cpp does not read this GBNF grammar", hint="querywright grammar build writes one")
        self._vocab = vocab
        self._ends = [t for t in range(cpp.llama_vocab_n_tokens(vocab)) if cpp.llama_vocab_is_eog(vocab, t)]

    def __del__(self) -> None:
        if getattr(self, "_sampler", None):
            self._cpp.llama_sampler_free(self._sampler)

    def pick(self, logits: np.ndarray, temperature: float, rng: np.random.Generator) -> tuple[int, float]:
        """See `choose.pick`."""
        token, logprob = pick(logits, None, temperature, rng)
        if self._allowed([token])[0]:
            return token, logprob
        import numpy as np

        bits = np.packbits(np.array(self._allowed(list(range(len(logits)))), dtype=bool), bitorder="little")
        return pick(logits, bits.tobytes(), temperature, rng)

    def _allowed(self, tokens: list[int]) -> list[bool]:
        data = (self._cpp.llama_token_data * len(tokens))(*((t, 0.0, 0.0) for t in tokens))
        array = self._cpp.llama_token_data_array(data, len(tokens), -1, False)
        self._cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        kept = [False] * len(tokens)
        first = tokens[0]
        for i in range(array.size):
            kept[array.data[i].id - first] = array.data[i].logit > float("-inf")
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
        return self._allowed(self._ends[:1])[0]

    @property
    def must_end(self) -> bool:
        """Not known; the end token is then all that `pick` can give."""
        return False
