"""A model of SmolLM2's kind that is a few thousand weights small, as a checkpoint with its tokenizer: training on it
takes milliseconds, and everything but its answers is as with the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.artefacts import write_json
from querywright.finetune.lora import WEIGHTS

SIZES = {"vocab_size": 320, "num_layers": 3, "num_heads": 4, "num_kv_heads": 2, "embed_dim": 64}
MORE = {"max_seq_len": 256, "intermediate_dim": 96, "rope_base": 10_000, "scale_factor": 1}
LORA = {"lora_attn_modules": ["q_proj", "k_proj", "v_proj", "output_proj"], "apply_lora_to_mlp": True,
        "lora_rank": 4, "lora_alpha": 8}  # fmt: skip


def tiny_checkpoint(folder: Path) -> Path:
    """Random weights in a Hugging Face folder, with a byte-level ChatML tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=SIZES["vocab_size"], hidden_size=SIZES["embed_dim"], num_hidden_layers=SIZES["num_layers"],
        num_attention_heads=SIZES["num_heads"], num_key_value_heads=SIZES["num_kv_heads"],
        intermediate_size=MORE["intermediate_dim"], max_position_embeddings=MORE["max_seq_len"],
        rope_parameters={"rope_type": "default", "rope_theta": float(MORE["rope_base"])}, rms_norm_eps=1e-5,
        tie_word_embeddings=True, initializer_range=0.1, bos_token_id=None, eos_token_id=257, pad_token_id=257,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def tiny_config(checkpoint: Path, source: Path, output: Path, **more: Any) -> Any:
    """A whole config for :func:`tiny_checkpoint`; ``more`` is merged in, by dotted key with ``__`` for dots."""
    from omegaconf import OmegaConf

    cfg = OmegaConf.create(
        {
            "output_dir": str(output),
            "tokenizer": {
                "_component_": "querywright.finetune.tokenizer.ChatMLTokenizer",
                "path": str(checkpoint / "tokenizer.json"),
                "max_seq_len": MORE["max_seq_len"],
            },
            "dataset": {"_component_": "querywright.finetune.data.chat_rows", "source": str(source)},
            "collate_fn": "torchtune.data.padded_collate_sft",
            "model": {"_component_": "torchtune.models.llama3_2.lora_llama3_2", **SIZES, **MORE, **LORA},
            "checkpointer": {
                "_component_": "torchtune.training.FullModelHFCheckpointer",
                "checkpoint_dir": str(checkpoint),
                "checkpoint_files": ["model.safetensors"],
                "model_type": "LLAMA3_2",
                "output_dir": "${output_dir}",
            },
            "optimizer": {"_component_": "torch.optim.AdamW", "lr": 1e-2, "fused": True},
            "lr_scheduler": {
                "_component_": "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup",
                "num_warmup_steps": 1,
            },
            "loss": {"_component_": "torch.nn.CrossEntropyLoss"},
            "metric_logger": {"_component_": "querywright.finetune.record.JSONLogger", "log_dir": "${output_dir}"},
            "batch_size": 4,
            "gradient_accumulation_steps": 1,
            "epochs": 1,
            "max_steps_per_epoch": 5,
            "clip_grad_norm": 1.0,
            "shuffle": True,
            "seed": 20,
            "device": "cpu",
            "dtype": "fp32",
            "compile": False,
            "enable_activation_checkpointing": False,
            "resume_from_checkpoint": False,
        }
    )
    return _with(cfg, more)


def _with(cfg: Any, more: dict[str, Any]) -> Any:
    from omegaconf import OmegaConf

    for key, value in more.items():
        dotted = key.replace("___component_", "._component_").replace("__", ".")
        OmegaConf.update(cfg, dotted, value, merge=False)
    return cfg


def packed_tiny(**words: Any) -> Any:
    """Model component: the tiny decoder with the packed way through it."""
    from torchtune.models.llama3_2 import lora_llama3_2

    from querywright.finetune.packed import packed_decoder

    return packed_decoder(lora_llama3_2(**words))


def dpo_config(checkpoint: Path, source: Path, output: Path, **more: Any) -> Any:
    """As :func:`tiny_config`, for preference rows and the packed way."""
    words = {
        "recipe": "lora_dpo_single_device",
        "dataset": {"_component_": "querywright.finetune.preferences.preference_rows", "source": str(source)},
        "model___component_": "tests.finetune.tiny.packed_tiny",
        "loss": {"_component_": "torchtune.rlhf.loss.DPOLoss", "beta": 0.1},
        "save_adapter_weights_only": True,
        **more,
    }
    cfg = tiny_config(checkpoint, source, output)
    del cfg.collate_fn
    return _with(cfg, words)


def small_adapter(folder: Path, value: float = 1.0, **more: Any) -> Path:
    """An adapter of one projection."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    a, b = np.full((2, 3), value, "float32"), np.array([[1, 2]] * 4, "float32")
    save_file({name.format("A"): a, name.format("B"): b}, folder / WEIGHTS)
    about = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"], **more}
    write_json(folder / "adapter_config.json", about)
    return folder
