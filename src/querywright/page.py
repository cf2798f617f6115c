"""Reports as one HTML file that needs nothing else: escaped text, tables, things to unfold."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from querywright.artefacts import write_text

STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:13px;word-break:break-all}
summary{cursor:pointer;padding:.2rem 0}svg{max-width:100%;height:auto}p.note{color:#666}"""


def esc(text: object) -> str:
    """Text as HTML shows it."""
    return html.escape(str(text))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> str:
    """A table of HTML cells whose first `words` columns are text and whose others are numbers."""
    top = "".join(f"<th>{esc(h)}</th>" for h in headings)
    lines = (
        "".join(f"<td{' class=n' if i >= words else ''}>{cell}</td>" for i, cell in enumerate(row)) for row in rows
    )
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def unfold(title: str, body: str) -> str:
    """HTML that shows its title (HTML too) and unfolds."""
    return f"<details><summary>{title}</summary>{body}</details>"


def write_page(path: Path | str, title: str, body: Iterable[str]) -> None:
    """Write the parts of a body as a whole page, atomically."""
    head = f"<meta charset=utf-8><title>{esc(title)}</title><style>{STYLE}</style>"
    write_text(path, f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>\n")
