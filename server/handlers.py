"""What happens at a click. Plain functions from values to values; `server.page` binds them to the components."""

from __future__ import annotations

from dataclasses import dataclass

from querywright.errors import QuerywrightError
from server import show
from server.assistant import Assistant, Verdict, ask, check, examples, find
from server.store import Store


@dataclass(frozen=True)
class Shown:
    """What stands on the page after a question. `answer` is the stored answer's id, None where there is none."""

    facts: str
    answer: int | None = None
    call: str = ""
    ok: bool = False


def on_ask(assistant: Assistant, store: Store, sentence: object) -> Shown:
    """Answer a sentence and keep the answer. A mistake or a failure becomes a sentence on the page."""
    api = assistant.api
    try:
        reply = ask(assistant, sentence)
        verdict = reply.verdict
        answer = store.add_answer(
            api=api.name, question=reply.question, path=verdict.path, ok=verdict.ok, reason=verdict.reason,
            ms=reply.ms, model=assistant.model, source="page",
        )  # fmt: skip
    except QuerywrightError as error:
        return Shown(show.note("bad", _say(error)))
    if verdict.refused:
        return Shown(show.refusal(reply, api, next(iter(examples(api)), f"ten {api.noun}s")), answer)
    facts = show.status(reply, api.noun) + show.meaning(verdict, api.base_url.split("//")[-1])
    return Shown(facts + show.rows(reply.hits, assistant.limits), answer, verdict.path, verdict.ok)


def _say(error: QuerywrightError) -> str:
    text = show.sentence(str(error))
    return f"{text} {show.sentence(error.hint)}" if error.hint else text


def _read(assistant: Assistant, path: object) -> Verdict:
    if not isinstance(path, str):
        return Verdict("", False, "the call has to be text")
    if len(path) > assistant.limits.call_chars:
        return Verdict("", False, f"the call has more than {assistant.limits.call_chars:,} characters")
    try:
        path.encode()
    except UnicodeEncodeError:
        return Verdict("", False, "the call is not Unicode text")
    return check(assistant.api, path.strip())


def on_edit(assistant: Assistant, path: object) -> str:
    """Say what a call that is being typed is worth."""
    return show.live(_read(assistant, path))


def on_run(assistant: Assistant, path: object) -> str:
    """Run a corrected call without keeping it."""
    verdict = _read(assistant, path)
    if not verdict.ok:
        return show.live(verdict)
    hits = find(assistant, verdict)
    kind = "plain" if hits.total is None else "good" if hits.total else "warn"
    found = show.sentence(f"The corrected call: {show.count(hits, assistant.api.noun)}")
    return show.note(kind, found) + show.rows(hits, assistant.limits)


def on_correct(assistant: Assistant, store: Store, answer: int | None, path: object) -> str:
    """Keep a correction. One that is no call is kept too, marked as such, and never trained on."""
    if answer is None:
        return show.note("warn", "Ask something first: a correction belongs to an answer.")
    verdict = _read(assistant, path)
    if not isinstance(path, str) or not verdict.path:  # empty, too long, not Unicode: nothing to keep
        return show.note("bad", f"Not stored. {show.sentence(verdict.reason)}")
    try:
        store.add_correction(answer, path=path.strip(), ok=verdict.ok, reason=verdict.reason)
    except QuerywrightError as error:
        return show.note("bad", f"Not stored. {_say(error)}")
    if verdict.ok:
        return show.note("good", "Stored. Thank you: it can teach the next model.")
    return show.note(
        "warn", f"Stored, but marked as not valid. {show.sentence(verdict.reason)} No model will learn it."
    )


def on_rate(store: Store, answer: int | None, rating: int) -> str:
    """Thumbs up (1) or down (-1)."""
    if answer is None:
        return show.note("warn", "Ask something first: a rating belongs to an answer.")
    try:
        store.rate(answer, rating)
    except QuerywrightError as error:
        return show.note("bad", f"Not stored. {_say(error)}")
    return show.note("good", "Stored: right." if rating > 0 else "Stored: wrong. What should the call have been?")
