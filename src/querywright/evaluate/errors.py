"""The errors of a sweep, sorted so that a person can act on them: what, how often, ten examples of each kind."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import unquote

from querywright.evaluate.problems import told

EXAMPLES = 10
_LONGEST = 600  # letters of an answer that are shown


def collect(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each kind of error in each cell, the most frequent first.

    Args:
        rows: scored responses.

    Returns:
        For each `cell`, `problem`, `n` (answers), `what` it means, `todo`, `details` (what exactly, how often; the most
        frequent twenty) and `examples`: up to EXAMPLES answers, as many different details among them as there are.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        for problem in row["problems"]:
            groups.setdefault((row["cell"], problem), []).append(row)
    order = list(dict.fromkeys(row["cell"] for row in rows))
    ranked = sorted(groups.items(), key=lambda group: (order.index(group[0][0]), -len(group[1]), group[0][1]))
    return [_entry(cell, problem, found) for (cell, problem), found in ranked]


def _entry(cell: str, problem: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    what, todo = told(problem)
    counts = Counter(text for row in rows for text in _details(row, problem))
    return {
        "cell": cell,
        "problem": problem,
        "n": len(rows),
        "what": what,
        "todo": todo,
        "details": [[text, n] for text, n in counts.most_common(20)],
        "examples": [_example(row, problem) for row in _different(rows, problem)[:EXAMPLES]],
    }


def _details(row: dict[str, Any], problem: str) -> list[str]:
    return [text for name, text in row["details"] if name == problem and text]


def _different(rows: list[dict[str, Any]], problem: str) -> list[dict[str, Any]]:
    """The rows in an order in which each detail comes once before any comes twice."""
    seen: Counter[str] = Counter()
    turns = []
    for number, row in enumerate(rows):
        first = (_details(row, problem) or [""])[0]
        turns.append((seen[first], number))
        seen[first] += 1
    return [rows[number] for _, number in sorted(turns)]


def _example(row: dict[str, Any], problem: str) -> dict[str, Any]:
    """One wrong answer; percent-encoding is taken off, since people read it."""
    given = unquote(str(row.get("path") or row.get("response") or ""))
    return {
        "instruction": row["instruction"],
        "before": [turn["content"] for turn in row.get("turns", ())],
        "expected": unquote(row["expected"]),
        "given": given[:_LONGEST] + "…" * (len(given) > _LONGEST),
        "detail": "; ".join(_details(row, problem)),
        "reason": row["reason"],
    }
