"""The report of `pairs refine` as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.page import esc, grid, unfold, write_page


def write(facts: dict[str, Any], path: Path) -> None:
    """Write the page; `facts` as `refine` returns them."""
    steps = facts["steps"]
    table = [
        [esc(s["step"]), *(str(s[k]) for k in ("before", "rejected", "after")), f"{s['seconds']:.1f}"] for s in steps
    ]
    body = [
        "<h1>Refined pairs</h1>",
        f"<p class=note>{esc(facts['source'])}: {facts['rows']} rows, {facts['left']} left in {esc(facts['out'])}</p>",
        grid(["step", "before", "rejected", "after", "seconds"], table, words=1),
    ]
    for s in steps:
        body += [f"<h2>{esc(s['step'])}</h2>", *_findings(s["findings"])]
        body += [_reason(reason, n, s["examples"].get(reason, [])) for reason, n in s["reasons"].items()]
    write_page(path, "Refined pairs", body)


def _reason(reason: str, n: int, examples: list[dict[str, Any]]) -> str:
    shown = [
        [esc(r.get("instruction") or r.get("prompt", "")), f"<code>{esc(r.get('path') or r.get('answer', ''))}</code>",
         f"<code>{esc(r.get('read_as', ''))}</code>"]
        for r in examples
    ]  # fmt: skip
    return unfold(f"left out: <b>{esc(reason)}</b>, {n}", grid(["sentence", "answer", "read as"], shown, words=3))


def _findings(found: dict[str, Any]) -> list[str]:
    """Lists of records as tables that unfold, all else as one line."""
    parts, plain = [], []
    for key, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            names = list(value[0])
            cells = [[esc(_text(r.get(n, ""))) for n in names] for r in value]
            parts.append(unfold(f"{esc(key)}, {len(value)}", grid(names, cells, words=len(names))))
        elif isinstance(value, dict | list) and len(json.dumps(value)) > 200:
            parts.append(unfold(esc(key), f"<pre>{esc(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"))
        elif value not in ("", [], {}):
            plain.append(f"{key}: {_text(value)}")
    return [f"<p class=note>{esc('; '.join(plain))}</p>" if plain else "", *parts]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return str(value)
