"""Which process works on a job, and whether it is still there.

A worker's name is `HOST:PLACE:PID:START`: the place tells processes of this machine (and of this container) from those
of another, the start time tells a process from a later one with the same number.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def me() -> str:
    """This process's name. Not kept: a forked one has another."""
    return name(os.getpid())


def name(pid: int) -> str:
    """The name of a process of this machine."""
    return f"{socket.gethostname().replace(':', '.')[:60]}:{_place()}:{pid}:{_start(pid) or 0}"


def gone(worker: str) -> bool:
    """Whether a worker is known to be dead; False where it lives, and where it can't be seen from here."""
    parts = worker.split(":")
    if len(parts) != 4 or parts[1] != _place() or not parts[2].isdigit():
        return False
    started = _start(int(parts[2]))
    return started is None or (started != "0" and started != parts[3])


def end(worker: str) -> None:
    """Kill a worker that hangs, with what it started, where it can be seen from here: else it would keep its place,
    and its job's folder. Never this process."""
    parts = worker.split(":")
    if len(parts) != 4 or parts[1] != _place() or not parts[2].isdigit() or int(parts[2]) in (0, 1, os.getpid()):
        return
    pid = int(parts[2])
    if _start(pid) != parts[3] or parts[3] == "0":
        return
    with suppress(ProcessLookupError, PermissionError):
        (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, signal.SIGKILL)


def leave() -> None:
    """Kill this process and what it started, in whatever they hang."""
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


@lru_cache(1)
def _place() -> str:
    """This start of this machine, and the process numbers that are seen here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname().replace(":", ".")


def _start(pid: int) -> str | None:
    """When a process started, in the system's ticks; "0" where the system does not say, None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "0" if _answers(pid) else None  # a system without /proc, or one that hides others' processes there
    except OSError:
        return "0"
    return None if fields[0] in "ZX" else fields[19]  # a zombie is dead: it waits for its parent only


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
