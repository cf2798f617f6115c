"""The rows to train on: chat JSONL in, torchtune samples out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset
from torchtune.data import CROSS_ENTROPY_IGNORE_IDX, Message

from querywright.errors import QuerywrightError
from querywright.finetune.chat_rows import read_rows


class ChatRows(Dataset):
    """Tokenised chat rows with ``tokens``, ``mask`` and ``labels``; memory is about 1 kB a row."""

    def __init__(self, tokenizer: Any, *, source: str) -> None:
        self._samples = []
        for messages in read_rows(Path(source)):
            turns = [Message(role=m["role"], content=m["content"], masked=m["role"] != "assistant") for m in messages]
            sample = tokenizer({"messages": turns})
            pairs = zip(sample["tokens"], sample["mask"], strict=True)
            sample["labels"] = [CROSS_ENTROPY_IGNORE_IDX if masked else token for token, masked in pairs]
            self._samples.append(sample)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._samples[index]


def chat_rows(tokenizer: Any, *, source: str, packed: bool = False) -> Dataset:
    """Dataset component for torchtune's configs: ``source`` is a chat JSONL file.

    ``packed`` lays rows end to end, ``tokenizer.max_seq_len`` tokens a sample, none attending to another; torchtune's
    recipes read the same key and then take their own collate function for it.

    Raises:
        QuerywrightError: packed without a length to pack to.
    """
    rows = ChatRows(tokenizer, source=source)
    if not packed:
        return rows
    if not tokenizer.max_seq_len:
        raise QuerywrightError("dataset.packed needs a length to pack to", hint="tokenizer.max_seq_len=16384")
    from torchtune.datasets import PackedDataset

    return PackedDataset(rows, max_seq_len=tokenizer.max_seq_len, padding_idx=tokenizer.pad_id)
