"""How long a row is in tokens, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable

from querywright.engines.tokens import encoder
from querywright.errors import QuerywrightError, did_you_mean
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
    """Count the tokens of a text; `tokenizer` as `engines.tokens.encoder` takes it."""
    encode = encoder(tokenizer)
    return lambda text: len(encode(text))


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
