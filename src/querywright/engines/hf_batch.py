"""Many chats at once on transformers: their next tokens come out of common steps.

Prompts are read in one pass, each once however many answers it is to have; then each step computes one token for each
answer, and answers that have ended leave the batch. What is chosen is chosen as in a single request, under each one's
own mask and with its own random numbers, so that a batch changes nothing but rounding.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from querywright.engines.base import REPORT, Completion, EngineError, Finish, Grammar, MaskError, Message
from querywright.engines.choose import Odds, pick
from querywright.engines.mask import Mask

if TYPE_CHECKING:
    import numpy as np

    from querywright.engines.hf import TransformersEngine

_SHRINK = 0.75  # of a batch still writing: below it the ended ones are taken out, which copies the others' cache


@dataclass(frozen=True)
class Request:
    """What `base.Engine.generate` is given."""

    messages: Sequence[Message]
    grammar: Grammar | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    n: int = 1

    @property
    def rows(self) -> int:
        """How many different answers there are to write."""
        return self.n if self.temperature > 0 else 1


@dataclass
class _Row:
    """One answer that is being written."""

    request: int
    prompt: int
    mask: Mask | None
    rng: Any
    max_tokens: int
    temperature: float
    tokens: list[int] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)  # what the grammar forces, taken in the mask already
    odds: Odds = field(default_factory=Odds)
    finish: Finish | None = None
    error: EngineError | None = None
    ms: float = 0.0

    @property
    def over(self) -> bool:
        return self.finish is not None or self.error is not None

    def step(self, logits: np.ndarray, end: int) -> int:
        """The next token, which is to be computed; of an answer that is over any."""
        try:
            token = self._next(logits, end)
        except MaskError as error:
            self.error = error
        except ValueError as error:
            self.error = (EngineError if self.mask is None else MaskError)(str(error), hint=REPORT)
        else:
            if token is not None:
                self.tokens.append(token)
                return token
        return end

    def _next(self, logits: np.ndarray, end: int) -> int | None:
        if not self.queue and self.mask is not None:
            self.queue = self.mask.forced()[: self.max_tokens - len(self.tokens)]
            for token in self.queue:
                self.mask.take(token)
        if self.queue:
            return self.queue.pop(0)
        if self.mask is not None and self.mask.must_end:
            self.finish = "stop"
            return None
        if len(self.tokens) >= self.max_tokens:
            self.finish = "length"
            return None
        step = pick(logits, None if self.mask is None else self.mask.bits(), self.temperature, self.rng)
        self.odds.add(step)
        if step.token == end:
            self.finish = "stop"
            return None
        if self.mask is not None:
            self.mask.take(step.token)
        return step.token


def generate(engine: TransformersEngine, requests: Sequence[Request]) -> list[list[Completion] | EngineError]:
    """Answer requests in one batch; of each its answers, or why there are none: one that fails does not stop others."""
    start = time.perf_counter()
    done: list[list[Completion] | EngineError | None] = [None] * len(requests)
    prompts: list[list[int]] = []
    rows: list[_Row] = []
    for number, request in enumerate(requests):
        try:
            prompt = engine.prompt(request.messages, request.max_tokens)
            masks = [engine.mask(request.grammar) for _ in range(request.rows)]
        except EngineError as error:
            done[number] = error
            continue
        for sample, mask in enumerate(masks):
            rng = _random(request.seed, sample)
            rows.append(_Row(number, len(prompts), mask, rng, request.max_tokens, request.temperature))
        prompts.append(prompt)
    if rows:
        _write(engine, prompts, rows, start)
    for number, request in enumerate(requests):
        if done[number] is not None:
            continue
        mine = [row for row in rows if row.request == number]
        failed = next((row.error for row in mine if row.error), None)
        if failed is not None:
            done[number] = failed
            continue
        whole = [
            Completion(engine.text(r.tokens), len(prompts[r.prompt]), len(r.tokens), r.ms, r.finish or "length",
                       **r.odds.known())
            for r in mine
        ]  # fmt: skip
        done[number] = whole if request.rows == request.n else whole * request.n
    return done  # type: ignore[return-value]


def _write(engine: TransformersEngine, prompts: Sequence[list[int]], rows: list[_Row], start: float) -> None:
    """Write all rows to their ends."""
    import torch

    model, end, device, most = engine.model, engine.end, engine.device, engine.context - 1
    width = max(map(len, prompts))
    # padding stands on the left, so that the last place is every prompt's last token
    ids = torch.tensor([[end] * (width - len(p)) + p for p in prompts], device=device)
    seen = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
    with torch.inference_mode():
        places = (seen.cumsum(1) - 1).clamp(min=0)
        out = model(input_ids=ids, attention_mask=seen, position_ids=places, use_cache=True, logits_to_keep=1)
        cache, logits = out.past_key_values, out.logits[:, -1]
        active = rows
        taken = torch.tensor([row.prompt for row in rows], device=device)
        if len(rows) != len(prompts):  # prompts with several answers
            _select(cache, taken)
        seen, logits = seen[taken], logits[taken]
        while True:
            values = logits.float().cpu().numpy()
            fed = [end if row.over else row.step(values[i], end) for i, row in enumerate(active)]
            ms = (time.perf_counter() - start) * 1000
            for row in active:
                row.ms = row.ms or (ms if row.over else 0.0)
            left = [i for i, row in enumerate(active) if not row.over]
            if not left:
                return
            if len(left) <= _SHRINK * len(active):
                taken = torch.tensor(left, device=device)
                _select(cache, taken)
                seen, active, fed = seen[taken], [active[i] for i in left], [fed[i] for i in left]
            seen = torch.cat([seen, seen.new_ones(len(active), 1)], dim=1)
            places = (seen.sum(1, keepdim=True) - 1).clamp(max=most)  # an answer that is over may be past the last one
            out = model(
                input_ids=torch.tensor(fed, device=device)[:, None], attention_mask=seen,
                position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            cache, logits = out.past_key_values, out.logits[:, -1]


def _select(cache: Any, rows: Any) -> None:
    """Keep these rows of a cache, in this order; one may come several times."""
    if not hasattr(cache, "batch_select_indices"):
        raise EngineError("this kind of model can't be asked in batches", hint="--batch-size 1, and samples: 1")
    cache.batch_select_indices(rows)


def _random(seed: int, sample: int) -> np.random.Generator:
    """Random numbers of a sample; the first has those that a single request has."""
    import numpy as np

    return np.random.default_rng([seed, sample] if sample else seed)
