"""A family is told by config.json alone, and with it chat format, licence and how others start the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.engines.base import chatml
from querywright.errors import QuerywrightError
from querywright.finetune.family import FAMILIES, LLAMA31, LLAMA32, SMOLLM2, family, rope_of
from querywright.finetune.modelfile import modelfile, serving

OLD = {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}}
NEW = {"rope_parameters": {"rope_type": "llama3", "factor": 32.0, "rope_theta": 500000.0}}


@pytest.mark.parametrize(
    ("config", "name", "licence", "human", "model_id"),
    [
        ({"hidden_size": 4096, **OLD}, "llama3.1", "llama3.1", "Llama 3.1 8B Instruct",
         "meta-llama/Llama-3.1-8B-Instruct"),
        ({"hidden_size": 2048, **NEW}, "llama3.2", "llama3.2", "Llama 3.2 1B Instruct",
         "meta-llama/Llama-3.2-1B-Instruct"),
        ({"hidden_size": 3072, **NEW}, "llama3.2", "llama3.2", "Llama 3.2 3B Instruct",
         "meta-llama/Llama-3.2-3B-Instruct"),
        ({"hidden_size": 64, **NEW}, "llama3.2", "llama3.2", "Llama 3.2", ""),
        ({"hidden_size": 576, "vocab_size": 49152}, "smollm2", "apache-2.0", "SmolLM2 135M Instruct",
         "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ],
)  # fmt: skip
def test_the_family_of_a_config(config: dict[str, Any], name: str, licence: str, human: str, model_id: str) -> None:
    found = family({"model_type": "llama", **config})
    assert (found.name, found.licence, found.human, found.model_id) == (name, licence, human, model_id)


@pytest.mark.parametrize(
    "config",
    [{}, {"model_type": "qwen2", "vocab_size": 49152}, {"model_type": "llama", "vocab_size": 32000},
     {"model_type": "llama", "rope_scaling": {"rope_type": "llama3", "factor": 4.0}}],
)  # fmt: skip
def test_an_unknown_family_is_refused_with_what_is_known(config: dict[str, Any]) -> None:
    with pytest.raises(QuerywrightError, match="of no family that is known") as caught:
        family(config)
    assert all(one.human in caught.value.hint for one in FAMILIES)


def test_no_config_is_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match=r"config\.json is missing") as caught:
        family(tmp_path)
    assert "tune download" in caught.value.hint
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(QuerywrightError, match=r"config\.json is damaged"):
        family(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **OLD}), encoding="utf-8")
    assert family(tmp_path).name == "llama3.1"


def test_rope_settings_of_both_layouts() -> None:
    assert (rope_of(OLD)["theta"], rope_of(OLD)["type"]) == (500000.0, "llama3")
    assert (rope_of(NEW)["theta"], rope_of(NEW)["factor"]) == (500000.0, 32.0)
    assert (rope_of({"rope_theta": 1e5})["theta"], rope_of({"rope_scaling": None})["type"]) == (1e5, "default")


@pytest.mark.parametrize("one", FAMILIES, ids=lambda one: one.name)
def test_modelfile_is_the_chat_format(one: Any) -> None:
    """Ollama's template, its fields filled in, is what the family's chat template renders."""
    text = modelfile("model-q8_0.gguf", "herbarium", one)
    assert text.startswith("FROM ./model-q8_0.gguf\nTEMPLATE ")
    assert all(f'PARAMETER stop "{stop}"\n' in text for stop in one.stops)
    assert 'SYSTEM """Write the herbarium call."""' in text
    filled = one.ollama.replace("{{ if .System }}", "").replace("{{ end }}", "").partition("{{ .Response }}")[0]
    filled = filled.replace("{{ .System }}", "S").replace("{{ .Prompt }}", "P")
    jinja = pytest.importorskip("jinja2")
    # Llama's strips what a message says; ChatML's, and the training tokenizer, do not
    edges = ("", "") if one is SMOLLM2 else (" ", "\n")
    turns = [{"role": "system", "content": f"{edges[0]}S"}, {"role": "user", "content": f"P{edges[1]}"}]
    rendered = jinja.Template(one.template).render(messages=turns, add_generation_prompt=True)
    if one is SMOLLM2:
        assert rendered == chatml(turns)
    assert one.begin + filled == rendered  # llama.cpp puts the begin in itself


def test_how_to_start_it() -> None:
    text = serving("herbarium", LLAMA31, "meta-llama/Llama-3.1-8B-Instruct", 12, True, "model-q8_0.gguf")
    assert "--max-lora-rank 16 --lora-modules Llama-herbarium=adapter" in text  # vLLM knows no rank of 12
    assert "--chat-template adapter/chat_template.jinja" in text
    assert "vllm serve merged" in text
    plain = serving("herbarium", SMOLLM2, "HuggingFaceTB/SmolLM2-135M-Instruct", 8, False, "")
    assert "a system message of its own" in plain
    assert "merged" not in plain
    assert "gguf" not in plain


def test_llamas_licence_asks_for_a_notice() -> None:
    assert "Built with Llama" in LLAMA32.notice
    assert not SMOLLM2.notice
