"""A checkpoint of Llama 3.1's or 3.2's kind, some thousand weights small: shards, bfloat16, scaled rope, a tokenizer
that cuts text as Llama 3's does. And an adapter for it, and a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXTS = [
    "show the newest ten sheets with a leaf, and how many there are",
    "find those whose name begins with A; which one is 7157? it's 1,000 or 43044295",
    "/sheets?part=leaf&size=20&year=1998 /count?part=root&from=12&to=345",
    "naïve café №7 – “quoted” …  two  spaces\n\n\tand lines\r\n",
]
SPECIAL = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
)  # fmt: skip
ORIGINAL = 32  # the context before scaling: texts of the tests are longer


def tokenizer_json(folder: Path) -> int:
    """Write tokenizer.json and its settings; returns the number of tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(TikTokenConverter().pattern), behavior="isolated", invert=False)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token="<|eot_id|>", chat_template="{{ 'dates' }}"
    )
    fast.save_pretrained(folder)
    return len(fast)


def tiny_llama(folder: Path, factor: float = 8.0, dtype: str = "bfloat16", tied: bool = False) -> Path:
    """Random weights whose answers are sure of themselves; ``factor`` 8 is Llama 3.1, 32 is 3.2."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    words = tokenizer_json(folder)
    torch.manual_seed(5)
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": ORIGINAL}  # fmt: skip
    config = LlamaConfig(
        vocab_size=words + 2, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=1024, rms_norm_eps=1e-5, tie_word_embeddings=tied,
        rope_parameters=rope, bos_token_id=words - 6, eos_token_id=words - 1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.normal_(0, 1.0 if "embed" in name or "head" in name else 1.3 / weight.shape[1] ** 0.5)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size="90KB")
    return folder


def tiny_run(folder: Path, base: Path, rows: Path | None = None, strength: float = 0.15, **more: Any) -> Path:
    """A finished run on ``base``: an adapter of rank 4 on two projections, and the manifest."""
    import torch
    from safetensors.torch import save_file

    from querywright.artefacts import write_json, write_manifest
    from querywright.finetune.merge import shapes

    torch.manual_seed(11)
    weights = {}
    for name, (_, shape) in shapes(base).items():
        if name.endswith(("q_proj.weight", "down_proj.weight")):
            key = "base_model.model." + name.removesuffix(".weight")
            weights[f"{key}.lora_A.weight"] = torch.randn(4, shape[1]) * strength
            weights[f"{key}.lora_B.weight"] = torch.randn(shape[0], 4) * strength
    (folder / "adapter").mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter" / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]}
    write_json(folder / "adapter" / "adapter_config.json", about)
    settings: dict[str, Any] = {
        "model": {"lora_rank": 4, "lora_alpha": 8},
        "optimizer": {"_component_": "torch.optim.AdamW", "lr": 1e-3},
        "checkpointer": {"checkpoint_dir": str(base)},
        **({"dataset": {"source": str(rows)}} if rows else {}),
        **{"batch_size": 2, "gradient_accumulation_steps": 1, "epochs": 1, "seed": 3, "device": "cpu"},
    }
    facts = {"steps": 7, "rows": 48, "seconds": 65.0, "mean_last_losses": 0.25, "packages": {"torch": "2"}, **more}
    files = ["adapter/adapter_model.safetensors"]
    write_manifest(folder, {"settings": settings, "data_sha256": "f00d"}, files, **facts)
    return folder
