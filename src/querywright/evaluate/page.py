"""The report as one HTML file that needs nothing else: scores, chart, tests, errors with examples."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from querywright.artefacts import write_text

STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:13px;word-break:break-all}
summary{cursor:pointer;padding:.2rem 0}svg{max-width:100%;height:auto}p.note{color:#666}"""


def write(found: dict[str, Any], path: Path, picture: Path) -> None:
    """Write the page.

    Args:
        found: `config`, `cells`, `paired`, `errors`, as in `scores.json`.
        picture: the chart's SVG, which is put into the page.
    """
    config = found["config"]
    svg = picture.read_text(encoding="utf-8")
    body = [
        f"<h1>{_esc(config['api'])}: {_esc(config['name'])}</h1>",
        f"<p class=note>{_esc(config['pairs'])}, seed {config['seed']}. Shares in per cent, with 95 % intervals.</p>",
        _scores(found["cells"]),
        svg[svg.index("<svg") :],
        "<h2>Against the best</h2>",
        _paired(found["paired"]),
        "<h2>Errors</h2>",
        *map(_error, found["errors"]),
        "<h2>Kinds of request</h2>",
        *map(_signatures, found["cells"]),
    ]
    head = f"<meta charset=utf-8><title>{_esc(config['name'])}</title><style>{STYLE}</style>"
    write_text(path, f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>\n")


def _esc(text: object) -> str:
    return html.escape(str(text))


def _grid(headings: list[str], rows: list[list[str]], words: int) -> str:
    """A table whose first `words` columns are text and whose others are numbers."""
    top = "".join(f"<th>{_esc(h)}</th>" for h in headings)
    lines = (
        "".join(f"<td{' class=n' if i >= words else ''}>{cell}</td>" for i, cell in enumerate(row)) for row in rows
    )
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _scores(cells: list[dict[str, Any]]) -> str:
    metrics = ("valid", "same", "query_same", "hits_same", "jaccard", "fields_f1", "ast_match")
    rows = []
    for cell in cells:
        found = [cell["metrics"].get(metric) for metric in metrics]
        rows.append(
            [_esc(cell[k]) for k in ("model", "strategy", "decoding")]
            + [str(cell["n"])]
            + [f"{100 * m['mean']:.0f} [{100 * m['low']:.0f}, {100 * m['high']:.0f}]" if m else "–" for m in found]
            + [_number(cell["ms"][k]) for k in ("p50", "p95")]
            + [_number(cell["tokens"][k]) for k in ("in", "out")]
        )
    names = ["model", "strategy", "decoding", "n", "valid", "same", "query", "hits", "Jaccard", "fields F1", "AST"]
    return _grid([*names, "p50 ms", "p95 ms", "tokens in", "out"], rows, words=3)


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:,.0f}"


def _paired(tests: list[dict[str, Any]]) -> str:
    if not tests:
        return "<p class=note>One cell: nothing to compare.</p>"
    rows = [
        [
            _esc(t["best"]), _esc(t["other"]), str(t["n"]), str(t["only_a"]), str(t["only_b"]),
            f"{100 * t['difference']:+.0f} [{100 * t['low']:+.0f}, {100 * t['high']:+.0f}]", f"{t['p_holm']:.2g}",
        ]
        for t in tests
    ]  # fmt: skip
    headings = ["best", "other", "n", "only best right", "only other right", "points", "p (McNemar, Holm)"]
    return _grid(headings, rows, words=2)


def _error(line: dict[str, Any]) -> str:
    rows = []
    for example in line["examples"]:
        meant, given = (f"<code>{_esc(example[k])}</code>" for k in ("expected", "given"))
        rows.append([_esc(example["instruction"]), meant, f"{given} {_esc(example['reason'])}"])
    title = f"{_esc(line['cell'])}: <b>{_esc(line['problem'])}</b>, {line['n']}"
    table = _grid(["sentence", "meant", "got"], rows, words=3)
    return f"<details><summary>{title}</summary>{table}</details>"


def _signatures(cell: dict[str, Any]) -> str:
    rows = [[f"<code>{_esc(s['signature'])}</code>", str(s["n"]), f"{100 * s['same']:.0f}"] for s in cell["signatures"]]
    name = " · ".join(_esc(cell[k]) for k in ("model", "strategy", "decoding"))
    return f"<details><summary>{name}</summary>{_grid(['signature', 'n', 'same'], rows, words=1)}</details>"
