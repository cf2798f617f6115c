"""Batches for :mod:`querywright.finetune.packed`: token rows end to end, and where each belongs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from querywright.finetune.runtime import training_threads


def shared_prefix(rows: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], ignore_idx: int) -> int:
    """How many first tokens all rows share, none of which has to predict an answer token."""
    end = min(len(row) for row in rows) - 1
    for i in range(end):
        # token i predicts label i + 1
        if any(row[i] != rows[0][i] for row in rows) or any(label[i + 1] != ignore_idx for label in labels):
            return i
    return end


def pack(part: Sequence[tuple[list[int], list[int], int | None]], ignore_idx: int) -> dict[str, Tensor]:
    """One part: T token rows, n answer tokens, B sequences padded to L slots.

    - ``tokens``, ``positions`` [T]: the shared prefix once, then each row's rest, without the row's last token;
    - ``source`` [B, L]: token row of each slot (padding repeats row 0; nothing reads it); ``slots`` [T]: its inverse;
    - ``answers`` [n]: token rows whose next token is an answer token; ``targets`` [n]: those tokens;
    - ``prefix`` []: length of the shared prefix; ``lengths`` [B]: token rows of each row, the prefix among them;
    - ``rows`` [B]: the rows' numbers in the data, by which :mod:`querywright.finetune.lower` knows them again.
    """
    rows, labels, numbers = [row[0] for row in part], [row[1] for row in part], [row[2] for row in part]
    prefix = shared_prefix(rows, labels, ignore_idx) if len(rows) > 1 else 0
    length = max(len(row) for row in rows) - 1
    tokens, positions, slots = rows[0][:prefix], list(range(prefix)), list(range(prefix))
    answers: list[int] = []
    targets: list[int] = []
    source = torch.zeros(len(rows), length, dtype=torch.long)
    source[:, :prefix] = torch.arange(prefix)
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        start, end = len(tokens), len(row) - 1
        source[i, prefix:end] = torch.arange(start, start + end - prefix)
        for j in range(prefix, end):
            if label[j + 1] != ignore_idx:
                answers.append(start + j - prefix)
                targets.append(label[j + 1])
        tokens += row[prefix:end]
        positions += range(prefix, end)
        slots += range(i * length + prefix, i * length + end)
    lists = {"tokens": tokens, "positions": positions, "slots": slots, "answers": answers, "targets": targets}
    whole = {"lengths": [len(row) - 1 for row in rows], "rows": list(numbers) if None not in numbers else []}
    return {
        **{k: torch.tensor(v, dtype=torch.long) for k, v in (lists | whole).items()},
        "source": source,
        "prefix": torch.tensor(prefix),
    }


def collate_packed(
    batch: Sequence[dict[str, Any]], padding_idx: int = 0, ignore_idx: int = -100, parts: int | None = None
) -> dict[str, Any]:
    """Collate component for torchtune's recipes: rows with ``tokens`` and ``labels`` to packed parts, one a thread.

    Returns ``labels`` [1, n + 1], which recipes use to count answer tokens, and ``parts``, a dict of :func:`pack`'s
    dicts with about the same number of tokens each. ``padding_idx`` is in recipes' call and not needed: padding slots
    repeat a token that is there.
    """
    rows = [([int(t) for t in r["tokens"]], [int(t) for t in r["labels"]], r.get("row")) for r in batch]
    n = min(parts or training_threads(), len(rows))
    # longest first, each to the part that has least: parts end together
    dealt: list[list[tuple[list[int], list[int], int | None]]] = [[] for _ in range(n)]
    for row in sorted(rows, key=lambda row: -len(row[0])):
        min(dealt, key=lambda part: sum(len(tokens) for tokens, *_ in part)).append(row)
    packed = {str(i): pack(part, ignore_idx) for i, part in enumerate(dealt)}
    targets = torch.cat([torch.tensor([ignore_idx]), *(part["targets"] for part in packed.values())])
    return {"parts": packed, "labels": targets.unsqueeze(0)}
