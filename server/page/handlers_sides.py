"""Two answers side by side, and which one is better."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace

from querywright.engines.base import Cancelled
from querywright.errors import QuerywrightError
from server.assistant import Choice, InputError, Reply
from server.gate import Busy
from server.page import show, show_parts
from server.page.handlers import Asker, Side, Talk, View, answered, keep, told
from server.page.handlers_ask import guarded, waiting
from server.page.handlers_talk import history
from server.page.streaming import Asking

VOTES = ("left", "right", "both", "neither")


def on_compare(
    asking: Asking, asker: Asker, talk: Talk, sentence: object, second: Choice, *, blind: bool = True
) -> Iterator[View]:
    """Answer a sentence twice, side by side; the second choice is another model or another way."""
    yield from guarded(
        asking, asker, talk, lambda now, cancel: _two(asking, asker, now, sentence, second, blind, cancel), sided=True
    )


def name_of(choice: Choice) -> str:
    """Who answers, in a few words."""
    return f"{choice.model} · {choice.strategy} · {choice.decoding}"


def _two(
    asking: Asking, asker: Asker, talk: Talk, sentence: object, second: Choice, blind: bool, cancel: threading.Event
) -> Iterator[View]:
    """One after the other: they may share a model. Names and times stay untold where the judgement is blind."""
    noun = asking.service.apis[talk.choice.api].api.noun
    choices = [talk.choice, second]
    if blind and secrets.randbelow(2):
        choices.reverse()
    sides = [Side(name_of(choice), half=show_parts.Half("" if blind else name_of(choice))) for choice in choices]
    for at, choice in enumerate(choices):
        try:
            for step in asking.stream(asker.client, choice, sentence, cancel, turns=talk.turns):
                if isinstance(step, Reply):
                    sides[at] = _answered(asking, asker, sides[at], step)
                elif isinstance(step, str):
                    sides[at] = replace(sides[at], half=replace(sides[at].half, path=step))
                else:
                    yield waiting(step)
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
    told_history = show_parts.history(history(asking.service, asking.store, asker, now))
    if left.reply is None or right.reply is None or _same(left, right):
        view = _taken(asking, now, left if left.reply else right)
        said = "Both wrote the same call." if left.reply and right.reply else "One of the two did not answer."
        yield replace(view, say=said, history=told_history, voting=False, sides=_named(now.sides, noun))
        return
    yield View(talk=now, running=False, say="Which answer is better?", voting=True, history=told_history)


def _answered(asking: Asking, asker: Asker, side: Side, reply: Reply) -> Side:
    kept = keep(asking, asker, reply)
    half = replace(side.half, path=reply.verdict.path, verdict=reply.verdict, hits=replace(reply.hits, ms=0.0))
    return replace(side, answer=kept.id, unkept=kept.why, path=reply.verdict.path, half=half, reply=reply)


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


def _taken(asking: Asking, talk: Talk, side: Side) -> View:
    """One of two answers as the answer."""
    reply = side.reply
    assert reply is not None
    now = replace(talk, answer=side.answer, path=side.path, ok=reply.verdict.ok, sides=None,
                  refining=talk.refining and reply.verdict.ok)  # fmt: skip
    return answered(
        asking.service, now, reply.verdict, reply.hits, ms=reply.ms, confidence=reply.confidence,
        abstained=reply.abstained,
    )  # fmt: skip


def on_vote(asking: Asking, asker: Asker, talk: Talk, vote: str) -> View:
    """Judge two answers: the better one is preferred; both or neither is a rating of each. Then names are told."""
    if talk.sides is None or vote not in VOTES:
        return View(say="There is nothing to judge.")
    left, right = talk.sides
    noun = asking.service.apis[talk.choice.api].api.noun
    store = asking.store
    better, worse = (right, left) if vote == "right" else (left, right)
    try:
        if better.answer is None or worse.answer is None:  # an answer that was not kept can't be judged
            raise QuerywrightError(better.unkept or worse.unkept)
        if vote in ("left", "right"):
            store.add_preference(better.answer, worse.answer, client=asker.client)
        else:
            for answer in (better.answer, worse.answer):
                store.rate(answer, 1 if vote == "both" else -1, client=asker.client)
    except QuerywrightError as error:
        return View(note=show.note("bad", f"Not stored. {told(error)}"))
    view = _taken(asking, talk, better)
    thanks = {
        "left": f"Stored: left ({left.name}) is better.", "right": f"Stored: right ({right.name}) is better.",
        "both": "Stored: both are right.", "neither": "Stored: neither is right. What should the call have been?",
    }[vote]  # fmt: skip
    return replace(
        view, sides=_named(talk.sides, noun), voting=False, note=show.note("good", thanks),
        fixing=vote == "neither" or view.fixing,
    )  # fmt: skip
