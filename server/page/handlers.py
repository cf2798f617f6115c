"""What happens at a click: plain functions from what a tab is at (`Talk`) to what it shows (`View`).

Asking is in `handlers_ask`, `handlers_readings` and `handlers_sides`, correcting in `handlers_fix`, the rest of the
conversation in `handlers_talk`; `server.page.blocks` binds them to the components. Here is what they share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import Any

from querywright.engines.base import Message
from querywright.errors import QuerywrightError
from server.access.origins import is_loopback
from server.assistant import Alternative, Choice, Hits, Reply, Verdict
from server.keep import answers
from server.keep.answers import Kept
from server.keep.clients import client_of
from server.keep.store import Store
from server.page import show, show_hits, show_parts
from server.page.streaming import SOURCE, Asking
from server.service import Service


@dataclass(frozen=True)
class Asker:
    """Who asks: a hash, the tab, and whether the hash is one person's (a login, or this machine), not an address that
    others may share."""

    client: str = ""
    tab: str = ""
    personal: bool = False


@dataclass(frozen=True)
class Side:
    """One of two answers side by side; `name` says who gave it, `unkept` why it is not kept."""

    name: str
    answer: int | None = None
    unkept: str = ""
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


def keep(asking: Asking, asker: Asker, reply: Reply) -> Kept:
    """Keep an answer of this tab."""
    return answers.keep(
        asking.store, reply, source=SOURCE, client=asker.client, conversation=asker.tab, metrics=asking.metrics
    )


def unkept(kept: Kept) -> str:
    """That an answer was not kept, and why, as a box."""
    return show.note("warn", f"This answer is not kept, and can't be rated or corrected: {kept.why}.")


def answered(
    service: Service, talk: Talk, verdict: Verdict, hits: Hits, *, ms: float | None = None,
    confidence: float | None = None, abstained: bool = False,
) -> View:  # fmt: skip
    """An answer with all that is told of it. `talk` has it already."""
    api = service.apis[talk.choice.api].api
    if verdict.refused:
        return View(
            talk=talk, say=unseen("No call answers this."), running=False, result=True, call="", acting=True,
            fixing=False, facts=show.refusal(verdict, ms, api), fix="", live="",
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


def so_far(talk: Talk) -> tuple[Message, ...]:
    """The conversation with the answer that is shown."""
    now: tuple[Message, ...] = ({"role": "user", "content": talk.question}, {"role": "assistant", "content": talk.path})
    return (*talk.turns, *now)
