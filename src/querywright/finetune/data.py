"""The rows to train on: chat JSONL in, torchtune samples out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset
from torchtune.data import CROSS_ENTROPY_IGNORE_IDX, Message

from querywright.finetune.chat_rows import read_rows


class ChatRows(Dataset):
    """Tokenised chat rows with ``tokens``, ``mask`` and ``labels``; memory is about 1 kB a row."""

    def __init__(self, tokenizer: Any, *, source: str) -> None:
        self._samples = []
        for messages in read_rows(Path(source)):
            sample = tokenizer({"messages": [Message(role=m["role"], content=m["content"]) for m in messages]})
            pairs = zip(sample["tokens"], sample["mask"], strict=True)
            sample["labels"] = [CROSS_ENTROPY_IGNORE_IDX if masked else token for token, masked in pairs]
            self._samples.append(sample)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._samples[index]


def chat_rows(tokenizer: Any, *, source: str) -> ChatRows:
    """Dataset component for torchtune's configs: ``source`` is a chat JSONL file."""
    return ChatRows(tokenizer, source=source)
