"""The report as one HTML file that needs nothing else: scores, chart, tests, errors with examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from querywright.page import esc, grid, unfold, write_page


def write(found: dict[str, Any], path: Path, picture: Path) -> None:
    """Write the page.

    Args:
        found: `config`, `cells`, `paired`, `errors`, as in `scores.json`.
        picture: the chart's SVG, which is put into the page.
    """
    config = found["config"]
    svg = picture.read_text(encoding="utf-8")
    body = [
        f"<h1>{esc(config['api'])}: {esc(config['name'])}</h1>",
        f"<p class=note>{esc(config['pairs'])}, seed {config['seed']}. Shares in per cent, with 95 % intervals.</p>",
        _scores(found["cells"]),
        _refusals(found["cells"]),
        svg[svg.index("<svg") :],
        "<h2>Against the best</h2>",
        _paired(found["paired"]),
        "<h2>Errors</h2>",
        *map(_error, found["errors"]),
        "<h2>Kinds of request</h2>",
        *map(_signatures, found["cells"]),
    ]
    write_page(path, config["name"], body)


def _scores(cells: list[dict[str, Any]]) -> str:
    metrics = ("valid", "same", "query_same", "hits_same", "jaccard", "fields_f1", "ast_match")
    rows = []
    for cell in cells:
        found = [cell["metrics"].get(metric) for metric in metrics]
        rows.append(
            [esc(cell[k]) for k in ("model", "strategy", "decoding")]
            + [str(cell["n"])]
            + [f"{100 * m['mean']:.0f} [{100 * m['low']:.0f}, {100 * m['high']:.0f}]" if m else "–" for m in found]
            + [_number(cell["ms"][k]) for k in ("p50", "p95")]
            + [_number(cell["tokens"][k]) for k in ("in", "out")]
        )
    names = ["model", "strategy", "decoding", "n", "valid", "same", "query", "hits", "Jaccard", "fields F1", "AST"]
    return grid([*names, "p50 ms", "p95 ms", "tokens in", "out"], rows, words=3)


def _refusals(cells: list[dict[str, Any]]) -> str:
    """How well each cell refuses; nothing where there are no refusals."""
    rows = []
    for cell in (c for c in cells if "refusals" in c):
        found = cell["refusals"]
        shares = [found.get(name) for name in ("recall", "precision", "false_refusals", "reason")]
        rows.append(
            [esc(cell[k]) for k in ("model", "strategy", "decoding")]
            + [str(found["expected"]), str(found["given"])]
            + [f"{100 * m['mean']:.0f} [{100 * m['low']:.0f}, {100 * m['high']:.0f}]" if m else "–" for m in shares]
        )
    names = ["model", "strategy", "decoding", "to refuse", "refused", "recall", "precision", "false refusals", "reason"]
    return "<h2>Refusals</h2>" + grid(names, rows, words=3) if rows else ""


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:,.0f}"


def _paired(tests: list[dict[str, Any]]) -> str:
    if not tests:
        return "<p class=note>One cell: nothing to compare.</p>"
    rows = [
        [
            esc(t["best"]), esc(t["other"]), str(t["n"]), str(t["only_a"]), str(t["only_b"]),
            f"{100 * t['difference']:+.0f} [{100 * t['low']:+.0f}, {100 * t['high']:+.0f}]", f"{t['p_holm']:.2g}",
        ]
        for t in tests
    ]  # fmt: skip
    headings = ["best", "other", "n", "only best right", "only other right", "points", "p (McNemar, Holm)"]
    return grid(headings, rows, words=2)


def _error(line: dict[str, Any]) -> str:
    rows = []
    for example in line["examples"]:
        meant, given = (f"<code>{esc(example[k])}</code>" for k in ("expected", "given"))
        rows.append([esc(example["instruction"]), meant, f"{given} {esc(example['reason'])}"])
    title = f"{esc(line['cell'])}: <b>{esc(line['problem'])}</b>, {line['n']}"
    table = grid(["sentence", "meant", "got"], rows, words=3)
    return unfold(title, table)


def _signatures(cell: dict[str, Any]) -> str:
    rows = [[f"<code>{esc(s['signature'])}</code>", str(s["n"]), f"{100 * s['same']:.0f}"] for s in cell["signatures"]]
    name = " · ".join(esc(cell[k]) for k in ("model", "strategy", "decoding"))
    return unfold(name, grid(["signature", "n", "same"], rows, words=1))
