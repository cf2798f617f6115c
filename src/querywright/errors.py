"""Errors that a person can act on: what failed, the value seen, and what to run next."""

from __future__ import annotations

import importlib
from types import ModuleType


class QuerywrightError(Exception):
    """A user's mistake or a missing thing. The CLI prints it without a traceback.

    Attributes:
        hint: the next command or the change to make.
        retryable: whether the same call may succeed later (a busy server, a timeout).
    """

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.retryable = retryable


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Raises:
        QuerywrightError: where the module is not installed; the hint is the install command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise QuerywrightError(
            f"this needs the package {module!r}, which is not installed ({error})",
            hint=f"pip install 'querywright[{extra}]'",
        ) from error


def did_you_mean(word: str, known: list[str], n: int = 3) -> str:
    """`; did you mean 'a', 'b'?` for the nearest known words, else the empty string."""
    from rapidfuzz import fuzz, process

    folded = {k.lower(): k for k in known}
    found = process.extract(word.lower(), [*folded], scorer=fuzz.ratio, limit=n, score_cutoff=60)
    near = [folded[k] for k, _, _ in found]
    return f"; did you mean {', '.join(repr(k) for k in near)}?" if near else ""
