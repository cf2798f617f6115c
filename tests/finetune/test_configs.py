"""The shipped training configs: each is whole, its keys are looked at, its header is true, its model has its shape."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torchtune import config

from querywright.errors import QuerywrightError
from querywright.finetune.check import find_config, load, problems
from querywright.finetune.recipes import DISTRIBUTED, OURS, recipe_of

FOLDER = Path(__file__).parents[2] / "ft_configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

# as the publishers' config.json files have them
SHAPES: dict[str, dict[str, Any]] = {
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": False},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": True},
    "3b": {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
           "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": True},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
             "num_key_value_heads": 3, "vocab_size": 49_152, "tie_word_embeddings": True},
}  # fmt: skip
# frozen weights and trained ones, as numbers to look at
COUNTS = {
    "llama3_1_8b_dpo": (8_030_261_248, 41_943_040),
    "llama3_1_8b_lora": (8_030_261_248, 41_943_040),
    "llama3_1_8b_lora_distributed": (8_030_261_248, 41_943_040),
    "llama3_1_8b_qlora": (8_030_261_248, 41_943_040),
    "llama3_1_8b_qlora_24gb": (8_030_261_248, 41_943_040),
    "llama3_2_1b_lora": (1_235_814_400, 11_272_192),
    "llama3_2_3b_lora": (3_212_749_824, 24_313_856),
    "smollm2_135m_dpo_cpu": (134_515_008, 3_663_360),
}


@pytest.mark.parametrize("name", NAMES)
def test_well_formed(name: str) -> None:
    """By torchtune's own check (what `tune validate` runs on the file) and by ours."""
    config.validate(OmegaConf.load(FOLDER / f"{name}.yaml"))
    load(find_config(name), [])


@pytest.mark.parametrize("name", NAMES)
def test_header_names_its_own_commands(name: str) -> None:
    head = find_config(name).read_text(encoding="utf-8").split("\n\n")[0]
    cfg = OmegaConf.load(FOLDER / f"{name}.yaml")
    recipe = recipe_of(cfg)
    many = f"--nproc_per_node {cfg.nproc_per_node} " if recipe == DISTRIBUTED else ""
    assert f"querywright finetune {name}\n" in head
    assert f"tune run {many}{recipe} --config ft_configs/{name}.yaml\n" in head
    for word in ("memory", "time", "score"):
        assert f"\n#   {word} " in head
    assert "@" not in head


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("llama")])
def test_figures_in_a_header_are_the_planners(name: str, tmp_path: Path) -> None:
    """What is estimated is what `querywright finetune plan` says today of the file as it is.

    Rows are laid there as long as mygene's are on average, 71 tokens by the planner's count without a tokenizer:
    attention costs by a row's length, and what lies in a workspace of this machine must not matter."""
    from querywright.finetune.plan import plan

    rows = tmp_path / "pairs" / "train.chat.jsonl"
    rows.parent.mkdir()
    turns = [("system", "s" * 24), ("user", "u" * 90), ("assistant", "a" * 54)]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    rows.write_text(f"{json.dumps(row)}\n" * 20, encoding="utf-8")

    head = find_config(name).read_text(encoding="utf-8").split("\n\n")[0]
    asked = re.search(rf"`querywright finetune plan {name} --gpu (\d+)GB`", head)
    memory = re.search(r"\n#   memory +([\d.]+) GB of (\d+)", head)
    time = re.search(r"\n#   time +([\d.]+) s a step of ([\d,]+) tokens", head)
    speed = re.search(r"\n#   tokens/s +([\d,]+)", head)
    assert asked, "says what it is estimated with"
    assert memory
    assert time
    assert speed
    made = plan(load(find_config(name), [f"workspace={tmp_path}", "tokenizer.path=none"]), gpu=f"{asked[1]}GB")
    assert (made.rows.tokens if made.rows else None) == (None if name.endswith("dpo") else 20 * 71)
    assert made.fits
    assert memory[2] == asked[1]
    assert float(memory[1]) == pytest.approx(made.total / 1e9, abs=0.06)
    assert int(time[2].replace(",", "")) == made.step_tokens
    assert float(time[1]) == pytest.approx(made.step_tokens / made.tokens_per_s, rel=0.05)
    assert int(speed[1].replace(",", "")) == pytest.approx(made.tokens_per_s, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_every_misspelt_key_is_found(name: str) -> None:
    """Each key of the file, at the top and in a component, with one letter too few."""
    whole: Any = OmegaConf.to_container(load(find_config(name), []))
    for key, node in whole.items():
        assert f"{key[:-1]!r}" in _said({(k[:-1] if k == key else k): v for k, v in whole.items()}), key
        # smollm2_checkpointer passes on what torchtune's checkpointer takes
        if isinstance(node, dict) and not node["_component_"].endswith("smollm2_checkpointer"):
            for inner in node.keys() - {"_component_"}:
                changed = {(k[:-1] if k == inner else k): v for k, v in node.items()}
                assert f"'{key}.{inner[:-1]}'" in _said({**whole, key: changed}), inner


def _said(cfg: dict[str, Any]) -> str:
    return "\n".join(problems(OmegaConf.create(cfg)))


@pytest.mark.parametrize("name", NAMES)
def test_keys_of_another_recipe_are_refused(name: str) -> None:
    """`max_minutes` in a config for a recipe that knows no such thing would be a promise that nobody keeps."""
    recipe = recipe_of(OmegaConf.load(FOLDER / f"{name}.yaml"))
    foreign = "max_minutes=3" if recipe == DISTRIBUTED else "nproc_per_node=2"
    with pytest.raises(QuerywrightError, match="has no meaning for recipe"):
        load(find_config(name), [foreign])


def test_every_recipe_has_a_config() -> None:
    assert {recipe_of(OmegaConf.load(FOLDER / f"{name}.yaml")) for name in NAMES} == set(OURS)


def _shape(name: str) -> dict[str, Any]:
    return next(shape for size, shape in SHAPES.items() if size in name)


@lru_cache
def _on_meta(node: str) -> Any:
    """The model that a config's ``model`` describes, without any weights."""
    with torch.device("meta"):
        return config.instantiate(OmegaConf.create(json.loads(node)))


def meta_model(name: str) -> Any:
    return _on_meta(json.dumps(OmegaConf.to_container(load(find_config(name), []).model)))


@lru_cache
def _published(size: str) -> Any:
    """The same model as transformers builds it from the publisher's numbers, on the meta device."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**SHAPES[size]))


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    from torchtune.modules.peft import get_adapter_params

    shape, cfg = _shape(name), load(find_config(name), [])
    model = meta_model(name)
    trained = get_adapter_params(model)
    n_trained = sum(p.numel() for p in trained.values())
    n_frozen = sum(p.numel() for n, p in model.named_parameters() if n not in trained)
    assert (n_frozen, n_trained) == COUNTS[name]
    d, h = shape["hidden_size"], shape["intermediate_size"]
    kv = d // shape["num_attention_heads"] * shape["num_key_value_heads"]
    ends = [(d, d), (d, kv), (d, kv), (d, d), (d, h), (d, h), (h, d)]  # q, k, v, output, gate, up, down
    assert n_trained == shape["num_hidden_layers"] * cfg.model.lora_rank * sum(a + b for a, b in ends)
    size = next(size for size in SHAPES if size in name)
    assert n_frozen == sum(p.numel() for p in _published(size).parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_shapes_are_the_published_ones(name: str) -> None:
    """Every frozen weight has the shape that the published checkpoint's has after torchtune's renaming."""
    from torchtune.models.convert_weights import hf_to_tune
    from torchtune.modules.peft import get_adapter_params

    shape = _shape(name)
    size = next(size for size in SHAPES if size in name)
    published = {k: v for k, v in _published(size).state_dict().items() if "rotary" not in k}
    if shape["tie_word_embeddings"]:
        published.pop("lm_head.weight", None)
    heads = {"num_heads": shape["num_attention_heads"], "num_kv_heads": shape["num_key_value_heads"]}
    expected = hf_to_tune(published, dim=shape["hidden_size"], **heads)
    model = meta_model(name)
    trained = get_adapter_params(model)
    found = {n: tuple(p.shape) for n, p in model.named_parameters() if n not in trained}
    assert found == {n: tuple(p.shape) for n, p in expected.items()}


def test_qlora_holds_the_layers_in_four_bits() -> None:
    from torchao.dtypes.nf4tensor import NF4Tensor

    model = meta_model("llama3_1_8b_qlora")
    kinds = {n: isinstance(p, NF4Tensor) for n, p in model.named_parameters() if p.ndim == 2 and "lora_" not in n}
    whole = sorted(n for n, four in kinds.items() if not four)
    assert whole == ["output.weight", "tok_embeddings.weight"]
    assert sum(kinds.values()) == 7 * 32
