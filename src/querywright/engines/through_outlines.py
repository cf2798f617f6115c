"""The way through outlines, for those who bring it: a transformers model under outlines' own llguidance backend.

outlines 1.3 warns when its matcher fails and then goes on without it. Here such a warning is an error, and every text
is checked against the grammar once more when it is there.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.engines.base import (
    MAX_TOKENS,
    REPORT,
    Completion,
    EngineError,
    Finish,
    Grammar,
    MaskError,
    Message,
    Progress,
    chatml,
    go_on,
    harmless,
)
from querywright.engines.hf import TransformersEngine
from querywright.engines.mask import Compiler
from querywright.errors import need


class OutlinesEngine:
    """A checkpoint folder through outlines. See `base.Engine`."""

    def __init__(self, path: Path | str, *, adapter: Path | str | None = None, threads: int | None = None) -> None:
        """Load the checkpoint as `TransformersEngine` does, and hand it to outlines.

        Raises:
            EngineError: the checkpoint is not readable.
        """
        outlines: Any = need("outlines", extra="hf")
        outlines.disable_cache()  # its cache on disk unpickles what it finds
        from outlines.backends.llguidance import LLGuidanceBackend

        self._inner = TransformersEngine(path, adapter=adapter, threads=threads)
        self._outlines = outlines
        self._model: Any = outlines.from_transformers(self._inner.model, self._inner.tokenizer)
        self._model.type_adapter.has_chat_template = False  # what it gets is a whole chat already
        self._backend: Any = LLGuidanceBackend(self._model)
        self._compiler = Compiler(self._backend.llg_tokenizer)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        n: int = 1,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """See `base.Engine.generate`. The log probability is not known."""
        import torch
        import transformers

        torch.manual_seed(seed)
        sampling: dict[str, Any] = {"do_sample": temperature > 0}
        if temperature > 0:
            sampling["temperature"] = temperature
        prompt = chatml(harmless(messages))
        tokens_in = len(self._inner.tokenizer(prompt, add_special_tokens=False)["input_ids"])

        def tell(ids: Any, scores: Any, **more: Any) -> Any:
            """Not really a criterion: transformers asks it after each token, and an error ends the text at once."""
            text = self._inner.tokenizer.decode(ids[0, tokens_in:], skip_special_tokens=True)  # as outlines does
            go_on(progress, str(text).rstrip("\ufffd"))
            return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        if progress is not None:
            sampling["stopping_criteria"] = transformers.StoppingCriteriaList([tell])
        done = []
        for _ in range(n if temperature > 0 else 1):
            start = time.perf_counter()
            text = self._run(prompt, grammar, max_new_tokens=max_tokens, **sampling)
            tokens = self._inner.tokenizer(text, add_special_tokens=False)["input_ids"]
            finish = self._finish(grammar, text, tokens, max_tokens)
            done.append(Completion(text, tokens_in, len(tokens), (time.perf_counter() - start) * 1000, finish))
        return done * (n if temperature == 0 else 1)

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return {**self._inner.describe(), "engine": "outlines"}

    def close(self) -> None:
        """Drop the model."""
        self._inner.close()
        self._model = self._backend = None

    def _run(self, prompt: str, grammar: Grammar | None, **settings: Any) -> str:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*LLMatcher.*")
            try:
                if grammar is None:
                    text = self._model(prompt, **settings)
                else:
                    self._compiler.start(grammar)  # an invalid grammar fails here, with a reason
                    backend = self._backend
                    kind = {"json": "json_schema", "regex": "regex"}.get(grammar.kind, "cfg")
                    processor = getattr(backend, f"get_{kind}_logits_processor")(grammar.text)
                    text = self._outlines.generator.SteerableGenerator.from_processor(self._model, processor)(
                        prompt, **settings
                    )
            except MaskError:
                raise
            except Warning as warning:
                raise MaskError(f"outlines lost the grammar: {warning}", hint=REPORT) from warning
            except (RuntimeError, ValueError, TypeError) as error:
                raise EngineError(f"outlines failed: {error}", hint="use the checkpoint without outlines:") from error
        return str(text)

    def _finish(self, grammar: Grammar | None, text: str, tokens: list[int], max_tokens: int) -> Finish:
        full = len(tokens) >= max_tokens - 1  # a text is cut into tokens again, which may come out one shorter
        if grammar is None:
            return "length" if full else "stop"
        mask = self._compiler.start(grammar)
        for token in tokens:
            mask.take(token)  # raises MaskError outside of the grammar
        if mask.may_end:
            return "stop"
        if full:
            return "length"
        raise MaskError(f"outlines ended before the grammar allowed it: {text[:80]!r}", hint=REPORT)
