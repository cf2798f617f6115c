"""A PostgreSQL server for tests, where the machine has one; else the test is skipped, with the reason."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

PASSWORD = "s3cret @/:é%"


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL database: QUERYWRIGHT_TEST_POSTGRES names one (its tables are dropped!), else of a server
    that lives as long as the block."""
    if url := os.environ.get("QUERYWRIGHT_TEST_POSTGRES"):
        yield url
        return
    pytest.importorskip("psycopg", reason="needs psycopg")
    found = [Path(p).parent for p in (shutil.which("initdb"), shutil.which("postgres")) if p]
    found += [Path(p).resolve().parent for p in (shutil.which("postgres"),) if p]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    binaries = next((b for b in found if all((b / name).is_file() for name in ("initdb", "pg_ctl"))), None)
    if binaries is None:
        pytest.skip("needs initdb and pg_ctl, or QUERYWRIGHT_TEST_POSTGRES")
    user: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}  # PostgreSQL refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="querywright-pg-"))  # short: a socket's path has 107 characters at most
    try:
        (home / "password").write_text(PASSWORD, encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {home} -F"
        login = ("-U", "tester", "--pwfile", str(home / "password"), "-A", "scram-sha-256")
        make = [binaries / "initdb", "-D", home / "data", *login, "-E", "UTF8", "--locale", "C", "--no-sync"]
        control = [binaries / "pg_ctl", "-D", home / "data", "-w", "-t", "60", "-l", home / "log"]
        try:
            if user:
                shutil.chown(home, "nobody")
            for command in (make, [*control, "-o", options, "start"]):
                subprocess.run(command, cwd=home, check=True, timeout=120, stdout=subprocess.DEVNULL, **user)
        except (OSError, LookupError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL can't be started here: {error}")
        try:
            yield f"postgresql://tester:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], cwd=home, timeout=120, capture_output=True, **user)
    finally:
        shutil.rmtree(home, ignore_errors=True)
