"""A GGUF of SmolLM2's kind, some ten thousand random weights: llama.cpp loads it at once, and it writes noise."""

from __future__ import annotations

from pathlib import Path

SIZE, LAYERS, HEADS, INNER = 32, 2, 2, 64


def tiny_gguf(path: Path, context: int = 4096, seed: int = 3) -> Path:
    """Write it; a token is a byte, or one of ChatML's marks."""
    import gguf
    import numpy as np
    from tokenizers import pre_tokenizers

    rng = np.random.default_rng(seed)
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|im_start|>", "<|im_end|>"]
    out = gguf.GGUFWriter(str(path), "llama")
    out.add_context_length(context)
    out.add_embedding_length(SIZE)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(SIZE // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(words))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    out.add_token_list(words)
    out.add_token_types([gguf.TokenType.NORMAL] * (len(words) - 2) + [gguf.TokenType.CONTROL] * 2)
    out.add_token_merges(["t h"])  # one that makes no token: llama.cpp wants a list
    out.add_eos_token_id(len(words) - 1)
    out.add_bos_token_id(len(words) - 2)
    out.add_add_bos_token(False)

    def weights(name: str, *shape: int) -> None:
        out.add_tensor(name, rng.normal(0, 0.3, shape).astype(np.float32))

    def ones(name: str) -> None:
        out.add_tensor(name, np.ones(SIZE, np.float32))

    weights("token_embd.weight", len(words), SIZE)
    ones("output_norm.weight")
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights(f"blk.{layer}.{name}.weight", SIZE, SIZE)
        weights(f"blk.{layer}.ffn_gate.weight", INNER, SIZE)
        weights(f"blk.{layer}.ffn_up.weight", INNER, SIZE)
        weights(f"blk.{layer}.ffn_down.weight", SIZE, INNER)
        ones(f"blk.{layer}.attn_norm.weight")
        ones(f"blk.{layer}.ffn_norm.weight")
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path
