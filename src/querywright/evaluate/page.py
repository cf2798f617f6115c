"""The report as one HTML file that needs nothing else: what it comes to, scores, times, confidence, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright.evaluate.page_errors import anchor, breakdown, confusions, errors
from querywright.page import esc, grid, write_page

METRICS = {
    "valid": "valid", "same": "same", "query_same": "query", "hits_same": "hits", "total_same": "total",
    "jaccard": "Jaccard", "query_f1": "query F1", "fields_f1": "fields F1", "ast_match": "AST", "meteor": "METEOR",
    "bertscore": "BERTScore",
}  # fmt: skip


def write(found: dict[str, Any], path: Path, pictures: Mapping[str, Path]) -> None:
    """Write the page.

    Args:
        found: `config`, `cells`, `paired`, `errors`, as in `scores.json`.
        pictures: SVG files that are put into the page: `scores`, and `latency` and `confidence` where there are such.
    """
    config, cells = found["config"], found["cells"]
    svg = {name: inline(picture) for name, picture in pictures.items()}
    top = max(cells, key=lambda cell: (_mean(cell, "same"), _mean(cell, "valid")))
    better = ("only best right", "only other right")
    sections = [
        ("Scores", _scores(cells, top["name"]) + svg["scores"]),
        ("Against the best", paired(found["paired"], better, "points", "McNemar", "sentences")),
        ("Refusals", _refusals(cells)),
        ("Time and cost", _times(cells) + svg.get("latency", "")),
        ("Confidence", _confidence(cells) + svg.get("confidence", "")),
        ("Errors", errors(found["errors"], cells, top["name"])),
        ("Fields confused", confusions(cells, top["name"])),
        ("Operators and parameters", breakdown(cells, top["name"], "operators")),
        ("Fields searched", breakdown(cells, top["name"], "searched")),
        ("Fields returned", breakdown(cells, top["name"], "returned")),
        ("Kinds of request", breakdown(cells, top["name"], "signatures")),
        ("Sources", breakdown(cells, top["name"], "sources")),
    ]
    shown = [(title, text) for title, text in sections if text]
    contents = " · ".join(f"<a href='#{anchor(title)}'>{esc(title)}</a>" for title, _ in shown)
    body = [
        f"<h1>{esc(config['api'])}: {esc(config['name'])}</h1>",
        f"<p class=note>{esc(config['pairs'])}, seed {esc(config['seed'])}. Shares in per cent of sentences, with 95 % "
        "intervals.</p>",
        _summary(top, found["errors"]),
        f"<nav>{contents}</nav>",
        *(f"<h2 id='{anchor(title)}'>{esc(title)}</h2>{text}" for title, text in shown),
    ]
    write_page(path, config["name"], body)


def inline(picture: Path) -> str:
    """An SVG file as a figure of the page."""
    text = picture.read_text(encoding="utf-8")
    return f"<figure>{text[text.index('<svg') :]}</figure>"


def _mean(cell: dict[str, Any], metric: str) -> float:
    shared = cell["metrics"].get(metric)
    return float(shared["mean"]) if shared else 0.0


def share(metric: dict[str, Any] | None) -> str:
    """A share in per cent with its interval, as HTML; a dash for none."""
    if metric is None or metric["mean"] is None:
        return "–"
    if metric["low"] is None:
        return f"{100 * metric['mean']:.0f}"
    return f"{100 * metric['mean']:.0f} <small>[{100 * metric['low']:.0f}, {100 * metric['high']:.0f}]</small>"


def number(value: float | None, digits: int = 0) -> str:
    """A number with so many digits behind the point; a dash for none."""
    return "–" if value is None or value != value else f"{value:,.{digits}f}"


def _summary(top: dict[str, Any], wrong: list[dict[str, Any]]) -> str:
    """What it comes to, in a few sentences; its parts lead to the details."""
    right = share(top["metrics"].get("same"))
    text = f"<b>{esc(top['name'])}</b>: {right} % of {top['n']} answers mean what was meant"
    if "hits_same" in top["metrics"]:
        text += f", {share(top['metrics']['hits_same'])} % find the same records"
    text += f"; {share(top['metrics'].get('valid'))} % are valid."
    lines = [text]
    if top["ms"]["p50"] is not None:
        lines.append(f"Half of the answers took under {top['ms']['p50'] / 1000:.1f} s, 95 % under "
                     f"{top['ms']['p95'] / 1000:.1f} s.")  # fmt: skip
    sure = top.get("reliability")
    if sure and sure["chosen"]["threshold"] is not None:
        lines.append(
            f"Answering only from a <a href='#confidence'>confidence</a> of {sure['chosen']['threshold']:.2f} on, "
            f"{100 * sure['target']:.0f} % of what is answered is right, and {share(sure['chosen']['answered'])} % is "
            "answered."
        )
    mine = [line for line in wrong if line["cell"] == top["name"]][:4]
    if mine:
        links = ", ".join(
            f"<a href='#{anchor(one['cell'], one['problem'])}'>{esc(one['problem'])}</a> ({one['n']})" for one in mine
        )
        lines.append(f"What goes wrong most: {links}.")
    return f"<div class=box>{'<br>'.join(lines)}</div>"


def _scores(cells: list[dict[str, Any]], top: str) -> str:
    metrics = [metric for metric in METRICS if any(metric in cell["metrics"] for cell in cells)]
    weighed = any(cell["same_by_traffic"] != cell["metrics"].get("same") for cell in cells)
    rows = []
    for cell in cells:
        found = [cell["metrics"].get(metric) for metric in metrics]
        shares = [*found, *([cell["same_by_traffic"]] if weighed else [])]
        below = (share(metric).replace(" <small>", "<br><small>") for metric in shares)
        name = f"<b>{esc(cell['name'])}</b>" if cell["name"] == top else esc(cell["name"])
        rows.append([name, str(cell["n"]), *below])
    names = ["cell", "n", *(METRICS[m] for m in metrics), *(["same, by traffic"] if weighed else [])]
    note = (
        "valid: is a call or a refusal. same: means the same as the expected call. query: the same but for parameters. "
        "hits, total, Jaccard: run, it finds the same records, as many, how many of them. AST: equal as text. "
        "Intervals: BCa bootstrap; Wilson's where all answers are right, or none."
    )
    return grid(names, rows, words=1) + f"<p class=note>{note}</p>"


def _refusals(cells: list[dict[str, Any]]) -> str:
    """How well each cell refuses; nothing where there are no refusals."""
    rows = []
    for cell in (c for c in cells if "refusals" in c):
        found = cell["refusals"]
        shares = [found.get(name) for name in ("recall", "precision", "false_refusals", "reason")]
        rows.append([esc(cell["name"]), str(found["expected"]), str(found["given"]), *map(share, shares)])
    names = ["cell", "to refuse", "refused", "recall", "precision", "false refusals", "right reason"]
    return grid(names, rows, words=1) if rows else ""


def _times(cells: list[dict[str, Any]]) -> str:
    rows, notes = [], []
    for cell in cells:
        cost = cell["cost"]
        notes.append(cost["note"])
        rows.append(
            [
                esc(cell["name"]),
                *(number(cell["ms"][k]) for k in ("p50", "p95")),
                number(cell["tokens_per_s"], 1),
                *(number(cell["tokens"][k]) for k in ("in", "out")),
                number(cell["peak_mb"]),
                "–" if cost["per_1000"] is None else f"{cost['per_1000']:.3g}",
            ]
        )
    names = ["cell", "p50 ms", "p95 ms", "tokens/s", "tokens in", "out", "peak MB", "cost of 1,000"]
    said = "; ".join(dict.fromkeys(notes))
    return grid(names, rows, words=1) + f"<p class=note>Cost: {esc(said)}. tokens/s: written, reading included.</p>"


def _confidence(cells: list[dict[str, Any]]) -> str:
    rows = []
    for cell in (c for c in cells if "reliability" in c):
        found = cell["reliability"]
        chosen, held = found["chosen"], found["held_out"]
        rows.append(
            [
                esc(cell["name"]),
                str(found["known"]),
                f"{100 * found['ece']:.1f}",
                f"{found['brier']:.3f} <small>({found['brier_base']:.3f})</small>",
                number(found["auroc"], 2),
                number(chosen["threshold"], 2),
                share(chosen["answered"]),
                share(held["answered"]),
                share(held["right"]),
            ]
        )
    if not rows:
        return ""
    loose = [cell["name"] for cell in cells if not cell.get("reliability", {}).get("calibrated", True)]
    target = f"{100 * next(c for c in cells if 'reliability' in c)['reliability']['target']:.0f} %"
    names = ["cell", "n", "ECE, %", "Brier (base)", "AUROC", "threshold", "answered", "held out: answered", "right"]
    note = (
        f"threshold: the lowest confidence from which on {target} of these answers are right; answered: the share of "
        "sentences at or above it. Held out: the threshold is chosen on nine tenths and used on the tenth, in turn. "
        "ECE: how far confidence is from the share right, which is above 0 by chance in small samples. Brier: mean "
        "squared error, beside that of always saying the share right."
    )
    if loose:
        note += f" Not calibrated, so that the confidence only orders answers: {', '.join(map(esc, loose))}."
    return grid(names, rows, words=1) + f"<p class=note>{note}</p>"


def paired(tests: Sequence[dict[str, Any]], better: Sequence[str], points: str, test: str, things: str) -> str:
    """The best cell against each other one.

    Args:
        tests: as `score` and `questions_score` make them.
        better: two headings, of where only the best and where only the other one was better.
        points, test: what the difference is of, and which test gave p.
        things: what both cells were asked.
    """
    if not tests:
        return "<p class=note>One cell: nothing to compare.</p>"
    rows = [
        [
            esc(t["other"]), str(t["n"]), str(t["only_a"]), str(t["only_b"]),
            f"{100 * t['difference']:+.0f} <small>[{100 * t['low']:+.0f}, {100 * t['high']:+.0f}]</small>",
            f"{t['p_holm']:.2g}",
        ]
        for t in tests
    ]  # fmt: skip
    note = f"<p>Each other cell against <b>{esc(tests[0]['best'])}</b>, on the {things} of both.</p>"
    return note + grid(["other", "n", *better, points, f"p ({test}, Holm)"], rows, words=1)
