"""The services of `server/services.py` from Debian's packages: a process each, as the package's own user where root
starts them, in a folder each."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

INSTALL = "apt-get install --no-install-recommends rabbitmq-server redis-server postgresql"
ACK_WITHIN_S = 13 * 3600
"""How long a message may stay unacknowledged: RabbitMQ's own 30 minutes are shorter than a job may run, see
`server.jobs.celery_app.ACK_WITHIN_S`."""
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1}"
_SIGNALS = {"postgres": signal.SIGQUIT}  # its immediate way out; SIGKILL would leave its shared memory behind
_END_S = 15.0
_GROUP_S = 3.0


class Missing(Exception):
    """A service that is not installed."""


def start(state: dict[str, Any], name: str, kept: Callable[[], None]) -> None:
    """Start one service and note its process in the state.

    Raises:
        Missing: it is not installed.
    """
    {"rabbitmq": _rabbitmq, "redis": _redis, "postgres": _postgres}[name](state, kept)


def _rabbitmq(state: dict[str, Any], kept: Callable[[], None]) -> None:
    # not /usr/sbin's: that one changes to the package's own folders and user
    server = _found("rabbitmq-server", "/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/*/sbin")
    epmd = _found("epmd", "/usr/lib/erlang/bin", "/usr/lib/erlang/erts-*/bin")
    folder = _folder(state, "rabbitmq")
    ports = state["ports"]
    config = [
        f"listeners.tcp.default = 127.0.0.1:{ports['rabbitmq']}", "default_user = querywright",
        f"default_pass = {state['password']}", f"consumer_timeout = {ACK_WITHIN_S * 1000}", "log.console = true",
        "log.console.level = warning", "log.file = false", "disk_free_limit.absolute = 50MB",
    ]  # fmt: skip
    _give(folder / "rabbitmq.conf", "\n".join(config) + "\n", "rabbitmq")
    _give(folder / "plugins", "[].\n", "rabbitmq")
    environment = {
        "HOME": str(folder), "ERL_EPMD_PORT": str(ports["epmd"]), "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "querywright@localhost", "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"), "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder), "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"), "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
    }  # fmt: skip
    # Erlang would start its port mapper as a daemon of its own, which nobody would stop
    _run(state, "epmd", [epmd, "-port", str(ports["epmd"]), "-address", "127.0.0.1"], "rabbitmq", environment, kept)
    _run(state, "rabbitmq", [server], "rabbitmq", environment, kept)


def _redis(state: dict[str, Any], kept: Callable[[], None]) -> None:
    server = _found("redis-server")
    folder = _folder(state, "redis")
    config = [
        "bind 127.0.0.1", f"port {state['ports']['redis']}", f"requirepass {state['password']}", f"dir {folder}",
        "appendonly yes", "appendfsync everysec", 'save ""', "daemonize no",
    ]  # fmt: skip
    _give(folder / "redis.conf", "\n".join(config) + "\n", "redis")
    _run(state, "redis", [server, str(folder / "redis.conf")], "redis", {}, kept)


def _postgres(state: dict[str, Any], kept: Callable[[], None]) -> None:
    initdb = _found("initdb", "/usr/lib/postgresql/*/bin")
    folder = _folder(state, "postgres")
    if not (folder / "data").exists():
        _give(folder / "password", state["password"], "postgres")
        login = ["-U", "querywright", "--pwfile", str(folder / "password"), "-A", "scram-sha-256"]
        command = [initdb, "-D", str(folder / "data"), *login, "-E", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120, **_as("postgres"))
    options = ["-c", "listen_addresses=127.0.0.1", "-p", str(state["ports"]["postgres"]), "-k", str(folder), "-F"]
    server = str(Path(initdb).with_name("postgres"))
    _run(state, "postgres", [server, "-D", str(folder / "data"), *options], "postgres", {}, kept)


def _found(program: str, *places: str) -> str:
    """The program in the newest of these places, else on the path.

    Raises:
        Missing: it is nowhere.
    """
    for place in places:
        for one in sorted(Path("/").glob(place.lstrip("/")), reverse=True):
            if os.access(one / program, os.X_OK):
                return str(one / program)
    if found := shutil.which(program):
        return found
    raise Missing(f"{program} is not installed ({INSTALL})")


def _as(name: str) -> dict[str, Any]:
    """Whose process it is: root's are the package's user's, or nobody's; others' stay theirs."""
    if os.getuid() != 0:
        return {}
    for user in (name, "nobody"):
        try:
            entry = pwd.getpwnam(user)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    return {}


def _folder(state: dict[str, Any], name: str) -> Path:
    folder = Path(state["home"]) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    _own(folder, name)
    return folder


def _give(path: Path, text: str, name: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    _own(path, name)


def _own(path: Path, name: str) -> None:
    if whose := _as(name):
        os.chown(path, whose["user"], whose["group"])


def _run(
    state: dict[str, Any], what: str, command: list[str], name: str, environment: dict[str, str],
    kept: Callable[[], None],
) -> None:  # fmt: skip
    if alive(state["processes"].get(what)):
        return
    folder = Path(state["home"]) / name
    with (folder / f"{what}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_as(name),
        )  # fmt: skip
    state["processes"][what] = {"pid": process.pid, "since": _since(process.pid)}
    kept()


def _since(pid: int) -> int:
    """When a process began, in the kernel's ticks: a pid that was given away again has another."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return -1


def alive(process: dict[str, int] | None) -> bool:
    """Whether it is that process still, and no dead one that waits to be collected."""
    if process is None or _since(process["pid"]) != process["since"]:
        return False
    with suppress(OSError):  # another's child: if that one does not collect it, it stays as a zombie
        os.waitpid(process["pid"], os.WNOHANG)  # a child of ours that ended
    try:
        return Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(process: dict[str, int] | None, with_signal: int) -> None:
    """Send a signal to a process and to those that it started in its group."""
    if process is not None and alive(process):
        try:
            os.killpg(process["pid"], with_signal)
        except ProcessLookupError:
            return


def runs(state: dict[str, Any], name: str) -> bool:
    return alive(state["processes"].get(name))


def kill_hard(state: dict[str, Any], name: str) -> None:
    """End a service as a power cut would: RabbitMQ with Erlang's port mapper, and all of a service's processes, of
    which the first may be gone while another still holds its port."""
    names = ["rabbitmq", "epmd"] if name == "rabbitmq" else [name]
    for one in names:
        kill(state["processes"].get(one), signal.SIGQUIT if one == "postgres" else signal.SIGKILL)
    _gone(state, names)
    until = time.monotonic() + _GROUP_S
    while any(_left(state["processes"].get(one)) for one in names) and time.monotonic() < until:
        time.sleep(0.05)


def _left(process: dict[str, int] | None) -> bool:
    """Whether any process of a group is there, dead ones that nobody collects included."""
    try:
        if process is not None:
            os.killpg(process["pid"], 0)
        return process is not None
    except OSError:
        return False


def end(state: dict[str, Any]) -> None:
    """End all, gently first."""
    names = [name for name in ("rabbitmq", "redis", "postgres", "epmd") if name in state["processes"]]
    for name in names:
        kill(state["processes"][name], _SIGNALS.get(name, signal.SIGTERM))
    if not _gone(state, names):
        for name in names:
            kill(state["processes"][name], signal.SIGKILL)
        _gone(state, names)


def _gone(state: dict[str, Any], names: list[str]) -> bool:
    until = time.monotonic() + _END_S
    while any(alive(state["processes"].get(name)) for name in names):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def log(state: dict[str, Any], name: str) -> str:
    """The end of what it wrote."""
    try:
        return (Path(state["home"]) / name / f"{name}.log").read_text(errors="replace")[-2000:]
    except OSError:
        return ""
