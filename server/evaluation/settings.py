"""The settings of the evaluation service, read from the environment once, all mistakes named together.

QUERYWRIGHT_EVALUATION   folder of uploads, jobs and the stores below; default work/evaluation
QUERYWRIGHT_JOBS         database of jobs and uploads: a file, or postgresql://...; default FOLDER/jobs.sqlite
QUERYWRIGHT_BROKER       amqp://..., with QUERYWRIGHT_RESULTS=redis://...: jobs go over Celery; neither: one machine
QUERYWRIGHT_MLFLOW       MLflow's tracking URI; default sqlite:///FOLDER/mlflow.db, artefacts in FOLDER/artefacts
QUERYWRIGHT_TEAMS        file of teams and the hashes of their tokens; without it only this machine is served
QUERYWRIGHT_MODELS       catalogue of the models that a request may name; default: the shipped one
QUERYWRIGHT_ENCODER      what BERTScore compares words with: a folder, or minilm (the packaged one); without it, none
QUERYWRIGHT_LIMIT_...    see `server.evaluation.quotas`
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from querywright.errors import QuerywrightError
from querywright.questions.chunks import MOST_CHUNKS
from server.access.origins import site_of
from server.evaluation.quotas import Quotas
from server.settings import Limits, limited, misspelt

T = TypeVar("T")
FOLDER = Path("work/evaluation")
LOCAL = "local"
"""The team of a server without a file of teams: whoever is on this machine."""
_SHA = re.compile(r"[0-9a-f]{64}")
_STORES = ("sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Settings:
    """How the service is set up; the same for the API and its workers. Addresses may hold passwords: never shown.

    Attributes:
        folder: everything that the service keeps on this machine's disk, absolute.
        jobs: the database of jobs and uploads, as `querywright.database.connect` takes it.
        broker: RabbitMQ's address; empty where the child process of one machine works the jobs.
        results: Redis' address; empty exactly where `broker` is.
        mlflow: MLflow's tracking URI.
        artefacts: where MLflow puts files; None where its server decides.
        teams: the file of teams; None where only this machine is served, as the team "local".
        models: the catalogue of models.
        limits: of every request (body of JSON, connections).
        quotas: of uploads, jobs and teams.
        encoder: BERTScore's, a folder or "minilm"; empty for no BERTScore.
    """

    folder: Path
    jobs: str = field(repr=False)
    mlflow: str = field(repr=False)
    artefacts: Path | None
    models: Path
    broker: str = field(default="", repr=False)
    results: str = field(default="", repr=False)
    teams: Path | None = None
    limits: Limits = field(default_factory=Limits)
    quotas: Quotas = field(default_factory=Quotas)
    encoder: str = ""

    @property
    def job_folders(self) -> Path:
        """The folder of the jobs' folders."""
        return self.folder / "jobs"

    @property
    def uploads(self) -> Path:
        """The folder of uploads, named by content."""
        return self.folder / "uploads"

    def upload_file(self, sha: str) -> Path:
        """Where the upload with this SHA-256 lies.

        Raises:
            QuerywrightError: it is none.
        """
        if not _SHA.fullmatch(sha):
            raise QuerywrightError("an upload is named by the 64 hex digits of its SHA-256")
        return self.uploads / sha[:2] / sha


def settings_of(environment: Mapping[str, str] = os.environ, *, make: bool = False) -> Settings:
    """The settings that the environment asks for. Nothing is connected to or loaded.

    Args:
        make: whether to make the folder where it is missing, as who serves or works does.

    Raises:
        QuerywrightError: mistakes; all of them at once.
    """
    wrong: list[str] = misspelt(environment)

    def checked(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except QuerywrightError as error:
            wrong.append(str(error))
            return None

    given = {name: environment.get(f"QUERYWRIGHT_{name}", "").strip() for name in _CHECKS}
    for name, check in _CHECKS.items():
        if given[name] and (reason := check(given[name])):
            wrong.append(f"QUERYWRIGHT_{name}: {reason}")
    if bool(given["BROKER"]) != bool(given["RESULTS"]):
        there, missing = ("BROKER", "RESULTS") if given["BROKER"] else ("RESULTS", "BROKER")
        wrong.append(f"QUERYWRIGHT_{there} is set and QUERYWRIGHT_{missing} is not: Celery needs both")
    limits = checked(lambda: limited(environment))
    if limits and limits[1].chunks > MOST_CHUNKS:
        wrong.append(f"QUERYWRIGHT_LIMIT_CHUNKS={limits[1].chunks}: no document of more than {MOST_CHUNKS:,} is read")
    models = Path(given["MODELS"]) if given["MODELS"] else _shipped()
    checked(lambda: _readable(models))
    checked(lambda: site_of("127.0.0.1", environment))
    folder = Path(given["EVALUATION"] or FOLDER).absolute()
    if make and not os.path.isfile(folder):  # which is said already
        checked(lambda: _made(folder))
    if wrong or limits is None:
        raise QuerywrightError("\n  ".join(dict.fromkeys(wrong)), hint="docs/evaluation.md names every setting")
    mlflow = given["MLFLOW"] or f"sqlite:///{folder / 'mlflow.db'}"
    own = not mlflow.startswith("http")
    return Settings(
        folder, given["JOBS"] or str(folder / "jobs.sqlite"), mlflow, folder / "artefacts" if own else None,
        models.absolute(), given["BROKER"], given["RESULTS"],
        Path(given["TEAMS"]).absolute() if given["TEAMS"] else None, *limits, given["ENCODER"],
    )  # fmt: skip


def _shipped() -> Path:
    from querywright.engines.catalogue import default_catalogue

    return default_catalogue(False)


def _readable(models: Path) -> None:
    from querywright.engines.catalogue import read_catalogue

    read_catalogue(models)


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuerywrightError(f"QUERYWRIGHT_EVALUATION: could not make {folder}: {error.strerror}") from error


def _encoder(text: str) -> str:
    from querywright.evaluate.text_scores import PACKAGED

    there = text == PACKAGED or os.path.isfile(os.path.join(text, "config.json"))
    return "" if there else f"no encoder in {text[:200]!r} (no config.json); {PACKAGED} is the packaged one"


def _url(*schemes: str) -> Callable[[str], str]:
    """A check that an address has one of these schemes and a host; what is wrong is said without it: it may hold a
    password."""

    def check(text: str) -> str:
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "is no address"
        if parts.scheme not in schemes:
            return f"has to begin with {' or '.join(f'{one}://' for one in schemes)}"
        return "" if host else "names no host"

    return check


def _store(text: str) -> str:
    scheme = text.partition("://")[0].partition("+")[0]
    if "://" not in text:
        return "has to be sqlite:///FILE, postgresql://... or the http(s):// address of an MLflow server"
    if scheme in ("http", "https"):
        return _url("http", "https")(text)
    return "" if scheme in _STORES else f"MLflow can't be reached over {scheme[:20]}://"


def _database(text: str) -> str:
    if "://" not in text:
        return "is a folder" if os.path.isdir(text) else ""
    kind = text.partition("://")[0].partition("+")[0]
    return "" if kind in ("sqlite", "postgresql", "postgres") else "has to be a file, or postgresql://..."


def _file(text: str) -> str:
    return "" if os.path.isfile(text) else f"there is no file {text[:200]!r}"


def _folder(text: str) -> str:
    return f"{text[:200]!r} is a file" if os.path.isfile(text) else ""


_CHECKS: dict[str, Callable[[str], str]] = {
    "EVALUATION": _folder, "JOBS": _database, "BROKER": _url("amqp", "amqps"), "RESULTS": _url("redis", "rediss"),
    "MLFLOW": _store, "TEAMS": _file, "MODELS": lambda text: "",
    "ENCODER": _encoder,
}  # fmt: skip
