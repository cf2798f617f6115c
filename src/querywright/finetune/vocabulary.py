"""A byte-level BPE tokenizer as its tokenizer.json tells it: tokens, merges, special tokens. No library needed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.finetune.family import DOWNLOAD


@dataclass(frozen=True)
class Vocabulary:
    """What llama.cpp wants to know of a tokenizer.

    Attributes:
        tokens: text (in the byte alphabet of GPT-2) -> id, those of the model.
        merges: two pieces with a space between them, first the ones that are merged first.
        added: text -> id of the tokens that were put in later; `special` are those among them that text never becomes.
    """

    tokens: dict[str, int]
    merges: list[str]
    added: dict[str, int]
    special: frozenset[str]


def read_vocabulary(base: Path) -> Vocabulary:
    """The tokenizer of a checkpoint.

    Raises:
        QuerywrightError: no tokenizer.json, or no byte-level BPE in it.
    """
    path = base / "tokenizer.json"
    if not path.is_file():
        raise QuerywrightError(
            f"{base} has no tokenizer: tokenizer.json is missing, and what is exported must hold it",
            hint=f"it comes with the checkpoint: {DOWNLOAD}",
        )
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        model = told["model"]
        if model.get("type") != "BPE" or not isinstance(model["vocab"], dict):
            raise KeyError("BPE")
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
        added = {str(one["content"]): int(one["id"]) for one in told.get("added_tokens", ())}
        special = frozenset(str(one["content"]) for one in told.get("added_tokens", ()) if one.get("special"))
        return Vocabulary(model["vocab"], merges, added, special)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QuerywrightError(
            f"{path} holds no byte-level BPE tokenizer", hint=f"fetch it again: {DOWNLOAD}"
        ) from error
