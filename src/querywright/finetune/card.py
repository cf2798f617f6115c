"""The model card and Ollama's Modelfile, written from what the run recorded; nothing in them is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright.api.nearest import FIELDS
from querywright.finetune.base import LICENCE, MODEL_ID, PACKAGE
from querywright.rows import system_line

METRICS = {"valid": "valid", "same": "same meaning", "hits_same": "same hits", "ast_match": "equal text"}


def card(
    api: str,
    run: dict[str, Any],
    scores: Sequence[dict[str, Any]],
    files: dict[str, str],
    parity: Mapping[str, Any] | None = None,
) -> str:
    """README.md of the model.

    Args:
        run: the training run's manifest.
        scores: what ``scores.json`` of each sweep holds.
        files: file name -> what it is.
        parity: report of :func:`querywright.finetune.parity.check`; nothing where it was not made.
    """
    settings = run["config"]["settings"]
    model, optimizer = settings["model"], settings["optimizer"]
    rows_a_step = settings["batch_size"] * settings["gradient_accumulation_steps"]
    seen = min(run["steps"] * rows_a_step, run["rows"] * settings["epochs"])
    start = run["config"].get("start_adapter_sha256")
    facts = {
        "base model": f"{MODEL_ID} ({LICENCE}), dequantised from the 4-bit file in the package {PACKAGE}",
        "training rows": f"{run['rows']:,} pairs, of which {seen:,} were seen",
        "rows' SHA-256": f"`{run['config']['data_sha256']}`",
        **({"started from": f"the adapter with SHA-256 `{start}`"} if start else {}),
        "LoRA": f"rank {model['lora_rank']}, alpha {model['lora_alpha']}, all projections",
        "optimizer": f"{optimizer['_component_'].rsplit('.', 1)[-1]}, learning rate {optimizer['lr']}, cosine",
        "steps": f"{run['steps']:,} of {rows_a_step} rows",
        "seed": settings["seed"],
        "training time": f"{run['seconds'] / 60:.0f} min on {settings['device']}",
        "loss at the end": run.get("mean_last_losses"),
        "versions": ", ".join(f"{name} {v}" for name, v in run["packages"].items()),
        "querywright": run["version"],
    }
    head = {
        "license": LICENCE,
        "base_model": MODEL_ID,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "language": "en",
    }
    lines = ["---", *(f"{key}: {value}" for key, value in head.items()), "tags: [lora, querywright]", "---", ""]
    lines += [f"# {api}: from a sentence to a call", ""]
    lines += [
        f"Writes one request to {_whose(api)} for an English sentence. Made by Querywright; use it under the API's",
        "grammar (`querywright ask`, `querywright serve`): freely decoded text may name fields that do not exist.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {key} | {value} |" for key, value in facts.items()),
        "",
        "## Scores",
        "",
        *(
            [line for one in scores for line in _scores(one)]
            if scores
            else ["Not measured yet: `querywright eval`, then `querywright export` again."]
        ),
        "",
        *_parity(parity or {}),
        "## Prompt",
        "",
        "```",
        f"<|im_start|>system\n{system_line(api)}",
        f"{FIELDS} LINES: THE NEAREST FIELDS<|im_end|>",
        "<|im_start|>user\nSENTENCE<|im_end|>\n<|im_start|>assistant",
        "```",
        "",
        "## Limits",
        "",
        "Trained on sentences that templates or a language model wrote: what people write differs, and scores on",
        "held-out sentences of the same kind are an upper bound. English only; one call for a sentence.",
        "",
        "## Files",
        "",
        *(f"- `{name}`: {what}" for name, what in files.items()),
        "",
        "## Full settings",
        "",
        "```json",
        json.dumps(_shareable(settings, str(settings.get("workspace", ""))), indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)


def _parity(report: Mapping[str, Any]) -> list[str]:
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


def _whose(api: str) -> str:
    return "any API with a query language, which the prompt names," if api == "general" else f"the API `{api}`"


def _shareable(value: Any, workspace: str) -> Any:
    """Settings without the paths of the machine that trained: those of the workspace are told from it."""
    if isinstance(value, dict):
        return {k: _shareable(v, workspace) for k, v in value.items() if k != "workspace"}
    if not isinstance(value, str) or not workspace:
        return value
    told = value.replace(workspace, "${workspace}")
    return Path(told).name if Path(told).is_absolute() else told


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
