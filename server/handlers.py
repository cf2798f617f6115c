"""What happens at a click: plain functions from what a tab is at (`Talk`) to what it shows (`View`).

Asking is in `handlers_ask`, correcting in `handlers_fix`; `server.page` binds them to the components.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from querywright.engines.base import Message
from querywright.errors import QuerywrightError
from server import show, show_hits, show_parts
from server.assistant import Alternative, Choice, Hits, Reply, Verdict, examples
from server.clients import client_of
from server.entries import Answer
from server.origins import is_loopback
from server.service import Service
from server.store import Store

HISTORY = 12


@dataclass(frozen=True)
class Asker:
    """Who asks: a hash, the tab, and whether the hash is one person's (a login, or this machine), not an address that
    others may share."""

    client: str = ""
    tab: str = ""
    personal: bool = False


@dataclass(frozen=True)
class Side:
    """One of two answers side by side; `name` says who gave it."""

    name: str
    answer: int | None = None
    path: str = ""
    half: show_parts.Half = field(default_factory=show_parts.Half)
    reply: Reply | None = None


@dataclass(frozen=True)
class Talk:
    """What a tab is at.

    Attributes:
        answer: the stored answer that is shown, None where there is none.
        question, path, ok: of the answer that is shown; `turns` were said before it.
        refining: whether the next sentence goes on from this answer.
        readings: what the sentence may mean besides, once that was asked for.
        sides: two answers side by side that are to be judged.
        asked: the answers that this tab got, the newest last.
    """

    choice: Choice
    answer: int | None = None
    question: str = ""
    path: str = ""
    ok: bool = False
    turns: tuple[Message, ...] = ()
    refining: bool = False
    readings: tuple[Alternative, ...] = ()
    sides: tuple[Side, Side] | None = None
    asked: tuple[int, ...] = ()


@dataclass(frozen=True)
class View:
    """What changes on the page: HTML, texts and switches; None leaves a part as it is.

    Attributes:
        say: one sentence as HTML, also told to who can't see the page.
        running: whether "Stop" stands in for "Ask".
        result, acting, voting, sided: which parts are there: the answer, what can be done with it, the judgement of two
            answers, and these.
        fixing: whether the correction is open.
    """

    talk: Talk | None = None
    say: str | None = None
    box: str | None = None
    running: bool | None = None
    thread: str | None = None
    result: bool | None = None
    call: str | None = None
    facts: str | None = None
    acting: bool | None = None
    readings: str | None = None
    sided: bool | None = None
    sides: str | None = None
    voting: bool | None = None
    fixing: bool | None = None
    fix: str | None = None
    live: str | None = None
    note: str | None = None
    history: str | None = None
    own: str | None = None


def asker_of(store: Store, request: Any) -> Asker:
    """Who sent a request of Gradio's; the guard has put the name or the address into its state."""
    inner = getattr(request, "request", None)
    state = dict(inner.scope.get("state") or {}) if inner is not None else {}
    peer = inner.client.host if inner is not None and inner.client else ""
    address = state.get("address", peer)
    tab = str(getattr(request, "session_hash", "") or "")
    return Asker(
        client_of(store.salt, state, address),
        tab if re.fullmatch(r"\w{1,64}", tab) else "",
        bool(state.get("user")) or is_loopback(address),
    )


def told(error: QuerywrightError) -> str:
    """An error in sentences, with what to do."""
    text = show.sentence(str(error))
    return f"{text} {show.sentence(error.hint)}" if error.hint else text


def unseen(text: str) -> str:
    """A sentence for who can't see the page; others see the same in another place."""
    return f'<span class="qw-unseen">{escape(text)}</span>'


def keep(store: Store, asker: Asker, reply: Reply, verdict: Verdict, confidence: float | None) -> int:
    """Store an answer to the reply's question."""
    return store.add_answer(
        api=reply.choice.api, question=reply.question, turns=reply.turns, conversation=asker.tab, path=verdict.path,
        ok=verdict.ok, reason=verdict.reason, refused=verdict.refused, confidence=confidence, ms=reply.ms,
        model=reply.model_id, config=reply.config_id, source="page", client=asker.client,
    )  # fmt: skip


def answered(
    service: Service, talk: Talk, verdict: Verdict, hits: Hits, *, ms: float | None = None,
    confidence: float | None = None, abstained: bool = False,
) -> View:  # fmt: skip
    """An answer with all that is told of it. `talk` has it already."""
    api = service.apis[talk.choice.api].api
    if verdict.refused:
        example = next(iter(examples(api)), f"ten {api.noun}s")
        return View(
            talk=talk, say=unseen("No call answers this."), running=False, result=True, call="", acting=True,
            fixing=False, facts=show.refusal(verdict, ms, api, example), fix="", live="",
            thread=show_parts.thread(talk.turns),
        )  # fmt: skip
    facts = show.status(verdict, hits, api.noun, ms=ms, confidence=confidence, abstained=abstained)
    facts += show.meaning(verdict, api.base_url.split("//")[-1]) + show_hits.facets(hits)
    facts += show_hits.rows(hits, service.limits) + show_hits.exports(hits, service.limits)
    facts += show_parts.snippets(verdict)
    summary = f"A valid call: {show.count(hits, api.noun)}" if verdict.ok else f"Not a valid call: {verdict.reason}"
    return View(
        talk=talk, say=unseen(show.sentence(summary)), running=False, result=True, call=show_parts.call(verdict.path),
        facts=facts, acting=True, fixing=not verdict.ok, fix=verdict.path, live=show.live(verdict),
        thread=show_parts.thread(talk.turns),
    )  # fmt: skip


def history(service: Service, store: Store, asker: Asker, talk: Talk) -> list[Answer]:
    """What was asked before, each sentence once, the newest first: by this person, or else in this tab."""
    if asker.personal:
        found: Sequence[Answer] = store.history(asker.client, talk.choice.api, 4 * HISTORY)
    else:
        kept = (store.answer(one, client=asker.client) for one in reversed(talk.asked[-4 * HISTORY :]))
        found = [one for one in kept if one is not None and one.api == talk.choice.api]
    once: dict[str, Answer] = {}
    for one in found:
        if one.source == "page":
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
    found = [c for name in service.apis for c in store.corrections(name) if c.client == asker.client]
    return found if asker.personal else [c for c in found if c.of.conversation == asker.tab]


def on_history(service: Service, store: Store, asker: Asker, talk: Talk, picked: object) -> View:
    """Show an earlier answer again; its call is run anew."""
    kept = store.answer(picked, client=asker.client) if isinstance(picked, int) else None
    if kept is None or kept.api not in service.apis:
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


def so_far(talk: Talk) -> tuple[Message, ...]:
    """The conversation with the answer that is shown."""
    now: tuple[Message, ...] = ({"role": "user", "content": talk.question}, {"role": "assistant", "content": talk.path})
    return (*talk.turns, *now)


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
