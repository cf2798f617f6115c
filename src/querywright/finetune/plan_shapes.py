"""A training config as shapes and settings for :mod:`querywright.finetune.memory`; nothing is built or downloaded."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.finetune.memory_shape import ATTENTION, MLP, Setup, Shape
from querywright.finetune.recipes import DISTRIBUTED, DPO, PEFT, backend_of, recipe_of

# of torchtune 0.6.1's model builders (`torchtune/models/llama3*/_model_builders.py`); a test builds each and compares
LLAMA = {
    "llama3_8b": Shape("Llama 3 8B", 128_256, 32, 32, 8, 4096, 14_336, 8_192, False),
    "llama3_70b": Shape("Llama 3 70B", 128_256, 80, 64, 8, 8192, 28_672, 8_192, False),
    "llama3_1_8b": Shape("Llama 3.1 8B", 128_256, 32, 32, 8, 4096, 14_336, 131_072, False),
    "llama3_1_70b": Shape("Llama 3.1 70B", 128_256, 80, 64, 8, 8192, 28_672, 131_072, False),
    "llama3_2_1b": Shape("Llama 3.2 1B", 128_256, 16, 32, 8, 2048, 8_192, 131_072, True),
    "llama3_2_3b": Shape("Llama 3.2 3B", 128_256, 28, 24, 8, 3072, 8_192, 131_072, True),
}
DIRECT = {  # a component that takes its shape as arguments
    "vocab": "vocab_size",
    "layers": "num_layers",
    "heads": "num_heads",
    "kv_heads": "num_kv_heads",
    "dim": "embed_dim",
    "hidden": "intermediate_dim",
    "positions": "max_seq_len",
}
BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}
DEFAULT_LENGTH = 2048


def shape_of(model: Any) -> Shape:
    """The shape that a config's ``model`` builds.

    Raises:
        QuerywrightError: a component whose shape is not known here.
    """
    name = str(model.get("_component_", "")).rpartition(".")[2]
    family = re.sub(r"^(?:q?lora|qlora)_", "", name)
    if family in LLAMA:
        return LLAMA[family]
    if family == "smollm2_135m":
        from querywright.finetune.model import SMOLLM2_135M

        numbers = {ours: SMOLLM2_135M[theirs] for ours, theirs in DIRECT.items()}
        return Shape("SmolLM2-135M", **numbers, tied=True)
    if all(model.get(key) is not None for key in DIRECT.values()):
        numbers = {ours: int(model[theirs]) for ours, theirs in DIRECT.items()}
        # Llama 3.1's builder has no such argument, Llama 3.2's ties unless told
        tied = bool(model.get("tie_word_embeddings", "llama3_2" in name))
        return Shape(name, **numbers, tied=tied)
    raise QuerywrightError(
        f"no plan for the model {model.get('_component_')!r}: its shape is not known",
        hint=f"lora_ or qlora_ with one of: {', '.join([*LLAMA, 'smollm2_135m'])}",
    )


def setup_of(cfg: Any, sequence: int | None = None, row: float | None = None) -> Setup:
    """What of a config decides memory and time.

    Args:
        sequence: tokens of the longest row, where rows are not packed and known; default: ``tokenizer.max_seq_len``.
        row: tokens a row in the largest of our packed batches, where known.
    """
    model, recipe = cfg.model, recipe_of(cfg)
    packed = any(bool(one.get("packed", False)) for one in datasets_of(cfg))
    longest = int(cfg.tokenizer.get("max_seq_len") or DEFAULT_LENGTH)
    if sequence and not packed:
        longest = min(longest, sequence)
    lora = tuple(n for n in model.get("lora_attn_modules", ()) if n in ATTENTION)
    lora += MLP if model.get("apply_lora_to_mlp") else ()
    lora += ("output",) if model.get("apply_lora_to_output") else ()
    loss = str(cfg.loss.get("_component_", "")) if cfg.get("loss") else ""
    name = str(model.get("_component_", "")).rpartition(".")[2]
    backend = backend_of(cfg)
    answers = str(cfg.get("collate_fn", "")).endswith("collate_packed") and backend == "torchtune" and recipe != DPO
    setup = Setup(
        batch=int(cfg.batch_size),
        sequence=longest,
        rank=int(model.get("lora_rank", 8)),
        lora=lora,
        dropout=float(model.get("lora_dropout", 0.0) or 0.0),
        number=BYTES.get(str(cfg.get("dtype", "bf16")), 2),
        quantized=name.startswith("qlora") or bool(model.get("quantize_base", False)),
        backend=backend,
        checkpointing=bool(cfg.get("enable_activation_checkpointing", False)),
        offloading=bool(cfg.get("enable_activation_offloading", False)),
        chunks=int(cfg.loss.get("num_output_chunks", 8)) if "Chunked" in loss else 0,
        compile=bool(cfg.get("compile", False)),
        optimizer=optimizer_of(str(cfg.optimizer.get("_component_", ""))),
        accumulation=int(cfg.get("gradient_accumulation_steps", 1)),
        gpus=int(cfg.get("nproc_per_node", 1)) if recipe == DISTRIBUTED else 1,
        dpo=recipe == DPO,
        packed=packed,
        answers_only=answers,
        masked=packed and (backend == PEFT or str(cfg.get("device")) == "cpu"),
        trained_layers=model.get("lora_last_layers"),
        cached=answers and bool(model.get("cache_lower_layers", False)),
        row=row if answers else None,
    )
    # a layer is checkpointed or it is not: our packed batches know no checkpointing
    return replace(setup, checkpointing=False, offloading=False) if answers else setup


def datasets_of(cfg: Any) -> list[Any]:
    """The config's dataset, or each of them: torchtune joins a list."""
    return [cfg.dataset] if hasattr(cfg.dataset, "keys") else list(cfg.dataset)


def sources_of(cfg: Any) -> list[str]:
    """The files of rows that are there; none where one is missing."""
    found = [str(one.get("source") or "") for one in datasets_of(cfg)]
    return found if all(Path(source).is_file() for source in found) else []


def optimizer_of(component: str) -> str:
    """Which kind of moments a component keeps."""
    name = component.rpartition(".")[2].lower()
    if "8bit" in name:
        return "paged8bit" if "paged" in name else "adamw8bit"
    return "sgd" if name.startswith("sgd") else "adamw"
