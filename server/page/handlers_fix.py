"""Correcting a call: what it is worth while it is typed, what may come next, running it, keeping it."""

from __future__ import annotations

from dataclasses import replace

from querywright.errors import QuerywrightError
from server.assistant import Verdict
from server.keep.store import Store
from server.page import show, show_hits, show_parts
from server.page.handlers import Asker, Talk, View, told
from server.page.handlers_talk import own
from server.page.suggest import suggest
from server.service import Service


def read(service: Service, api: str, path: object) -> Verdict:
    """What a person typed, read as a call; `Verdict.path` is empty where it is nothing to keep."""
    if not isinstance(path, str):
        return Verdict("", False, "the call has to be text")
    if len(path) > service.limits.call_chars:
        return Verdict("", False, f"the call has more than {service.limits.call_chars:,} characters")
    try:
        path.encode()
    except UnicodeEncodeError:
        return Verdict("", False, "the call is not Unicode text")
    return service.check(api, path.strip())


def on_edit(service: Service, api: str, path: object, cursor: object = None) -> tuple[str, str]:
    """What a call that is being typed is worth, and what may come next at the cursor (None: nothing is suggested)."""
    verdict = read(service, api, path)
    if not isinstance(path, str) or not isinstance(cursor, int) or len(path) > service.limits.call_chars:
        return show.live(verdict), ""
    return show.live(verdict), show_parts.options(suggest(service.apis[api].api, path, cursor), path)


def on_run(service: Service, api: str, path: object) -> str:
    """Run a corrected call without keeping it."""
    verdict = read(service, api, path)
    if not verdict.ok:
        return show.live(verdict)
    hits = service.find(api, verdict)
    kind = "plain" if hits.total is None else "good" if hits.total else "warn"
    found = show.sentence(f"The corrected call: {show.count(hits, service.apis[api].api.noun)}")
    return show.note(kind, found) + show_hits.facets(hits) + show_hits.rows(hits, service.limits)


def on_correct(service: Service, store: Store, asker: Asker, talk: Talk, path: object) -> View:
    """Keep a correction. One that is no call is kept too, marked as such, and never trained on."""
    if talk.answer is None:
        return View(note=show.note("warn", "Ask something first: a correction belongs to an answer."))
    verdict = read(service, talk.choice.api, path)
    if not isinstance(path, str) or not verdict.path:  # empty, too long, not Unicode: nothing to keep
        return View(note=show.note("bad", f"Not stored. {show.sentence(verdict.reason)}"))
    try:
        store.add_correction(
            talk.answer, path=path.strip(), ok=verdict.ok, reason=verdict.reason, client=asker.client
        )  # fmt: skip
        mine = show_parts.corrections(own(service, store, asker))
    except QuerywrightError as error:
        return View(note=show.note("bad", f"Not stored. {told(error)}"))
    if verdict.ok:  # a refinement goes on from the call as it should be
        return View(
            talk=replace(talk, path=verdict.path, ok=True), own=mine,
            note=show.note("good", "Stored. Thank you: it can teach the next model."),
        )  # fmt: skip
    said = f"Stored, but marked as not valid. {show.sentence(verdict.reason)} No model will learn it."
    return View(own=mine, note=show.note("warn", said))
