"""Regular expressions that others wrote (an OpenAPI file's patterns), searched in linear time.

Python's own engine can take for ever on a text that is made for it; RE2 cannot, and refuses what it could not promise
that for (look-around, back references).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

MOST = 300


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Callable[[str], Any]:
    """A search for the pattern.

    Raises:
        ValueError: RE2 does not take it; the message says why.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    if len(pattern) > MOST:
        raise ValueError(f"it has {len(pattern)} characters; {MOST} are taken")
    try:
        found: Callable[[str], Any] = re2.compile(pattern, options).search
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise ValueError(said.decode() if isinstance(said, bytes) else str(said)) from None
    return found
