"""What the tests of preferences share: prompts in a file, and the real CLI in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    """Rows as JSON lines; text goes in as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """JSON lines as rows."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def command(*args: object) -> list[str]:
    """The command line of `querywright preferences ...`."""
    return [sys.executable, "-m", "querywright", "preferences", *map(str, args)]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run `querywright preferences ...` in a folder of its own; nobody waits for servers that are gone."""

    def run(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*args), cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", **env}, text=True,
            capture_output=True, timeout=240, check=False,
        )  # fmt: skip

    return run
