"""Rows to batches, the same ones in the same order for both backends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from querywright.errors import QuerywrightError

TOKENS = "n_tokens"  # key that :func:`make_loader` adds to a batch: tokens of its rows, padding not counted


def make_loader(
    dataset: Any,
    collate: Callable[..., dict[str, Any]],
    *,
    batch_size: int,
    shuffle: bool,
    tokens_of: Callable[[dict[str, Any]], int] | None = None,
) -> Any:
    """Batches in torchtune's order (its sampler, seed 0, a last part batch left out), with their tokens counted (of a
    row ``tokens_of``; by default those of its key ``tokens``).

    Its generator is its own: a loader that is opened again after a stop leaves the global one as it was.
    """
    from torchdata.stateful_dataloader import StatefulDataLoader
    from torchdata.stateful_dataloader.sampler import StatefulDistributedSampler

    pad = getattr(dataset, "padding_idx", None)  # of a packed dataset, whose rows hold some at their end

    def own(row: dict[str, Any]) -> int:
        return len(row["tokens"]) if pad is None else int((row["tokens"] != pad).nonzero()[-1]) + 1

    def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {**collate(rows), TOKENS: sum(map(tokens_of or own, rows))}

    sampler = StatefulDistributedSampler(dataset, num_replicas=1, rank=0, shuffle=shuffle, seed=0)
    rest: dict[str, Any] = {"batch_size": batch_size, "drop_last": True, "generator": torch.Generator()}
    return StatefulDataLoader(dataset, sampler=sampler, collate_fn=counted, **rest)


def make_dataset(cfg: Any, tokenizer: Any) -> tuple[Any, bool]:
    """The config's dataset (a list of them is joined, as torchtune does), and whether its rows are packed."""
    from omegaconf import ListConfig
    from torchtune import config
    from torchtune.datasets import ConcatDataset, PackedDataset

    if isinstance(cfg, ListConfig):
        joined = ConcatDataset(datasets=[config.instantiate(one, tokenizer) for one in cfg])
        return joined, bool(getattr(joined, "packed", False))
    made = config.instantiate(cfg, tokenizer)
    return made, isinstance(made, PackedDataset) or bool(cfg.get("packed", False))


def collate_rows(component: Callable[..., Any], tokenizer: Any, ignore_index: int) -> Callable[..., dict[str, Any]]:
    """A collate component with what recipes hand to it."""
    return partial(component, padding_idx=tokenizer.pad_id, ignore_idx=ignore_index)


def steps_per_epoch(cfg: Any, loader: Any) -> int:
    """Optimizer steps of one pass over the rows.

    Raises:
        QuerywrightError: there are fewer rows than one step takes.
    """
    found = len(loader) // int(cfg.gradient_accumulation_steps)
    if not found:
        raise QuerywrightError(
            f"{len(loader.dataset)} rows are too few for one step of "
            f"{cfg.gradient_accumulation_steps} x {cfg.batch_size}",
            hint="batch_size=1 gradient_accumulation_steps=1, or more rows",
        )
    return min(found, int(cfg.get("max_steps_per_epoch") or found))
