"""The shapes of a model and the settings of a training run, as far as memory and time depend on them; no torch."""

from __future__ import annotations

from dataclasses import dataclass

ATTENTION = ("q_proj", "k_proj", "v_proj", "output_proj")
MLP = ("w1", "w2", "w3")  # gate, down, up


@dataclass(frozen=True)
class Shape:
    """A decoder of Llama's kind.

    Attributes:
        dim, hidden: width of the residual stream and of the feed-forward layer.
        positions: longest sequence, which is how long the table of rotary angles is.
        tied: the output matrix is the embedding.
    """

    name: str
    vocab: int
    layers: int
    heads: int
    kv_heads: int
    dim: int
    hidden: int
    positions: int
    tied: bool

    @property
    def head(self) -> int:
        """Numbers a head."""
        return self.dim // self.heads

    def projections(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one decoder layer: name -> (in, out)."""
        kv = self.kv_heads * self.head
        attention = {"q_proj": self.dim, "k_proj": kv, "v_proj": kv, "output_proj": self.dim}
        return {
            **{name: (self.dim, out) for name, out in attention.items()},
            "w1": (self.dim, self.hidden),
            "w2": (self.hidden, self.dim),
            "w3": (self.dim, self.hidden),
        }

    def layer_parameters(self) -> int:
        """Weights of one layer's linear layers."""
        return sum(a * b for a, b in self.projections().values())

    def parameters(self) -> int:
        """All weights: layers, their two norms, the last norm, the embedding, and the output where it is its own."""
        return (
            self.layers * (self.layer_parameters() + 2 * self.dim)
            + self.dim
            + self.vocab * self.dim * (1 if self.tied else 2)
        )


@dataclass(frozen=True)
class Setup:
    """What of a training config decides its memory and time.

    Attributes:
        batch, sequence: rows of a batch and tokens of its longest row; packed rows are full.
        lora: names of :meth:`Shape.projections` that carry LoRA, and ``output``.
        number: bytes of a number of weights and activations: 2 for bf16, 4 for fp32.
        chunks: parts in which the loss turns logits to 32 bit; 0: all at once.
        accumulation: batches of a step; from the second on, gradients are there while the loss is computed.
        optimizer: ``adamw``, ``adamw8bit``, ``paged8bit`` or ``sgd``.
        gpus: over how many FSDP splits weights, gradients and moments.
        answers_only: our packed batches: logits of answer tokens only, attention padded.
        masked: packed rows are kept apart by a mask of ``sequence**2`` and not by flex attention: on a CPU, and in
            transformers.
        row: mean tokens of a row in the largest batch, where ``answers_only`` lays rows end to end.
        trained_layers: LoRA on so many of the uppermost layers; ``cached``: what the others give is kept over epochs.
    """

    batch: int
    sequence: int
    rank: int
    lora: tuple[str, ...] = (*ATTENTION, *MLP)
    dropout: float = 0.0
    number: int = 2
    quantized: bool = False
    backend: str = "torchtune"
    checkpointing: bool = False
    offloading: bool = False
    chunks: int = 0
    compile: bool = False
    optimizer: str = "adamw"
    accumulation: int = 1
    gpus: int = 1
    dpo: bool = False
    packed: bool = False
    answers_only: bool = False
    masked: bool = False
    trained_layers: int | None = None
    cached: bool = False
    row: float | None = None

    @property
    def rows(self) -> int:
        """Rows in a forward pass: for DPO the chosen and the rejected ones."""
        return self.batch * (2 if self.dpo else 1)

    @property
    def tokens(self) -> int:
        """Tokens in a forward pass."""
        return self.rows * self.sequence


def lora_layers(shape: Shape, setup: Setup) -> int:
    """Layers with LoRA."""
    return shape.layers if setup.trained_layers is None else min(setup.trained_layers, shape.layers)


def lora_tensors(shape: Shape, setup: Setup) -> list[int]:
    """Numbers of each LoRA tensor: ``rank * in`` for A, ``rank * out`` for B."""
    sizes = shape.projections()
    layer = [setup.rank * side for name in setup.lora if name in sizes for side in sizes[name]]
    found = layer * lora_layers(shape, setup)
    return found + ([setup.rank * shape.dim, setup.rank * shape.vocab] if "output" in setup.lora else [])


def lora_parameters(shape: Shape, setup: Setup) -> int:
    """Weights that are trained."""
    return sum(lora_tensors(shape, setup))
