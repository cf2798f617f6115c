"""What the page says of an answer, as HTML. Whatever a model, a person or a record wrote is escaped: it is data."""

from __future__ import annotations

from html import escape

from querywright.api.definition import API
from querywright.generate.confidence import word
from server.assistant import Hits, Verdict, example


def badge(kind: str, text: str, title: str = "") -> str:
    """A few words in a pill, and more where the pointer rests; `kind` is good, bad, warn or plain."""
    more = f' title="{escape(title)}"' if title else ""
    return f'<span class="qw-badge qw-{kind}"{more}>{escape(text)}</span>'


def count(hits: Hits, noun: str) -> str:
    """`1,234 genes`, or why there are none to count."""
    if hits.total is None:
        return hits.reason
    return f"{hits.total:,} {noun if hits.total == 1 else noun + 's'}"


def status(
    verdict: Verdict, hits: Hits, noun: str, *, ms: float | None = None, confidence: float | None = None,
    abstained: bool = False, timed: bool = True,
) -> str:  # fmt: skip
    """The line of facts under the call: valid or not and why not, hits, how sure it is, times."""
    parts = [badge("good", "valid call") if verdict.ok else badge("bad", "not a valid call")]
    if verdict.ok:
        parts.append(badge("plain" if hits.total is None else "good" if hits.total else "warn", count(hits, noun)))
        if confidence is not None:
            parts.append(sure(confidence, abstained))
    if ms is not None:
        parts.append(badge("plain", seconds(ms) + " to write"))
    if timed and hits.total is not None:
        parts.append(badge("plain", seconds(hits.ms) + " to run"))
    return f'<div class="qw-status">{"".join(parts)}</div>{reason(verdict)}'


_SURE = "How likely the call is right: of a hundred calls with this number, about so many were"


def sure(confidence: float, abstained: bool = False) -> str:
    """How sure the answer is: a word and a number."""
    if abstained:
        return badge("warn", f"a guess, {confidence:.0%}", _SURE)
    said = word(confidence)
    return badge({"sure": "good", "unsure": "warn"}.get(said, "plain"), f"{said}, {confidence:.0%}", _SURE)


_INSTEAD = {
    "chat": "I write calls to {title}: {about}. Ask for records in a sentence, for example “{example}”.",
    "topic": "{title} holds {about}; nothing else can be asked here. For example “{example}”.",
    "missing": "Name the {noun}, or the value to search for, in one whole sentence. For example “{example}”.",
    "unsupported": "I can find {noun}s and show their fields; nothing can be changed, drawn, sent or computed here. "
    "For example “{example}”.",
}


def refusal(verdict: Verdict, ms: float | None, api: API) -> str:
    """A refusal, kindly: that there is no call, and what can be asked instead."""
    words = {"title": api.title, "about": api.about or f"{api.noun}s", "noun": api.noun, "example": example(api)}
    told = _INSTEAD[verdict.refused].format(**words) if verdict.refused in _INSTEAD else ""
    badges = badge("warn", "no call for this") + (badge("plain", seconds(ms) + " to decide") if ms is not None else "")
    box = f'<div class="qw-box qw-plain">{escape(sentence(verdict.reason))} {escape(told)}</div>'
    return f'<div class="qw-status">{badges}</div>{box}'


def seconds(ms: float) -> str:
    """`< 1 ms`, `340 ms` or `1.2 s`."""
    if ms < 1:
        return "< 1 ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def reason(verdict: Verdict) -> str:
    """Why a path is no call, as a box; nothing where it is one."""
    return "" if verdict.ok else f'<div class="qw-box qw-bad">{escape(verdict.reason)}</div>'


def meaning(verdict: Verdict, host: str) -> str:
    """What the call means, clause by clause, and where to open it at the live API."""
    if not verdict.ok:
        return ""
    link = (
        f'<a class="qw-link" href="{escape(verdict.link, quote=True)}" target="_blank" rel="noopener noreferrer">'
        f"Open at {escape(host)} ↗</a>"
    )
    return f'<div class="qw-words"><h2>What it asks for</h2>{clauses(verdict)}{link}</div>'


def clauses(verdict: Verdict) -> str:
    """What a call means, as a list."""
    return f"<ul>{''.join(f'<li>{escape(clause)}</li>' for clause in verdict.words)}</ul>"


def live(verdict: Verdict) -> str:
    """What a correction is worth while it is being typed."""
    if verdict.ok:
        words = escape("; ".join(verdict.words))
        return f'<div class="qw-box qw-good">{badge("good", "valid")} {words}</div>'
    return f'<div class="qw-box qw-bad">{badge("bad", "not valid")} {escape(verdict.reason)}</div>'


def sentence(text: str) -> str:
    """With a capital letter and a full stop, unless it ends in a mark already."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def note(kind: str, text: str) -> str:
    """One sentence in a box; `kind` is good, bad, warn or plain."""
    return f'<div class="qw-box qw-{kind}">{escape(text)}</div>'
