"""Training runs that are stopped or killed at a step of one's choice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from querywright.finetune.job import Job
from querywright.finetune.loop import run
from querywright.finetune.record import JSONLogger

ROOT = Path(__file__).parents[2]


class Interrupting:
    """A logger that is there when a step is done: it sends this process a signal after one of them."""

    def __init__(self, logger: Any, step: int, signum: int) -> None:
        self._logger, self._step, self._signum = logger, step, signum

    def log_dict(self, payload: Any, step: int) -> None:
        self._logger.log_dict(payload, step)
        if step == self._step:
            os.kill(os.getpid(), self._signum)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


class CtrlC(JSONLogger):
    """A metric logger that interrupts the command which started this training when the second step is done."""

    def log_dict(self, payload: Any, step: int) -> None:
        super().log_dict(payload, step)
        if step == 2:
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(0.5)  # it is passed on to here


def run_until(job: Job, step: int, signum: int) -> None:
    """Run a job whose process gets the signal after the step."""
    job.log = Interrupting(job.log, step, signum)
    run(job)


def run_killed(cfg: Any, made: str, step: int) -> None:
    """Run a config in a process of its own, which is killed (`kill -9`) after the step.

    Args:
        made: an expression that makes the job of `cfg`, such as `tests.finetune.test_dpo_loop.job_of(cfg)`.
    """
    from omegaconf import OmegaConf

    script = (
        f"import signal, sys; import {made.partition('(')[0].rpartition('.')[0]}\n"
        "from omegaconf import OmegaConf\n"
        "from tests.finetune.interrupting import run_until\n"
        f"cfg = OmegaConf.create(sys.argv[1]); run_until({made}, {step}, signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, OmegaConf.to_yaml(cfg)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
