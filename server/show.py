"""What the page shows, as HTML and tables. Whatever a model, a person or a record wrote is escaped: it is data."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from querywright.api.definition import API
from querywright.generate.confidence import word
from server.assistant import Hits, Reply, Verdict
from server.settings import Limits


def flatten(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects to dotted names; lists of objects to one list a leaf."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            merged: dict[str, list[Any]] = {}
            for item in value:
                for leaf, inner in flatten(item, f"{name}.").items():
                    merged.setdefault(leaf, []).extend(inner if isinstance(inner, list) else [inner])
            flat.update(merged)
        else:
            flat[name] = value
    return flat


def _cell(value: Any, limit: int) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        value = ", ".join(str(v) for v in value)
    text = str(value) if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def table(hits: Hits, limits: Limits) -> tuple[list[str], list[list[str]]]:
    """Column names and cells of the first rows; `_id` first, ranks left out."""
    rows = [flatten(row) for row in hits.rows]
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("_score", "_version")))
    names.sort(key=lambda name: name != "_id")
    names = names[: limits.columns]
    return names, [[_cell(row.get(name), limits.cell_chars) for name in names] for row in rows]


def rows(hits: Hits, limits: Limits) -> str:
    """The first rows as a table that scrolls sideways on its own; nothing where there are none."""
    names, cells = table(hits, limits)
    if not cells:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
    shown = (
        "" if hits.total is None or hits.total <= len(cells) else f"<p>The first {len(cells)} of {hits.total:,}.</p>"
    )
    return (
        f'<div class="qw-rows" tabindex="0" role="region" aria-label="First hits"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{shown}"
    )


def _badge(kind: str, text: str) -> str:
    return f'<span class="qw-badge qw-{kind}">{escape(text)}</span>'


def count(hits: Hits, noun: str) -> str:
    """`1,234 genes`, or why there are none to count."""
    if hits.total is None:
        return hits.reason
    return f"{hits.total:,} {noun if hits.total == 1 else noun + 's'}"


def status(reply: Reply, noun: str) -> str:
    """The line of facts under the call: valid or not and why not, hits, time."""
    verdict, hits = reply.verdict, reply.hits
    parts = [_badge("good", "valid call") if verdict.ok else _badge("bad", "not a valid call")]
    if verdict.ok:
        parts.append(_badge("plain" if hits.total is None else "good" if hits.total else "warn", count(hits, noun)))
    if verdict.ok and reply.confidence is not None:
        parts.append(_sure(reply.confidence, reply.abstained))
    parts.append(_badge("plain", seconds(reply.ms) + " to write"))
    if hits.total is not None:
        parts.append(_badge("plain", seconds(hits.ms) + " to run"))
    return f'<div class="qw-status" role="status">{"".join(parts)}</div>' + reason(verdict)


def _sure(confidence: float, abstained: bool) -> str:
    """How sure the answer is: a word and a number."""
    if abstained:
        return _badge("warn", f"a guess, {confidence:.0%}")
    said = word(confidence)
    return _badge({"sure": "good", "unsure": "warn"}.get(said, "plain"), f"{said}, {confidence:.0%}")


_INSTEAD = {
    "chat": "I write calls to {title}: {about}. Ask for records in a sentence, for example “{example}”.",
    "topic": "{title} holds {about}; nothing else can be asked here. For example “{example}”.",
    "missing": "Name the {noun}, or the value to search for, in one whole sentence. For example “{example}”.",
    "unsupported": "I can find {noun}s and show their fields; nothing can be changed, drawn, sent or computed here. "
    "For example “{example}”.",
}


def refusal(reply: Reply, api: API, example: str) -> str:
    """A refusal, kindly: that there is no call, and what can be asked instead."""
    verdict = reply.verdict
    words = {"title": api.title, "about": api.about or f"{api.noun}s", "noun": api.noun, "example": example}
    told = _INSTEAD[verdict.refused].format(**words) if verdict.refused in _INSTEAD else ""
    badges = _badge("warn", "no call for this") + _badge("plain", seconds(reply.ms) + " to decide")
    box = f'<div class="qw-box qw-plain">{escape(sentence(verdict.reason))} {escape(told)}</div>'
    return f'<div class="qw-status" role="status">{badges}</div>{box}'


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
    clauses = "".join(f"<li>{escape(clause)}</li>" for clause in verdict.words)
    link = (
        f'<a class="qw-link" href="{escape(verdict.link, quote=True)}" target="_blank" rel="noopener noreferrer">'
        f"Open at {escape(host)} ↗</a>"
    )
    return f'<div class="qw-words"><h3>What it asks for</h3><ul>{clauses}</ul>{link}</div>'


def live(verdict: Verdict) -> str:
    """What a correction is worth while it is being typed."""
    if verdict.ok:
        words = escape("; ".join(verdict.words))
        return f'<div class="qw-box qw-good" role="status">{_badge("good", "valid")} {words}</div>'
    return f'<div class="qw-box qw-bad" role="status">{_badge("bad", "not valid")} {escape(verdict.reason)}</div>'


def sentence(text: str) -> str:
    """With a capital letter and a full stop, unless it ends in a mark already."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def note(kind: str, text: str) -> str:
    """One sentence in a box; `kind` is good, bad, warn or plain."""
    return f'<div class="qw-box qw-{kind}" role="status">{escape(text)}</div>'
