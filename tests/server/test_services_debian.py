"""How a service of development is killed, tried on other processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from server import services, services_debian


def test_rabbitmq_is_killed_with_all_that_belongs_to_it() -> None:
    processes = [subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True) for _ in range(3)]
    names = ("rabbitmq", "epmd", "redis")
    held = {
        name: {"pid": one.pid, "since": services_debian._since(one.pid)}
        for name, one in zip(names, processes, strict=True)
    }
    state: dict[str, Any] = {"processes": held}
    try:
        services_debian.kill_hard(state, "rabbitmq")
        assert [services_debian.alive(held[name]) for name in names] == [False, False, True]
        services_debian.kill_hard(state, "redis")
        assert not services_debian.alive(held["redis"])
        services_debian.kill_hard(state, "postgres")  # never started
    finally:
        for one in processes:
            one.kill()


@pytest.mark.parametrize("process", [None, {"pid": 2**22 + 1, "since": 1}])
def test_what_is_gone_is_not_waited_for(process: dict[str, int] | None) -> None:
    assert not services_debian._left(process)


@pytest.mark.parametrize("left", ["nothing", "dead", "alive"])
def test_a_command_s_services_are_stopped_where_it_started_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """Also where an earlier start had left word of services that are gone."""
    ended: list[str] = []

    def end(folder: Path, state: dict[str, Any]) -> None:
        ended.append(state["home"])
        (folder / "state.json").unlink()

    def start(folder: Path, kind: str) -> dict[str, Any]:
        state = {"kind": kind, "home": "new", "missing": {}, "password": "x", "ports": dict.fromkeys(services.NAMES, 1)}
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        return state

    monkeypatch.setattr(services, "_start", start)
    monkeypatch.setattr(services, "_end", end)
    monkeypatch.setattr(services, "_answers", lambda *_: left == "alive")
    monkeypatch.setenv("SERVICES", "packages")
    if left != "nothing":
        start(tmp_path, "packages")
        text = (tmp_path / "state.json").read_text(encoding="utf-8").replace("new", "old")
        (tmp_path / "state.json").write_text(text, encoding="utf-8")
    assert services.run(tmp_path, [sys.executable, "-S", "-c", "raise SystemExit(7)"]) == 7
    assert ended == {"nothing": ["new"], "dead": ["old", "new"], "alive": []}[left]


def test_a_dead_process_that_nobody_collects_is_not_alive() -> None:
    """As the services are to a test that kills one of them: children of `make test-services`, which collects none."""
    code = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True)\n"
        "sys.stdin.read(1); child.kill(); print('killed', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin
        assert parent.stdout
        pid = int(parent.stdout.readline())
        process = {"pid": pid, "since": services_debian._since(pid)}
        assert services_debian.alive(process)
        parent.stdin.write("x")
        parent.stdin.flush()
        assert parent.stdout.readline() == "killed\n"
        end = time.monotonic() + 10
        while services_debian.alive(process) and time.monotonic() < end:
            time.sleep(0.01)
        assert Path(f"/proc/{pid}").exists()
        assert not services_debian.alive(process)
        parent.stdin.close()
