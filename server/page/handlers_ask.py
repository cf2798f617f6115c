"""Asking: a sentence is answered while the page shows what is written so far."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from querywright.engines.base import Cancelled
from querywright.errors import QuerywrightError
from server.assistant import Reply
from server.gate import Busy
from server.page import show, show_parts
from server.page.handlers import Asker, Talk, View, answered, keep, so_far, told, unkept, unseen
from server.page.handlers_talk import history
from server.page.streaming import Asking, Countdown

QUIET = 5  # steps without a word, after which the page says that it waits
log = logging.getLogger("querywright.server")


def on_ask(asking: Asking, asker: Asker, talk: Talk, sentence: object) -> Iterator[View]:
    """Answer a sentence and keep the answer. A mistake or a failure becomes a sentence on the page."""
    yield from guarded(asking, asker, talk, lambda now, cancel: _one(asking, asker, now, sentence, cancel))


def guarded(
    asking: Asking, asker: Asker, talk: Talk, answers: Callable[[Talk, threading.Event], Iterator[View]],
    *, sided: bool = False,
) -> Iterator[View]:  # fmt: skip
    """The page while a sentence is answered, and the views of `answers`.

    What stood there stays, dimmed, until the answer comes. Whatever goes wrong is said in a sentence, and the page can
    be asked again.
    """
    turns = so_far(talk) if talk.refining and talk.ok else ()
    now = Talk(talk.choice, turns=turns, refining=talk.refining, asked=talk.asked)
    cancel = asking.running.start(asker.tab)
    yield View(
        talk=now, running=True, say="Writing the call …", result=not sided, readings="", note="",
        call=show_parts.call("", writing=True), thread=show_parts.thread(turns), sided=sided, sides="", voting=False,
        fixing=False,
    )  # fmt: skip
    kind = failed = ""
    try:
        yield from answers(now, cancel)
    except Cancelled:
        if asking.running.replaced(asker.tab, cancel):
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
        asking.running.end(asker.tab, cancel)
    if failed:
        # what was refined is still there to be refined
        yield View(
            talk=replace(talk, readings=(), sides=None), running=False, say=unseen(failed), result=True,
            call="", facts=show.note(kind, failed), acting=False, sided=False, voting=False, readings="",
        )  # fmt: skip


def _hint(error: QuerywrightError) -> str:
    """What to do about an error, as a sentence."""
    return show.sentence(error.hint or "ask again")


def waiting(step: str | Countdown | None) -> View:
    if isinstance(step, Countdown):
        unit = "second" if step.seconds == 1 else "seconds"
        return View(say=f"Many people are asking right now. Trying again in {step.seconds} {unit} …")
    return View()


def _one(asking: Asking, asker: Asker, talk: Talk, sentence: object, cancel: threading.Event) -> Iterator[View]:
    quiet = 0
    for step in asking.stream(asker.client, talk.choice, sentence, cancel, turns=talk.turns):
        if isinstance(step, Reply):
            yield _shown(asking, asker, talk, step)
        elif isinstance(step, str):
            yield View(call=show_parts.call(step, writing=True), say="Writing the call …" if quiet else None)
            quiet = 0
        else:
            quiet += 1
            yield View(say="Waiting for the model …") if step is None and quiet == QUIET else waiting(step)


def _shown(asking: Asking, asker: Asker, talk: Talk, reply: Reply) -> View:
    verdict = reply.verdict
    kept = keep(asking, asker, reply)
    now = replace(
        talk, answer=kept.id, question=reply.question, path=verdict.path, ok=verdict.ok, turns=reply.turns,
        asked=(*talk.asked, *([kept.id] if kept.id else [])), refining=talk.refining and verdict.ok,
    )  # fmt: skip
    view = answered(
        asking.service, now, verdict, reply.hits, ms=reply.ms, confidence=reply.confidence, abstained=reply.abstained
    )
    if kept.id is None:
        view = replace(view, note=unkept(kept))
    return replace(view, history=show_parts.history(history(asking.service, asking.store, asker, now)))
