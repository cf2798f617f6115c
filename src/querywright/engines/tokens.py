"""A tokenizer without a model: text to token ids, from a `tokenizer.json` or from tiktoken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, need

Encode = Callable[[str], list[int]]


def encoder(source: str) -> Encode:
    """The tokenizer of a `tokenizer.json` (or of the checkpoint's folder that holds it), or `tiktoken:NAME`.

    Returns:
        Text to token ids, nothing added.

    Raises:
        QuerywrightError: there is no such tokenizer.
    """
    if source.startswith("tiktoken:"):
        tiktoken: Any = need("tiktoken", extra="events")
        try:
            encoding = tiktoken.get_encoding(source.removeprefix("tiktoken:"))
        except Exception as error:  # a name it does not know, or a download that failed: requests' own kinds
            raise QuerywrightError(
                f"tiktoken has no {source.removeprefix('tiktoken:')!r} here: {str(error)[:160]}",
                hint=f"one of {', '.join(tiktoken.list_encoding_names())}; it is fetched once, see TIKTOKEN_CACHE_DIR",
            ) from error
        return lambda text: list(encoding.encode_ordinary(text))
    path = Path(source)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise QuerywrightError(f"no tokenizer at {path}", hint="--tokenizer takes a tokenizer.json or tiktoken:NAME")
    tokenizers: Any = need("tokenizers", extra="events")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception
        raise QuerywrightError(f"{path} is no tokenizer: {error}", hint="give a checkpoint's tokenizer.json") from error
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)
