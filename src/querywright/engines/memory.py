"""How much memory an engine's process has needed at most, where the system tells (Linux)."""

from __future__ import annotations

import re
from pathlib import Path

from querywright.engines.base import Engine


def process(engine: Engine) -> int | None:
    """The id of the process of its own that an engine runs in; None for a server, or in this process."""
    pid = getattr(engine, "pid", None)
    return pid if isinstance(pid, int) else None


def peak_mb(pid: int | None) -> float | None:
    """The most memory that a process held at one time, in MB (10^6 bytes); since `forget_peak`, where that was allowed.

    Source: proc(5), VmHWM. None where there is no such process or no such file.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return round(int(found[1]) * 1024 / 1e6, 1) if found else None


def forget_peak(pid: int | None) -> None:
    """Begin the peak anew at what the process holds now, so that one cell does not count the one before.

    Source: proc(5), clear_refs 5. Where that is not allowed nothing happens, and the peak is that of all cells so far.
    """
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return
