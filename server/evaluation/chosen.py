"""The models that a request may name: those of the server's catalogue, and the writer that is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from querywright.engines.catalogue import Entry, choose, read_catalogue
from querywright.engines.keys import key_of

if TYPE_CHECKING:
    from querywright.questions.make import Writer

RULES = "rules"
"""The writer without a model."""
AT_ONCE = 8
"""Requests that a server has at once, where its entry does not say."""


def names(catalogue: Path) -> list[str]:
    """The models that an evaluation may name, in the catalogue's order; a generation may name `RULES` besides."""
    return [*read_catalogue(catalogue)]


def taken(catalogue: Path, wanted: Sequence[str]) -> dict[str, Entry]:
    """Entries of the catalogue by name.

    Raises:
        QuerywrightError: an unknown name.
    """
    known = read_catalogue(catalogue)
    return {name: known[name] for name in choose([*known], list(wanted), [])} if wanted else {}


def opened_writer(entry: Entry | None, out: Path) -> Writer:
    """The writer of questions that an entry is; None for the one without a model.

    Raises:
        QuerywrightError: its model is not there, or its key is not in the environment.
    """
    from querywright.finetune.shipped import located
    from querywright.questions.write import open_writer

    if entry is None:
        return open_writer(RULES, out)
    return open_writer(
        located(entry.model), out, adapter=entry.adapter, key=key_of(entry.api_key or "", "the writer"),
        threads=entry.threads, concurrency=entry.concurrency or AT_ONCE, slots=entry.slots,
        temperature=entry.temperature, isolated=True,
    )  # fmt: skip
