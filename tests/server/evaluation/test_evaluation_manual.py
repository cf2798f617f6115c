"""The manual of the evaluation service: its tables are those of the code, and its commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.evaluation import settings
from server.evaluation.quotas import Quotas
from tests.protocol import Chat, serve
from tests.server.evaluation.live import REPO, serving
from tests.server.evaluation.mlflow_made import copied
from tests.server.evaluation.model import Model
from tests.server.test_deploy import known_variables, limits_table

MANUAL = REPO / "docs" / "evaluation.md"


def settings_table() -> str:
    """The table of settings, out of the module's own words."""
    found = re.findall(r"^(QUERYWRIGHT_[A-Z]+) {2,}(.+)$", settings.__doc__ or "", re.MULTILINE)
    rows = ["| variable | what it is |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| `{name}` | {words} |" for name, words in found)])


TABLES = {"settings": settings_table, "quotas": lambda: limits_table(Quotas)}


def parts(text: str, name: str) -> tuple[str, str, str]:
    """What is before a table, the table, and what is behind it."""
    found = re.fullmatch(rf"(.*<!-- {name}: [^\n]*-->\n)(.*)(<!-- /{name} -->.*)", text, re.DOTALL)
    assert found is not None, name
    return found[1], found[2].strip(), found[3]


@pytest.mark.parametrize("name", TABLES)
def test_the_manuals_tables_are_those_of_the_code(name: str) -> None:
    assert parts(MANUAL.read_text(), name)[1] == TABLES[name](), f"python -m {__spec__.name} writes it"


def test_the_manual_names_what_there_is() -> None:
    text = MANUAL.read_text()
    for path in re.findall(r"`((?:server|tests|docs|data|benchmarks)/[\w./-]+)`", text):
        assert (REPO / path).exists(), path
    for variable in re.findall(r"QUERYWRIGHT_[A-Z_]+", text):
        assert variable in {*known_variables(), "QUERYWRIGHT_LIMIT_NAME"}, variable
    for name in settings._CHECKS:
        assert f"QUERYWRIGHT_{name}" in settings_table(), name


def test_every_route_is_in_the_manual(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("mlflow")
    text = MANUAL.read_text()
    table = text[text.index("| path under") : text.index("`/health`, `/ready`")]
    told = {re.sub(r"SHA|ID", "{}", path) for path in re.findall(r"(/[\w/]+)", table)}
    source = "".join((REPO / "server" / "evaluation" / f"{name}.py").read_text() for name in
                     ("routes_uploads", "routes_jobs", "routes_runs"))  # fmt: skip
    there = {re.sub(r"\{\w+\}", "{}", path) for path in re.findall(r'"(/[\w{}/]+)"', source) if path[:3] != "/v1"}
    assert there - {"/models"} <= told, there - told
    assert told - {"/v1/evaluation"} <= there | {"/models"}, told - there


@pytest.mark.slow
def test_the_commands_run_as_they_stand(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In one shell, against a real server; the model's part is played by a local server."""
    for tool in ("bash", "curl", "python3"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")
    for package in ("mlflow", "fastapi", "uvicorn", "httpx", "sqlalchemy", "faiss"):
        pytest.importorskip(package, reason=f"needs {package}")
    commands = re.findall(r"^```bash\n(.*?)^```", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    assert len(commands) == 6
    (tmp_path / "data").symlink_to(REPO / "data")
    copied(tmp_path / "served" / "service", tmp_path_factory)
    model = Model()
    with serve(Chat(model.answer)) as service:
        model.url = service.url
        with serving(tmp_path / "served", model.catalogue.replace("helper", "smollm2_greedy")) as live:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", "\n".join(commands)], cwd=tmp_path, capture_output=True, text=True,
                timeout=900, env={**os.environ, "URL": live.api.url},
            )  # fmt: skip
            assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}\n{live.api.said()}"
            listed: dict[str, Any] = live.ask("GET", "/jobs")
            assert {job["kind"] for job in listed["jobs"]} == {"upload", "generation", "evaluation"}
            assert {job["state"] for job in listed["jobs"]} == {"done"}
            assert live.ask("GET", "/uploads")["uploads"] == []
    for said in ('"windows":[[1,4],[3,6],[5,8]]', '"windows":[[1,3],[4,6],[7,8]]', '"evidence"', '"code":"'):
        assert said in done.stdout.replace(" ", ""), said


if __name__ == "__main__":
    for one, table in TABLES.items():
        before, _, after = parts(MANUAL.read_text(), one)
        MANUAL.write_text(f"{before}\n{table()}\n\n{after}")
