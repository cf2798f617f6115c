"""Run a checked config as a process of its own, so that an interrupted or failed run leaves no half state here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from querywright.artefacts import replacing
from querywright.errors import QuerywrightError
from querywright.progress import say

RESOLVED = "resolved.yaml"


def train(cfg: Any) -> int:
    """Train as ``cfg`` (resolved and checked) says; returns the exit code: 0 done, 130 stopped by the user.

    The child is the leader of its own process group: Ctrl-C reaches it once, from here, and nothing outlives us.

    Raises:
        QuerywrightError: the training process failed; its last words are above.
    """
    from omegaconf import OmegaConf

    from querywright.finetune.chat_rows import read_rows

    output = Path(cfg.output_dir)
    rows = len(read_rows(Path(cfg.dataset.source)))
    with replacing(output / RESOLVED) as out:
        out.write(OmegaConf.to_yaml(cfg))
    say(f"{rows} rows from {cfg.dataset.source}; config resolved to {output / RESOLVED}")
    command = [sys.executable, "-m", "querywright.finetune.recipe", "--config", str(output / RESOLVED)]
    # waiting threads sleep instead of spinning: the machine may have something else to do
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "PYTHONWARNINGS": "ignore", **os.environ}
    child = subprocess.Popen(command, env=environment, start_new_session=True)

    def pass_on(signum: int, frame: Any) -> None:
        if child.poll() is None:
            os.killpg(child.pid, signum)

    before = {s: signal.signal(s, pass_on) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    if code in (130, -signal.SIGINT, -signal.SIGTERM):
        return 130
    if code:
        raise QuerywrightError(f"training failed (exit code {code}); its last lines are above", hint="the same command")
    return 0
