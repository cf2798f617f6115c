"""The command line in this process, which has the libraries loaded already: a new interpreter would import torch and
torchtune for each command, which is most of what a small one costs."""

from __future__ import annotations

import io
import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from querywright.cli import main

ROOT = Path(__file__).parents[1]


def querywright(*words: object, input: str = "", ok: bool = True) -> CompletedProcess[str]:
    """Run a command as the entry point does, from the repository's folder. What its children say is not in the result.

    Raises:
        AssertionError: `ok`, and it did not end with 0.
    """
    line = ["querywright", *map(str, words)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(input.encode()), encoding="utf-8")
    argv, stdin, environ = (patch("sys.argv", line), patch("sys.stdin", given), patch.dict(os.environ))
    code = 0
    with argv, stdin, environ, chdir(ROOT), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    print(said[1], file=sys.stderr)
    assert code == 0 or not ok, said[1][-3000:]
    return CompletedProcess(line, code, *said)
