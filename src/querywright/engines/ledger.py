"""Answers that were paid for, on disk before they count: one JSON line each, appended, never rewritten.

A line's `key` is a hash of the model, the prompt and the settings. A run that was killed finds every answer that it
had; only what was under way is asked again. The line that a kill cut in two is passed over.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import IO, Any

from querywright.errors import QuerywrightError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such lock; two runs at once may then ask the same twice
    fcntl = None  # type: ignore[assignment]


class Ledger:
    """The answers in one file. `get` and `put` may be called from any thread."""

    def __init__(self, path: Path | str) -> None:
        """Read what is there. Nothing is created or locked before the first `put` or `lock`."""
        self.path = Path(path)
        self.rows: dict[str, dict[str, Any]] = {}
        self.lost: list[dict[str, Any]] = []
        self._file: IO[bytes] | None = None
        self._guard = threading.Lock()
        if self.path.is_file():
            with open(self.path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    self._read(line)

    def get(self, key: str) -> str | None:
        """The text that is kept under `key`."""
        row = self.rows.get(key)
        return None if row is None else str(row["text"])

    def put(self, key: str, text: str | None, **facts: Any) -> None:
        """Keep an answer; when this returns, it is on the disk.

        Args:
            text: None for an answer that got lost on its way: it was perhaps charged, and is asked for again.
            facts: tokens and such, plain values.

        Raises:
            QuerywrightError: the disk is full, or another run writes here.
        """
        row = {"key": key, **({} if text is None else {"text": text}), **facts}
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        self.lock()
        with self._guard:
            assert self._file is not None
            try:
                self._file.write(line)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise QuerywrightError(
                    f"could not keep an answer in {self.path}: {error.strerror or error}", hint="free some space"
                ) from error
            self._remember(row)

    def lock(self) -> None:
        """Open the file for this run alone.

        Raises:
            QuerywrightError: another run holds it, or it can't be written.
        """
        with self._guard:
            if self._file is not None:
                return
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                file = open(self.path, "a+b")  # noqa: SIM115 - it stays open, and locked, as long as this run
            except OSError as error:
                raise QuerywrightError(
                    f"could not write {self.path}: {error.strerror or error}", hint="choose another folder"
                ) from error
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    file.close()
                    raise QuerywrightError(
                        f"another run writes {self.path}", hint="wait for it, or choose another folder"
                    ) from None
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line that was cut when a run was killed
                    file.write(b"\n")
            self._file = file

    def close(self) -> None:
        """Give the file back. Idempotent."""
        with self._guard:
            if self._file is not None:
                self._file.close()
                self._file = None

    def total(self, name: str) -> int:
        """The sum of a fact over all lines, lost answers included; what is no number counts as nothing."""
        values = [row.get(name) for row in (*self.rows.values(), *self.lost)]
        return sum(int(v) for v in values if isinstance(v, int | float) and 0 < v < 1e12)

    def _read(self, line: str) -> None:
        try:
            row = json.loads(line)
            row["key"] = str(row["key"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if not isinstance(row.get("text", ""), str):  # damaged: paid for, and asked again
            del row["text"]
        self._remember(row)

    def _remember(self, row: dict[str, Any]) -> None:
        old = self.rows.get(row["key"])
        if "text" not in row or old is not None:  # what was asked again has been paid for twice
            self.lost.append(row if old is None else old)
        if "text" in row:
            self.rows[row["key"]] = row
