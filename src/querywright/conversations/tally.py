"""What judges said, counted: by judge, with how they like places; by model; and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from querywright.conversations import verdict
from querywright.conversations.docket import Task


def summary(tasks: Sequence[Task]) -> dict[str, Any]:
    """What judges said, by judge, and how models fared, where a judge agreed with itself."""
    judges: dict[str, Counter[str]] = {}
    models: dict[str, Counter[str]] = {}
    for task in tasks:
        judged = task.judgement or {}
        judges.setdefault(judged["judge"], Counter()).update(_kinds(judged))
        if not judged["agreed"]:
            continue
        for side, response in enumerate(task.conversation["turns"][task.place]["responses"]):
            fared = "tied" if judged["preferred"] == verdict.TIE else "won" if judged["preferred"] == side else "lost"
            models.setdefault(response["model"], Counter())[fared] += 1
    return {
        "judged": len(tasks),
        "agreed": sum(counts["agreed"] for counts in judges.values()),
        "judges": {name: {**counts, **verdict.bias(counts)} for name, counts in sorted(judges.items())},
        "models": {
            name: {key: fared[key] for key in ("won", "lost", "tied")} for name, fared in sorted(models.items())
        },
    }


def _kinds(judged: Mapping[str, Any]) -> list[str]:
    """What a judgement counts as."""
    first, second = judged["orders"]
    kinds = ["turns"]
    if judged["agreed"]:
        kinds += ["agreed", *(["ties"] if judged["preferred"] == verdict.TIE else [])]
    elif None in (first, second):
        kinds += ["unreadable"]
    elif (first, second) == (0, 1):  # A was preferred both times
        kinds += ["always_first"]
    elif (first, second) == (1, 0):
        kinds += ["always_second"]
    else:
        kinds += ["tie_once"]
    return kinds


def lines(report: Mapping[str, Any]) -> list[str]:
    """A report in words."""
    said = []
    for name, c in report["judges"].items():
        text = f"{name}: {c['turns']} turns, {c.get('agreed', 0)} with the same verdict in both orders"
        text += f" ({c.get('ties', 0)} ties)"
        if c["first_share"] is not None:
            low, high = c["interval"]
            text += (
                f"; of {c.get('always_first', 0) + c.get('always_second', 0)} that went by the place "
                f"{c['first_share']:.0%} went to the first [{low:.0%}, {high:.0%}]"
            )
        said.append(text + (f"; {c['unreadable']} could not be read" if c.get("unreadable") else ""))
    said += [f"{name}: won {c['won']}, lost {c['lost']}, tied {c['tied']}" for name, c in report["models"].items()]
    reasons = {
        "alike": "both answers say the same", "no_judge": "every judge took part", "no_answer": "no judge answered",
        "judged_before": "judged before", "over_limit": "over --limit",
    }  # fmt: skip
    return said + [f"not judged: {n} turns, {reasons[reason]}" for reason, n in report["left_out"].items()]
