"""The conversation around an answer: earlier questions, refining, starting afresh, rating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from querywright.errors import QuerywrightError
from server.assistant import Verdict
from server.keep.entries import Answer
from server.keep.store import Store
from server.page import show, show_parts
from server.page.handlers import Asker, Talk, View, answered, so_far, told
from server.page.streaming import SOURCE
from server.service import Service

HISTORY = 12


def history(service: Service, store: Store, asker: Asker, talk: Talk) -> list[Answer]:
    """What was asked before, each sentence once, the newest first: by this person, or else in this tab."""
    if asker.personal:
        found: Sequence[Answer] = store.history(asker.client, talk.choice.api, 4 * HISTORY)
    else:
        kept = (store.answer(one, client=asker.client) for one in reversed(talk.asked[-4 * HISTORY :]))
        found = [one for one in kept if one is not None and one.api == talk.choice.api]
    once: dict[str, Answer] = {}
    for one in found:
        if one.source == SOURCE:
            once.setdefault(one.question, one)
    return [*once.values()][:HISTORY]


def on_open(service: Service, store: Store, asker: Asker, talk: Talk) -> View:
    """A page that is opened, or has changed to another API."""
    return View(
        talk=talk, history=show_parts.history(history(service, store, asker, talk)),
        own=show_parts.corrections(own(service, store, asker)),
    )  # fmt: skip


def own(service: Service, store: Store, asker: Asker) -> list[Any]:
    """The corrections of who asks, oldest first; of an address that others may share, those of this tab."""
    found = [c for name in service.apis for c in store.corrections(name, client=asker.client)]
    return found if asker.personal else [c for c in found if c.of.conversation == asker.tab]


def on_history(service: Service, store: Store, asker: Asker, talk: Talk, picked: object) -> View:
    """Show an earlier answer again; its call is run anew."""
    kept = store.answer(picked, client=asker.client) if isinstance(picked, int) else None
    mine = kept is not None and (asker.personal or kept.conversation == asker.tab)
    if kept is None or not mine or kept.api not in service.apis:
        return View(say="That question is not here any more.")
    choice = talk.choice if kept.api == talk.choice.api else service.choice(kept.api)
    verdict = service.check(kept.api, kept.path)
    if kept.refused or not kept.ok:
        verdict = Verdict(kept.path, False, kept.reason or verdict.reason, refused=kept.refused)
    now = replace(
        talk, choice=choice, answer=kept.id, question=kept.question, path=kept.path, ok=verdict.ok,
        turns=tuple(dict(turn) for turn in kept.turns), refining=False, readings=(), sides=None,
    )  # fmt: skip
    view = answered(service, now, verdict, service.find(kept.api, verdict), ms=kept.ms, confidence=kept.confidence)
    return replace(view, box=kept.question, readings="", sides="", sided=False, voting=False, note="")


def on_refine(talk: Talk) -> View:
    """The next sentence goes on from the answer that is shown."""
    if not (talk.answer and talk.ok):
        return View(say="There is no call to refine yet.")
    said = so_far(talk)
    return View(
        talk=replace(talk, refining=True), box="", thread=show_parts.thread(said),
        say="Say what should be different; “New question” starts afresh.",
    )  # fmt: skip


def on_new(talk: Talk) -> View:
    """Start afresh."""
    return View(
        talk=Talk(talk.choice, asked=talk.asked), say="", box="", running=False, thread="", result=False, call="",
        facts="", acting=False, readings="", sided=False, sides="", voting=False, fixing=False, fix="", live="",
        note="",
    )  # fmt: skip


def on_rate(store: Store, asker: Asker, talk: Talk, rating: int) -> View:
    """Thumbs up (1) or down (-1)."""
    if talk.answer is None:
        return View(note=show.note("warn", "Ask something first: a rating belongs to an answer."))
    try:
        store.rate(talk.answer, rating, client=asker.client)
    except QuerywrightError as error:
        return View(note=show.note("bad", f"Not stored. {told(error)}"))
    if rating > 0:
        return View(note=show.note("good", "Stored: right. Thank you."))
    return View(note=show.note("good", "Stored: wrong. What should the call have been?"), fixing=True)
