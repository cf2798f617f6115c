"""Two adapters as one: it adds what both add, and it is found out what a checkpoint was merged of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from querywright.artefacts import sha256, write_json, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.export import export, place
from querywright.finetune.lora import CONFIG, WEIGHTS, deltas, read_adapter
from querywright.finetune.merge import made_by
from querywright.finetune.record import base_facts, is_finished, merged_id
from querywright.finetune.stacked import below, stack

LAYER = "base_model.model.model.layers.{}.self_attn.{}.lora_{}.weight"


def adapter(folder: Path, seed: int, rank: int, *, modules: tuple[str, ...] = ("q_proj",), **more: Any) -> Path:
    """An adapter with random weights of two layers."""
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in range(2):
        for module in modules:
            weights[LAYER.format(layer, module, "A")] = rng.standard_normal((rank, 6)).astype("float32")
            weights[LAYER.format(layer, module, "B")] = rng.standard_normal((4, rank)).astype("float32")
    folder.mkdir(parents=True)
    save_file(weights, folder / WEIGHTS)
    about = {"peft_type": "LORA", "r": rank, "lora_alpha": 3 * rank, "target_modules": [*modules], **more}
    write_json(folder / CONFIG, about)
    return folder


@pytest.mark.parametrize("more", [{}, {"modules": ("q_proj", "o_proj")}, {"use_rslora": True}, {"lora_alpha": 1}])
def test_two_adapters_as_one_add_what_both_add(tmp_path: Path, more: dict[str, Any]) -> None:
    first, second = adapter(tmp_path / "a", 1, 2), adapter(tmp_path / "b", 2, 3, **more)
    both = read_adapter(stack(first, second, tmp_path / "both"))
    assert both[0]["r"] == 5
    one, other, found = deltas(*read_adapter(first)), deltas(*read_adapter(second)), deltas(*both)
    assert {*found} == {*one, *other}
    for name, delta in found.items():
        expected = sum(part[name] for part in (one, other) if name in part)
        np.testing.assert_allclose(delta, expected, rtol=0, atol=1e-5, err_msg=name)


def merged(folder: Path, source: str) -> Path:
    """What an export (`run`) or a merge alone (`merge`) leaves, with files that stand for weights."""
    base = folder / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"model_type": "llama"}')
    (base / "model.safetensors").write_bytes(b"the base")
    first = adapter(folder / "made" / "adapter", 1, 2)
    name = {"run": "merged", "merge": "checkpoint"}[source]
    checkpoint = folder / "made" / name
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text('{"model_type": "llama"}')
    (checkpoint / "model.safetensors").write_bytes(b"the sum")
    files = [f"adapter/{WEIGHTS}", f"{name}/model.safetensors"]
    digest = sha256(first / WEIGHTS) if source == "merge" else "0" * 64  # an export rounds the run's adapter
    config = {"source": source, "adapter_sha256": digest, "base": base_facts(base)["sha256"]}
    write_manifest(folder / "made", config, files, base_folder=str(base))
    return checkpoint


@pytest.mark.parametrize("source", ["run", "merge"])
def test_what_a_checkpoint_was_merged_of_is_found(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = merged(tmp_path, source)
    found = below(checkpoint)
    assert found is not None
    assert (found.adapter, found.base) == (tmp_path / "made" / "adapter", tmp_path / "base")
    assert "merged in" in base_facts(checkpoint)["name"], "the base's name alone would be another model's"
    assert below(tmp_path / "base") is None
    assert made_by(tmp_path / "made") is None
    (tmp_path / "made" / "adapter" / WEIGHTS).write_bytes(b"another")
    assert below(checkpoint) is None
    assert "the adapter that it was merged of is not there" in capsys.readouterr().err


def test_a_base_that_changed_is_not_the_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = merged(tmp_path, "merge")
    (tmp_path / "base" / "model.safetensors").write_bytes(b"another")
    assert below(checkpoint) is None
    assert "but the base" in capsys.readouterr().err


def test_a_run_on_what_stands_above_it_is_exported_beside_itself(tmp_path: Path) -> None:
    run = tmp_path / "model" / "dpo"
    assert place(run, tmp_path / "model" / "merged") == run / "export"
    assert place(run, tmp_path / "base") == tmp_path / "model"


@pytest.mark.parametrize("source", ["run", "merge"])
def test_what_a_run_started_from_is_not_written_over(tmp_path: Path, source: str) -> None:
    checkpoint = merged(tmp_path, source)
    adapter(tmp_path / "run" / "adapter", 2, 3)
    write_manifest(tmp_path / "run", {"settings": {}}, [f"adapter/{WEIGHTS}"])
    with pytest.raises(QuerywrightError, match="would write over it"):
        export(tmp_path / "run", tmp_path / "made", "herbarium", base=checkpoint)


def test_an_adapter_whose_rank_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    first = adapter(tmp_path / "a", 1, 2, r=4)
    with pytest.raises(QuerywrightError, match="is of rank 2, not 4"):
        stack(first, adapter(tmp_path / "b", 2, 3), tmp_path / "both")


@pytest.mark.parametrize("source", ["run", "merge"])
def test_a_run_on_a_merge_that_was_made_anew_is_not_done(tmp_path: Path, source: str) -> None:
    checkpoint, run = merged(tmp_path, source), tmp_path / "dpo"
    facts = {"settings": {"checkpointer": {"checkpoint_dir": str(checkpoint)}}}
    write_manifest(run, facts, [], base=base_facts(checkpoint))
    assert is_finished(run, facts)
    before = merged_id(facts)
    made = made_by(checkpoint)
    assert made is not None
    (checkpoint / "model.safetensors").write_bytes(b"another sum")
    write_manifest(tmp_path / "made", made["config"], [*made["files"]], base_folder=made["base_folder"])
    assert not is_finished(run, facts), "the same config and the same folder, but other weights to start from"
    assert merged_id(facts) not in ("", before)
    assert merged_id({"settings": {"checkpointer": {"checkpoint_dir": str(tmp_path / "base")}}}) == ""
