"""The services of `server/services.py` with Docker Compose, from server/services.yaml."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.services_debian import ACK_WITHIN_S, Missing

_FILE = Path(__file__).with_name("services.yaml")
_PULL_S = 600


def there() -> bool:
    """Whether Compose is installed and its daemon answers."""
    if shutil.which("docker") is None:
        return False
    try:
        for command in (["docker", "compose", "version"], ["docker", "info"]):
            subprocess.run(command, check=True, timeout=20, stdin=subprocess.DEVNULL, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def start(state: dict[str, Any], name: str, kept: Callable[[], None]) -> None:
    """Start one service's container.

    Raises:
        Missing: its image can't be pulled, or its container not be made.
    """
    try:
        _compose(state, "up", "--detach", "--no-recreate", name)
    except subprocess.SubprocessError as error:
        text = getattr(error, "stderr", b"") or b""
        raise Missing(f"docker compose: {text.decode(errors='replace').strip()[-300:] or error}") from error
    kept()


def runs(state: dict[str, Any], name: str) -> bool:
    try:
        return bool(_compose(state, "ps", "--quiet", "--status", "running", name).strip())
    except subprocess.SubprocessError:
        return False


def kill_hard(state: dict[str, Any], name: str) -> None:
    _compose(state, "kill", "--signal", "KILL", name)


def end(state: dict[str, Any]) -> None:
    _compose(state, "down", "--volumes", "--timeout", "5")


def log(state: dict[str, Any], name: str) -> str:
    return _compose(state, "logs", "--no-color", "--tail", "30", name)


def _compose(state: dict[str, Any], *words: str) -> str:
    environment = {
        **os.environ, "PASSWORD": state["password"], "ACK_WITHIN_MS": str(ACK_WITHIN_S * 1000),
        **{f"{name.upper()}_PORT": str(port) for name, port in state["ports"].items()},
    }  # fmt: skip
    project = Path(state["home"]).name.lower()  # a name for each start: two checkouts do not share their containers
    done = subprocess.run(
        ["docker", "compose", "--project-name", project, "--file", str(_FILE), *words],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_PULL_S,
    )  # fmt: skip
    return done.stdout.decode(errors="replace")
