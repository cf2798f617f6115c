"""What leaves training is the trained model: for PEFT, as a checkpoint, and for llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from querywright.artefacts import sha256, write_json, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune import export as exporting
from querywright.finetune import shipped
from querywright.finetune.base import packaged_gguf
from querywright.finetune.export import export
from querywright.finetune.lora import WEIGHTS, deltas, read_adapter, write_adapter
from querywright.finetune.merge import merge
from tests.finetune.tiny import small_adapter

PROMPT = "<|im_start|>user\nshow 3 sheets with a root<|im_end|>\n<|im_start|>assistant\n"


def trained(folder: Path, base: Path, steps: int = 7) -> Path:
    """A finished run as the recipe leaves it, with an adapter that changes every projection."""
    from safetensors.torch import load_file, save_file
    from torchtune.models.convert_weights import tune_to_peft_adapter_weights
    from torchtune.modules.peft import get_adapter_params, get_merged_lora_ckpt

    from querywright.finetune.model import lora_smollm2_135m

    torch.manual_seed(3)
    model = lora_smollm2_135m(lora_rank=4, lora_alpha=8)
    adapter = {name: torch.randn_like(p) * 0.03 for name, p in get_adapter_params(model).items()}
    (folder / "adapter").mkdir(parents=True)
    sizes = {"num_heads": 9, "num_kv_heads": 3, "dim": 576}
    peft = tune_to_peft_adapter_weights(adapter, **sizes)
    save_file({k: v.contiguous() for k, v in peft.items()}, folder / "adapter" / WEIGHTS)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    about = {"r": 4, "lora_alpha": 8, "target_modules": modules, "peft_type": "LORA"}
    write_json(folder / "adapter" / "adapter_config.json", about)
    # what torchtune itself would merge, to compare with
    from torchtune.models.convert_weights import hf_to_tune, tune_to_hf

    weights = {**hf_to_tune(load_file(base / "model.safetensors"), **sizes), **adapter}
    merged = tune_to_hf(get_merged_lora_ckpt(weights, rank=4, alpha=8), **sizes)
    save_file({k: v.contiguous() for k, v in merged.items()}, folder / "torchtune.safetensors")
    settings: dict[str, Any] = {
        "model": {"lora_rank": 4, "lora_alpha": 8},
        "optimizer": {"_component_": "torch.optim.AdamW", "lr": 1e-3},
        **{"batch_size": 2, "gradient_accumulation_steps": 1, "epochs": 1, "seed": 3, "device": "cpu"},
    }
    facts = {"steps": steps, "rows": 100, "seconds": 65.0, "mean_last_losses": 0.25, "packages": {"torch": "2"}}
    write_manifest(folder, {"settings": settings, "data_sha256": "f00d"}, [f"adapter/{WEIGHTS}"], **facts)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """One export for all tests here: about a minute."""
    out = tmp_path_factory.mktemp("model")
    run = trained(out / "full", base)
    assert export(run, out, "herbarium", base=base, parity=0) == out / "model-q8_0.gguf"
    return out


def logits(model: Any, base: Path) -> torch.Tensor:
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(base)(PROMPT, return_tensors="pt").input_ids
    with torch.no_grad():
        return model(ids).logits[0]


@pytest.mark.slow
def test_peft_merged_and_torchtune_are_one_model(exported: Path, base: Path) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = logits(plain, base)
    with_adapter = logits(PeftModel.from_pretrained(plain, exported / "adapter"), base)
    merged = logits(AutoModelForCausalLM.from_pretrained(exported / "merged", dtype=torch.float32), base)
    torch.testing.assert_close(merged, with_adapter, rtol=0, atol=1e-3)
    assert (merged - before).abs().max() > 0.5, "an adapter that changes nothing proves nothing"
    theirs, ours = (
        load_file(exported / "full" / "torchtune.safetensors"),
        load_file(exported / "merged/model.safetensors"),
    )
    assert theirs.keys() == ours.keys()
    for name, weight in theirs.items():  # apart from 16 bit rounding of the adapter
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=2e-4, msg=name)


@pytest.mark.slow
def test_llama_cpp_writes_what_the_checkpoint_does(exported: Path, base: Path) -> None:
    import numpy as np
    from transformers import AutoModelForCausalLM

    llama_cpp = pytest.importorskip("llama_cpp")
    expected = logits(AutoModelForCausalLM.from_pretrained(exported / "merged", dtype=torch.float32), base).numpy()
    for kind, near in (("f16", 0.999), ("q8_0", 0.99), ("q4_k_m", 0.95)):
        path = str(exported / f"model-{kind}.gguf")
        llama = llama_cpp.Llama(path, n_ctx=128, n_threads=1, logits_all=True, verbose=False)
        ids = llama.tokenize(PROMPT.encode(), add_bos=False, special=True)
        llama.eval(ids)
        found = np.array(llama.scores[: len(ids)])
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > near, kind
        assert (found.argmax(1) == expected.argmax(1)).mean() > (0.8 if kind != "q4_k_m" else 0.6), kind
        assert llama.metadata["general.name"].endswith("herbarium")
        assert llama.metadata["tokenizer.ggml.pre"] == "smollm"


@pytest.mark.slow
def test_nothing_of_the_adapter_beside_the_merged_checkpoint(exported: Path) -> None:
    assert not list((exported / "merged").glob("adapter*"))


@pytest.mark.slow
def test_card_and_modelfile_are_written_from_the_record(exported: Path) -> None:
    text = (exported / "README.md").read_text(encoding="utf-8")
    for part in (
        "license: apache-2.0",
        "`f00d`",
        "| steps | 7 of 2 rows |",
        "rank 4, alpha 8",
        "Write the herbarium call.",
    ):
        assert part in text
    assert "of which 14 were seen" in text
    assert "Not measured yet" in text
    assert (exported / "Modelfile").read_text(encoding="utf-8").startswith("FROM ./model-q8_0.gguf\n")
    assert json.loads((exported / "manifest.json").read_text(encoding="utf-8"))["config"]["source"] == "run"


@pytest.mark.slow
def test_own_export_is_used_and_not_made_again(
    exported: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(exporting, "write_gguf", never)
    monkeypatch.setattr(shipped, "write_gguf", never)
    (tmp_path / "model").symlink_to(exported)
    assert shipped.ensure_model("herbarium", tmp_path) == tmp_path / "model" / "model-q8_0.gguf"
    export(exported / "full", exported, "herbarium", base=base, parity=0)


@pytest.mark.slow
def test_shipped_adapter_becomes_a_model_on_first_use(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "data_dir", lambda: tmp_path / "data")
    write_adapter(exported / "adapter", tmp_path / "data" / "adapters" / "herbarium", "base")
    path = shipped.ensure_model("herbarium", tmp_path / "work")
    assert sha256(path) == sha256(exported / "model-q8_0.gguf")
    made = path.stat().st_mtime_ns
    assert shipped.ensure_model("herbarium", tmp_path / "work").stat().st_mtime_ns == made


def test_no_finished_run(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no finished training run"):
        export(tmp_path, tmp_path / "out", "herbarium")
    (tmp_path / "resume.safetensors").touch()
    with pytest.raises(QuerywrightError, match="stopped half-way"):
        export(tmp_path, tmp_path / "out", "herbarium")


def test_delta_is_scaled(tmp_path: Path) -> None:
    found = deltas(*read_adapter(small_adapter(tmp_path)))
    assert list(found) == ["model.layers.0.self_attn.q_proj.weight"]
    assert found["model.layers.0.self_attn.q_proj.weight"].tolist() == [[9.0] * 3] * 4  # 6 / 2 * (1 + 2)


def test_strange_adapters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="missing"):
        read_adapter(tmp_path)
    with pytest.raises(QuerywrightError, match="no plain LoRA"):
        read_adapter(small_adapter(tmp_path / "dora", use_dora=True))
    with pytest.raises(QuerywrightError, match="diverged"):
        write_adapter(small_adapter(tmp_path / "far", value=float("nan")), tmp_path / "out", "base")


@pytest.mark.slow
def test_an_adapter_of_another_base_is_refused(tmp_path: Path, base: Path) -> None:
    from querywright.finetune.to_gguf import write_gguf

    added = deltas(*read_adapter(small_adapter(tmp_path / "a")))
    with pytest.raises(QuerywrightError, match=r"is \(4, 3\), there \(576, 576\)"):
        write_gguf(packaged_gguf(), added, {"q8_0": tmp_path / "x.gguf"}, "x", template="")
    assert not list(tmp_path.glob("*.gguf"))
    assert not list(tmp_path.glob(".*.part"))
    with pytest.raises(QuerywrightError, match="does not fit"):
        merge(base, {"model.layers.99.self_attn.q_proj.weight": next(iter(added.values()))}, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
