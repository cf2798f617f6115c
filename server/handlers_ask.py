"""Asking: a sentence answered as it is written, other readings of it, and two answers side by side."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from querywright.engines.base import Cancelled
from querywright.errors import QuerywrightError
from server import show, show_parts
from server.assistant import Alternative, Choice, InputError, Reply
from server.gate import Busy
from server.handlers import Asker, Side, Talk, View, answered, history, keep, so_far, told, unseen
from server.service import Service
from server.store import Store
from server.streaming import Countdown, Running, stream

log = logging.getLogger("querywright.server")
READINGS = 4
VOTES = ("left", "right", "both", "neither")
Steps = Iterator[str | Countdown | Reply | None]


class Desk:
    """What the handlers of one page share: the service, the store, and who waits for what."""

    def __init__(self, service: Service, store: Store) -> None:
        self.service, self.store, self.running = service, store, Running()

    def options(self, asker: Asker, **more: Any) -> dict[str, Any]:
        """How the page asks: in its person's name, so that one of them can't take all places."""
        return {"client": asker.client, **more}


def on_ask(desk: Desk, asker: Asker, talk: Talk, sentence: object, second: Choice | None = None, blind: bool = True) \
        -> Iterator[View]:  # fmt: skip
    """Answer a sentence and keep the answer; with a second choice, both answer it side by side.

    A mistake or a failure becomes a sentence on the page.
    """
    turns = so_far(talk) if talk.refining and talk.ok else ()
    now = Talk(talk.choice, turns=turns, refining=talk.refining, asked=talk.asked)
    cancel = desk.running.start(asker.tab)
    yield View(
        talk=now, running=True, say="Writing the call …", result=second is None, acting=False, readings="", note="",
        facts="", call=show_parts.call("", writing=True), thread=show_parts.thread(turns), sided=second is not None,
        sides="", voting=False, fix="", live="", fixing=False,
    )  # fmt: skip
    if second is None:
        yield from _guarded(desk, asker, talk, cancel, _one(desk, asker, now, sentence, cancel))
    else:
        yield from _guarded(desk, asker, talk, cancel, _two(desk, asker, now, sentence, second, blind, cancel))


def _guarded(desk: Desk, asker: Asker, before: Talk, cancel: threading.Event, views: Iterator[View]) -> Iterator[View]:
    """The views; whatever goes wrong is said in a sentence, and the page can be asked again."""
    kind = failed = ""
    try:
        yield from views
    except Cancelled:
        if desk.running.replaced(asker.tab, cancel):
            return  # the page shows what came after
        kind, failed = "plain", "Stopped."
    except Busy as busy:
        kind = "warn"
        failed = f"Many people are asking right now, and there was no place for your question. {_hint(busy)}"
    except QuerywrightError as error:
        kind, failed = "bad", told(error)
    except Exception:
        log.exception("the page failed to answer")
        kind, failed = "bad", "Something went wrong here, and the question is not answered. Ask again in a moment."
    finally:
        desk.running.end(asker.tab, cancel)
    if failed:
        # what was refined is still there to be refined
        yield View(
            talk=replace(before, readings=(), sides=None), running=False, say=unseen(failed), result=True,
            call="", facts=show.note(kind, failed), acting=False, sided=False, voting=False, readings="",
        )  # fmt: skip


def _hint(error: QuerywrightError) -> str:
    """What to do about an error, as a sentence."""
    return show.sentence(error.hint or "ask again")


def _waiting(step: str | Countdown | None) -> View:
    if isinstance(step, Countdown):
        unit = "second" if step.seconds == 1 else "seconds"
        return View(say=f"Many people are asking right now. Trying again in {step.seconds} {unit} …")
    return View()


def _one(desk: Desk, asker: Asker, talk: Talk, sentence: object, cancel: threading.Event) -> Iterator[View]:
    waited = False
    for step in stream(desk.service, talk.choice, sentence, cancel, turns=talk.turns, **desk.options(asker)):
        if isinstance(step, Reply):
            yield _shown(desk, asker, talk, step)
        elif isinstance(step, str):
            yield View(call=show_parts.call(step, writing=True), say="Writing the call …" if waited else None)
            waited = False
        else:
            waited = waited or isinstance(step, Countdown)
            yield _waiting(step)


def _shown(desk: Desk, asker: Asker, talk: Talk, reply: Reply) -> View:
    verdict = reply.verdict
    kept = keep(desk.store, asker, reply, verdict, reply.confidence)
    now = replace(
        talk, answer=kept, question=reply.question, path=verdict.path, ok=verdict.ok, turns=reply.turns,
        asked=(*talk.asked, kept), refining=talk.refining and verdict.ok,
    )  # fmt: skip
    view = answered(
        desk.service, now, verdict, reply.hits, ms=reply.ms, confidence=reply.confidence, abstained=reply.abstained
    )
    return replace(view, history=show_parts.history(history(desk.service, desk.store, asker, now)))


# --- other readings --------------------------------------------------------------------------------------------------
def on_readings(desk: Desk, asker: Asker, talk: Talk) -> Iterator[View]:
    """Ask the same sentence for several answers, and list them."""
    if talk.answer is None:
        return
    cancel = desk.running.start(asker.tab)
    yield View(running=True, say="Looking for other readings …")
    try:
        n = min(READINGS, desk.service.limits.alternatives)
        options = desk.options(asker, turns=talk.turns, n=n, run=False)
        for step in stream(desk.service, talk.choice, talk.question, cancel, **options):
            if not isinstance(step, Reply):
                yield _waiting(step)
                continue
            found = step.alternatives
            if step.verdict.ok:
                found = (Alternative(step.verdict, step.confidence, ("model",)), *found)
            yield View(
                talk=replace(talk, readings=found), running=False, say="Other readings are listed below the answer.",
                readings=show_parts.readings(found, talk.path),
            )  # fmt: skip
    except Cancelled:
        if not desk.running.replaced(asker.tab, cancel):
            yield View(running=False, say="Stopped.")
    except QuerywrightError as error:
        yield View(running=False, say="", readings=show.note("warn", told(error)))
    finally:
        desk.running.end(asker.tab, cancel)


def on_reading(desk: Desk, asker: Asker, talk: Talk, picked: object) -> View:
    """Take another reading: it is kept as an answer that is liked better than the one that was shown."""
    if not isinstance(picked, int) or not 0 <= picked < len(talk.readings) or talk.answer is None:
        return View(say="That reading is not here any more.")
    service, store, one = desk.service, desk.store, talk.readings[picked]
    before = store.answer(talk.answer, client=asker.client)
    if before is None or one.verdict.path == talk.path:
        return View()
    try:
        kept = store.add_answer(
            api=before.api, question=before.question, turns=before.turns, conversation=asker.tab,
            path=one.verdict.path, ok=True, reason="", confidence=one.confidence, ms=before.ms, model=before.model,
            config=before.config, source="page", client=asker.client,
        )  # fmt: skip
        store.add_preference(kept, before.id, client=asker.client)
    except QuerywrightError as error:
        return View(note=show.note("bad", f"Not stored. {told(error)}"))
    now = replace(talk, answer=kept, path=one.verdict.path, ok=True, asked=(*talk.asked, kept))
    view = answered(service, now, one.verdict, service.find(before.api, one.verdict), confidence=one.confidence)
    return replace(
        view, readings=show_parts.readings(now.readings, now.path), fixing=False,
        note=show.note("good", "Taken, and kept as the better reading. Thank you."),
        history=show_parts.history(history(service, store, asker, now)),
    )  # fmt: skip


# --- side by side ----------------------------------------------------------------------------------------------------
def name_of(choice: Choice) -> str:
    """Who answers, in a few words."""
    return f"{choice.model} · {choice.strategy} · {choice.decoding}"


def _two(
    desk: Desk, asker: Asker, talk: Talk, sentence: object, second: Choice, blind: bool, cancel: threading.Event
) -> Iterator[View]:
    """One after the other: they may share a model. Names and times stay untold where the judgement is blind."""
    noun = desk.service.apis[talk.choice.api].api.noun
    choices = [talk.choice, second]
    if blind and secrets.randbelow(2):
        choices.reverse()
    sides = [Side(name_of(choice), half=show_parts.Half("" if blind else name_of(choice))) for choice in choices]
    for at, choice in enumerate(choices):
        try:
            for step in stream(desk.service, choice, sentence, cancel, turns=talk.turns, **desk.options(asker)):
                if isinstance(step, Reply):
                    sides[at] = _answered(desk, asker, sides[at], step)
                elif isinstance(step, str):
                    sides[at] = replace(sides[at], half=replace(sides[at].half, path=step))
                else:
                    yield _waiting(step)
                    continue
                yield View(sides=show_parts.sides(sides[0].half, sides[1].half, noun))
        except (Cancelled, Busy, InputError):
            raise
        except QuerywrightError as error:  # the other one may still answer
            sides[at] = replace(sides[at], half=replace(sides[at].half, failed=told(error)))
    left, right = sides
    kept = tuple(side.answer for side in sides if side.answer is not None)
    reply = left.reply or right.reply
    if reply is None:
        raise QuerywrightError("neither of the two answered", hint=left.half.failed)
    now = replace(talk, question=reply.question, sides=(left, right), asked=(*talk.asked, *kept), turns=reply.turns)
    told_history = show_parts.history(history(desk.service, desk.store, asker, now))
    if left.reply is None or right.reply is None or _same(left, right):
        view = _taken(desk, now, left if left.reply else right)
        said = "Both wrote the same call." if left.reply and right.reply else "One of the two did not answer."
        yield replace(view, say=said, history=told_history, voting=False, sides=_named(now.sides, noun))
        return
    yield View(talk=now, running=False, say="Which answer is better?", voting=True, history=told_history)


def _answered(desk: Desk, asker: Asker, side: Side, reply: Reply) -> Side:
    kept = keep(desk.store, asker, reply, reply.verdict, reply.confidence)
    half = replace(side.half, path=reply.verdict.path, verdict=reply.verdict, hits=replace(reply.hits, ms=0.0))
    return replace(side, answer=kept, path=reply.verdict.path, half=half, reply=reply)


def _same(left: Side, right: Side) -> bool:
    one, other = left.half.verdict, right.half.verdict
    if one is None or other is None:
        return False
    if one.call is not None and other.call is not None:
        return one.call.canonical == other.call.canonical
    return one.path == other.path


def _named(sides: tuple[Side, Side] | None, noun: str) -> str:
    left, right = (replace(side.half, who=side.name) for side in sides or ())
    return show_parts.sides(left, right, noun)


def _taken(desk: Desk, talk: Talk, side: Side) -> View:
    """One of two answers as the answer."""
    reply = side.reply
    assert reply is not None
    now = replace(talk, answer=side.answer, path=side.path, ok=reply.verdict.ok, sides=None,
                  refining=talk.refining and reply.verdict.ok)  # fmt: skip
    return answered(
        desk.service, now, reply.verdict, reply.hits, ms=reply.ms, confidence=reply.confidence,
        abstained=reply.abstained,
    )  # fmt: skip


def on_vote(desk: Desk, asker: Asker, talk: Talk, vote: str) -> View:
    """Judge two answers: the better one is preferred; both or neither is a rating of each. Then names are told."""
    if talk.sides is None or vote not in VOTES:
        return View(say="There is nothing to judge.")
    left, right = talk.sides
    noun = desk.service.apis[talk.choice.api].api.noun
    store = desk.store
    try:
        if vote in ("left", "right"):
            better, worse = (left, right) if vote == "left" else (right, left)
            if better.answer is not None and worse.answer is not None:
                store.add_preference(better.answer, worse.answer, client=asker.client)
        else:
            better = left
            for side in talk.sides:
                if side.answer is not None:
                    store.rate(side.answer, 1 if vote == "both" else -1, client=asker.client)
    except QuerywrightError as error:
        return View(note=show.note("bad", f"Not stored. {told(error)}"))
    view = _taken(desk, talk, better)
    thanks = {
        "left": f"Stored: left ({left.name}) is better.", "right": f"Stored: right ({right.name}) is better.",
        "both": "Stored: both are right.", "neither": "Stored: neither is right. What should the call have been?",
    }[vote]  # fmt: skip
    return replace(
        view, sides=_named(talk.sides, noun), voting=False, note=show.note("good", thanks),
        fixing=vote == "neither" or view.fixing,
    )  # fmt: skip
