"""Reports as one HTML file that needs nothing else: escaped text, tables, things to unfold."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from querywright.artefacts import write_text

STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:13px;word-break:break-all}
summary{cursor:pointer;padding:.2rem 0}svg{max-width:100%;height:auto}p.note{color:#666}
@media(max-width:50rem){table{display:block;overflow-x:auto}}"""


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


def bars(counts: Sequence[tuple[str, float]], what: str, unit: str = "") -> str:
    """A bar chart as inline SVG.

    Args:
        counts: label and height of each bar; every other label is left out where there are many.
        what: the chart's name, read aloud by screen readers too.
        unit: under the labels.
    """
    if not counts:
        return ""
    wide, high, foot = 720, 170, 34
    step, top = wide / len(counts), max(n for _, n in counts) or 1
    every = -(-len(counts) // 18)
    parts = [f'<line x1="0" y1="{high}" x2="{wide}" y2="{high}" stroke="#999"/>']
    for i, (label, n) in enumerate(counts):
        h = (high - 20) * n / top
        place = f'x="{i * step + step / 2:.1f}"'
        parts.append(
            f'<rect x="{i * step + 1:.1f}" y="{high - h:.1f}" width="{max(1, step - 2):.1f}" height="{h:.1f}" '
            f'fill="#1f4e79"><title>{esc(label)}: {n:,.0f}</title></rect>'
        )
        if i % every == 0:
            parts.append(f'<text {place} y="{high + 14}" text-anchor="middle">{esc(label)}</text>')
            if n and step > 26:
                parts.append(f'<text {place} y="{high - h - 4:.1f}" text-anchor="middle" fill="#555">{n:,.0f}</text>')
    parts.append(f'<text x="{wide / 2}" y="{high + 30}" text-anchor="middle" fill="#555">{esc(unit)}</text>')
    return (
        f'<svg viewBox="0 0 {wide} {high + foot}" role="img" font-size="11" font-family="system-ui,sans-serif">'
        f"<title>{esc(what)}</title>{''.join(parts)}</svg>"
    )


def write_page(path: Path | str, title: str, body: Iterable[str]) -> None:
    """Write the parts of a body as a whole page, atomically."""
    head = f"<meta charset=utf-8><title>{esc(title)}</title><style>{STYLE}</style>"
    write_text(path, f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>\n")
