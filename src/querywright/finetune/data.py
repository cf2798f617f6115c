"""The rows to train on: chat JSONL in, torchtune samples out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset
from torchtune.data import CROSS_ENTROPY_IGNORE_IDX, Message

from querywright.errors import QuerywrightError

ROLES = ("system", "user", "assistant")


def read_rows(path: Path) -> list[list[dict[str, str]]]:
    """The ``messages`` of each line of a chat JSONL file.

    Raises:
        QuerywrightError: no such file, no rows, or a line that is no conversation ending in an answer.
    """
    if not path.is_file():
        raise QuerywrightError(f"no training rows at {path}", hint="querywright pairs export")
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                messages = json.loads(line)["messages"]
                whole = messages[-1]["role"] == "assistant" and all(
                    m["role"] in ROLES and isinstance(m["content"], str) for m in messages
                )
            except (ValueError, KeyError, TypeError, IndexError):
                whole = False
            if not whole:
                raise QuerywrightError(
                    f"{path}:{number}: not a chat row: {line.strip()[:80]}",
                    hint='each line is {"messages": [{"role": ..., "content": ...}, ...]}, the answer last',
                )
            rows.append(messages)
    if not rows:
        raise QuerywrightError(f"{path} holds no rows", hint="querywright pairs export")
    return rows


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
