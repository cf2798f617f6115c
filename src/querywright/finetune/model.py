"""SmolLM2 for torchtune, with LoRA: the numbers of the model card and the packed forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from querywright.errors import QuerywrightError

ALL_ATTENTION = ("q_proj", "k_proj", "v_proj", "output_proj")

SMOLLM2_135M: dict[str, Any] = {
    "vocab_size": 49152,
    "num_layers": 30,
    "num_heads": 9,
    "num_kv_heads": 3,
    "embed_dim": 576,
    "intermediate_dim": 1536,
    "max_seq_len": 8192,
    "norm_eps": 1e-5,
    "rope_base": 100_000,
    # torchtune's Llama 3.2 builder stretches positions by 32 unless told: logits would be wrong without an error
    "scale_factor": 1,
    "tie_word_embeddings": True,
}


def lora_smollm2_135m(
    lora_attn_modules: Sequence[str] = ALL_ATTENTION,
    apply_lora_to_mlp: bool = True,
    lora_rank: int = 16,
    lora_alpha: float = 32,
    lora_dropout: float = 0.0,
    lora_last_layers: int | None = None,
    cache_lower_layers: bool = False,
    frozen_products: str = "auto",
) -> Any:
    """SmolLM2-135M with LoRA layers, as a torchtune ``TransformerDecoder``.

    With LoRA on every projection and no dropout it is a :class:`querywright.finetune.packed.PackedDecoder`, which takes
    packed batches too; otherwise it is torchtune's own class, for plain batches.

    Args:
        lora_last_layers: LoRA on so many of the uppermost layers only; default: on all 30.
        cache_lower_layers: with that, and packed batches: keep what the layers below give for each row in a temporary
            file (1.2 kB a token), so that epochs after the first start from there.
        frozen_products: ``fp32`` or ``bf16``, the type of products with frozen weights in packed batches (LoRA, norms,
            softmax and loss stay in fp32); ``auto``: bf16 where the CPU has AMX, on which it is several times as fast.

    Raises:
        QuerywrightError: ``lora_last_layers`` without LoRA on every projection, or not 1 to 30.
    """
    from torchtune.models.llama3_2 import lora_llama3_2

    from querywright.finetune.runtime import keep_freed_memory, product_dtype

    keep_freed_memory()
    model = lora_llama3_2(
        lora_attn_modules=list(lora_attn_modules),
        apply_lora_to_mlp=apply_lora_to_mlp,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
        **SMOLLM2_135M,
    )
    if set(lora_attn_modules) == set(ALL_ATTENTION) and apply_lora_to_mlp and not lora_dropout:
        from querywright.finetune.packed import packed_decoder

        return packed_decoder(model, lora_last_layers, cache_lower_layers, product_dtype(frozen_products))
    if lora_last_layers is not None:
        raise QuerywrightError(
            "lora_last_layers goes with LoRA on every projection and without dropout",
            hint="lora_attn_modules=[q_proj,k_proj,v_proj,output_proj] apply_lora_to_mlp=true lora_dropout=0",
        )
    return model
