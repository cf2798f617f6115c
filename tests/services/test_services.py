"""`make services` itself: started beside another one, restarted, and gone without a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server import services as machine
from server import services_debian
from tests.services.conftest import ROOT, placed, until

pytestmark = pytest.mark.services


def test_a_second_set_and_a_broker_that_does_not_wait(
    services: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ that wants its answer within 2 s, as one within 30 minutes for a longer job: it gives the message to
    another worker, and still the job is done once."""
    if "QUERYWRIGHT_BROKER" not in services or machine.read(ROOT / "work" / "services")["kind"] != "packages":  # type: ignore[index]
        pytest.skip("needs RabbitMQ from Debian's packages")
    monkeypatch.setattr(services_debian, "ACK_WITHIN_S", 2)
    monkeypatch.setattr(services_debian, "ERLANG", f"{services_debian.ERLANG} -rabbit channel_tick_interval 500")
    monkeypatch.setenv("SERVICES", "packages")
    folder = tmp_path / "services"
    state = machine.start(folder)
    try:
        assert not set(state["ports"].values()) & set(machine.read(ROOT / "work" / "services")["ports"].values())  # type: ignore[index]
        assert machine.start(folder) == state  # they run: nothing is started twice
        assert (folder / "env").stat().st_mode & 0o077 == 0  # passwords
        with placed(machine.variables(state), str(tmp_path / "jobs.sqlite"), tmp_path) as place:
            first, second = place.worker(), place.worker()
            job = place.submit("long", steps=45)
            ended = place.ends(job)
            assert (ended.state, ended.result) == ("done", {"steps": 45, "attempt": 1})
            assert "acknowledgement" in place.logs()
            assert place.ends(place.submit("small", n=3)).result == {"square": 9}
            assert first.poll() is second.poll() is None
    finally:
        assert machine.stop(folder)
    assert not Path(state["home"]).exists()
    assert sorted(p.name for p in folder.iterdir()) == ["lock"]
    for name in machine.NAMES:
        with socket.socket() as line:
            assert line.connect_ex(("127.0.0.1", state["ports"][name])) != 0
    for process in state["processes"].values():
        assert not services_debian.alive(process)
    assert not machine.stop(folder)


def test_a_command_runs_without_what_is_not_here(tmp_path: Path) -> None:
    """As on a machine without the packages: the command runs, and hears why there are none."""
    command = [sys.executable, "-c", "import os; print(os.environ['SERVICES_FAILED']); raise SystemExit(7)"]
    given = {**os.environ, "SERVICES": "packages", "PYTHONPATH": str(ROOT)}
    code = (
        "import sys; from server import services, services_debian\n"
        "def none(program, *_): raise services_debian.Missing(program + ' is not installed')\n"
        "services_debian._found = none\n"
        "sys.exit(services.main(sys.argv[1:]))"
    )
    folder = ("--folder", str(tmp_path / "services"))
    done = subprocess.run(
        [sys.executable, "-c", code, *folder, "run", "--", *command], env=given, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 7
    assert "redis-server is not installed" in done.stdout
    assert not (tmp_path / "services" / "env").exists()


def test_what_a_killed_start_left_is_ended_by_the_next(tmp_path: Path, services: dict[str, str]) -> None:
    if "QUERYWRIGHT_RESULTS" not in services:
        pytest.skip("needs Redis")
    code = (
        "import os, sys; from pathlib import Path; from server import services, services_debian\n"
        "services.NAMES = ('redis',)\n"
        "services._wait = lambda *_: os.kill(os.getpid(), 9)\n"
        "services.start(Path(sys.argv[1]))"
    )
    given = {**os.environ, "SERVICES": "packages", "PYTHONPATH": str(ROOT)}
    folder = tmp_path / "services"
    killed = subprocess.run([sys.executable, "-c", code, str(folder)], env=given, check=False, timeout=60)
    state = machine.read(folder)
    if killed.returncode != -9 or not state or state["missing"]:
        pytest.skip("needs Redis from Debian's packages")
    redis = state["processes"]["redis"]
    assert services_debian.alive(redis)
    assert machine.stop(folder)
    until(lambda: not services_debian.alive(redis), 10)
    assert not Path(state["home"]).exists()
