"""MLflow's store under the service: opened once, written so that writing again changes nothing, errors in our words.

A SQLite store is made whole beside its place and renamed: MLflow makes it in a hundred migrations, and whoever is
killed between two of them leaves one that never opens again. On one machine a lock lets one process at a time record;
with an MLflow server two that record the same run at once settle on the older one; posts of a team, which come through
one process, follow each other.
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from querywright.artefacts import alone, content_id
from querywright.errors import QuerywrightError
from querywright.mlflow_client import load_mlflow

EXPERIMENTS = {
    "data_upload": "Documents that teams posted, with the windows over their chunks.",
    "data_generation": "Questions with answers and evidence, written about the windows of a document, or posted.",
    "evaluation": "Models asked these questions under several strategies: one nested run for each.",
}
KEY, TEAM = "querywright.key", "querywright.team"
NOTE, TABLES, PARENT = "mlflow.note.content", "mlflow.loggedArtifacts", "mlflow.parentRunId"
PATIENCE_S = 120.0
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[^\w.\- /:]", re.ASCII)
_AWAY = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "INTERNAL_ERROR")
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_REFUSED = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")


class Away(QuerywrightError):
    """MLflow does not answer, or its store is busy: what was asked for may be asked again later."""

    def __init__(self, message: str, *, hint: str = "see whether MLflow runs: querywright evaluation mlflow") -> None:
        super().__init__(message, hint=hint, retryable=True)


class Store:
    """One MLflow, opened at the first call; may be used by several threads.

    Args:
        uri: MLflow's tracking URI; a password in the address of a server is taken out of it, into the environment
            variables that MLflow reads.
        artefacts: where files go, where no server keeps them.
    """

    def __init__(self, uri: str, artefacts: Path | None) -> None:
        self.remote = uri.startswith(("http://", "https://"))
        self.uri, self.shown = _without_login(uri) if self.remote else (uri, urlsplit(uri).scheme.partition("+")[0])
        self.artefacts = None if self.remote else (artefacts or Path("artefacts")).absolute()
        self._client: Any = None
        self._ids: dict[str, str] = {}
        self._opening = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    @property
    def client(self) -> Any:
        """MLflow's client; the store is made where it is missing."""
        with self._opening:
            if self._client is None:
                load_mlflow(extra="evaluation")
                self._client = self._opened()
            return self._client

    def closed(self) -> None:
        """Let go of the connections to a database; the next call opens it again."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        engine = SqlAlchemyStore._engine_map.get(self.uri)
        if engine is not None:
            engine.dispose()
        self._client = None

    @contextmanager
    def talking(self) -> Iterator[Any]:
        """The client, with MLflow's errors in our words.

        Raises:
            Away: it does not answer.
            QuerywrightError: it refuses us, or what we send.
        """
        try:
            yield self.client
        except QuerywrightError:
            raise
        except Exception as error:
            if not _of_mlflow(error):
                if isinstance(error, OSError) and error.errno in _NO_PLACE:
                    hint = "make room, or let the service's user write there"
                    raise Away(f"MLflow's files can't be written: {error.strerror}", hint=hint) from error
                raise
            # the cause may hold an address with a password: not even chained
            raise _told(error, self.shown, self.remote) from None

    @contextmanager
    def recording(self) -> Iterator[Any]:
        """The same, alone on this machine where the store is on it."""
        if self.artefacts is None:
            with self.talking() as client:
                yield client
            return
        with self.talking() as client, self._locked():  # opened first: what makes the store takes the same lock
            yield client

    @contextmanager
    def posting(self, team: str) -> Iterator[Any]:
        """The same for what a team posts, which is counted before more is added: a team's posts follow each other, with
        an MLflow server too. They all come through one process."""
        turn = self._turns.setdefault(team, threading.Lock())
        if not turn.acquire(timeout=PATIENCE_S):
            raise Away(f"other posts of your team are being recorded, for {PATIENCE_S:.0f} s now", hint="later again")
        try:
            with self.recording() as client:
                yield client
        finally:
            turn.release()

    def experiment(self, name: str) -> str:
        """The id of one of `EXPERIMENTS`, made where it is missing."""
        if name in self._ids:
            return self._ids[name]
        client = self.client
        found = client.get_experiment_by_name(name)
        if found is None:
            place = None if self.artefacts is None else (self.artefacts / name).as_uri()
            tags = {NOTE: EXPERIMENTS[name], "mlflow.experimentKind": "custom_model_development"}
            try:
                client.create_experiment(name, artifact_location=place, tags=tags)
            except Exception as error:
                if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":  # somebody else was quicker
                    raise
            found = client.get_experiment_by_name(name)
        if found.lifecycle_stage != "active":
            raise QuerywrightError(
                f"the experiment {name} was deleted in MLflow",
                hint=f"mlflow experiments restore -x {found.experiment_id}",
            )
        place = found.artifact_location
        if self.remote and place.startswith("file:") and not Path(unquote(urlsplit(place).path)).is_dir():
            raise QuerywrightError(
                f"MLflow at {self.shown} keeps the files of {name} on its own machine, where this one can't write: the "
                "experiment was made without a server",
                hint="an empty store for the server, or its database and folder for this process too",
            )
        return self._ids.setdefault(name, found.experiment_id)

    def find(self, experiment: str, key: str) -> Any | None:
        """The run with this key: of several, which two recorders at once can make, the oldest."""
        runs = self._with_key(experiment, key)
        return runs[0] if runs else None

    def begun(self, experiment: str, key: str, name: str, tags: Mapping[str, str], start_ms: int) -> Any:
        """The run with this key, made where there is none."""
        found = self.find(experiment, key)
        if found is None:
            self.client.create_run(
                self.experiment(experiment),
                start_time=start_ms,
                run_name=" ".join(text(name).split())[:200] or "run",
                tags={**tags, KEY: _key(key)},
            )
            found, *doubles = self._with_key(experiment, key)
            for double in doubles:  # a request that timed out and was sent again, or another recorder at once
                self.client.delete_run(double.info.run_id)
        return found

    def owned(self, run_id: str, team: str) -> Any | None:
        """A team's run; None where there is none, or it is another team's."""
        run = self.known(run_id)
        if run is None or run.data.tags.get(TEAM) != team:
            return None
        return run if run.info.experiment_id in {self.experiment(name) for name in EXPERIMENTS} else None

    def known(self, run_id: str) -> Any | None:
        """A run; None where there is none, or somebody deleted it."""
        if not _RUN_ID.fullmatch(run_id):
            return None
        try:
            run = self.client.get_run(run_id)
        except Exception as error:
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def tagged(self, tag: str, value: str) -> list[Any]:
        """All runs of our experiments with a tag, the oldest first; `value` is ours, never somebody's text."""
        ids = [self.experiment(name) for name in EXPERIMENTS]
        runs, token = [], None
        while True:
            page = self.client.search_runs(
                ids, f"tags.`{tag}` = '{value}'", max_results=1000, order_by=["attributes.start_time ASC"],
                page_token=token,
            )  # fmt: skip
            runs += page
            token = page.token
            if not token:
                return runs

    def newest(
        self, experiments: Iterable[str], tags: Mapping[str, str], most: int, before: Any = None
    ) -> list[Any]:  # fmt: skip
        """Runs of experiments with these tags, nested ones left out, the newest first; `before` is one: those that
        follow it. The values are ours, never somebody's text."""
        wanted = " AND ".join([f"tags.`{PARENT}` IS NULL", *(f"tags.`{tag}` = '{text}'" for tag, text in tags.items())])
        if before is not None:
            wanted += f" AND attributes.start_time <= {before.info.start_time}"
        found: list[Any] = []
        token, past, ids = None, before is None, [self.experiment(name) for name in experiments]
        while len(found) < most:
            page = self.client.search_runs(
                ids, wanted, max_results=most + 1, order_by=["attributes.start_time DESC"], page_token=token
            )
            for run in page:  # of one millisecond, MLflow orders them by id
                if past:
                    found.append(run)
                past = past or run.info.run_id == before.info.run_id
            token = page.token
            if not token:
                break
        return found[:most]

    def count(self, experiment: str, tags: Mapping[str, str], most: int) -> int:
        """How many runs of an experiment have these tags, up to `most`; the values are ours, never somebody's text."""
        wanted, token, n = " AND ".join(f"tags.`{tag}` = '{value}'" for tag, value in tags.items()), None, 0
        while n < most:
            page = self.client.search_runs(
                [self.experiment(experiment)], wanted, max_results=min(most - n, 1000), page_token=token
            )
            n, token = n + len(page), page.token
            if not token:
                break
        return n

    def write(
        self, run: Any, params: Mapping[str, Any], metrics: Mapping[str, float | None], tags: Mapping[str, str]
    ) -> None:
        """Parameters, metrics and tags of a run. Parameters and metrics that it has stay as they are: MLflow lets
        nobody change a parameter, and draws a line where a metric comes again."""
        from mlflow.entities import Metric, Param, RunTag

        kept, measured = run.data.params, run.data.metrics
        given = [Param(plain(k), text(v)[:6000]) for k, v in params.items() if v is not None and plain(k) not in kept]
        told = {k: float(v) for k, v in metrics.items() if v is not None and v == v and plain(k) not in measured}
        points = [Metric(plain(k), round(v, 6), run.info.start_time, 0) for k, v in told.items()]
        labels = [RunTag(k, text(v)) for k, v in tags.items()]
        for batch in _batches(given, 100):
            self.client.log_batch(run.info.run_id, params=batch)
        for batch in _batches(points, 500):
            self.client.log_batch(run.info.run_id, metrics=batch)
        for batch in _batches(labels, 100):
            self.client.log_batch(run.info.run_id, tags=batch)

    def put(self, run_id: str, file: Path, folder: str = "") -> None:
        """A file into a run's folder of files; one of the same name is written over."""
        self.client.log_artifact(run_id, str(file), folder or None)

    def ended(self, run: Any, end_ms: int) -> None:
        """The run is whole."""
        if run.info.status != "FINISHED":
            self.client.set_terminated(run.info.run_id, "FINISHED", end_time=end_ms)

    def _with_key(self, experiment: str, key: str) -> list[Any]:
        # a search looks at the tags of a run, the oldest first; ids decide between two of one millisecond
        found = self.client.search_runs([self.experiment(experiment)], f"tags.`{KEY}` = '{_key(key)}'", max_results=50)
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        assert self.artefacts is not None
        try:
            with alone(self.artefacts, patience_s=PATIENCE_S):
                yield
        except QuerywrightError as error:
            if error.retryable and not isinstance(error, Away):
                raise Away(f"others have been writing to {self.artefacts} for {PATIENCE_S:.0f} s") from error
            raise

    def _opened(self) -> Any:
        from mlflow.tracking import MlflowClient

        if self.uri.startswith("sqlite:///"):
            self._make_sqlite(Path(self.uri.removeprefix("sqlite:///")))
        elif not self.remote:
            _reach(self.uri, self.shown)
        client = MlflowClient(self.uri)
        if self.remote or self.uri.startswith("sqlite:///"):
            client.search_experiments(max_results=1)
        else:  # several workers may open an empty database at once
            with self._locked():
                client.search_experiments(max_results=1)
        return client

    def _make_sqlite(self, path: Path) -> None:
        if path.is_file():
            return
        if path.is_dir():
            raise QuerywrightError(f"{path} is a folder", hint="QUERYWRIGHT_MLFLOW names MLflow's file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if path.is_file():
                return
            for left in path.parent.glob(f".{path.name}.new*"):  # of whoever was killed here
                left.unlink()
            fresh = path.with_name(f".{path.name}.new")
            _fill(fresh, (self.artefacts or path.parent).as_uri())
            os.replace(fresh, path)


def _fill(path: Path, artefacts: str) -> None:
    """Make MLflow's tables in a new SQLite file, without the experiment that nobody here uses."""
    import logging
    import sqlite3

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = f"sqlite:///{path}"
    store = SqlAlchemyStore(uri, artefacts)
    store.delete_experiment("0")
    store.engine.dispose()
    SqlAlchemyStore._engine_map.pop(uri, None)
    with sqlite3.connect(path) as base:  # readers (the pages) and a writer (a worker) at once
        base.execute("PRAGMA journal_mode=WAL")
    base.close()


def _reach(uri: str, shown: str) -> None:
    """Look whether a database answers: MLflow itself tries ten times, minutes long."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError as error:
        raise Away(f"MLflow's database ({shown}) does not answer: {type(error.orig).__name__}") from None
    finally:
        engine.dispose()


def by_team(team: str) -> dict[str, str]:
    """The tags of a run that a team owns."""
    return {TEAM: team, "mlflow.user": team, "mlflow.source.name": "querywright"}


def now_ms() -> int:
    """Now, as MLflow counts time: milliseconds since 1970."""
    return int(1000 * time.time())


def text(value: object) -> str:
    """A value as every database takes it: no half characters, no NUL."""
    return str(value).encode("utf-8", "replace").decode().replace("\0", "")


def plain(name: str) -> str:
    """A text as a name of MLflow's: letters, digits, and no path of its own."""
    name = name.replace(" · ", " - ")  # between a model and its strategy: MLflow's names have no such dot
    return re.sub(r"/+", "/", _NAME.sub("_", name)).strip("/ ")[:200] or "_"


def tables_tag(paths: list[str]) -> str:
    """The tag by which MLflow's pages know that files are tables."""
    return json.dumps([{"path": path, "type": "table"} for path in paths])


def _key(key: str) -> str:
    return content_id(key, 32)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _without_login(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    place = parts.hostname or ""
    place = f"[{place}]" if ":" in place else place
    place += f":{parts.port}" if parts.port else ""
    if parts.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return urlunsplit((parts.scheme, place, quote(parts.path, safe="/%"), "", "")), f"{parts.scheme}://{place}"


def _of_mlflow(error: Exception) -> bool:
    names = {f"{kind.__module__.partition('.')[0]}" for kind in type(error).__mro__}
    return bool(names & {"mlflow", "requests", "urllib3", "sqlalchemy"})


def _told(error: Exception, shown: str, remote: bool) -> QuerywrightError:
    """One of MLflow's exceptions in our words."""
    code, said = str(getattr(error, "error_code", "")), " ".join(str(error).split())
    said = said.partition(" [SQL:")[0]  # what follows is for nobody: the statement, and what was to be written
    if "out-of-date database schema" in said:
        return QuerywrightError(
            "MLflow's database is of an older version", hint="make a copy, then: mlflow db upgrade URI"
        )
    if not remote and ("file is not a database" in said or "malformed" in said):
        hint = "put a copy back, or let QUERYWRIGHT_MLFLOW name another file"
        return QuerywrightError("MLflow's store is damaged, or something else's", hint=hint)
    if code in _REFUSED:
        return QuerywrightError(
            f"MLflow at {shown} refuses this service ({code})",
            hint="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the server's --allowed-hosts",
        )
    if not hasattr(error, "error_code") or code in _AWAY or said.startswith("API request to"):
        return Away(
            f"MLflow at {shown} does not answer"
            if remote
            else f"MLflow's store ({shown}) is busy or broken: {said[:200]}"
        )
    return QuerywrightError(f"MLflow does not take this: {said[:300]}", hint="see MLflow's log")
