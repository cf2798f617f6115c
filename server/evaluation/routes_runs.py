"""What was recorded: runs, their rows; rows that a team brings itself."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.evaluation import described, parameters, shapes
from server.evaluation.desk import Desk, team_of
from server.evaluation.receive import kind_of, received
from server.evaluation.rows import rows_of
from server.evaluation.tracking import Most, Run
from server.jobs.shown import iso
from server.problems import Refused, responses

BODY = described.body(described.ROWS, "question,answer,evidence\nWhich gene?,CDK2,the gene CDK2\n")
_AWAY = "MLflow is away"
BLOCK = 50
"""Rows that are written in one go."""


def routes(desk: Desk) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1/evaluation", tags=["runs"], dependencies=[Depends(parameters.known)])
    quotas, tracking, settings = desk.quotas, desk.tracking, desk.settings

    @router.post(
        "/synthetic", status_code=201,
        openapi_extra={"parameters": [*described.RUN_ID, *described.FILE_NAME], "requestBody": BODY},
        responses=responses(
            s404="No such run", s409="The run is full or holds the other kind, or the team has too many",
            s415="No such type", s422="Wrong rows", s503="MLflow is away, or the disk is full"
        ),
    )  # fmt: skip
    async def synthetic(request: Request, response: Response) -> shapes.Synthetic:
        """Post rows of your own: questions with answers (and evidence), or instructions with calls; JSON, JSON lines or
        CSV. The same rows again are there once."""
        team, name, run_id = team_of(request), parameters.file_name(request), parameters.run_id(request)
        if run_id is not None:
            await desk.ask_mlflow(tracking.run, team, run_id)  # before a large body is sent for nothing
        with desk.places.one(team):
            most, threads = quotas.rows_bytes, desk.threads
            async with received(request, settings.uploads, most, quotas, settings.limits, threads) as file:
                kind = kind_of(request.headers.get("content-type", ""), name, file.path)
                shown = name or f"the body ({kind})"
                rows, ignored = await desk.read(rows_of, file, kind, shown, quotas.rows_per_run)
        room = Most(quotas.rows_per_run, quotas.run_bytes, quotas.posted_runs)
        found, n = await desk.ask_mlflow(tracking.synthetic, team, rows, run_id, name, room)
        response.headers["Location"] = f"/v1/evaluation/runs/{found}"
        return shapes.Synthetic(run_id=found, rows=n, ignored=ignored)

    missing = responses(s404="No such run", s422="No run's id", s503=_AWAY)

    @router.get("/runs", responses=responses(s404="No such run in `before`", s422="Wrong parameter", s503=_AWAY))
    async def runs(
        request: Request,
        experiment: Annotated[shapes.Experiment | None, Query(description="Only of this one.")] = None,
        limit: shapes.Limit = shapes.PAGE,
        before: Annotated[shapes.RunId | None, Query(description="`next` of the page before.")] = None,
    ) -> shapes.RunPage:
        """Your runs, the newest first."""
        found = await desk.ask_mlflow(tracking.listed, team_of(request), limit + 1, before, experiment)
        cards = [shapes.RunEntry(**_entry(one)) for one in found[:limit]]
        return shapes.RunPage(runs=cards, next=cards[-1].id if len(found) > limit else None)

    @router.get("/runs/{run_id}", responses=missing)
    async def run(request: Request, run_id: shapes.RunId) -> shapes.RunCard:
        """A run: its parameters and metrics, and the runs before and after it."""
        found = await desk.ask_mlflow(tracking.run, team_of(request), run_id)
        metrics = {name: value if math.isfinite(value) else None for name, value in found.metrics.items()}
        return shapes.RunCard(
            **_entry(found), params=dict(found.params), metrics=metrics, links=dict(found.links)
        )  # fmt: skip

    gone = responses(s404="No such run of posted rows", s409="A job works with it", s422="No run's id", s503=_AWAY)

    @router.delete("/runs/{run_id}", status_code=204, responses=gone)
    async def delete(request: Request, run_id: shapes.RunId) -> None:
        """Delete a run of rows that you posted. Evaluations of it stay."""
        team = team_of(request)
        for job in await desk.do(desk.table.listed, team, states=("queued", "running"), most=10_000):
            if job.args.get("run_id") == run_id:
                raise Refused(409, "in_use", f"job {job.id} works with it", "cancel the job, or wait for it")
        await desk.ask_mlflow(tracking.delete, team, run_id)

    lines = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "JSON lines"}}

    @router.get("/runs/{run_id}/rows", response_class=StreamingResponse, responses=lines | missing)  # type: ignore[operator]
    async def rows(request: Request, run_id: shapes.RunId) -> StreamingResponse:
        """The rows of a run of data_generation, as JSON lines."""
        team = team_of(request)
        with ExitStack() as place:
            place.enter_context(desk.sending.one(team))
            found = await desk.ask_mlflow(tracking.rows, team, run_id)
            return _Lines(found, place.pop_all())

    return router


def _entry(run: Run) -> dict[str, Any]:
    """A run as it is listed."""
    names = ("id", "experiment", "name", "status", "upload", "posted", "page")
    return {**{name: getattr(run, name) for name in names}, "created": iso(run.created)}


class _Lines(StreamingResponse):
    """Rows as JSON lines; the place among those that are sent is given back when the client has them, or went away."""

    def __init__(self, rows: Sequence[dict[str, Any]], place: ExitStack) -> None:
        blocks = (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
        text = ("".join(json.dumps(row) + "\n" for row in block) for block in blocks)  # half characters stay escaped
        super().__init__(text, media_type="application/x-ndjson")
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)
