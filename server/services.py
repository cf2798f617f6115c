"""RabbitMQ, Redis and PostgreSQL for development and tests: `make services`, `make services-stop`.

With Docker Compose where its daemon answers, else from Debian's packages: on loopback, on free ports, in a temporary
folder, as unprivileged users, with passwords made for this start. FOLDER/env holds the variables that point to them,
FOLDER/state.json what runs; `stop` removes it all. Nothing here is for production: server/compose.yaml is.

    python -m server.services start | stop | status | restart NAME | run -- COMMAND
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server import services_debian, services_docker
from server.services_debian import Missing

NAMES = ("rabbitmq", "redis", "postgres")
START_S = 60.0
KINDS = {"compose": services_docker, "packages": services_debian}


class Failed(Exception):
    """A service that does not start, with the end of its log."""


def start(folder: Path) -> dict[str, Any]:
    """Start what there is and wait until it answers; where it runs already, say where.

    Returns:
        The state: `kind`, `home`, `ports`, `missing` (name to reason), `processes` (name to pid and start time).

    Raises:
        Failed: none of them is there and starts.
    """
    return _started(folder)[0]


def _started(folder: Path) -> tuple[dict[str, Any], bool]:
    """See `start`; and whether this started them."""
    with _alone(folder):
        state = read(folder)
        if state and all(_answers(state, name) for name in NAMES if name not in state["missing"]):
            return state, False
        if state:
            _end(folder, state)
        last: Exception | None = None
        for kind in _kinds():
            try:
                return _start(folder, kind), True
            except Failed as error:
                last = error
                print(f"services: {error}", file=sys.stderr)
        raise last or Failed("nothing starts here")


def _kinds() -> list[str]:
    asked = os.environ.get("SERVICES", "")
    if asked and asked not in KINDS:
        raise Failed(f"SERVICES={asked}: known are {', '.join(KINDS)}")
    if asked:
        return [asked]
    return ["compose", "packages"] if services_docker.there() else ["packages"]


def _start(folder: Path, kind: str) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="querywright-services-"))  # short: a socket's path has 107 characters at most
    home.chmod(0o711)  # the services' users pass through it to their own folders
    ports = _free(*NAMES, "epmd", "distribution")
    state: dict[str, Any] = {
        "kind": kind, "home": str(home), "ports": ports, "password": secrets.token_hex(12), "missing": {},
        "processes": {},
    }  # fmt: skip

    def kept() -> None:
        _write(folder / "state.json", json.dumps(state, indent=1))  # after each step: `stop` ends a start cut short

    try:
        kept()
        for name in NAMES:
            try:
                KINDS[kind].start(state, name, kept)
            except (Missing, OSError, subprocess.SubprocessError) as error:
                _without(state, name, error)
        for name in NAMES:
            try:
                if name not in state["missing"]:
                    _wait(state, name, kept)
            except Failed as error:
                _without(state, name, error)
        if len(state["missing"]) == len(NAMES):
            raise Failed("; ".join(str(reason).splitlines()[0] for reason in state["missing"].values()))
        _write(folder / "env", "".join(f"{k}={v}\n" for k, v in variables(state).items()))
        kept()
        return state
    except BaseException:
        _end(folder, state)
        raise


def _without(state: dict[str, Any], name: str, error: Exception) -> None:
    """Go on without a service: what needs it says why it can't run."""
    state["missing"][name] = str(error)
    print(f"services: without {name}: {error}", file=sys.stderr)


def variables(state: dict[str, Any]) -> dict[str, str]:
    """What the evaluation service and the tests read from the environment."""
    urls = {
        "rabbitmq": ("QUERYWRIGHT_BROKER", "amqp://{user}:{password}@127.0.0.1:{port}//"),
        "redis": ("QUERYWRIGHT_RESULTS", "redis://:{password}@127.0.0.1:{port}/0"),
        "postgres": ("QUERYWRIGHT_JOBS", "postgresql://{user}:{password}@127.0.0.1:{port}/postgres"),
    }
    return {
        variable: url.format(user="querywright", password=state["password"], port=state["ports"][name])
        for name, (variable, url) in urls.items()
        if name not in state["missing"]
    }


def read(folder: Path) -> dict[str, Any] | None:
    """The state that a start left, or None."""
    try:
        return dict(json.loads((folder / "state.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def restart(folder: Path, name: str, down_s: float = 0.0) -> str:
    """Kill a service without warning and start it again on its port with its data.

    Args:
        down_s: how long it stays away, in seconds.
    """
    state = read(folder)
    if state is None or name in state["missing"] or name not in NAMES:
        raise Failed(f"{name} does not run; make services starts it")
    KINDS[state["kind"]].kill_hard(state, name)
    time.sleep(down_s)

    def kept() -> None:
        _write(folder / "state.json", json.dumps(state, indent=1))

    KINDS[state["kind"]].start(state, name, kept)
    _wait(state, name, kept)
    return f"{name} answers again"


def stop(folder: Path) -> bool:
    """End what a start left, and remove its folders. Whether there was anything."""
    with _alone(folder):
        state = read(folder)
        if state is not None:
            _end(folder, state)
        return state is not None


def _end(folder: Path, state: dict[str, Any]) -> None:
    KINDS[state["kind"]].end(state)
    for _ in range(20):  # a process that was killed may still be closing its files
        shutil.rmtree(state["home"], ignore_errors=True)
        if not os.path.exists(state["home"]):
            break
        time.sleep(0.1)
    for name in ("env", "state.json"):
        (folder / name).unlink(missing_ok=True)


def _wait(state: dict[str, Any], name: str, kept: Callable[[], None]) -> None:
    """Wait until a service answers. One that hangs is killed and started once more: RabbitMQ was seen to, before it had
    said a word, where it was started the moment after it was killed."""
    kind = KINDS[state["kind"]]
    for again in (True, False):
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if _answers(state, name):
                return
            if not kind.runs(state, name):
                raise Failed(f"{name} ended while it started:\n{kind.log(state, name)}")
            time.sleep(0.1)
        if again:
            print(f"services: {name} does not answer after {START_S:.0f} s: started once more", file=sys.stderr)
            kind.kill_hard(state, name)
            kind.start(state, name, kept)
    raise Failed(f"{name} did not answer within {START_S:.0f} s, twice:\n{kind.log(state, name)}")


def _answers(state: dict[str, Any], name: str) -> bool:
    """Whether the service itself answers on its port, by the first bytes of its own protocol."""
    user = b"user\0querywright\0database\0postgres\0\0"
    say, heard = {
        "rabbitmq": (b"AMQP\x00\x00\x09\x01", b"\x01"),
        "redis": (b"AUTH %s\r\nPING\r\n" % state["password"].encode(), b"+OK\r\n+PONG"),
        "postgres": ((len(user) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + user, b"R"),
    }[name]
    try:
        with socket.create_connection(("127.0.0.1", state["ports"][name]), timeout=2) as line:
            line.sendall(say)
            got = b""
            while len(got) < len(heard) and (more := line.recv(len(heard) - len(got))):
                got += more
            return got == heard
    except OSError:
        return False


def _free(*names: str) -> dict[str, int]:
    """Free ports of loopback, all held until all are known, so that they differ."""
    held = [socket.socket() for _ in names]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(names, held, strict=True)}
    finally:
        for one in held:
            one.close()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # passwords
        file.write(text)
    os.replace(new, path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(folder: Path, command: list[str]) -> int:
    """Run a command with the services' variables, and stop the services if this started them. Where they can't be
    started the command runs without them: its tests say why they are skipped."""
    ours = False
    try:
        try:
            state, ours = _started(folder)
            environment = {**os.environ, **variables(state)}
        except Failed as error:
            print(f"services: {error}", file=sys.stderr)
            environment = {**os.environ, "SERVICES_FAILED": str(error).splitlines()[0]}
        with subprocess.Popen(command, env=environment) as process:
            try:
                return process.wait()
            except BaseException:  # this is to end: the command first, in order
                process.terminate()
                raise
    finally:
        if ours:
            stop(folder)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m server.services", description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("work/services"))
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("start", "start them and print the variables"), ("stop", "stop them and remove what they wrote"),
        ("status", "what runs, and the variables"),
    ):  # fmt: skip
        commands.add_parser(name, help=words)
    again = commands.add_parser("restart", help="kill one without warning and start it again")
    again.add_argument("name", choices=NAMES)
    running = commands.add_parser("run", help="start them, run a command, stop them")
    running.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs
    does: dict[str, Callable[[], int]] = {
        "start": lambda: _shown(given.folder, start(given.folder)),
        "status": lambda: _shown(given.folder, read(given.folder)),
        "stop": lambda: _said("stopped" if stop(given.folder) else "nothing runs"),
        "restart": lambda: _said(restart(given.folder, given.name)),
        "run": lambda: run(given.folder, given.words[given.words[:1] == ["--"] :]),
    }
    try:
        return does[given.command]()
    except Failed as error:
        print(f"services: {error}", file=sys.stderr)
        return 2


def _said(text: str) -> int:
    print(text)
    return 0


def _shown(folder: Path, state: dict[str, Any] | None) -> int:
    if state is None:
        print("nothing runs; make services starts RabbitMQ, Redis and PostgreSQL", file=sys.stderr)
        return 1
    for name in NAMES:
        why = state["missing"].get(name) or ("answers" if _answers(state, name) else "does not answer")
        print(f"# {name}: {why}, port {state['ports'][name]}" if name not in state["missing"] else f"# {name}: {why}")
    print(f"# set -a; . {folder / 'env'}; set +a")
    print((folder / "env").read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
