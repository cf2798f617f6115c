"""The API over real tables and files, with an MLflow that is a dictionary; and clients of two teams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from server.access import teams
from server.evaluation import api
from server.evaluation.desk import Desk
from server.evaluation.settings import Settings, settings_of
from server.evaluation.shelf import Shelf
from server.evaluation.tracking import Away, NoRun, Run
from server.jobs.queue import TableQueue
from server.jobs.table import Table

BASE = "/v1/evaluation"


def settings_in(folder: Path, **limits: float) -> Settings:
    """Settings of a service in a folder, with some quotas set."""
    return settings_of(
        {"QUERYWRIGHT_EVALUATION": str(folder)}
        | {f"QUERYWRIGHT_LIMIT_{name.upper()}": str(value) for name, value in limits.items()}
    )


@dataclass
class FakeTracking:
    """MLflow as a dictionary; `away` makes it answer nothing."""

    runs: dict[str, tuple[str, str, list[Any]]] = field(default_factory=dict)
    away: bool = False

    def run(self, team: str, run_id: str) -> Run:
        if self.away:
            raise Away("MLflow does not answer")
        found = self.runs.get(run_id)
        if found is None or found[0] != team:
            raise NoRun(f"there is no run {run_id!r}")
        holds = "calls" if any("instruction" in row for row in found[2]) else "questions"
        known: tuple[Any, ...] = ({}, {"loss": float("nan")}, {}, len(found[2]), holds)  # each row came by itself
        return Run(run_id, found[1], "a run", "FINISHED", team, f"#/{run_id}", None, *known)

    def listed(self, team: str, most: int, before: str | None = None, experiment: str | None = None) -> list[Run]:
        if before is not None:
            self.run(team, before)
        mine = [one for one, (owner, kind, _) in self.runs.items() if owner == team and experiment in (None, kind)]
        newest = mine[::-1]
        return [self.run(team, one) for one in newest[newest.index(before) + 1 if before else 0 :][:most]]

    def delete(self, team: str, run_id: str) -> None:
        self.run(team, run_id)
        del self.runs[run_id]

    def rows(self, team: str, run_id: str) -> list[Any]:
        self.run(team, run_id)
        return self.runs[run_id][2]

    def synthetic(
        self, team: str, rows: Sequence[Mapping[str, Any]], run_id: str | None = None, name: str = "", most: Any = None
    ) -> tuple[str, int]:
        if run_id is None:
            run_id = f"{len(self.runs):032x}"
            self.runs[run_id] = (team, "data_generation", [])
        self.run(team, run_id)
        self.runs[run_id][2].extend(rows)
        return run_id, len(self.runs[run_id][2])


@dataclass
class Served:
    """The application and what it stands on."""

    app: Any
    settings: Settings
    table: Table
    shelf: Shelf
    tracking: Any
    tokens: dict[str, str]

    def client(self, team: str = "") -> TestClient:
        """A client of a team on this machine; without a name, of nobody."""
        headers = {"authorization": f"Bearer {self.tokens[team]}"} if team else {}
        return TestClient(self.app, "http://127.0.0.1", headers=headers, client=("127.0.0.1", 5000))

    def files(self) -> list[Path]:
        """All files of uploads, whole and half ones."""
        return [path for path in self.settings.uploads.rglob("*") if path.is_file()]


@contextmanager
def served(settings: Settings, names: Sequence[str] = (), tracking: Any = None) -> Iterator[Served]:
    """The API for these teams; without any, for whoever is on this machine."""
    with ExitStack() as opened:
        file = settings.folder / "teams"
        tokens = {name: teams.add(file, name)[0] for name in names}
        table = opened.enter_context(closing(Table(settings.jobs, settings.job_folders)))
        shelf = opened.enter_context(closing(Shelf(settings)))
        tracking = tracking or FakeTracking()
        desk = Desk(settings, table, TableQueue(), shelf, tracking)
        opened.callback(desk.close)
        app = api.build(desk, auth=teams.Teams(file) if names else None)
        yield Served(app, settings, table, shelf, tracking, tokens)
