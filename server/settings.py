"""The limits of the server. Each is checked before work is done, and named in the error that it causes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        instruction_chars: length of a sentence, in characters.
        call_chars: length of a corrected call, in characters.
        body_bytes: size of a request's body, in bytes.
        waiting: requests that may wait for the engine; one more is refused at once.
        rows: rows shown in the table of hits.
        columns: columns of that table.
        cell_chars: length of one cell of that table.
    """

    instruction_chars: int = 1_000
    call_chars: int = 4_000
    body_bytes: int = 64 * 1024
    waiting: int = 8
    rows: int = 10
    columns: int = 12
    cell_chars: int = 200
