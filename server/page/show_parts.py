"""Parts of the page that are picked from or stand beside an answer, as HTML. What others wrote is escaped.

What is picked is a button with `data-pick`; `page.js` tells the page which. The value is checked where it arrives.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from querywright.engines.base import Message
from server.assistant import Alternative, Hits, Verdict
from server.keep.entries import Answer, Correction
from server.page import show
from server.page.show_hits import file_link
from server.page.suggest import Suggestions


def code(path: str) -> str:
    """A call that is easy to read: its parameters' names stand out, and lines break between its parts."""
    head, mark, rest = path.partition("?")
    parts = []
    for part in rest.split("&") if mark else []:
        name, equals, value = part.partition("=")
        broken = re.sub(r"(%20|\+|,| )", r"\1<wbr>", escape(value))
        parts.append(f"<b>{escape(name)}</b>{equals}{broken}")
    joined = "<wbr>&amp;".join(parts)
    return f"<code>{escape(head)}{'<wbr>?' if mark else ''}{joined}</code>"


def call(path: str, *, writing: bool = False) -> str:
    """The call, to read and to copy; while it is written, with a mark at its end."""
    if writing:
        return f'<div class="qw-call qw-writing" aria-busy="true">{code(path)}<i aria-hidden="true"></i></div>'
    return f'<div class="qw-call">{code(path)}{_copy("the call")}</div>' if path else ""


def _copy(what: str) -> str:
    return f'<button type="button" class="qw-small" data-copy aria-label="Copy {what}">Copy</button>'


def snippets(verdict: Verdict) -> str:
    """The call as a command and as a program; nothing where it is no call."""
    if not verdict.ok:
        return ""
    python = f"import requests\n\nprint(requests.get({json.dumps(verdict.link)}, timeout=30).json())"
    texts = [("curl", f"curl {shlex.quote(verdict.link)}"), ("Python", python)]
    made = "".join(
        f'<div class="qw-call"><pre aria-label="{name}"><code>{escape(text)}</code></pre>{_copy(name)}</div>'
        for name, text in texts
    )
    return f'<details class="qw-more"><summary>As curl or Python</summary>{made}</details>'


def chips(sentences: Sequence[str]) -> str:
    """Example sentences to pick from, in one line that scrolls."""
    made = "".join(f'<button type="button" data-pick="{i}">{escape(text)}</button>' for i, text in enumerate(sentences))
    return f'<div class="qw-chips" role="group" aria-label="Examples">{made}</div>' if made else ""


def history(answers: Iterable[Answer]) -> str:
    """Earlier questions with their calls, to look at again."""
    made = "".join(
        f'<li><button type="button" data-pick="{one.id}"><span>{escape(one.question)}</span>'
        f"<small>{escape(one.path if one.ok else 'no call')}</small></button></li>"
        for one in answers
    )
    return f'<ul class="qw-list">{made}</ul>' if made else '<p class="qw-none">Nothing was asked yet.</p>'


_FROM = {"model": "the model's first answer", "sample": "another try of the model", "reader": "read without a model"}


def readings(found: Sequence[Alternative], shown: str) -> str:
    """What else the sentence may mean, to pick from; the call that is shown is marked."""
    if not any(one.verdict.path != shown for one in found):
        return show.note("plain", "No other reading of this sentence was found.")
    made = []
    for index, one in enumerate(found):
        where = ", ".join(_FROM[source] for source in one.sources if source in _FROM)
        sure = show.sure(one.confidence) if one.confidence is not None else ""
        current = one.verdict.path == shown
        pick = (
            f'<button type="button" class="qw-small" data-pick="{index}" aria-label="Take reading {index + 1}">'
            "Take this one</button>"
        )
        made.append(
            f'<li class="qw-reading{" qw-current" if current else ""}">{code(one.verdict.path)}'
            f"{show.clauses(one.verdict)}"
            f'<p class="qw-status">{sure}<small>{escape(where)}</small>'
            f"{show.badge('plain', 'shown above') if current else pick}</p></li>"
        )
    return f'<h2>Other readings</h2><ol class="qw-readings">{"".join(made)}</ol>'


def thread(turns: Sequence[Message]) -> str:
    """What was said before in this conversation."""
    made = "".join(
        f'<li class="qw-{"you" if turn["role"] == "user" else "it"}">'
        + (escape(turn["content"]) if turn["role"] == "user" else code(turn["content"]))
        + "</li>"
        for turn in turns
    )
    again = '<button type="button" class="qw-small" data-pick="0">New question</button>'
    return f'<ol class="qw-thread" aria-label="The conversation so far">{made}</ol>{again}' if made else ""


@dataclass(frozen=True)
class Half:
    """One of two answers side by side. `who` is empty as long as it is not told."""

    who: str = ""
    path: str = ""
    verdict: Verdict | None = None
    hits: Hits = field(default_factory=Hits)
    failed: str = ""


def sides(left: Half, right: Half, noun: str) -> str:
    """Two answers to the same sentence."""
    made = "".join(_side(name, half, noun) for name, half in (("Left", left), ("Right", right)))
    return f'<div class="qw-sides">{made}</div>'


def _side(name: str, half: Half, noun: str) -> str:
    who = f" <small>{escape(half.who)}</small>" if half.who else ""
    if half.failed:
        body = show.note("bad", half.failed)
    elif half.verdict is None:
        body = call(half.path, writing=True)
    else:
        body = (call(half.verdict.path) if not half.verdict.refused else "") + (
            show.status(half.verdict, half.hits, noun, timed=False) + show.clauses(half.verdict)
        )
    return f'<section aria-label="{name} answer"><h2>{name}{who}</h2>{body}</section>'


def options(found: Suggestions, text: str) -> str:
    """What may come next, as a list under the field; `page.js` moves in it and puts the picked one in."""
    if not found.items:
        return ""
    made = "".join(
        f'<li role="option" id="qw-option-{i}" aria-selected="false" data-text="{escape(item.text)}">'
        f"<b>{escape(item.text.strip())}</b> <span>{escape(item.about[:120])}</span></li>"
        for i, item in enumerate(found.items)
    )
    return (
        f'<ul role="listbox" id="qw-options" aria-label="Suggestions" data-start="{found.start}" '
        f'data-end="{found.end}" data-of="{escape(text)}">{made}</ul>'
    )


def corrections(own: Sequence[Correction]) -> str:
    """One's own corrections, as a file to save."""
    if not own:
        return '<p class="qw-none">Corrections that you store can be saved here.</p>'
    rows = [
        {"api": c.api, "instruction": c.question, "path": c.path, "ok": c.ok, "reason": c.reason, "was": c.answer,
         "model": c.model, "time": c.time}
        for c in own
    ]  # fmt: skip
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    many = "1 correction" if len(own) == 1 else f"{len(own)} corrections"
    return f"<p>{many} of yours. {file_link('Save as JSON lines', 'corrections.jsonl', 'application/jsonl', text)}</p>"
