"""What calls find, each run once: the ground that scores and judgements of answers stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.errors import QuerywrightError

Found = tuple[int, frozenset[str]]
"""How many records there are in all, and the ids of those on the page that is asked for."""

Run = Callable[[Call], Found | None]


class Runs(Protocol):
    """What is needed of an executor."""

    def run(self, call: Call) -> Any:
        """Run a call; the result has `total` and `ids`."""


def read(api: API, text: str) -> tuple[Call | None, str]:
    """A response as a call, or None with the reason why not (`code: message`)."""
    try:
        return parse(api, text.strip()), ""
    except CallError as error:
        return None, f"{error.code}: {error}"
    except ValueError as error:
        return None, f"bad_query: {error}"
    except RecursionError:
        return None, "bad_query: too deeply nested"


def run_cached(executor: Runs, *, patient: bool = True) -> Run:
    """Run a call once for each canonical form; None where the executor refuses it.

    Args:
        patient: whether None stands for a service that can't be reached as well; else its error is raised.
    """
    found: dict[str, Found | None] = {}

    def run(call: Call) -> Found | None:
        if call.canonical not in found:
            try:
                hits = executor.run(call)
                found[call.canonical] = (int(hits.total), frozenset(map(str, hits.ids)))
            except (QuerywrightError, ValueError) as error:
                if not patient and getattr(error, "retryable", False):
                    raise
                found[call.canonical] = None
        return found[call.canonical]

    return run
