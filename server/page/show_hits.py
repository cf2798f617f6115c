"""What a call found, as HTML: a table, counted terms as bars, and the same as files that the browser makes."""

from __future__ import annotations

import csv
import io
import json
from html import escape
from typing import Any
from urllib.parse import quote

from server.assistant import Hits
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


def facets(hits: Hits) -> str:
    """Counted terms: for each field a table whose rows are bars; nothing where none were asked for."""
    return "".join(_facet(name, terms) for name, terms in hits.facets.items() if terms)


def _facet(name: str, terms: list[tuple[str, int]]) -> str:
    most = max(count for _, count in terms) or 1
    rows = "".join(
        f'<tr><th scope="row">{escape(str(term))}</th><td class="qw-bar" aria-hidden="true">'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" focusable="false">'
        f'<rect width="{100 * count / most:.2f}" height="10"/></svg></td><td class="qw-count">{count:,}</td></tr>'
        for term, count in terms
    )
    return (
        f'<table class="qw-facet"><caption>How many by {escape(name)}</caption><colgroup><col class="qw-term">'
        f'<col><col class="qw-number"></colgroup><thead class="qw-unseen"><tr><th>'
        f"{escape(name)}</th><td></td><th>count</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def exports(hits: Hits, limits: Limits) -> str:
    """Links that save the rows shown, or the counts, as CSV and JSON. The browser makes the files from the page."""
    names, cells = table(hits, limits)
    plain: Any = list(hits.rows)
    if not cells and hits.facets:
        names = ["field", "term", "count"]
        cells = [[field, str(term), str(n)] for field, terms in hits.facets.items() for term, n in terms]
        plain = {field: [{"term": t, "count": n} for t, n in terms] for field, terms in hits.facets.items()}
    if not cells:
        return ""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *([_harmless(cell) for cell in row] for row in cells)])
    links = [
        file_link("CSV", "hits.csv", "text/csv", text.getvalue()),
        file_link("JSON", "hits.json", "application/json", json.dumps(plain, ensure_ascii=False, indent=1)),
    ]
    return f'<p class="qw-files">Save as {" or ".join(links)}</p>'


def file_link(label: str, name: str, kind: str, text: str) -> str:
    """A link whose target is the file itself."""
    made = f"data:{kind};charset=utf-8,{quote(text.encode('utf-8', 'replace'), safe='')}"
    return f'<a class="qw-link" download="{escape(name)}" href="{made}">{escape(label)}</a>'


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; numbers below zero stay."""
    try:
        float(cell)
    except ValueError:
        return "'" + cell if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
    return cell
