"""The rows to train on: chat JSONL in, torchtune samples out."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset
from torchtune.data import CROSS_ENTROPY_IGNORE_IDX, Message

from querywright.errors import QuerywrightError
from querywright.finetune.chat_rows import MAKE, read_rows
from querywright.finetune.fit import check_choice, judge, shortened, uncut
from querywright.progress import say, track

Chat = list[dict[str, str]]


class ChatRows(Dataset):
    """Tokenised chat rows with ``tokens`` and ``labels``; memory is about 10 bytes a token.

    Attributes:
        report: what became of the rows, for the run's manifest: ``rows`` read, ``kept``, ``too_long`` and how many of
            these were ``truncated``, ``no_answer`` (rows whose loss would have no token), ``longest`` row and
            ``max_seq_len`` in tokens, ``tokens`` and ``answer_tokens`` of the rows kept.

    Raises:
        QuerywrightError: no rows, or none that is short enough; see `fit`.
    """

    def __init__(self, tokenizer: Any, *, source: str, too_long: str = "drop") -> None:
        check_choice(too_long)
        rows = read_rows(Path(source))
        self._samples: list[tuple[Any, Any]] = []
        counts = {"too_long": 0, "truncated": 0, "no_answer": 0, "longest": 0, "tokens": 0, "answer_tokens": 0}
        with uncut(tokenizer) as limit:
            for messages in track(rows, "tokenising rows"):
                tokens, labels = _sample(tokenizer, messages)
                counts["longest"] = max(counts["longest"], len(tokens))
                if limit and len(tokens) > limit:
                    counts["too_long"] += 1
                    cut = _fitted(tokenizer, messages, limit) if too_long == "truncate" else None
                    if cut is None:
                        continue
                    counts["truncated"] += 1
                    tokens, labels = _sample(tokenizer, cut)
                answer = sum(label != CROSS_ENTROPY_IGNORE_IDX for label in labels)
                if not answer:
                    counts["no_answer"] += 1
                    continue
                counts["tokens"] += len(tokens)
                counts["answer_tokens"] += answer
                self._samples.append((np.array(tokens, dtype=np.int32), np.array(labels, dtype=np.int32)))
        kept = {"rows": len(rows), "kept": len(self._samples)}
        self.report: dict[str, Any] = {**kept, **counts, "too_long_is": too_long, "max_seq_len": limit}
        judge(self.report, limit, too_long, source)
        if counts["no_answer"]:
            say(
                f"{counts['no_answer']:,} of {len(rows):,} rows of {source} left out: no token of theirs is in the loss"
            )
        if not self._samples:
            raise QuerywrightError(f"{source} holds no row to train on", hint=MAKE.format(folder=Path(source).parent))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens, labels = self._samples[index]
        # its number, by which `finetune.lower` knows the row again in a later epoch
        return {"tokens": tokens.tolist(), "labels": labels.tolist(), "row": index}


def chat_rows(tokenizer: Any, *, source: str, packed: bool = False, too_long: str = "drop") -> Dataset:
    """Dataset component for torchtune's configs: ``source`` is a chat JSONL file.

    ``packed`` lays rows end to end, ``tokenizer.max_seq_len`` tokens a sample, none attending to another; torchtune's
    recipes read the same key and then take their own collate function for it. ``too_long`` says what becomes of rows of
    more tokens than ``tokenizer.max_seq_len``: ``drop``, ``truncate`` (never the answer: see `fit`) or ``error``.

    Raises:
        QuerywrightError: packed without a length to pack to, or no row to train on.
    """
    if packed and not tokenizer.max_seq_len:
        raise QuerywrightError("dataset.packed needs a length to pack to", hint="tokenizer.max_seq_len=16384")
    rows = ChatRows(tokenizer, source=source, too_long=too_long)
    if not packed:
        return rows
    from torchtune.datasets import PackedDataset

    size = int(tokenizer.max_seq_len)
    with contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO()):  # its bar
        made = PackedDataset(rows, max_seq_len=size, padding_idx=tokenizer.pad_id)
    full = rows.report["tokens"] / (len(made) * size)
    rows.report |= {"packs": len(made), "packing": round(full, 4)}
    say(f"{len(rows):,} rows in {len(made):,} packs of {size:,} tokens, {100 * full:.1f} % full")
    return made


def _sample(tokenizer: Any, messages: Chat) -> tuple[list[int], list[int]]:
    """Token ids and labels of a row; the loss is on answers only."""
    turns = [Message(role=m["role"], content=m["content"], masked=m["role"] != "assistant") for m in messages]
    found = tokenizer({"messages": turns})
    pairs = zip(found["tokens"], found["mask"], strict=True)
    return found["tokens"], [CROSS_ENTROPY_IGNORE_IDX if masked else token for token, masked in pairs]


def _fitted(tokenizer: Any, messages: Chat, limit: int) -> Chat | None:
    return shortened(messages, lambda some: len(_sample(tokenizer, some)[0]) <= limit)
