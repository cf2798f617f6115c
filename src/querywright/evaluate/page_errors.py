"""The part of the report that a person acts on: kinds of error with examples, fields confused, what was asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Any

from querywright.page import esc, grid, unfold

_CELLS = 8  # columns of the overview; the best ones
_LINES = 40  # of a table
TABLES = {
    "operators": "operator or parameter", "searched": "field", "returned": "field", "signatures": "signature",
    "sources": "source",
}  # fmt: skip

_COUNTED = (
    "n: sentences that ask for it. same: the share of them whose whole call is right, with Wilson's interval. lost: "
    "asked for and not in the answer. added: in the answer and not asked for."
)


def anchor(*names: str) -> str:
    """The id of a place in the page."""
    return "--".join(re.sub(r"\W+", "-", name.lower()).strip("-") for name in names)


def errors(lines: list[dict[str, Any]], cells: list[dict[str, Any]], top: str) -> str:
    """The overview of errors by cell, then each kind of each cell with what to do and examples.

    Args:
        lines: as `errors.collect` returns them.
        top: the best cell, whose kinds come first and unfolded.
    """
    if not lines:
        return "<p>None.</p>"
    order = sorted(cells, key=lambda cell: cell["name"] != top)
    parts = [_overview(lines, order[:_CELLS])]
    for cell in order:
        mine = [line for line in lines if line["cell"] == cell["name"]]
        kinds = "".join(_kind(line, cell["n"]) for line in mine)
        if mine:
            wrong = f"{cell['n'] - round(cell['n'] * cell['metrics']['same']['mean'])} of {cell['n']} answers"
            parts.append(_fold(cell["name"], wrong, kinds, cell["name"] == top))
    return "".join(parts)


def _fold(name: str, about: str, body: str, is_open: bool) -> str:
    return unfold(f"<b>{esc(name)}</b> <span class=note>{esc(about)}</span>", f"<div class=in>{body}</div>", is_open)


def _overview(lines: list[dict[str, Any]], cells: list[dict[str, Any]]) -> str:
    counts = {(line["cell"], line["problem"]): line["n"] for line in lines}
    what = {line["problem"]: line["what"] for line in lines}
    kinds = sorted(what, key=lambda kind: [-counts.get((cell["name"], kind), 0) for cell in cells])
    rows = []
    for kind in kinds:
        row = [f"<b>{esc(kind)}</b>", _words(what[kind])]
        for cell in cells:
            n = counts.get((cell["name"], kind), 0)
            place = f"<a href='#{anchor(cell['name'], kind)}'>{n}</a>"
            row.append(_shaded(n / cell["n"], place) if n else "")
        rows.append(row)
    return grid(["error", "", *(cell["name"] for cell in cells)], rows, words=2)


def _shaded(share: float, text: str) -> str:
    """A cell that is the redder the larger the share."""
    return f"<span class=heat style='--heat:{min(1.0, 0.08 + 2.2 * share):.2f}'>{text}</span>"


def _kind(line: dict[str, Any], n: int) -> str:
    details = ""
    if line["details"]:
        shown = [f"<code>{esc(text)}</code>&nbsp;{count}" for text, count in line["details"][:12]]
        details = f"<p>{' · '.join(shown)}</p>"
    rows = []
    for one in line["examples"]:
        before = "".join(f"<div class=note>{esc(text)}</div>" for text in one["before"])
        meant, got = differing(one["expected"], one["given"])
        reason = f"<div class=note>{esc(one['reason'])}</div>" if one["reason"] else ""
        calls = f"<div><small>meant</small><code>{meant}</code></div>"
        calls += f"<div class=got><small>given</small><code>{got}</code></div>{reason}"
        rows.append([before + esc(one["instruction"]), calls])
    head = f"<h4 id='{anchor(line['cell'], line['problem'])}'>{esc(line['problem'])}: {line['n']} "
    head += f"<span class=note>({100 * line['n'] / n:.0f} %)</span></h4>"
    about = f"<p>{_words(line['what'][:1].upper() + line['what'][1:])}. <i>To do: {_words(line['todo'])}.</i></p>"
    return head + about + details + f"<div class=pairs>{grid(['sentence', 'call'], rows, words=2)}</div>"


def _words(text: str) -> str:
    """Text as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", esc(text))


def differing(expected: str, given: str) -> tuple[str, str]:
    """Two calls as HTML, with the parts marked in which they differ."""
    a, b = (re.findall(r"\w+|\s+|.", text, re.S) for text in (expected, given))
    left, right = [], []
    for op, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        one, other = esc("".join(a[i:j])), esc("".join(b[k:m]))
        left.append(one if op == "equal" or not one else f"<mark>{one}</mark>")
        right.append(other if op == "equal" or not other else f"<mark>{other}</mark>")
    return "".join(left), "".join(right)


def confusions(cells: list[dict[str, Any]], top: str) -> str:
    """Which field was given for which, most often first."""

    def table(cell: dict[str, Any]) -> str:
        found = cell["confused"]
        rows = [[esc(role), f"<code>{esc(a)}</code>", f"<code>{esc(b)}</code>", str(n)] for role, a, b, n in found]
        return grid(["", "meant", "given", "n"], rows, words=3) if rows else ""

    return _each(cells, top, table)


def breakdown(cells: list[dict[str, Any]], top: str, kind: str) -> str:
    """How much is right of what asks for an operator, a field, a kind of request; what was lost, what was added."""

    def table(cell: dict[str, Any]) -> str:
        lines = cell[kind]
        if not lines or (kind == "sources" and len(lines) < 2):
            return ""
        counted = "lost" in lines[0]
        rows = []
        for line in lines[:_LINES]:
            name = f"<code>{esc(line['name'])}</code>" if kind != "sources" else esc(line["name"] or "not said")
            rows.append([name, _bar(line), str(line["n"]), _same(line)])
            rows[-1] += [str(line[k] or "") for k in ("lost", "added")] if counted else []
        left = len(lines) - len(rows)
        told = _COUNTED if counted and kind == "operators" else ""
        told += f" {left} more in scores.json." if left else ""
        note = f"<p class=note>{told}</p>" if told else ""
        return grid([TABLES[kind], "", "n", "same", *(["lost", "added"] if counted else [])], rows, words=2) + note

    return _each(cells, top, table)


def _each(cells: list[dict[str, Any]], top: str, table: Callable[[dict[str, Any]], str]) -> str:
    """A table for each cell, that of the best one unfolded and first."""
    order = sorted(cells, key=lambda cell: cell["name"] != top)
    return "".join(_fold(cell["name"], "", text, cell["name"] == top) for cell in order if (text := table(cell)))


def _same(line: dict[str, Any]) -> str:
    if line["same"] is None:
        return "–"
    return f"{100 * line['same']:.0f} <small>[{100 * line['low']:.0f}, {100 * line['high']:.0f}]</small>"


def _bar(line: dict[str, Any]) -> str:
    return "" if line["same"] is None else f"<span class=bar style='--part:{100 * line['same']:.0f}%'></span>"
