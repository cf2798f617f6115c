"""The loss of preference rows: how much likelier than before the wanted answer became, against the other one.

Rafailov et al. 2023 (arXiv:2305.18290). The reference is the same model with its adapter switched off. Two ways to the
same numbers: torchtune's forward pass over padded rows with all their logits, and, where the model has it, the packed
one (:mod:`querywright.finetune.packed`): the prompt is computed once for both answers, and logits for answer tokens
only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from querywright.finetune.batch import pack

PAIRS = "n_pairs"  # key of a batch: how many rows it holds
PARTS, LABELS = "parts", "labels"
# chosen and rejected log probabilities of the model, then those of the reference, [b] each -> losses and both rewards
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
REWARDS = ("chosen", "rejected", "margins", "accuracies")
Sample = Mapping[str, list[int]]
Known = dict[bytes, tuple[Tensor, Tensor]]
"""What the reference says of rows that were seen before, by their tokens: it never changes."""


def tokens_of(row: Sample) -> int:
    """Tokens of both conversations of a row."""
    return len(row["chosen_input_ids"]) + len(row["rejected_input_ids"])


def collate_pairs(rows: Sequence[Sample], ignore_index: int) -> dict[str, Any]:
    """Rows to packed parts of one row each, of which the chosen answer comes first: ``parts``, and ``counts`` [2] in
    each, the answer tokens of the two."""
    parts = []
    for row in rows:
        both = [(row[f"{name}_input_ids"], row[f"{name}_labels"], None) for name in ("chosen", "rejected")]
        counts = [sum(label != ignore_index for label in labels[1:]) for _, labels, _ in both]
        parts.append({**pack(both, ignore_index), "counts": torch.tensor(counts)})
    return {PARTS: parts, PAIRS: len(rows)}


def collate_padded(rows: Sequence[Sample], padding_idx: int, ignore_index: int) -> dict[str, Any]:
    """Rows to ``tokens`` and ``labels`` [2 b, s], the chosen ones first, padded on the right."""
    from torchtune.data import padded_collate_dpo

    tokens, labels = padded_collate_dpo(rows, padding_idx=padding_idx, ignore_idx=ignore_index)
    return {"tokens": tokens, LABELS: labels}


def rows_of(batch: Mapping[str, Any]) -> int:
    """How many preference rows a batch of either kind holds."""
    return int(batch[PAIRS]) if PAIRS in batch else len(batch[LABELS]) // 2


class Tally:
    """Rewards and log probabilities of the rows of a step, for the log."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []

    def add(self, chosen: Tensor, rejected: Tensor, rewards: Sequence[Tensor]) -> None:
        """Log probabilities [b] of both answers, and their rewards [b] each."""
        columns = [rewards[0], rewards[1], chosen, rejected]
        self._rows += zip(*(c.detach().float().tolist() for c in columns), strict=True)

    def told(self) -> dict[str, float]:
        """Means over the rows since the last call, under torchtune's names; an accuracy is the share of rows whose
        wanted answer gained more than the other one."""
        rows, self._rows = self._rows, []
        if not rows:
            return {}
        one, other, chosen, rejected = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        right = sum(row[0] > row[1] for row in rows) / len(rows)
        rewards = dict(zip(REWARDS, (one, other, one - other, right), strict=True))
        return {
            **{f"rewards/{name}": value for name, value in rewards.items()},
            "log_probs/chosen": chosen,
            "log_probs/rejected": rejected,
        }


def packed_loss(model: Any, batch: Mapping[str, Any], loss: Loss, tally: Tally, known: Known) -> Tensor:
    """Mean loss of a packed batch, shape []; the model is a :class:`querywright.finetune.packed.PackedDecoder`.

    Args:
        known: gets what the reference says of each row, so that epochs after the first need not ask it.
    """
    model.replicas(1)
    told: list[Any] = [None] * len(batch[PARTS])

    def work(replica: Any, at: int, part: dict[str, Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        counts = part["counts"].tolist()
        key = b"|".join(part[name].numpy().tobytes() for name in ("tokens", "lengths", "counts"))
        before = known.get(key)
        if before is None:
            with torch.no_grad():
                before = known[key] = _log_probs(model.reference.losses(part), counts)
        with torch.enable_grad():
            now = _log_probs(replica.losses(part), counts)
            losses, *rewards = loss(*now, *before)
            told[at] = (now[0], now[1], rewards)
            return losses.detach().sum(), torch.autograd.grad(losses.sum(), replica.leaves)

    total: Tensor = model.summed([partial(work, at=i, part=part) for i, part in enumerate(batch[PARTS])])
    for row in told:
        tally.add(*row)
    return total / len(told)


def _log_probs(losses: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Log probability of each of two answers, [1] each, from the cross entropies of their tokens."""
    one, other = losses.split(list(counts))
    return -one.sum(0, keepdim=True), -other.sum(0, keepdim=True)


def padded_loss(
    forward: Callable[[tuple[Tensor, Tensor]], Sequence[Tensor]], off: Any, batch: Any, loss: Loss, tally: Tally
) -> Tensor:
    """Mean loss of a padded batch, shape [].

    Args:
        forward: ``(tokens, labels)`` to the log probabilities of both answers, [b] each, and whatever else.
        off: makes a context in which the adapter is switched off.
    """
    both = (batch["tokens"], batch[LABELS])
    chosen, rejected = forward(both)[:2]
    with torch.no_grad(), off():
        before = forward(both)[:2]
    losses, *rewards = loss(chosen, rejected, *before)
    tally.add(chosen, rejected, rewards)
    return losses.mean()
