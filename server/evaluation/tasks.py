"""What the jobs of the evaluation service do. Each is a function of a job; what it makes lies in the job's folder, over
all its tries, and is recorded in MLflow last.

A job's `args` (plain JSON; names come from the server's catalogue, never an address or a path):

upload       upload (sha), name, kind (json, jsonl, csv), window_size, window_step
generation   the same, and model ("rules" or a name of the catalogue), questions (of a window), seed
evaluation   run_id (in data_generation), posts (files of rows that it held: those are asked), upload (or None), models,
             strategies, judge (a name, or None), limit, seed, n, api (or None)
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import MANIFEST, read_jsonl, write_json, write_jsonl
from querywright.engines.catalogue import public
from querywright.errors import QuerywrightError
from querywright.progress import say
from server.evaluation.chosen import RULES, opened_writer, taken
from server.evaluation.discreet import discreetly, plain
from server.evaluation.settings import Settings
from server.evaluation.tracking import Away, Tracking, Upload

if TYPE_CHECKING:
    from querywright.questions.chunks import Chunk
    from server.jobs.task import Job, Task

log = logging.getLogger("querywright.jobs")
AWAY_S = 15.0
"""Seconds after which a job that needs MLflow tries again while that is away."""
_AGAIN = re.compile(r"run (?:it|the same(?: command)?) again")
_RECORDED = "recording it in MLflow"


@dataclass(frozen=True)
class Step:
    """A job with what it works with."""

    settings: Settings
    tracking: Tracking
    job: Job

    @property
    def args(self) -> dict[str, Any]:
        return self.job.args

    def folder(self, name: str) -> Path:
        """A place of the job's own; it is the stage's to make."""
        return self.job.folder / name


def tasks(settings: Settings) -> dict[str, Task]:
    """The task of each kind of job."""
    tracking = Tracking(settings.mlflow, settings.artefacts or settings.folder / "artefacts")
    steps = {"upload": upload, "generation": generation, "evaluation": evaluation}
    return {kind: partial(_done, step, settings, tracking) for kind, step in steps.items()}


def upload(step: Step) -> dict[str, Any]:
    """Record a document as a run of `data_upload`."""
    document, _ = _document(step, step.args)
    return {"run_id": step.tracking.record_upload(document), "chunks": len(document.texts)}


def generation(step: Step) -> dict[str, Any]:
    """Write questions about an upload's windows, and record them as a run of `data_generation`."""
    from querywright.questions import make

    args, out = step.args, step.folder("questions")
    document, chunks = _document(step, args)
    model, seed = args.get("model") or RULES, args.get("seed") or 0
    per_window = args.get("questions") or make.PER_WINDOW
    entry = None if model == RULES else taken(step.settings.models, [model])[model]
    if not (out / MANIFEST).is_file():  # else they were written before MLflow went away
        writer = opened_writer(entry, out)
        try:
            make.make(chunks, document.size, document.step, writer, out, per_window=per_window, seed=seed)
        finally:
            writer.close()
    rows = len(read_jsonl(out / "questions.jsonl"))
    if not rows:
        say("no question passed the checks: the report says why")
    told = {
        "model": model, "window_size": document.size, "window_step": document.step, "questions": per_window,
        "seed": seed, "upload": document.sha, "file": document.name, "kind": document.kind, "chunks": len(chunks),
        **({"entry": public(entry)} if entry else {}),
    }  # fmt: skip
    say(_RECORDED)
    run = step.tracking.generation(step.job.id, step.job.team, out, told, document)
    return {"run_id": run, "rows": rows}


def evaluation(step: Step) -> dict[str, Any]:
    """Ask models the rows of a run, and record the scores as a run of `evaluation`."""
    from server.evaluation import asked

    team, run_id = step.job.team, step.args["run_id"]
    frozen, scored = step.folder("rows.jsonl"), step.folder("scored.json")
    if not frozen.is_file():
        write_jsonl(frozen, step.tracking.rows(team, run_id, step.args.get("posts")))
    rows, out = read_jsonl(frozen), step.folder("evaluation")
    if not rows:
        raise QuerywrightError(
            f"the run {run_id} holds no rows", hint="POST /v1/evaluation/synthetic?run_id=... adds some"
        )
    calls = [row for row in rows if "instruction" in row and "path" in row]
    if not scored.is_file():  # else it was before MLflow went away
        if calls:
            write_json(scored, asked.calls(step.settings, step.args, calls, out))
        else:
            chunks = partial(_chunks_of, step, run_id)
            write_json(scored, asked.questions(step.settings, step.args, rows, chunks, out))
    found, told = json.loads(scored.read_text(encoding="utf-8"))
    say(_RECORDED)
    run = step.tracking.evaluation(step.job.id, team, run_id, out, found, told)
    asked_for = {key: found.get(key) or [] for key in ("left_out", "notes")}
    return {"run_id": run, "rows": len(calls or rows), "cells": [cell["name"] for cell in found["cells"]], **asked_for}


def _document(step: Step, args: dict[str, Any]) -> tuple[Upload, list[Chunk]]:
    """An upload with its chunks.

    Raises:
        QuerywrightError: it was deleted since, or can't be read.
    """
    from querywright.questions.chunks import read_chunks

    sha, kind, name = args["upload"], args["kind"], args.get("name") or args["upload"][:12]
    file = step.settings.upload_file(sha)
    if not file.is_file():
        raise QuerywrightError(f"the upload {name} was deleted", hint="POST it again")
    try:
        chunks = read_chunks(file, kind)
    except QuerywrightError as error:
        raise QuerywrightError(str(error).replace(str(file), name), hint=error.hint) from error
    texts = [chunk.text for chunk in chunks]
    size, width = args["window_size"], args["window_step"]
    return Upload(step.job.team, sha, name, kind, file, texts, size, width), chunks


def _chunks_of(step: Step, run_id: str) -> list[Chunk]:
    """The chunks of the document that a run of data goes back to; none where it has no document."""
    run = step.tracking.run(step.job.team, run_id)
    if run.upload is None:
        return []
    known = {"upload": run.upload, "kind": run.params.get("kind", "json"), "name": run.params.get("file"),
             "window_size": 1, "window_step": 1}  # fmt: skip
    return _document(step, known)[1]


def _done(do: Callable[[Step], dict[str, Any]], settings: Settings, tracking: Tracking, job: Job) -> dict[str, Any]:
    """Do a step; what it raises says nothing of this machine's folders, and what to do next as this service has it."""
    from server.jobs.task import Later

    try:
        with discreetly():
            return do(Step(settings, tracking, job))
    except Away as error:
        raise Later(AWAY_S, plain(str(error))) from error
    except QuerywrightError as error:
        hint = _AGAIN.sub(f"POST /v1/evaluation/jobs/{job.id}/retry", plain(error.hint))
        raise QuerywrightError(plain(str(error)), hint=hint, retryable=error.retryable) from error
    except Exception as error:  # nobody foresaw it, so it counts as a try; whole, with its folders, in the log alone
        log.exception("job %s (%s) failed", job.id, job.kind)
        text = plain(f"{type(error).__name__}: {error}")
        raise QuerywrightError(text, hint="see the worker's log", retryable=True) from error
