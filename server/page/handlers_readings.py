"""Other readings of a sentence: several answers are asked for, and another one may be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from querywright.engines.base import Cancelled
from querywright.errors import QuerywrightError
from server.assistant import Alternative, Reply
from server.page import show, show_parts
from server.page.handlers import Asker, Talk, View, answered, told
from server.page.handlers_ask import waiting
from server.page.handlers_talk import history
from server.page.streaming import SOURCE, Asking

READINGS = 4


def on_readings(asking: Asking, asker: Asker, talk: Talk) -> Iterator[View]:
    """Ask the same sentence for several answers, and list them."""
    if talk.answer is None:
        return
    cancel = asking.running.start(asker.tab)
    yield View(running=True, say="Looking for other readings …")
    try:
        n = min(READINGS, asking.service.limits.alternatives)
        for step in asking.stream(
            asker.client, talk.choice, talk.question, cancel, turns=talk.turns, n=n, run=False
        ):  # fmt: skip
            if not isinstance(step, Reply):
                yield waiting(step)
                continue
            found = step.alternatives
            if step.verdict.ok:
                found = (Alternative(step.verdict, step.confidence, ("model",)), *found)
            yield View(
                talk=replace(talk, readings=found), running=False, say="Other readings are listed below the answer.",
                readings=show_parts.readings(found, talk.path),
            )  # fmt: skip
    except Cancelled:
        if not asking.running.replaced(asker.tab, cancel):
            yield View(running=False, say="Stopped.")
    except QuerywrightError as error:
        yield View(running=False, say="", readings=show.note("warn", told(error)))
    finally:
        asking.running.end(asker.tab, cancel)


def on_reading(asking: Asking, asker: Asker, talk: Talk, picked: object) -> View:
    """Take another reading: it is kept as an answer that is liked better than the one that was shown."""
    if not isinstance(picked, int) or not 0 <= picked < len(talk.readings) or talk.answer is None:
        return View(say="That reading is not here any more.")
    service, store, one = asking.service, asking.store, talk.readings[picked]
    before = store.answer(talk.answer, client=asker.client)
    if before is None or one.verdict.path == talk.path:
        return View()
    try:
        kept = store.add_answer(
            api=before.api, question=before.question, turns=before.turns, conversation=asker.tab,
            path=one.verdict.path, ok=True, reason="", confidence=one.confidence, ms=before.ms, model=before.model,
            config=before.config, source=SOURCE, client=asker.client,
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
