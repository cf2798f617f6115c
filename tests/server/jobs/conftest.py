"""`where`: an empty place for jobs, in SQLite and in PostgreSQL. `table`: one there, whose clocks the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra serve")

from querywright import database
from querywright.database import sa
from server.jobs import tables
from server.jobs.table import FILE, Table


@dataclass
class Clocks:
    """What the clock on the wall shows, and the one that never jumps."""

    wall: float = 1_000_000.0
    ticks: float = 50.0

    def both(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


def emptied(url: str) -> str:
    """A PostgreSQL database without the tables of jobs."""
    found = database.connect(url)
    with found.writer.begin() as db:
        for one in reversed(tables.metadata.sorted_tables):
            db.execute(sa.schema.DropTable(one, if_exists=True))
    found.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / FILE)
    return emptied(request.getfixturevalue("postgres"))


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def opened(where: str, tmp_path: Path, clocks: Clocks) -> Iterator[Callable[..., Table]]:
    """Opens tables of one database; each sees the same clocks."""
    there: list[Table] = []

    def open_(**more: Any) -> Table:
        clock: dict[str, Any] = {"clock": lambda: clocks.wall, "ticks": lambda: clocks.ticks}
        there.append(Table(where, tmp_path / "jobs", **{**clock, **more}))
        return there[-1]

    yield open_
    for one in there:
        one.close()


@pytest.fixture
def table(opened: Callable[..., Table]) -> Table:
    return opened()
