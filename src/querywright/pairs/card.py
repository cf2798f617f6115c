"""The dataset card: README.md as the Hugging Face hub reads it, written from what was counted."""

from __future__ import annotations

import json
from typing import Any

import yaml

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


_SOURCES = {
    "log": "`log`: calls that were asked of the API; `weight` is their traffic. Their sentences come from a teacher.",
    "drawn": "`drawn`: calls drawn from the API's definition, with values from records. Sentences come from a teacher.",
    "refusal": "`refusal`: sentences that no call answers.",
    "import": "`import`: rows of another data set, whose terms hold for them.",
}


def size_category(n: int) -> str:
    """The hub's name for a size."""
    return next((name for most, name in _SIZES if n < most), "1M<n<10M")


def card(found: dict[str, Any], licence: str = "unknown", here: bool = False) -> str:
    """The card's text.

    Args:
        found: as `overview` gives it.
        licence: an identifier of the hub's list, such as `apache-2.0`; who publishes the rows has to know.
        here: whether the card lies beside the rows, so that their files can be named for loading.
    """
    head: dict[str, Any] = {
        "license": licence,
        "language": ["en"],
        "pretty_name": f"Sentences and calls for {found['title'] or found['api']}",
        "size_categories": [size_category(found["rows"])],
        "task_categories": ["text-generation"],
        "tags": ["querywright", "text-to-query", found["api"]],
    }
    if here:
        files = [{"split": name.removesuffix(".jsonl"), "path": name} for name in found["files"]]
        head["configs"] = [{"config_name": "default", "data_files": files}]
    parts = found["sides"] or {"all": found}
    coverage = found["coverage"]
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {_cell(head['pretty_name'])}",
        "",
        f"Each row holds an English sentence and the one request to the API `{found['api']}` that answers it, or a",
        "refusal (`nil` and a reason) where no request does. Made by Querywright, to train and to measure models that",
        "write requests.",
        "",
        *_table(
            ["side", "rows", "sentences", "calls", "signatures", "traffic", "conversations", "refusals"],
            [
                [side, *(f"{p[k]:,.0f}" for k in ("rows", "sentences", "calls", "signatures", "traffic")),
                 f"{p['conversations']:,}", f"{sum(p['refusals'].values()):,}"]
                for side, p in parts.items()
            ],
        ),
        "",
        "No call stands on two sides; the signatures of `test_unseen` stand nowhere else."
        if "test_unseen" in parts
        else "No call stands on two sides." if found["sides"] else "The rows are not split.",
        "",
        "## How the rows were made",
        "",
        *_table(
            ["", "", "rows"],
            [[what, name or "(none)", f"{n:,}"]
             for what in ("sources", "teachers", "refusals") for name, n in found[what].items()],
        ),
        "",
        *(f"- {_SOURCES[name]}" for name in found["sources"] if name in _SOURCES),
        "",
        *(["```json", json.dumps(found["made"], indent=2), "```", ""] if found["made"] else []),
        "## What is in it",
        "",
        *_table(
            ["", "covered", "all"],
            [[part, f"{one['covered']:,}", f"{one['all']:,}"] for part, one in coverage.items()],
        ),
        "",
        f"Sentences have {found['words']['median']:g} words in the median, {found['words']['longest']} at most.",
        "",
        "```json",
        *(json.dumps(shape["examples"][0], ensure_ascii=False) for shape in found["shapes"][:5]),
        "```",
        "",
        "Keys: `instruction`, `turns` (said before), `path` (the request), `canonical`, `signature`, `refusal`",
        "(the reason's code), `source`, `teacher`, `persona`, `weight`, `id`, `api`.",
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in _limits(found)),
        "",
        "## Files",
        "",
        *_table(["file", "bytes", "SHA-256"],
                [[n, f"{f['bytes']:,}", f"`{f['sha256']}`"] for n, f in found["files"].items()]),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _limits(found: dict[str, Any]) -> list[str]:
    lines = ["English only. People write otherwise than a teacher: scores on held-out rows are an upper bound."]
    for part, one in found["coverage"].items():
        if one["never"]:
            names = ", ".join(f"`{name}`" for name in list(one["never"])[:8])
            more = f" and {len(one['never']) - 8} more" if len(one["never"]) > 8 else ""
            lines.append(f"{part}: {len(one['never'])} of {one['all']} never occur: {names}{more}.")
    if not found["refusals"]:
        lines.append("No refusals: a model trained on these rows answers everything with a request.")
    if not found["conversations"]:
        lines.append("Single sentences only, no conversations.")
    if found["rejects"]:
        reasons = ", ".join(f"{one['rows']:,} {one['reason']}" for one in found["rejects"][:8])
        lines.append(f"Left out by the checks: {_cell(reasons)}.")
    return lines


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *([_cell(c) for c in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
