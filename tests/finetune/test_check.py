"""Training configs: every mistake is found before anything runs, and named with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from querywright.finetune.check import find_config, load
from querywright.finetune.recipes import DISTRIBUTED, DPO, recipe_keys

SHIPPED = ("smollm2_135m_lora_cpu", "smollm2_135m_lora_cpu_full")


def test_recipe_keys_come_from_the_recipe() -> None:
    keys = recipe_keys()
    assert {"model", "tokenizer", "batch_size", "loss"} <= keys.needed
    assert {"clip_grad_norm", "log_every_n_steps", "profiler"} <= keys.optional
    assert {"lora_rank", "lora_alpha", "lora_attn_modules", "apply_lora_to_mlp"} == keys.model
    assert not keys.needed & keys.optional
    # each recipe has its own: gradients are not clipped in DPO, and only FSDP can offload
    assert "clip_grad_norm" not in recipe_keys(DPO).needed | recipe_keys(DPO).optional
    assert "fsdp_cpu_offload" in recipe_keys(DISTRIBUTED).optional - keys.optional


def test_all_mistakes_at_once() -> None:
    wrong = ["batch_sizee=4", "optimizer.lrr=1", "epochs=0", "model.lora_rnk=3", "foo", "loss=torch.nn.CrossEntropyLos"]
    with pytest.raises(QuerywrightError) as caught:
        load(find_config(SHIPPED[0]), wrong)
    text = str(caught.value)
    assert "6 problems" in text
    for part in (
        "'batch_sizee'; did you mean 'batch_size'",
        "'optimizer.lrr' for torch.optim.AdamW; did you mean 'lr'",
        "epochs is 0",
        "'model.lora_rnk'",
        "'foo' is not key=value",
        "cannot load 'torch.nn.CrossEntropyLos'",
    ):
        assert part in text


def test_misspelt_keys_in_a_file(tmp_path: Path) -> None:
    text = find_config(SHIPPED[0]).read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("clip_grad_norm:", "clip_grad_nrm:").replace("batch_size: 8\n", ""), encoding="utf-8")
    with pytest.raises(QuerywrightError) as caught:
        load(path, [])
    assert "unknown key 'clip_grad_nrm'; did you mean 'clip_grad_norm'?" in str(caught.value)
    assert "missing key 'batch_size'" in str(caught.value)


def test_a_component_missing_what_it_needs(tmp_path: Path) -> None:
    text = find_config(SHIPPED[0]).read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("  num_warmup_steps: 20\n", ""), encoding="utf-8")
    with pytest.raises(QuerywrightError, match=r"missing key 'lr_scheduler\.num_warmup_steps'"):
        load(path, [])


def test_overrides_reach_every_place() -> None:
    given = ["workspace=/tmp/x", "optimizer.lr=2e-4", "dataset.source=/tmp/a=b.jsonl", "log_peak_memory_stats=true"]
    cfg = load(find_config(SHIPPED[0]), [*given, "optimizer.eps=1e-6"])
    assert cfg.output_dir == "/tmp/x/model/quick" == cfg.metric_logger.log_dir
    assert (cfg.optimizer.lr, cfg.optimizer.eps) == (2e-4, 1e-6)
    assert cfg.dataset.source == "/tmp/a=b.jsonl"
    assert cfg.log_peak_memory_stats is True


def test_replacing_a_component_checks_its_keys() -> None:
    with pytest.raises(QuerywrightError, match=r"'optimizer\.betas' for torch\.optim\.SGD"):
        load(find_config(SHIPPED[0]), ["optimizer=torch.optim.SGD"])


def test_unknown_config_names_the_near_one() -> None:
    with pytest.raises(QuerywrightError, match="did you mean 'smollm2_135m_lora_cpu'"):
        find_config("smollm2_135m_lora_cp")


def test_what_cannot_be_is_refused() -> None:
    wrong = ["recipe=lora_finetune", "backend=pefft", "dtype=fp16", "check_memory=maybe"]
    with pytest.raises(QuerywrightError) as caught:
        load(find_config(SHIPPED[0]), wrong)
    text = str(caught.value)
    for part in (
        "recipe is 'lora_finetune': it must be lora_finetune_single_device or",
        "backend is 'pefft': it must be torchtune or peft",
        "dtype is 'fp16': it must be fp32 or bf16",
        "check_memory is 'maybe': it must be true or false",
    ):
        assert part in text


def test_values_of_another_kind_are_refused(tmp_path: Path) -> None:
    """Whatever stands for a value: a sentence, never a traceback from somewhere below."""
    from omegaconf import OmegaConf

    wrong: dict[str, tuple[object, str]] = {
        "model": (None, "model is null: it must be a component"),
        "dataset": (7, "dataset is 7: it must be a component"),
        "optimizer._component_": (3, "optimizer is {'_component_': 3"),
        "dataset.source": (None, "dataset.source is null: it must be a text"),
        "model.lora_attn_modules": (None, "model.lora_attn_modules is null: it must be a list"),
        "model.lora_rank": ("eight", "model.lora_rank is 'eight': it must be a number above 0"),
        "tokenizer.max_seq_len": (10**30, "it must be a number above 0"),
        "batch_size": (None, "batch_size is null: it needs a value"),
        "seed": ("x", "seed is 'x': it must be a whole number"),
        "compile": ([], "compile is []: it must be true or false"),
    }
    for key, (value, told) in wrong.items():
        cfg = OmegaConf.load(find_config("smollm2_135m_dpo_cpu"))
        OmegaConf.update(cfg, key, value, merge=False)
        OmegaConf.save(cfg, tmp_path / "mine.yaml")
        with pytest.raises(QuerywrightError) as caught:
            load(tmp_path / "mine.yaml", [])
        assert told in str(caught.value), key
    for text in ("- a\n- b\n", "[]"):
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(QuerywrightError, match="holds no keys"):
            load(tmp_path / "mine.yaml", [])


def test_settings_that_do_not_go_together() -> None:
    wrong = ["backend=peft", "epochs=1.5", "enable_activation_offloading=true"]
    with pytest.raises(QuerywrightError) as caught:
        load(find_config("smollm2_135m_dpo_cpu"), wrong)
    text = str(caught.value)
    for part in (
        "backend peft has no recipe lora_dpo_single_device",
        "epochs is 1.5: it must be a whole number",
        "enable_activation_offloading needs device cuda; it is cpu",
        "enable_activation_offloading needs enable_activation_checkpointing: true",
    ):
        assert part in text
    with pytest.raises(QuerywrightError, match=r"packed needs tokenizer\.max_seq_len"):
        load(find_config("llama3_2_1b_lora"), ["tokenizer.max_seq_len=null"])


def test_a_reference_to_a_misspelt_key_names_both(tmp_path: Path) -> None:
    text = find_config(SHIPPED[0]).read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("output_dir: ${workspace}", "output_dr: ${workspace}"), encoding="utf-8")
    with pytest.raises(QuerywrightError) as caught:
        load(path, [])
    assert "Interpolation key 'output_dir' not found" in str(caught.value)
    assert "unknown key 'output_dr'; did you mean 'output_dir'" in str(caught.value)


def test_peft_names_what_it_has_no_use_for(capsys: pytest.CaptureFixture[str]) -> None:
    load(find_config(SHIPPED[0]), ["low_cpu_ram=true"])
    assert "has no use for" not in capsys.readouterr().err
    load(find_config(SHIPPED[0]), ["backend=peft", "low_cpu_ram=true"])
    said = capsys.readouterr().err
    assert "backend peft has no use for, and passes over:" in said
    assert "low_cpu_ram" in said
    for used in ("batch_size", "model", "clip_grad_norm", "optimizer"):
        assert used not in said
