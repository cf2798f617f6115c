"""What a model card shows of measurements: scores, parity, what was forgotten, how sure answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODES = {"one": "one pass", "several": "a choice among several"}
METRICS = {"valid": "valid", "same": "same meaning", "hits_same": "same hits", "ast_match": "equal text"}


def score_section(scores: Sequence[dict[str, Any]]) -> list[str]:
    """Each sweep's cells, with 95 % intervals."""
    missing = ["Not measured yet: `querywright eval`, then `querywright export` again.", ""]
    return ["## Scores", "", *([line for one in scores for line in _scores(one)] or missing)]


def parity_section(report: Mapping[str, Any]) -> list[str]:
    """Whether the files answer as the adapter does, one row a path."""
    if not report:
        return ["## Parity", "", "Not checked: nobody has seen whether these files answer as the adapter does.", ""]
    lines = [
        "## Parity",
        "",
        f"Greedy answers to {report['requests']} requests ({report['from']}), against the {report['reference']}.",
        "A near tie is a first difference between two tokens that are less than the tolerance apart there.",
        "",
        "| path | same | near ties | different | tolerance, nats |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, path in report["paths"].items():
        lines.append(f"| {name} | {path['same']} | {path['near_ties']} | {path['different']} | {path['tolerance']} |")
    return [*lines, ""]


def forgetting_section(found: Mapping[str, Any]) -> list[str]:
    """``forgetting.json`` of ``querywright eval forgetting``: the same questions before and after, a row a task."""
    if not found:
        return [
            "## What it still knows",
            "",
            "Not measured: `querywright eval forgetting MODEL`, then `querywright export` again.",
            "",
        ]
    lines = [
        "## What it still knows",
        "",
        f"lm-evaluation-harness on local tasks: the base and `{Path(found['after']).name}`, asked the same questions.",
        "The difference is after minus before, with its 95 % interval; ↑: higher is better, ↓: lower.",
        "",
        "| task | metric | n | before | after | difference | p |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, t in found["tasks"].items():
        arrow = "↑" if t["higher_is_better"] else "↓"
        lines.append(
            f"| {name} | {t['metric']} {arrow} | {t['n']} | {t['before']:.3f} | {t['after']:.3f} |"
            f" {t['difference']:+.3f} [{t['low']:+.3f}, {t['high']:+.3f}] | {t['p']:.2g} |"
        )
    return [*lines, ""]


def calibration_section(calibration: Mapping[str, Any]) -> list[str]:
    """``calibration.json``: how well the confidence of answers tells right from wrong; nothing where there is none."""
    fits = {mode: fit["facts"] for mode, fit in (calibration.get("fits") or {}).items() if fit.get("facts")}
    if not fits:
        return []
    lines = [
        "## How sure it is",
        "",
        "Each answer comes with a confidence. ECE: expected calibration error; Brier in brackets: of always saying the"
        " share.",
        "",
        "| answers | n | right | Brier | ECE | AUROC | threshold | answered above it |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for mode, f in fits.items():
        none = f"none has {f['target']:.0%} right"
        above = none if f["threshold"] is None else f"{f['threshold']:.2f} ({f['target']:.0%} right)"
        lines.append(
            f"| {MODES.get(mode, mode)} | {f['n']} | {f['right']:.0%} | {f['brier']:.3f} ({f['brier_base']:.3f}) |"
            f" {f['ece']:.3f} | {f['auroc']:.2f} | {above} | {f['answered']:.0%} |"
        )
    return [*lines, ""]


def _scores(scores: dict[str, Any]) -> list[str]:
    """One row a cell of a sweep; per cent with 95 % intervals."""
    lines = [
        f"Per cent of sentences of `{Path(scores['config']['pairs']).name}`, with 95 % intervals.",
        "",
        "| model | strategy | decoding | n | " + " | ".join(METRICS.values()) + " |",
        "| --- | --- | --- | ---: |" + " ---: |" * len(METRICS),
    ]
    for cell in scores["cells"]:
        shares = []
        for metric in METRICS:
            found = cell["metrics"].get(metric)
            ends = f" [{100 * found['low']:.0f}, {100 * found['high']:.0f}]" if found else ""
            shares.append(f"{100 * found['mean']:.0f}{ends}" if found else "–")
        lines.append(
            f"| {cell['model']} | {cell['strategy']} | {cell['decoding']} | {cell['n']} | {' | '.join(shares)} |"
        )
    told = [line for cell in scores["cells"] if (line := _refusals(cell))]
    return [*lines, "", *told, *([""] if told else [])]


def _refusals(cell: dict[str, Any]) -> str:
    """How a cell refuses, where its sentences ask for it."""
    found = cell.get("refusals", {})
    if not found.get("expected"):
        return ""
    words = {"recall": "of what is to be refused is refused", "precision": "of the refusals are right",
             "false_refusals": "of the answerable sentences are refused"}  # fmt: skip
    shares = [
        f"{100 * found[key]['mean']:.0f} [{100 * found[key]['low']:.0f}, {100 * found[key]['high']:.0f}] {text}"
        for key, text in words.items()
        if key in found
    ]
    return f"{cell['decoding']}: " + ", ".join(shares) + "."
