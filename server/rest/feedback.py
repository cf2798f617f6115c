"""REST: what somebody makes of an answer that they got: right, wrong, or what the call should have been."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, Field

from server.asking import Desk
from server.assistant import InputError
from server.keep.store import NotYours, Store
from server.problems import responses
from server.rest.call import read
from server.rest.shapes import Checked, Strict, checked, whole

MOST = 2**53 - 1  # the largest number that every program reads exactly
Id = Annotated[int, Field(ge=1, le=MOST), BeforeValidator(whole)]


class Rating(Strict):
    """Whether an answer is right."""

    answer: Id = Field(description="Id of an answer that this client got.")
    rating: Annotated[Literal[1, -1], BeforeValidator(whole)] = Field(
        description="1 for right, -1 for wrong; the last one counts."
    )


class Correction(Strict):
    """What the call should have been."""

    answer: Id = Field(description="Id of an answer that this client got.")
    path: str = Field(description="The call as it should be. One that is no call is kept, and never learnt from.")


class Kept(BaseModel):
    """What was kept. Of a correction: its id, and what the call is worth."""

    answer: int
    rating: int | None = None
    correction: int | None = None
    checked: Checked | None = None


def routes(desk: Desk, store: Store) -> APIRouter:
    """The routes of this module."""
    router = APIRouter(prefix="/v1", tags=["feedback"])
    wrong = responses(s404="No such answer of this client", s422="Not a rating or correction", s503="Not kept")

    @router.post("/feedback", responses=wrong)
    async def feedback(body: Rating | Correction, request: Request) -> Kept:
        """Rate or correct an answer that this client got. Corrections can teach the next model."""
        client = desk.client(request.scope)
        return await desk.look(_rate if isinstance(body, Rating) else _correct, desk, store, client, body)

    return router


def _rate(desk: Desk, store: Store, client: str, body: Rating) -> Kept:
    store.rate(body.answer, body.rating, client=client)
    return Kept(answer=body.answer, rating=body.rating)


def _correct(desk: Desk, store: Store, client: str, body: Correction) -> Kept:
    answer = store.answer(body.answer, client=client)
    if answer is None:
        raise NotYours(body.answer)
    path = body.path.strip()
    if not path:
        raise InputError("empty", "the call is empty", hint="write it as it should be")
    verdict = read(desk.service, answer.api, path)[1]
    kept = store.add_correction(answer.id, path=path, ok=verdict.ok, reason=verdict.reason, client=client)
    return Kept(answer=answer.id, correction=kept, checked=checked(verdict))
