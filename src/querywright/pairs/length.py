"""How long a row is in tokens, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, did_you_mean, need
from querywright.rows import Row, chat

Counter = Callable[[str], int]

LIMITS = {
    "smollm2": 512,  # max_seq_len of the shipped recipes
    "gpt-4.1": 65_536,
    "gpt-4.1-mini": 65_536,
    "gpt-4.1-nano": 65_536,
    "gpt-4o": 65_536,
    "gpt-4o-mini": 65_536,
    "gpt-3.5-turbo": 16_385,
    "davinci-002": 16_384,
    "babbage-002": 16_384,
    "davinci": 2_048,  # and the other models that the classic preparation tool was for
}
"""Tokens of one example by model. Source: OpenAI's fine-tuning guide, and the recipes here."""

_FRAME = 8  # tokens around a message: its role and marks


def limit_of(model: str) -> int:
    """The limit of a model.

    Raises:
        QuerywrightError: it is not known.
    """
    if model not in LIMITS:
        near = did_you_mean(model, [*LIMITS])
        raise QuerywrightError(f"no token limit known for {model!r}{near}", hint="--limit TOKENS gives it")
    return LIMITS[model]


def counter(tokenizer: str) -> Counter:
    """Count tokens with a `tokenizer.json` (or a folder that holds one), or with tiktoken (`tiktoken:o200k_base`).

    Raises:
        QuerywrightError: it is not there or can't be read.
    """
    if tokenizer.startswith("tiktoken:"):
        name = tokenizer.removeprefix("tiktoken:")
        try:
            encoding: Any = need("tiktoken", extra="llm").get_encoding(name)
        except Exception as error:  # it fetches its ranks with whatever client it has
            raise QuerywrightError(
                f"tiktoken could not load {name}: {error}", hint="it fetches them once; or --tokenizer tokenizer.json"
            ) from error
        return lambda text: len(encoding.encode(text, disallowed_special=()))
    path = Path(tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise QuerywrightError(f"no tokenizer at {path}", hint="a tokenizer.json, or tiktoken:o200k_base")
    try:
        read: Any = need("tokenizers", extra="train").Tokenizer.from_file(str(path))
    except QuerywrightError:
        raise
    except Exception as error:  # the library raises bare exceptions
        raise QuerywrightError(f"{path} is no tokenizer: {error}", hint="the tokenizer.json of a checkpoint") from error
    return lambda text: len(read.encode(text, add_special_tokens=False).ids)


def texts(r: Row) -> list[str]:
    """All that a row puts before a model, and the answer."""
    if "prompt" in r:
        return [str(r["prompt"]), str(r["completion"])]
    return [m["content"] for m in chat(r)["messages"]]


def tokens(r: Row, count: Counter | None, limit: int) -> int:
    """A row's tokens, its messages' frames included. A token is a byte at least, so a row whose bytes fit is not
    counted: its bytes are the answer then, and everywhere without a counter."""
    said = texts(r)
    frames = _FRAME * len(said)
    most = sum(len(text.encode()) for text in said) + frames
    return most if count is None or most <= limit else sum(map(count, said)) + frames
