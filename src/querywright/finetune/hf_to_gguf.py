"""A Hugging Face folder of the Llama architecture plus an adapter as a GGUF of 16 bit, one weight in memory at a time.

What it writes is what llama.cpp's converter writes, byte for byte, out of the same package `gguf`: names from its
tensor map, query and key rows in pairs, the factors of Llama 3.1's and 3.2's rope scaling as the tensor `rope_freqs`,
the tokenizer out of tokenizer.json. The converter itself is no package: it comes with llama.cpp's sources only, as a
folder of modules that changes with them, would have to be fetched, and guesses how text is cut from a hash of some
sample's tokens, where a family knows it. Smaller kinds are made from the file by llama.cpp (`beside`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.errors import QuerywrightError, need
from querywright.finetune.family import Family, read_config, rope_of
from querywright.finetune.merge import fits, shapes, shards, weights
from querywright.finetune.to_gguf import interleave
from querywright.finetune.vocabulary import read_vocabulary
from querywright.progress import track

if TYPE_CHECKING:
    import numpy as np

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # llama.cpp's kinds of token


def write_hf_gguf(base: Path, added: Mapping[str, np.ndarray], target: Path, name: str, family: Family) -> None:
    """Write ``base`` plus ``added`` (checkpoint names, [out, in]) to ``target`` as F16; vectors stay float32.

    The sum is made in float32 and rounded once, to float16, which holds more digits than the base's bfloat16.

    Raises:
        QuerywrightError: the adapter does not fit, the base is not whole, or a weight has no place in llama.cpp.
    """
    gguf = need("gguf", extra="llama")
    import numpy as np

    config = read_config(base)
    fits(base, added)
    layers = int(config["num_hidden_layers"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    heads = {"attn_q": int(config["num_attention_heads"])}
    heads["attn_k"] = int(config.get("num_key_value_heads") or heads["attn_q"])
    tied = bool(config.get("tie_word_embeddings"))
    there, files = shapes(base), shards(base)
    factors = rope_factors(config)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer = gguf.GGUFWriter(part, "llama")
        _settings(gguf, writer, base, config, name, family)
        if factors is not None:
            writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
        plan: list[tuple[str, str, str]] = []
        for file, held in files.items():
            for key in held:
                if key.endswith(".rotary_emb.inv_freq") or (tied and key == "lm_head.weight"):
                    continue  # computed from the settings; the embedding itself
                tensor = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if tensor is None:
                    raise QuerywrightError(f"{base}: llama.cpp's Llama has no {key}", hint="export without GGUF kinds")
                shape = there[key][1]
                kind = np.dtype("float32" if len(shape) == 1 else "float16")
                writer.add_tensor_info(tensor, shape, kind, math.prod(shape) * kind.itemsize)
                plan.append((file, key, tensor))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors is not None:
            writer.write_tensor_data(factors)
        with np.errstate(over="ignore"):
            for file, key, tensor in track(plan, f"writing {target.name}"):
                [(_, weight)] = weights(base, added, [key], file, wide=True)
                data = weight.numpy()
                if tensor.split(".")[-2] in heads:
                    data = interleave(data, heads[tensor.split(".")[-2]])
                half = np.ascontiguousarray(data if data.ndim == 1 else data.astype("float16"))
                if not np.isfinite(half).all():
                    raise QuerywrightError(f"{key} holds a number that 16 bit do not hold", hint="the base is damaged")
                writer.write_tensor_data(half)
        writer.close()
        os.replace(part, target)
    except OSError as error:
        raise QuerywrightError(
            f"could not write {target}: {error.strerror or error}", hint="free some space"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def rope_factors(config: Mapping[str, Any]) -> np.ndarray | None:
    """What llama.cpp divides the rotary frequencies by, float32 [head size / 2]; None where they are not scaled.

    Llama 3.1's rule: waves shorter than a quarter of the original context stay, those longer than the whole context are
    stretched by `factor`, between the two it goes over smoothly (transformers' `_compute_llama3_parameters`).
    """
    import numpy as np

    rope = rope_of(config)
    if rope["type"] != "llama3":
        return None
    size = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    factor, low, high = (float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(rope["original_max_position_embeddings"])
    waves = 2 * math.pi * rope["theta"] ** (np.arange(0, size, 2, dtype="float64") / size)
    smooth = np.clip((context / waves - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / factor + smooth)).astype("float32")


def _settings(gguf: Any, writer: Any, base: Path, config: dict[str, Any], name: str, family: Family) -> None:
    """All that is no weight: shape, rope, tokenizer, chat template."""
    heads = int(config["num_attention_heads"])
    size = int(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_license(family.licence)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_rope_freq_base(rope_of(config)["theta"])
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    known = read_vocabulary(base)
    tokens = [f"[PAD{i}]" for i in range(int(config["vocab_size"]))]
    kinds = [UNUSED] * len(tokens)
    for text, token in known.tokens.items():
        tokens[token], kinds[token] = text, NORMAL
    for text, token in known.added.items():
        tokens[token], kinds[token] = text, CONTROL if text in known.special else USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(family.pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(known.merges)
    if family.begin:
        writer.add_bos_token_id(known.added[family.begin])
    writer.add_add_bos_token(bool(family.begin))
    end = known.added[family.end]
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_chat_template(family.template)
