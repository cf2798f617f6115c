"""POST, list, look at and delete documents."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from server.evaluation import described, parameters, shapes
from server.evaluation.chosen import RULES
from server.evaluation.desk import Desk, team_of
from server.evaluation.receive import check_records, chunks_of, kind_of, received
from server.evaluation.shelf import Listed
from server.jobs.table import WrongState
from server.problems import Refused, responses

_AGAIN: dict[int | str, dict[str, Any]] = {200: {"model": shapes.Uploaded, "description": "The same file again"}}
BODY = described.body(described.DOCUMENT, "gene,name\nCDK2,cyclin dependent kinase 2\n")


def routes(desk: Desk) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1/evaluation", tags=["uploads"], dependencies=[Depends(parameters.known)])
    quotas, shelf, settings = desk.quotas, desk.shelf, desk.settings

    @router.post(
        "/uploads", status_code=201,
        openapi_extra={"parameters": described.upload_parameters(quotas), "requestBody": BODY},
        responses=_AGAIN
        | responses(s404="No such model", s409="No room, or it is there as another kind", s415="No such type",
                    s422="No such document, or windows that do not fit", s503="The disk is full"),
    )  # fmt: skip
    async def upload(request: Request, response: Response) -> shapes.Uploaded:
        """Post a document: the body is the file itself, JSON, JSON lines or CSV. Where a `model` is named, it writes
        questions about its windows in the background."""
        team, wanted = team_of(request), parameters.wanted(request, quotas)
        if wanted.model is not None:
            await desk.check_models([wanted.model], RULES)
        with desk.places.one(team):
            most, threads = quotas.upload_bytes, desk.threads
            async with received(request, settings.uploads, most, quotas, settings.limits, threads) as file:
                kind = kind_of(request.headers.get("content-type", ""), wanted.name, file.path)
                name = wanted.name or f"{file.sha[:12]}.{kind}"
                n = await desk.read(chunks_of, file, kind, name, quotas.chunks)
                rolling = parameters.windows(n, wanted.size, wanted.step, quotas)
                if wanted.model == RULES:
                    await desk.read(check_records, file.path, kind, name)
                created = round(time.time(), 3)
                new = Listed(file.sha, name, kind, file.bytes, n, rolling.size, rolling.step, created)
                said = wanted.size is not None or wanted.step is not None
                found, is_new = await desk.do(shelf.add, team, new, file.path, said)
        if not said:  # those of the post before
            rolling = parameters.windows(found.chunks, found.window_size, found.window_step, quotas)
        recording = await _recorded(desk, team, found)
        job = None
        if wanted.model is not None:
            args = generation(found, wanted.model, rolling, wanted.questions, 0)
            job = (await desk.submit(team, "generation", args, wanted.key)).id
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = f"/v1/evaluation/uploads/{found.sha}"
        return shapes.Uploaded(**found.plain(), windows=rolling.all, recording=recording, job=job)

    @router.get("/uploads", responses=responses(s404="No such upload in `before`", s422="Wrong parameter"))
    async def uploads(
        request: Request,
        limit: shapes.Limit = shapes.PAGE,
        before: Annotated[shapes.Sha | None, Query(description="`next` of the page before.")] = None,
    ) -> shapes.UploadPage:
        """Your uploads, the newest first."""
        found = await desk.do(shelf.listed, team_of(request), limit + 1, before)
        cards = [shapes.UploadCard(**one.plain()) for one in found[:limit]]
        return shapes.UploadPage(uploads=cards, next=cards[-1].upload if len(found) > limit else None)

    @router.get("/uploads/{sha}", responses=responses(s404="No such upload", s422="No SHA-256"))
    async def one(request: Request, sha: shapes.Sha) -> shapes.UploadCard:
        """One upload."""
        return shapes.UploadCard(**(await desk.do(shelf.get, team_of(request), sha)).plain())

    gone = responses(s404="No such upload", s409="A job works with it", s422="No SHA-256")

    @router.delete("/uploads/{sha}", status_code=204, responses=gone)
    async def delete(request: Request, sha: shapes.Sha) -> None:
        """Delete an upload. What was recorded in MLflow stays."""
        await desk.do(_let_go, desk, team_of(request), sha)

    @router.get(
        "/uploads/{sha}/windows", openapi_extra={"parameters": described.WINDOWS},
        responses=responses(s404="No such upload", s422="Windows that do not fit"),
    )  # fmt: skip
    async def windows(request: Request, sha: shapes.Sha) -> shapes.Windows:
        """The windows over an upload's chunks for a size and a step; else for those that it was uploaded with."""
        size, step = (parameters.number(request, name) for name in ("window-size", "window-step"))
        found = await desk.do(shelf.get, team_of(request), sha)
        if size is None and step is None:
            size, step = found.window_size, found.window_step
        rolling = parameters.windows(found.chunks, size, step, quotas)
        return shapes.Windows(
            upload=sha, chunks=found.chunks, window_size=rolling.size, window_step=rolling.step, windows=rolling.all
        )

    return router


def generation(
    found: Listed, model: str, rolling: parameters.Rolling, questions: int | None, seed: int
) -> dict[str, Any]:
    """The arguments of a generation (`server.evaluation.tasks`)."""
    return {
        "upload": found.sha, "name": found.name, "kind": found.kind, "window_size": rolling.size,
        "window_step": rolling.step, "model": model, "questions": questions, "seed": seed,
    }  # fmt: skip


async def _recorded(desk: Desk, team: str, found: Listed) -> str:
    """The job that records an upload in MLflow."""
    plain = found.plain()
    args = {key: plain[key] for key in ("upload", "name", "kind", "window_size", "window_step")}
    return (await desk.see_to(team, "upload", args)).id


def _let_go(desk: Desk, team: str, sha: str) -> None:
    """Delete an upload, unless a job works with it; recording alone is given up."""
    recording: list[str] = []

    def refuse() -> None:  # the upload is held meanwhile: jobs are looked at, not changed
        active = desk.table.listed(team, states=("queued", "running"), most=10_000)
        mine = [job for job in active if job.args.get("upload") == sha]
        for job in mine:
            if job.kind != "upload":
                raise Refused(409, "in_use", f"job {job.id} works with it", "cancel the job, or wait for it")
        recording[:] = [job.id for job in mine]

    desk.shelf.remove(team, sha, refuse)
    for job in recording:
        with suppress(WrongState):  # it has ended meanwhile
            desk.table.cancel(job, team)
