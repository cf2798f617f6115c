"""The model card, written from what the run recorded; no figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from querywright.api.nearest import FIELDS
from querywright.artefacts import MANIFEST, weights_sha256
from querywright.finetune.base import MODEL_ID, PACKAGE
from querywright.finetune.card_tables import calibration_section, forgetting_section, parity_section, score_section
from querywright.finetune.family import SMOLLM2, Family, named
from querywright.rows import system_line


def card(
    api: str,
    run: dict[str, Any],
    scores: Sequence[dict[str, Any]],
    files: dict[str, str],
    parity: Mapping[str, Any] | None = None,
    *,
    family: Family = SMOLLM2,
    forgetting: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """README.md of the model.

    Args:
        run: the training run's manifest; of an older run with fewer keys, the card says less.
        scores: what ``scores.json`` of each sweep holds.
        files: file name -> what it is.
        parity: report of :func:`querywright.finetune.parity.check`; nothing where it was not made.
        family: the base's: chat format, licence and its conditions.
        forgetting: ``forgetting.json`` of ``querywright eval forgetting``.
        calibration: ``calibration.json`` of ``querywright eval calibrate``.
    """
    settings = run["config"]["settings"]
    base = {"name": family.model_id or MODEL_ID, "licence": family.licence, **(run.get("base") or {})}
    name = named(api, family)
    lines = ["---", _front_matter(base, name), "---", "", f"# {name}: from a sentence to a call", ""]
    lines += [family.notice, ""] if family.notice else []
    lines += [
        f"Writes one request to {_whose(api)} for an English sentence. Made by Querywright.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {key} | {_plain(value)} |" for key, value in _facts(run, base).items() if value not in (None, "")),
        "",
        *score_section(scores),
        *parity_section(parity or {}),
        *forgetting_section(forgetting or {}),
        *calibration_section(calibration or {}),
        "## Intended use",
        "",
        "To turn a person's sentence into one request, which a program then sends, under the API's grammar",
        "(`querywright ask`, `querywright serve`): freely decoded text may name fields that do not exist. Look at a",
        "request before anything rests on its answer. It is no assistant for other questions, and no source of facts.",
        "",
        "## Prompt",
        "",
        "```",
        _prompt(api, family),
        "```",
        "",
        "## Limits",
        "",
        "Trained on sentences that templates or a language model wrote: what people write differs, and scores on",
        "held-out sentences of the same kind are an upper bound. English only; one call for a sentence.",
        "",
        "## Licence of the base",
        "",
        _licence(base, family),
        "",
        *(["## Files", "", *(f"- `{name}`: {what}" for name, what in files.items()), ""] if files else []),
        "## Full settings",
        "",
        "```json",
        json.dumps(_shareable(settings, str(settings.get("workspace") or "")), indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)


def beside(adapter: str, *folders: Path) -> dict[str, dict[str, Any]]:
    """What was measured of a model after training, for :func:`card`: ``forgetting/forgetting.json`` and
    ``calibration.json`` in the folders of its export and of its run.

    Args:
        adapter: SHA-256 of the run's adapter. A folder that holds another one's model is passed over, and so is a
            report of weights that are not there any more.

    Returns:
        by argument of :func:`card`.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        made = (_json(folder / MANIFEST).get("config") or {}).get("adapter_sha256")
        if adapter not in (made, weights_sha256(folder / "adapter")):
            continue
        told = _json(folder / "forgetting" / "forgetting.json")
        measured = (told.get("sha256") or {}).get("after")
        if measured and measured == weights_sha256(folder / Path(str(told.get("after"))).name):
            found.setdefault("forgetting", told)
        told = _json(folder / "calibration.json")
        if told.get("adapter") == adapter:
            found.setdefault("calibration", told)
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _front_matter(base: Mapping[str, Any], name: str) -> str:
    """Metadata as Hugging Face reads it (https://huggingface.co/docs/hub/model-cards, "Model card metadata")."""
    head = {
        "license": base["licence"] if base["licence"] != "unknown" else "other",
        "base_model": base["name"],
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "language": ["en"],
        "model_name": name,
        "tags": ["lora", "querywright"],
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip()


def _facts(run: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The table of what was trained on what, how and where; None for what the run did not record."""
    settings, report = run["config"]["settings"], run.get("dataset") or {}
    model, optimizer = settings["model"], settings["optimizer"]
    batch = settings["batch_size"] * settings.get("gradient_accumulation_steps", 1)
    packs, shown = report.get("packs"), report.get("max_seq_len")
    a_step = batch * run["rows"] / packs if packs else batch
    seen = min(round(run["steps"] * a_step), run["rows"] * settings["epochs"])
    start, too_long = run["config"].get("start_adapter_sha256"), run.get("too_long") or 0
    data = run["config"].get("data_sha256") or []  # of several datasets a list
    data = [data] if isinstance(data, str) else data
    cut = report.get("truncated", 0)
    left = [f"{cut:,} shortened around their questions"] if cut else []
    left += [f"{too_long - cut:,} left out"] if too_long - cut else []
    kind = "rows" if not packs else f"packs of {shown:,} tokens, {report['packing']:.0%} full"
    peak = run.get("peak_memory_bytes")
    origin = f", dequantised from the 4-bit file in the package {PACKAGE}" if base["name"] == MODEL_ID else ""
    return {
        "base model": f"{base['name']} ({base['licence']}){origin}",
        "base's SHA-256": f"`{base['sha256']}`" if base.get("sha256") else None,
        "training rows": f"{run['rows']:,}, of which {seen:,} were seen" if seen <= run["rows"]
        else f"{run['rows']:,}, seen {seen / run['rows']:.1f} times on average",
        "longer than the context": f"{too_long:,} of {report['rows']:,} rows: {' and '.join(left)}" if left else None,
        "rows' SHA-256": ", ".join(f"`{digest}`" for digest in data),
        "started from": f"the adapter with SHA-256 `{start}`" if start else _stacked(run),
        "recipe": run.get("recipe") or settings.get("recipe"),
        "beta": (settings.get("loss") or {}).get("beta"),
        "backend": run.get("backend"),
        "LoRA": _lora(model),
        "base in 4 bit while training": "yes" if "qlora" in str(model.get("_component_")) or model.get("quantize_base")
        else None,
        "optimizer": f"{_last(optimizer['_component_'])}, learning rate {optimizer['lr']}, {_schedule(settings)}",
        "steps": f"{run['steps']:,} of {batch} {kind}",
        "number format": settings.get("dtype"),
        "seed": settings["seed"],
        "training time": f"{_clock(run['seconds'])} on {run.get('device') or settings['device']}",
        "tokens a second": f"{run['tokens_per_s']:,.0f}" if run.get("tokens_per_s") else None,
        "peak memory": f"{peak / 1e9:.1f} GB" if peak else None,
        "loss at the end": run.get("mean_last_losses"),
        "versions": ", ".join(f"{name} {v}" for name, v in run["packages"].items()),
        "querywright": run["version"],
    }  # fmt: skip


def _stacked(run: Mapping[str, Any]) -> str | None:
    """What a second training started from."""
    first = run.get("stacked_on")
    if not first:
        return None
    return f"the adapter with SHA-256 `{first['sha256']}`, merged; the one here holds both, rank {first['rank']}"


def _lora(model: Mapping[str, Any]) -> str:
    attention = list(model.get("lora_attn_modules") or ())
    where = [*attention, *(["the feed-forward layers"] if model.get("apply_lora_to_mlp") else [])]
    where += ["the output"] if model.get("apply_lora_to_output") else []
    every = len(attention) in (0, 4) and model.get("apply_lora_to_mlp", True)
    last = model.get("lora_last_layers")
    return (
        f"rank {model['lora_rank']}, alpha {model['lora_alpha']}, "
        + ("all projections" if every else ", ".join(where))
        + (f" of the last {last} layers" if last else "")
    )


def _schedule(settings: Mapping[str, Any]) -> str:
    node = settings.get("lr_scheduler") or {}
    shape = _last(str(node.get("_component_", "cosine"))).removeprefix("get_").split("_schedule")[0]
    warm = node.get("num_warmup_steps")
    return shape.replace("_", " ") + (f" after {warm} steps of warm-up" if warm else "")


def _clock(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _last(component: str) -> str:
    return component.rsplit(".", 1)[-1]


def _plain(value: Any) -> str:
    """A value in a table's cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _prompt(api: str, family: Family) -> str:
    """The prompt as it was trained: the family's chat template (the one of its Modelfile) up to the answer."""
    system = f"{system_line('API' if api == 'general' else api)}\n{FIELDS} LINES: THE NEAREST FIELDS"
    shown = family.ollama.split("{{ .Response }}")[0].replace("{{ if .System }}", "").replace("{{ end }}", "")
    return family.begin + shown.replace("{{ .System }}", system).replace("{{ .Prompt }}", "SENTENCE").rstrip("\n")


def _licence(base: Mapping[str, Any], family: Family) -> str:
    if base["licence"] == "unknown":
        return f"{base['name']}: nobody has stated it. Ask whoever made it, before you pass this model on."
    terms = family.notice or "This model may be used under the same terms."
    return f"{base['name']}: `{base['licence']}`. {terms}"


def _whose(api: str) -> str:
    return "any API with a query language, which the prompt names," if api == "general" else f"the API `{api}`"


def _shareable(value: Any, workspace: str) -> Any:
    """Settings without the paths of the machine that trained: those of the workspace are told from it."""
    if isinstance(value, dict):
        return {k: _shareable(v, workspace) for k, v in value.items() if k != "workspace"}
    if isinstance(value, list | tuple):
        return [_shareable(v, workspace) for v in value]
    if not isinstance(value, str):
        return value
    told = value.replace(workspace, "${workspace}") if workspace else value
    return Path(told).name if Path(told).is_absolute() else told
