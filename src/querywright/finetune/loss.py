"""Cross entropy of answer tokens straight from hidden states: no [n, vocabulary] array outlives its chunk."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

CHUNK_ROWS = 128  # 25 MB of logits; fewer rows make slower products, more fall out of the cache


def frozen_product(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight``, in the weight's type where that is another than x's; the result is in x's."""
    return x @ weight if x.dtype == weight.dtype else (x.to(weight.dtype) @ weight).to(x.dtype)


class _LinearCrossEntropy(Function):
    """Cross entropies of ``hidden @ weight.T``; the gradient of hidden is taken chunk by chunk on the way.

    The weight is frozen: it needs no gradient.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        """hidden [n, d], weight [v, d], targets [n] -> [n]."""
        wanted = ctx.needs_input_grad[0]
        d_hidden = torch.empty_like(hidden) if wanted else hidden.new_empty(0)
        losses = hidden.new_empty(len(targets))
        for at in range(0, len(targets), CHUNK_ROWS):
            part = slice(at, at + CHUNK_ROWS)
            logits, target = frozen_product(hidden[part], weight.T), targets[part].unsqueeze(1)
            picked = logits.gather(1, target)
            top = logits.amax(1, keepdim=True)
            logits.sub_(top).exp_()
            norm = logits.sum(1, keepdim=True)
            losses[part] = (norm.log() + top - picked).squeeze(1)
            if wanted:
                logits.div_(norm).scatter_add_(1, target, logits.new_full((), -1.0).expand_as(target))
                d_hidden[part] = frozen_product(logits, weight)
        ctx.save_for_backward(d_hidden)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of hidden only."""
        return ctx.saved_tensors[0] * grads[0].unsqueeze(1), None, None


def answer_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each target, [n]; hidden [n, d], output weight [v, d] (frozen), targets [n]."""
    losses: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets)
    return losses


class AnswerLoss(nn.Module):
    """Loss component for torchtune's recipes, for packed and for plain batches.

    For a packed batch :class:`querywright.finetune.packed.PackedDecoder` has worked out the loss itself and gives it in
    a list; given logits this is ``torch.nn.CrossEntropyLoss``.
    """

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, outputs: Tensor | list[Tensor], labels: Tensor) -> Tensor:
        """Mean loss over labels that are not ``ignore_index``, shape []."""
        if isinstance(outputs, list):
            return outputs[0]
        return F.cross_entropy(outputs, labels, ignore_index=self.ignore_index)
