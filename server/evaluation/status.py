"""How the service stands, seen from its stores: nothing is made, and no API has to be up."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from server.evaluation.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from server.jobs.shown import State

WAIT_S = 3.0
SHOWN = 20
_TO_COME = "not made yet"
_PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379, "http": 80, "https": 443, "postgresql": 5432}


def status(settings: Settings) -> dict[str, Any]:
    """Plain values: `jobs` (how many in which state), `at_work` and `stuck` (jobs, the newest first), `parts`: of each
    store and service its `where`, without passwords, and what is `wrong` with it, None where it is there.

    Raises:
        QuerywrightError: the table of jobs can't be read.
    """
    parts = {"MLflow": _part(settings.mlflow), **transport(settings)}
    found: dict[str, Any] = {"folder": str(settings.folder), "jobs": {}, "at_work": [], "stuck": [], "parts": parts}
    if "://" not in settings.jobs and not Path(settings.jobs).is_file():
        return found | {"parts": {"jobs": {"where": settings.jobs, "wrong": _TO_COME}, **parts}}
    from server.jobs.table import Table
    from server.jobs.task import FAILED, PARKED, QUEUED, RUNNING

    table = Table(settings.jobs, settings.job_folders)
    try:
        found["jobs"] = table.counts()
        found["at_work"] = [_job(one) for one in table.listed(states=(RUNNING, QUEUED), most=SHOWN)]
        found["stuck"] = [_job(one) for one in table.listed(states=(PARKED, FAILED), most=SHOWN)]
        found["parts"] = {"jobs": {"where": table.where, "wrong": None}, **parts}
    finally:
        table.close()
    return found


def transport(settings: Settings) -> dict[str, Any]:
    """The parts that jobs go over to workers elsewhere; none on one machine."""
    if not settings.broker:
        return {}
    return {"RabbitMQ": _part(settings.broker), "Redis": _part(settings.results)}


def shown(found: dict[str, Any]) -> RenderableType:
    """The same for the terminal."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table as Grid

    counts = ", ".join(f"{n} {state}" for state, n in found["jobs"].items()) or "no jobs yet"
    lines = [f"[bold]{escape(counts)}[/bold]  {escape(found['folder'])}"]
    lines += [f"{name}: {escape(part['where'])}, {escape(part['wrong'] or 'there')}" for name, part in
              found["parts"].items()]  # fmt: skip
    grid = Grid(box=box.SIMPLE_HEAD)
    for heading in ("job", "team", "kind", "state", "how far, or why"):
        grid.add_column(heading, overflow="fold")
    jobs = [*found["at_work"], *found["stuck"]]
    for job in jobs:
        far = f"{job['what']} {job['done']}/{job['total'] or '?'}" if job["what"] else ""
        grid.add_row(*map(escape, (job["id"], job["team"], job["kind"], job["state"], job["error"] or far)))
    return Group(*lines, *([grid] if jobs else []))


def _job(state: State) -> dict[str, Any]:
    kept = ("id", "kind", "state", "tries", "created", "started", "what", "done", "total", "error", "hint")
    plain = state.plain()
    return {"team": state.team, **{key: plain[key] for key in kept}}


def _part(address: str) -> dict[str, Any]:
    """Whether somebody listens at an address; a file is looked for."""
    if address.startswith("sqlite:"):
        path = Path(address.partition(":///")[2])
        return {"where": str(path), "wrong": None if path.is_file() else _TO_COME}
    parts = urlsplit(address)
    kind = parts.scheme.partition("+")[0]
    host, port = parts.hostname or "127.0.0.1", parts.port or _PORTS.get(kind, 0)
    told = {"where": f"{kind}://{host}:{port}"}
    try:
        socket.create_connection((host, port), WAIT_S).close()
    except OSError as error:
        return told | {"wrong": f"nobody answers ({error.strerror or error})"}
    return told | {"wrong": None}


def away(found: dict[str, Any]) -> list[str]:
    """The parts that should be there and are not."""
    return [name for name, part in found["parts"].items() if part["wrong"] not in (None, _TO_COME)]
