"""What is done in the background: ask for questions and evaluations; look at jobs, cancel them, try them again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from querywright.errors import QuerywrightError, did_you_mean
from server.evaluation import described, parameters, shapes
from server.evaluation.chosen import RULES
from server.evaluation.desk import Desk, team_of
from server.evaluation.receive import check_records
from server.evaluation.routes_uploads import generation
from server.evaluation.tracking_data import CALLS
from server.jobs.shown import State, iso
from server.problems import Refused, responses

State_ = Literal["queued", "running", "done", "failed", "parked", "cancelled"]
Kind = Literal["upload", "generation", "evaluation"]
JobId = Annotated[str, shapes.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_QUEUED = {"s409": "The key was given with another request", "s503": "MLflow is away, or the disk is full"}


def routes(desk: Desk) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1/evaluation", tags=["jobs"], dependencies=[Depends(parameters.known)])
    quotas, table = desk.quotas, desk.table
    extra = {"parameters": [described.KEY]}

    @router.post("/generations", status_code=202, openapi_extra=extra, responses=responses(
        **_QUEUED, s404="No such upload or model", s422="No such request, or windows that do not fit"))  # fmt: skip
    async def generate(request: Request, response: Response, asked: shapes.GenerationRequest) -> shapes.JobCard:
        """Have questions written about an upload's windows. The same request again is the same job."""
        team, key = team_of(request), parameters.key_of(request)
        found = await desk.do(desk.shelf.get, team, asked.upload)
        await desk.check_models([asked.model], RULES)
        _most("questions", asked.questions, quotas.questions)
        size, step = asked.window_size, asked.window_step
        if size is None and step is None:
            size, step = found.window_size, found.window_step
        rolling = parameters.windows(found.chunks, size, step, quotas)
        if asked.model == RULES:
            await desk.read(check_records, desk.settings.upload_file(found.sha), found.kind, found.name)
        args = generation(found, asked.model, rolling, asked.questions, asked.seed)
        return _queued(response, await desk.submit(team, "generation", args, key))

    @router.post("/evaluations", status_code=202, openapi_extra=extra, responses=responses(
        **_QUEUED, s404="No such run, model or API", s422="No such request"))  # fmt: skip
    async def evaluate(request: Request, response: Response, asked: shapes.EvaluationRequest) -> shapes.JobCard:
        """Have models asked the rows of a run, and scored. The same request again is the same job, until the run holds
        more rows."""
        from querywright.api.definition import shipped

        team, key = team_of(request), parameters.key_of(request)
        _most("models", len(asked.models), quotas.models)
        _once("models", asked.models)
        _once("strategies", asked.strategies or [])
        await desk.check_models([*asked.models, *([asked.judge] if asked.judge else [])])
        if asked.api is not None and asked.api not in shipped():
            near = did_you_mean(asked.api, shipped())
            raise Refused(404, "unknown_api", f"there is no API {asked.api!r}{near}", ", ".join(shipped()))
        run = await desk.ask_mlflow(desk.tracking.run, team, asked.run_id)
        if run.experiment != "data_generation":
            message = f"run {run.id} is in {run.experiment}, and rows are in data_generation"
            raise Refused(422, "wrong_run", message, param="run_id")
        args = {**asked.model_dump(), "upload": run.upload, "posts": run.posts}  # with more rows it is another request
        if run.holds:  # else it shows when the job has read them
            await desk.do(_fit, desk, args, run.holds == CALLS)
        return _queued(response, await desk.submit(team, "evaluation", args, key))

    @router.get("/jobs", responses=responses(s404="No such job in `before`", s422="Wrong parameter"))
    async def jobs(
        request: Request,
        state: Annotated[list[State_] | None, Query(description="Only in these states.")] = None,
        kind: Annotated[Kind | None, Query(description="Only of this kind.")] = None,
        limit: shapes.Limit = shapes.PAGE,
        before: Annotated[JobId | None, Query(description="`next` of the page before.")] = None,
    ) -> shapes.JobPage:
        """Your jobs, the newest first."""
        found = await desk.do(
            table.listed, team_of(request), states=state or (), kind=kind, most=limit + 1, before=before
        )
        cards = [_card(one) for one in found[:limit]]
        return shapes.JobPage(jobs=cards, next=cards[-1].id if len(found) > limit else None)

    missing = responses(s404="No such job", s422="No job's id")
    wrong = responses(s404="No such job", s409="Not possible in its state", s422="No job's id")

    @router.get("/jobs/{job}", responses=missing)
    async def one(request: Request, job: JobId) -> shapes.JobCard:
        """One job."""
        return _card(await desk.do(table.state, job, team_of(request)))

    @router.get("/jobs/{job}/logs", responses=missing)
    async def logs(
        request: Request, job: JobId,
        after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the answer before.")] = 0,
        limit: Annotated[int, Query(ge=1, le=2000)] = 500,
    ) -> shapes.Logs:  # fmt: skip
        """Its log; ask again with `after` for what was added since."""
        team = team_of(request)
        state = await desk.do(table.state, job, team)  # first: a job that has ended then adds no lines
        found = await desk.do(table.logs, job, team, after=after, most=limit)
        lines = [shapes.LogLine(n=line.n, time=iso(line.time), text=line.text) for line in found]
        return shapes.Logs(job=job, state=state.state, lines=lines, next=lines[-1].n if lines else after)

    @router.post("/jobs/{job}/cancel", responses=wrong)
    async def cancel(request: Request, job: JobId) -> shapes.JobCard:
        """End a job: at once where it is queued, soon where it runs."""
        return _card(await desk.do(table.cancel, job, team_of(request)))

    @router.post("/jobs/{job}/retry", responses=wrong | responses(s503="The disk is full"))
    async def retry(request: Request, job: JobId) -> shapes.JobCard:
        """Try a job again that failed, was parked or cancelled; it goes on where it ended."""
        return _card(await desk.again(team_of(request), job))

    return router


def _fit(desk: Desk, args: dict[str, Any], calls: bool) -> None:
    from server.evaluation.asked import fitting

    try:
        fitting(desk.settings, args, calls, document=args["upload"] is not None)
    except QuerywrightError as error:
        raise Refused(422, "not_for_these_rows", str(error), error.hint) from error


def _card(state: State) -> shapes.JobCard:
    return shapes.JobCard(**state.plain())


def _queued(response: Response, state: State) -> shapes.JobCard:
    response.headers["Location"] = f"/v1/evaluation/jobs/{state.id}"
    return _card(state)


def _most(name: str, value: int | None, most: int) -> None:
    if value is not None and value > most:
        raise Refused(422, "too_many", f"{name}: {value}, and {most} are the most", param=name)


def _once(name: str, values: list[Any]) -> None:
    twice = next((one for one in values if values.count(one) > 1), None)
    if twice is not None:
        raise Refused(422, "twice", f"{name}: {twice!r} is there twice", param=name)
