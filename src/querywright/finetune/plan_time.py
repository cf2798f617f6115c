"""How long training takes: operations of a step, the share of a device's peak that is reached, rows at hand."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from querywright.finetune.memory_shape import Setup, Shape, lora_layers, lora_parameters
from querywright.finetune.plan_device import Device
from querywright.finetune.plan_shapes import sources_of

# Share of the dense bf16 peak that torchtune reaches, work done again under checkpointing counted. From the table of
# torchtune 0.6.1's README for an A100: Llama 3.2 3B, 2 x 4096 packed, LoRA with checkpointing and compile, 8,210
# tokens/s; without compile its other rows are 21 % slower. What DeepSpeed, Megatron and others reach on large jobs is
# more; short sequences reach less.
COMPILED, EAGER = 0.47, 0.37
WHERE = "torchtune 0.6.1's README, A100"
# The share of the measured matrix product that a training step on the CPU reaches; an assumption: products are about
# half of the time of our packed step on SmolLM2-135M where the cores are free.
ON_CPU = 0.5
# bytes moved to dequantise a number of NF4: fused by compile, else torchao's eager chain; the README's QLoRA rows
FUSED_NF4, EAGER_NF4 = 5.0, 36.0
EACH_GPU = 0.9  # of one more GPU's speed, FSDP over a fast link; an assumption
SAMPLE = 2000


@dataclass(frozen=True)
class Rows:
    """The rows at hand.

    Attributes:
        rows, tokens: all of them; longest: tokens of the longest row.
        computed: tokens that go through the model: with the padding of batches, or without what our packed batches
            compute once for all their rows.
        largest: tokens a row in the largest batch, counted like ``computed``.
        counted: how the tokens were found.
    """

    rows: int
    tokens: int
    longest: int
    computed: int
    largest: float
    counted: str


def count_rows(cfg: Any, setup: Setup) -> Rows | None:
    """Rows and tokens of the config's dataset files, at most 2,000 rows read token by token; None without files.

    Where the tokenizer is not there yet, a token is taken for 3 characters.
    """
    texts = [text for source in sources_of(cfg) for text in _texts(Path(source), setup.dpo)]
    if not texts:
        return None
    some = texts if len(texts) <= SAMPLE else random.Random(0).sample(texts, SAMPLE)
    count, how = _counter(cfg)
    lengths = [count(turns) for turns in some]
    groups = [lengths[i : i + setup.rows] for i in range(0, len(lengths), setup.rows)]
    if setup.packed:
        batches = [float(sum(group)) for group in groups]
    elif setup.answers_only:
        first = some[0][0]
        shared = count([first]) if all(turns[0] == first for turns in some) else 0
        batches = [float(sum(group) - shared * (len(group) - 1)) for group in groups]
    else:
        batches = [float(max(group) * len(group)) for group in groups]
    scale = len(texts) / len(some)
    largest = max(batch / len(group) for batch, group in zip(batches, groups, strict=True))
    return Rows(len(texts), int(sum(lengths) * scale), max(lengths), int(sum(batches) * scale), largest, how)


def longest_line(cfg: Any) -> int | None:
    """Tokens of the longest row, at 3 characters a token of its line in the file: rather too many; None without one."""
    longest = 0
    for source in sources_of(cfg):
        with Path(source).open("rb") as lines:
            longest = max(longest, *(len(line) // 3 for line in lines), 0)
    return longest or None


def _texts(path: Path, dpo: bool) -> list[list[str]]:
    """The messages' texts of each row; for DPO the chosen and the rejected conversation are a row each."""
    if not dpo:
        from querywright.finetune.chat_rows import read_rows

        return [[m["content"] for m in row] for row in read_rows(path)]
    from querywright.finetune.preferences import read_preferences

    both = [(p.prompt, answer) for p in read_preferences(path) for answer in (p.chosen, p.rejected)]
    return [[m["content"] for m in (*prompt, *answer)] for prompt, answer in both]


def _counter(cfg: Any) -> tuple[Any, str]:
    """A function from a row's texts to its tokens, markers of the chat format among them, and how it counts."""
    marks = 5  # tokens around each message
    path = Path(str(cfg.tokenizer.get("path", "")))
    if path.suffix == ".json" and path.is_file():
        from tokenizers import Tokenizer

        words = Tokenizer.from_file(str(path))
        return lambda turns: sum(len(words.encode(t, add_special_tokens=False)) + marks for t in turns), "counted"
    if path.is_file():
        from torchtune.models.llama3 import Llama3Tokenizer

        llama = Llama3Tokenizer(str(path))
        return lambda turns: sum(len(llama.encode(t, add_bos=False, add_eos=False)) + marks for t in turns), "counted"
    return lambda turns: sum(len(t) // 3 + marks for t in turns), "3 characters a token: the tokenizer is not there yet"


@dataclass(frozen=True)
class Work:
    """Operations of one token: ``model`` without, ``done`` with what checkpointing computes again."""

    model: float
    done: float


def work(shape: Shape, setup: Setup, row: int | None = None) -> Work:
    """Floating-point operations a token: 2 a weight forward, 2 backward (activations only: the weights are frozen), 2
    for the layers that checkpointing computes again, attention by the mean of what a token sees.

    Kaplan et al. 2020 (arXiv:2001.08361), section 2.1, without the third 2 N, the gradient of frozen weights.

    Args:
        row: tokens of a mean row; default: as long as ``setup.sequence``.
    """
    layers, trained = shape.layers * shape.layer_parameters(), lora_layers(shape, setup) / shape.layers
    output = shape.vocab * shape.dim * (0.5 if setup.answers_only else 1.0)
    seen = (min(row, setup.sequence) if row else setup.sequence) / 2
    attention = 4 * shape.dim * seen * shape.layers
    lora = 2 * lora_parameters(shape, setup)
    below = trained if setup.cached else 1.0
    forward = 2 * (layers * below + output) + attention * below + lora
    backward = 2 * (layers * trained + output) + 2.5 * attention * trained + 2 * lora
    again = (2 * layers + attention) * trained + lora if setup.checkpointing else 0.0
    reference = 2 * (layers + output) + attention if setup.dpo else 0.0
    model = forward + backward + reference
    return Work(model, model + again)


def tokens_a_second(
    shape: Shape, setup: Setup, device: Device, mfu: float | None = None, row: int | None = None
) -> float:
    """Tokens a second over all GPUs; padding counts.

    Args:
        mfu: share of the peak that ``work().model`` reached where it was measured; default: the constants above.
    """
    if not device.flops:
        return 0.0
    found = work(shape, setup, row)
    if mfu:
        seconds = found.model / (device.flops * mfu)
    else:
        seconds = found.done / (device.flops * utilisation(setup, device))
        if setup.quantized and device.bandwidth:
            passes = 3 if setup.checkpointing else 2
            each = FUSED_NF4 if setup.compile or setup.backend == "peft" else EAGER_NF4
            numbers = shape.layers * shape.layer_parameters()
            seconds += passes * each * numbers / device.bandwidth / setup.tokens
    return setup.gpus * (EACH_GPU if setup.gpus > 1 else 1.0) / seconds


def utilisation(setup: Setup, device: Device) -> float:
    """The share of the device's peak that is assumed, see the constants of this module."""
    if device.cpu:
        return ON_CPU
    return COMPILED if setup.compile else EAGER


def time_factor(shape: Shape, setup: Setup, device: Device, **changes: Any) -> float:
    """Seconds with ``changes`` to the setup over seconds without."""
    now, then = (tokens_a_second(shape, s, device) for s in (setup, replace(setup, **changes)))
    return now / then if now and then else 1.0
