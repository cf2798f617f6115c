"""Bytes that a LoRA fine-tuning step needs, as formulas of shapes: no torch, no model, no GPU.

Each term is one line of the planner (:mod:`querywright.finetune.plan`). What a layer keeps for its backward pass is
counted tensor by tensor as autograd saves it in torchtune 0.6.1 and in transformers 5 with PEFT 0.18; tests hold the
sums against ``torch.autograd.graph.saved_tensors_hooks``. The loss's constants and the working memory of a layer's
backward pass are read off a replay of all allocations of a step (:mod:`querywright.finetune.allocations`).

The terms by layer follow Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models"
(arXiv:2205.05198), section 4, with frozen weights: the input of a frozen product need not be kept, that of a LoRA A
is. Attention is fused, so nothing grows with the square of the length (Dao et al. 2022, arXiv:2205.14135). NF4 in
blocks of 64 with scalers quantised again in blocks of 256: Dettmers et al. 2023, "QLoRA" (arXiv:2305.14314), section 3.
8-bit moments in blocks of 256, tensors under 4,096 numbers in 32 bit: bitsandbytes' documentation of its optimizers.
"""

from __future__ import annotations

from querywright.finetune.memory_shape import ATTENTION, Setup, Shape, lora_layers, lora_parameters, lora_tensors

NF4_BLOCK, NF4_SCALER_BLOCK = 64, 256
EIGHT_BIT_BLOCK, EIGHT_BIT_SMALLEST = 256, 4096
ANSWER_ROWS = 128  # loss.CHUNK_ROWS
PEFT_ROWS = 1024  # with_peft.CHUNK_ROWS


def nf4_bytes(numbers: int, setup: Setup) -> int:
    """A matrix in NF4: half a byte a number, a byte for each block of 64, one factor for 256 such blocks."""
    blocks = numbers // NF4_BLOCK
    factor = 4 if setup.backend == "peft" else setup.number
    return numbers // 2 + blocks + -(-blocks // NF4_SCALER_BLOCK) * factor


def frozen(shape: Shape, setup: Setup) -> int:
    """The frozen weights on one GPU; embedding, norms and output are never quantised."""
    in_layers = shape.layers * shape.layer_parameters()
    rest = (shape.parameters() - in_layers) * setup.number
    if not setup.quantized:
        return (in_layers * setup.number + rest) // setup.gpus
    return (shape.layers * sum(nf4_bytes(a * b, setup) for a, b in shape.projections().values()) + rest) // setup.gpus


def tables(shape: Shape, setup: Setup) -> int:
    """Cosines and sines of all positions, in 32 bit, one table for all layers; transformers computes them as needed.

    Our packed batches need the joint matrices of q, k, v and of gate and up a second time.
    """
    if setup.backend == "peft":
        return 0
    joint = 0
    if setup.answers_only:
        sizes = shape.projections()
        joint = sum(a * b for name, (a, b) in sizes.items() if name not in ("output_proj", "w2")) * shape.layers
    return shape.positions * shape.head * 4 + joint * setup.number


def lora_weights(shape: Shape, setup: Setup) -> int:
    """The trained weights."""
    return lora_parameters(shape, setup) * setup.number // setup.gpus


def optimizer(shape: Shape, setup: Setup) -> int:
    """Moments: two numbers a weight in the weight's type, or two bytes with a factor a block of 256."""
    if setup.optimizer == "sgd":
        return 0
    tensors = lora_tensors(shape, setup)
    if setup.optimizer == "adamw":
        return (2 * sum(tensors) * setup.number + 4 * len(tensors)) // setup.gpus  # and a step count each
    return (
        sum(2 * 4 * n if n < EIGHT_BIT_SMALLEST else 2 * (n + 4 * -(-n // EIGHT_BIT_BLOCK)) for n in tensors)
        // setup.gpus
    )


def layer_token(shape: Shape, setup: Setup) -> int:
    """Bytes a token that one layer keeps for its backward pass, without checkpointing.

    In order: the norm's output, for the LoRA of q, k and v and of gate and up; q, k and v (torchtune repeats k and v to
    all heads, transformers where there is a mask), attention's output and log-sum; what each A gives; the norms' inputs
    in 32 bit; four times the feed-forward width, or two where ``compile`` computes the product and its first factor
    again; the rotary angles by position; the mask; dropout's outputs and masks.
    """
    e, lora = setup.number, [name for name in setup.lora if name != "output"]
    peft = setup.backend == "peft"
    kv = shape.kv_heads * shape.head if peft and not setup.masked else shape.dim
    kept = e * shape.dim * (any(n in lora for n in ATTENTION[:3]) + any(n in lora for n in ("w1", "w3")))
    kept += e * (2 * shape.dim + 2 * kv) + 4 * shape.heads + e * setup.rank * len(lora)
    kept += 2 * (4 * shape.dim + 4)
    kept += e * shape.hidden * (1 if setup.compile else 3)
    kept += e * shape.hidden * ("w2" in lora)
    if setup.packed and not peft:
        kept += 2 * 4 * shape.head
    if setup.masked:
        kept += e * setup.sequence
    if setup.dropout:
        sizes = shape.projections()
        kept += sum((e + 1) * sizes[name][0] for name in lora)
    return kept


def packed_layer(shape: Shape, setup: Setup) -> int:
    """Bytes that one layer of :mod:`querywright.finetune.packed` keeps for a batch: tokens end to end.

    Attention is padded and not fused there: each slot keeps its weights for all slots of its row.
    """
    kv = 2 * shape.kv_heads * shape.head
    token = 4 * shape.dim + shape.dim + 3 * shape.hidden + len(setup.lora) * setup.rank + 2
    slot = shape.dim + kv + shape.heads * setup.sequence
    tokens = setup.batch * min(setup.row or setup.sequence, setup.sequence)
    return int(setup.number * (tokens * token + setup.tokens * slot))


def kept(shape: Shape, setup: Setup) -> int:
    """Activations on the GPU after the forward pass, without logits."""
    layers = lora_layers(shape, setup)
    if setup.answers_only:
        return layers * packed_layer(shape, setup)
    mask = setup.sequence if setup.masked else 0
    if setup.offloading:
        # five tensors in flight (OffloadActivations.max_fwd_stash_size), and one that is fetched ahead
        return setup.tokens * (setup.number * shape.dim * 6 + mask)
    if setup.checkpointing:  # each layer's input, and that of the last norm
        return setup.tokens * (layers * setup.number * shape.dim + 4 * shape.dim + 4 + mask)
    # with the last norm there are two for each layer but the first, whose input nobody differentiates
    return setup.tokens * (layers * layer_token(shape, setup) + mask)


def offloaded(shape: Shape, setup: Setup) -> int:
    """Activations that wait in the host's memory, pinned."""
    if not setup.offloading:
        return 0
    return setup.gpus * setup.tokens * (lora_layers(shape, setup) * setup.number * shape.dim + 4 * shape.dim)


def logits(shape: Shape, setup: Setup) -> int:
    """Logits and the loss's own memory at their peak.

    Of one token, with ``v`` words and ``e`` bytes a number: whole logits need 12 v (in 32 bit: log-probabilities, their
    gradient, that of the logits); chunked, the logits of all chunks are there (e v), the log-probabilities too (4 v),
    and a chunk in 32 bit. Compiled, the log-probabilities are computed again: (e + 4 / chunks) v, or 10 v whole.
    DPO has no chunks. Our loop on PEFT makes logits of answer tokens only, 1,024 at a time.
    """
    v, e = shape.vocab, setup.number
    if setup.answers_only:
        return 3 * ANSWER_ROWS * v * e
    if setup.backend == "peft":
        return min(setup.tokens, PEFT_ROWS) * (12 + (e if e < 4 else 0)) * v
    if setup.chunks and not setup.dpo:
        token = e * v + 4 * v / setup.chunks + (0 if setup.compile else 4 * v)
    else:
        token = (10 if setup.compile and not setup.dpo else 12) * v
    return int(setup.tokens * token)


def layer_work(shape: Shape, setup: Setup) -> int:
    """Working memory of a layer's backward pass, at its peak: the layer computed again where it is checkpointed, the
    gradients on the way, the largest matrix dequantised or gathered from the other GPUs."""
    e = setup.number
    again = setup.tokens * layer_token(shape, setup) if setup.checkpointing else 0
    largest = shape.dim * shape.hidden
    # torchao unpacks in 64-bit indices, 14.4 bytes a number in all, unless compiled; bitsandbytes has a kernel
    unpacked = largest * (14.4 if setup.backend == "torchtune" and not setup.compile else e) if setup.quantized else 0
    gathered = 2 * shape.layer_parameters() * e if setup.gpus > 1 else 0  # this layer and the next, fetched ahead
    return int(again + setup.tokens * e * 2 * (shape.hidden + shape.dim) + unpacked + gathered)


def largest_phase(shape: Shape, setup: Setup) -> str:
    """Which of the two moments needs more: ``loss`` or ``backward``."""
    return "loss" if logits(shape, setup) >= layer_work(shape, setup) else "backward"


def peak(shape: Shape, setup: Setup) -> dict[str, int]:
    """Bytes on one GPU at the peak of a step, by what they are for; they add up."""
    at_loss = largest_phase(shape, setup) == "loss"
    return {
        "frozen weights": frozen(shape, setup),
        "LoRA weights": lora_weights(shape, setup),
        "LoRA gradients": 0 if at_loss and setup.accumulation == 1 else lora_weights(shape, setup),
        "optimizer": optimizer(shape, setup),
        "tables": tables(shape, setup),
        "activations": kept(shape, setup),
        "logits and loss": logits(shape, setup) if at_loss else 0,
        "backward of a layer": 0 if at_loss else layer_work(shape, setup),
    }
