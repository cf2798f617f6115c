"""Reports as one HTML file that needs nothing else: escaped text, tables, things to unfold."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from querywright.artefacts import write_text

STYLE = """:root{color-scheme:light dark;--ink:#222;--soft:#666;--line:#ddd;--paper:#fff;--box:#f4f6f8;--link:#1f4e79;
--mark:#fbdcb8;--bar:#64b5cd;--hot:213,94,0}
@media(prefers-color-scheme:dark){:root{--ink:#e3e7ea;--soft:#98a4ac;--line:#394249;--paper:#15191c;--box:#1f262b;
--link:#8ec7ea;--mark:#6b4314}}
body{font:15px/1.45 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:var(--ink);
background:var(--paper)}a{color:var(--link)}mark{background:var(--mark);color:inherit;border-radius:2px}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}th.n{text-align:right}
small,.note{color:var(--soft)}p.note{max-width:60rem}code{font-size:13px;overflow-wrap:anywhere}
.pairs table{width:100%;table-layout:fixed}.pairs th:first-child{width:36%}
.pairs small{display:inline-block;width:3.2rem}
summary{cursor:pointer;padding:.2rem 0}.in{margin-left:1rem}.got{margin-top:.2rem}h4{margin:1.6rem 0 .2rem}
svg{max-width:100%;height:auto;background:#fff;color:#222;border-radius:4px}figure{margin:1rem 0}
.box{background:var(--box);border-left:4px solid var(--link);padding:.7rem 1rem;margin:1rem 0}
.heat{display:inline-block;min-width:2.2rem;padding:0 .3rem;border-radius:3px;text-align:right;
background:rgba(var(--hot),calc(var(--heat)*.55))}.heat a{color:inherit;text-decoration:none}
.bar{display:inline-block;width:7rem;height:.7rem;border-radius:2px;
background:linear-gradient(90deg,var(--bar) var(--part),var(--line) var(--part))}
@media(max-width:60rem){table{display:block;overflow-x:auto}}"""


def esc(text: object) -> str:
    """Text as HTML shows it."""
    return html.escape(str(text))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> str:
    """A table of HTML cells whose first `words` columns are text and whose others are numbers."""
    top = "".join(f"<th{' class=n' if i >= words else ''}>{esc(h)}</th>" for i, h in enumerate(headings))
    lines = (
        "".join(f"<td{' class=n' if i >= words else ''}>{cell}</td>" for i, cell in enumerate(row)) for row in rows
    )
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def unfold(title: str, body: str, is_open: bool = False) -> str:
    """HTML that shows its title (HTML too) and unfolds; `is_open` where it is unfolded at first."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>{body}</details>"


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
