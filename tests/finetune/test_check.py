"""Training configs: every mistake is found before anything runs, and named with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchtune import config

from querywright.errors import QuerywrightError
from querywright.finetune.check import find_config, load, recipe_keys

SHIPPED = ("smollm2_135m_lora_cpu", "smollm2_135m_lora_cpu_full")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configs_are_well_formed(name: str) -> None:
    config.validate(load(find_config(name), []))


@pytest.mark.parametrize("name", SHIPPED)
def test_header_names_its_own_command(name: str) -> None:
    head = find_config(name).read_text(encoding="utf-8").split("\n\n")[0]
    assert f"querywright finetune {name}\n" in head
    assert f"--config ft_configs/{name}.yaml\n" in head
    for word in ("memory", "time", "score"):
        assert word in head


def test_recipe_keys_come_from_the_recipe() -> None:
    needed, optional = recipe_keys()
    assert {"model", "tokenizer", "batch_size", "loss"} <= needed
    assert {"clip_grad_norm", "log_every_n_steps", "profiler"} <= optional
    assert not needed & optional


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
