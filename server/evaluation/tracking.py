"""What the evaluation service tells MLflow: uploads, generated questions and evaluations, as runs linked to each other.

Three experiments, `data_upload`, `data_generation` and `evaluation`. A run is found by its key before it is made, and
everything in it is written so that writing it again changes nothing: whoever is killed between two calls is simply run
again. What one team recorded does not exist for another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id
from querywright.errors import QuerywrightError
from server.evaluation.tracking_data import (
    HOLDS,
    JOB,
    ROWS,
    UPLOAD,
    Most,
    OtherRows,
    RunFull,
    Upload,
    add_rows,
    read_report,
    read_rows,
    record_questions,
    record_upload,
    used,
)
from server.evaluation.tracking_evaluation import Evaluation, cells_of
from server.evaluation.tracking_files import content
from server.evaluation.tracking_notes import DATA_RUN, UPLOAD_RUN, counted, experiment_of, links, page, write_note
from server.evaluation.tracking_store import EXPERIMENTS, TEAM, Away, Store, by_team, now_ms

__all__ = ["EXPERIMENTS", "Away", "Most", "NoRun", "OtherRows", "Run", "RunFull", "Tracking", "Upload"]
UPLOADS, GENERATIONS, EVALUATIONS = EXPERIMENTS
POSTED = "querywright.posted"
"""The tag of a run of rows that a team posted."""
_LISTED = "GET /v1/evaluation/runs lists them"


class NoRun(QuerywrightError):
    """No such run, or another team's."""


@dataclass(frozen=True)
class Run:
    """A run as the service shows it.

    Attributes:
        id: MLflow's id.
        experiment: one of `EXPERIMENTS`.
        status: RUNNING (not whole yet), FINISHED or FAILED.
        page: of the run, under MLflow's address.
        upload: SHA-256 of the document it goes back to; None for data posted without one.
        links: the runs before and after it by role: `upload`, `data` (an id), `generations`, `evaluations` (ids).
        posts: files of rows that it holds; they only become more.
        holds: its rows' kind, `QUESTIONS` or `CALLS`; empty where it has none, or an earlier version recorded it.
        posted: a team posted its rows.
        created: when its work began, in seconds since 1970.
    """

    id: str
    experiment: str
    name: str
    status: str
    team: str
    page: str
    upload: str | None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, Any] = field(default_factory=dict)
    posts: int = 0
    holds: str = ""
    posted: bool = False
    created: float = 0.0


class Tracking:
    """MLflow at `uri`; nothing is imported, opened or made before the first call. May be used by several threads, and
    by several processes on one SQLite store.

    Args:
        uri: `sqlite:////path/mlflow.db`, a PostgreSQL URL, or the `http://` address of an MLflow server.
        artefacts: the folder of the runs' files, made; not used where `uri` is a server, which keeps them itself.

    All methods raise `Away` where MLflow does not answer, and QuerywrightError where it refuses us.
    """

    def __init__(self, uri: str, artefacts: Path | None) -> None:
        self._store = Store(uri, artefacts)

    def ready(self) -> None:
        """Open the store (made where it is missing) and make the experiments. Takes seconds the first time."""
        with self._store.recording():
            for name in EXPERIMENTS:
                self._store.experiment(name)

    def record_upload(self, upload: Upload) -> str:
        """The run of a document in `data_upload`: parameters, chunks as a table, windows as a picture, the input."""
        with self._store.recording():
            return record_upload(self._store, upload)

    def generation(
        self, key: str, team: str, folder: Path, settings: Mapping[str, Any], upload: Upload | None = None
    ) -> str:
        """The run of a generation in `data_generation`, with a link to the document's run (recorded where missing).

        Args:
            key: the job's id: the same key is the same run.
            folder: what `questions.make` wrote: `questions.jsonl` and `report.json`.
            settings: the resolved config, as JSON; its top-level values are the parameters.
        """
        store, report = self._store, read_report(folder)
        name = f"{upload.name if upload else 'questions'} · {settings.get('model') or report.get('writer') or 'writer'}"
        with store.recording():
            tags = self._tags(team, key)
            if upload:
                tags |= {UPLOAD: upload.sha, UPLOAD_RUN: record_upload(store, upload)}
            run = store.begun(GENERATIONS, f"{team}/{key}", name, tags, _began(report))
            if run.info.status != "FINISHED":
                record_questions(store, run, folder, settings, upload)
                self._noted(run, tags.get(UPLOAD_RUN))
                store.ended(run, now_ms())
            return str(run.info.run_id)

    def synthetic(
        self, team: str, rows: Sequence[Mapping[str, Any]], run_id: str | None = None, name: str = "",
        most: Most | None = None,
    ) -> tuple[str, int]:  # fmt: skip
        """Add rows that a team posts to a run of `data_generation`, or to a new one; the same rows are there once.

        Args:
            most: what the run may hold; None: any.

        Returns:
            The run's id, and how many rows it holds now.

        Raises:
            NoRun: `run_id` is not a run of the team's data.
            RunFull: it would hold more than `most`, or it would be one run too many; nothing is added.
            OtherRows: it holds questions and these are calls, or the other way round; nothing is added.
        """
        store, posted = self._store, content_id("".join(sorted(map(content, rows))), 16)
        with store.posting(team):
            if run_id is None:
                title, key = name or f"posted rows {posted[:6]}", f"{team}/posted/{posted}"
                if most is not None and store.find(GENERATIONS, key) is None:
                    self._room(team, most.runs)
                run = store.begun(GENERATIONS, key, title, self._tags(team) | {POSTED: "yes"}, now_ms())
                store.write(run, {"source": "posted"}, {}, {})
            else:
                run = self._owned(team, run_id, GENERATIONS)
            n = add_rows(store, run, posted, rows, most)
            self._noted(run, run.data.tags.get(UPLOAD_RUN))
            store.ended(run, now_ms())
            return str(run.info.run_id), n

    def rows(self, team: str, run_id: str, posts: int | None = None) -> list[dict[str, Any]]:
        """The rows of a run in `data_generation`, in the order in which they came: questions, or instructions.

        Args:
            posts: only of its first so many files, as `Run.posts` counted them; None: of all.

        Raises:
            NoRun: not a run of the team's data.
        """
        with self._store.talking():
            return read_rows(self._store, self._owned(team, run_id, GENERATIONS), posts)

    def run(self, team: str, run_id: str) -> Run:
        """One run.

        Raises:
            NoRun: not the team's.
        """
        store = self._store
        with store.talking():
            run = self._owned(team, run_id)
            found = {
                role: [one.info.run_id for one in value] if isinstance(value, list) else value
                for role, value in links(store, run).items()
            }
            return self._told(team, run, found)

    def listed(self, team: str, most: int, before: str | None = None, experiment: str | None = None) -> list[Run]:
        """A team's runs, the newest first, without their links.

        Args:
            before: the id of one: those that follow it.
            experiment: only its; None: of all three.

        Raises:
            NoRun: `before` is not the team's.
        """
        store = self._store
        with store.talking():
            last = self._owned(team, before) if before is not None else None
            found = store.newest([experiment] if experiment else EXPERIMENTS, {TEAM: team}, most, last)
            return [self._told(team, run, {}) for run in found]

    def delete(self, team: str, run_id: str) -> None:
        """Delete a run of rows that a team posted, as MLflow does: its `gc` takes the files away.

        Raises:
            NoRun: it is none of the team's.
        """
        with self._store.posting(team) as client:
            run = self._owned(team, run_id, GENERATIONS)
            if POSTED not in run.data.tags:
                raise NoRun(f"there is no run {run_id} of rows that you posted", hint=_LISTED)
            client.delete_run(run_id)

    def evaluation(
        self, key: str, team: str, data_run: str, folder: Path, found: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> str:
        """The run of an evaluation in `evaluation`, with a nested run for each cell, and links to the data's run.

        Args:
            key: the job's id.
            data_run: the run in `data_generation` whose rows were asked.
            folder: what the evaluation wrote: responses, `scores.json`, `report.html`, pictures.
            found: its summary, as `evaluate.questions.evaluate_questions` returns it, or the scores of a sweep over
                calls: `cells`, each with `name`, `model`, `strategy`, `n`, `scores` (or `metrics`).
            settings: the resolved config, as JSON.

        Raises:
            NoRun: `data_run` is not a run of the team's data.
        """
        store = self._store
        with store.recording():
            data = self._owned(team, data_run, GENERATIONS)
            before = {tag: data.data.tags[tag] for tag in (UPLOAD, UPLOAD_RUN) if tag in data.data.tags}
            tags = {**self._tags(team, key), DATA_RUN: data_run, **before}
            name = f"{data.info.run_name} · {counted(len({cell['model'] for cell in cells_of(found)}), 'model')}"
            run = store.begun(EVALUATIONS, f"{team}/{key}", name, tags, _began(found))
            if run.info.status != "FINISHED":
                Evaluation(store, run, f"{team}/{key}", found, folder).record(settings)
                used(store, run, data.info.run_name, data_run, "questions")
                self._noted(run, data_run, tags.get(UPLOAD_RUN))
                store.ended(run, now_ms())
            return str(run.info.run_id)

    def _told(self, team: str, run: Any, found: Mapping[str, Any]) -> Run:
        info, data = run.info, run.data
        return Run(
            info.run_id, experiment_of(self._store, run), info.run_name, info.status, team,
            page(info.experiment_id, info.run_id), data.tags.get(UPLOAD), dict(data.params), dict(data.metrics), found,
            sum(tag.startswith(ROWS) for tag in data.tags), data.tags.get(HOLDS, ""), POSTED in data.tags,
            info.start_time / 1000,
        )  # fmt: skip

    def _tags(self, team: str, job: str = "") -> dict[str, str]:
        return {**by_team(team), **({JOB: job} if job else {})}

    def _room(self, team: str, most: int) -> None:
        if self._store.count(GENERATIONS, {TEAM: team, POSTED: "yes"}, most) >= most:
            raise RunFull(
                f"{most:,} runs of your team hold posted rows, and that is the most",
                hint="POST them with the run-id of one of these, or DELETE one: GET /v1/evaluation/runs lists them",
            )

    def _noted(self, run: Any, *others: str | None) -> None:
        for run_id in (run.info.run_id, *others):
            if run_id:
                write_note(self._store, run_id)

    def _owned(self, team: str, run_id: str, experiment: str = "") -> Any:
        run = self._store.owned(run_id, team)
        if run is None or (experiment and experiment_of(self._store, run) != experiment):
            raise NoRun(
                f"there is no run {run_id[:40]!r}" + f" in {experiment}" * bool(experiment),
                hint=_LISTED,
            )
        return run


def _began(report: Mapping[str, Any]) -> int:
    """When the work began whose report says how many seconds it took: MLflow shows the time between as its duration."""
    return now_ms() - int(1000 * float(report.get("seconds") or 0.0))
