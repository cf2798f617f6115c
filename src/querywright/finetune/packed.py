"""A training forward pass without wasted work, for CPUs: the same function as torchtune's, fewer operations.

Fine-tuning rows are short and alike: a constant system line, a question, an answer of about thirty
tokens. Padding, the constant line and the logits of the question are most of what a plain training step
computes. This module computes each of them once or never:

- the token rows of a batch lie end to end, ``[T, d]``, without padding (attention alone is padded);
- the tokens that all rows of the batch begin with are computed once for the batch;
- the last layer's output, the final norm and the logits are computed for answer tokens only;
- layers below the first one with LoRA are read without gradients, and where rows are read again, from
  :mod:`querywright.finetune.lower`, not at all;
- q/k/v and gate/up are one matrix product each, with LoRA's update added in place;
- the batch is dealt out to as many Python threads as torch has threads, each with one core and no barriers: on a
  machine that does something else too, waiting for each other after each small product costs more than the product.

``packed_decoder`` turns a torchtune ``TransformerDecoder`` with LoRA layers into one that does this. Parameter
names do not change, so torchtune's checkpoints, merging and PEFT export work on it, and called with plain
``tokens`` it still runs torchtune's own forward pass: tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torchtune.modules import RMSNorm, TransformerDecoder
from torchtune.modules.peft import LoRALinear

from querywright.errors import QuerywrightError
from querywright.finetune.loss import answer_losses, frozen_product
from querywright.finetune.lower import LowerCache
from querywright.finetune.runtime import training_threads

Linears = Callable[[Tensor], Tensor]
Leaf = Callable[[nn.Parameter], Tensor]


class _LoRALinears(Function):
    """Several LoRA linear layers over one input: ``cat([x W_i' + s (x A_i') B_i'])``; W is frozen.

    W may be in bf16 beside x in fp32: only its product is then in bf16, as mixed-precision training has it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: float, *ab: Tensor) -> Tensor:
        """x [T, in], weight [sum(out_i), in], then A_1 [r, in], B_1 [out_1, r], A_2, ... -> [T, sum(out_i)]."""
        a, bs = torch.cat(ab[0::2]), ab[1::2]
        t = (x @ a.T).mul_(scale)  # [T, n*r]
        out = frozen_product(x, weight.T)
        outs, ranks = [b.shape[0] for b in bs], [b.shape[1] for b in bs]
        for part, t_i, b in zip(out.split(outs, 1), t.split(ranks, 1), bs, strict=True):
            part.addmm_(t_i, b.T)
        ctx.save_for_backward(x, weight, a, t, *bs)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, the A and the B; none of the frozen weight."""
        x, weight, a, t, *bs = ctx.saved_tensors
        (dy,) = grads
        outs, ranks = [b.shape[0] for b in bs], [b.shape[1] for b in bs]
        dt, db = torch.empty_like(t), []
        for dy_i, dt_i, t_i, b in zip(dy.split(outs, 1), dt.split(ranks, 1), t.split(ranks, 1), bs, strict=True):
            torch.mm(dy_i, b, out=dt_i)
            db.append(dy_i.T @ t_i)
        dt.mul_(ctx.scale)
        dx = frozen_product(dy, weight).addmm_(dt, a) if ctx.needs_input_grad[0] else None
        da = (dt.T @ x).split(ranks)
        return (dx, None, None, *(g for pair in zip(da, db, strict=True) for g in pair))


class _Norm(Function):
    """RMSNorm with a frozen scale; saves its input and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        """x [T, d] -> [T, d]."""
        rstd = torch.linalg.vector_norm(x, dim=1, keepdim=True).square_().div_(x.shape[1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, rstd)
        return (x * rstd).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of x only."""
        x, scale, rstd = ctx.saved_tensors
        g = grads[0] * scale
        c = (g * x).sum(1, keepdim=True).mul_(rstd.pow(3)).div_(-x.shape[1])
        return g.mul_(rstd).addcmul_(x, c), None, None


class _Gate(Function):
    """``silu(gate) * up`` from the joint output of both projections; recomputes silu instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        """gate_up [T, 2h] -> [T, h]."""
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, 1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Gradient of gate_up, written into one buffer."""
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, 1)
        out = torch.empty_like(gate_up)
        d_gate, d_up = out.chunk(2, 1)
        torch.mul(grads[0], F.silu(gate), out=d_up)
        torch.ops.aten.silu_backward.grad_input(grads[0] * up, gate, grad_input=d_gate)
        return out


class _Pad(Function):
    """Token rows [T, d] to padded sequences [B, L, d]; the shared prefix is copied to each sequence."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor, slots: Tensor, prefix: int) -> Tensor:
        """source [B, L]: row of x for each slot; slots [T]: slot of each row."""
        ctx.save_for_backward(slots)
        ctx.prefix, ctx.shape = prefix, source.shape
        return x.index_select(0, source.view(-1)).view(*source.shape, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Sum over the copies of the prefix; every other row has one slot."""
        (slots,) = ctx.saved_tensors
        dx = grads[0].reshape(-1, grads[0].shape[-1]).index_select(0, slots)
        if ctx.prefix:
            dx[: ctx.prefix] = grads[0][:, : ctx.prefix].sum(0)
        return dx, None, None, None


class _Unpad(Function):
    """Padded sequences [B*L, d] to the rows that ``slots`` names; no slot occurs twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: Tensor) -> Tensor:
        """x [B*L, d], slots [n] -> [n, d]."""
        ctx.save_for_backward(slots)
        ctx.rows = x.shape[0]
        return x.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Zero where no row was taken."""
        (slots,) = ctx.saved_tensors
        return grads[0].new_zeros(ctx.rows, grads[0].shape[1]).index_copy_(0, slots, grads[0]), None


class _Joint:
    """Several layers on one input as one product; the joint frozen weight is built once for all threads."""

    def __init__(self, *layers: LoRALinear | nn.Linear, dtype: torch.dtype) -> None:
        weights = [layer.weight.detach() for layer in layers]
        self.weight = (torch.cat(weights) if len(weights) > 1 else weights[0]).to(dtype)
        tuned = [layer for layer in layers if isinstance(layer, LoRALinear)]
        self.ab = [p for layer in tuned for p in (layer.lora_a.weight, layer.lora_b.weight)]
        self.scale = tuned[0].alpha / tuned[0].rank if tuned else 0.0

    def on(self, leaf: Leaf | None) -> Linears:
        """The function of one thread, which has leaves of its own for the same LoRA numbers; None: without LoRA."""
        ab = [leaf(p) for p in self.ab] if leaf else []
        if not ab:
            return lambda x: frozen_product(x, self.weight.T)
        return lambda x: _LoRALinears.apply(x, self.weight, self.scale, *ab)


def _norm(norm: RMSNorm) -> Linears:
    return lambda x: _Norm.apply(x, norm.scale.detach(), norm.eps)


def _attention(q: Tensor, k: Tensor, v: Tensor, future: Tensor) -> Tensor:
    """Causal attention for short rows, faster here than the fused kernel, which splits such small work badly.

    q [B, kv_heads * group, L, d], k and v [B, kv_heads, L, d], future [L, L] with -inf above the diagonal
    -> [B * L, heads * d]. The heads that share a key are stacked, so keys are not copied.
    """
    b, heads, n, d = q.shape
    group = heads // k.shape[1]
    stacked = q.reshape(b * k.shape[1], group * n, d)
    keys, values = k.reshape(-1, n, d), v.reshape(-1, n, d)
    mask = future.repeat(group, 1).expand(len(stacked), -1, -1)
    weights = torch.baddbmm(mask, stacked, keys.transpose(1, 2), alpha=d**-0.5).softmax(-1)
    return (weights @ values).view(b, heads, n, d).transpose(1, 2).reshape(b * n, -1)


class _Block:
    """One decoder layer over packed token rows; holds functions, not modules, so that no parameter is renamed."""

    def __init__(self, layer: Any, joints: Sequence[_Joint], leaf: Leaf | None) -> None:
        self.heads, self.kv_heads, self.head_dim = layer.attn.num_heads, layer.attn.num_kv_heads, layer.attn.head_dim
        self.qkv, self.out, self.gate_up, self.down = (joint.on(leaf) for joint in joints)
        self.attn_norm, self.mlp_norm = _norm(layer.sa_norm), _norm(layer.mlp_norm)

    def __call__(
        self, x: Tensor, rope: Tensor, future: Tensor, part: dict[str, Tensor], keep: Tensor | None = None
    ) -> Tensor:
        """x [T, d] -> [T, d]; with ``keep`` [n] only those rows, [n, d]."""
        source, slots = part["source"], part["slots"]
        width = (self.heads + self.kv_heads) * self.head_dim
        qk, v = self.qkv(self.attn_norm(x)).split([width, self.kv_heads * self.head_dim], 1)
        # torchtune's checkpoints hold q and k for interleaved pairs: rotation is one complex product
        pairs = torch.view_as_complex(qk.reshape(qk.shape[0], -1, self.head_dim // 2, 2))
        qk = torch.view_as_real(pairs * rope).view(qk.shape)
        rows = _Pad.apply(torch.cat([qk, v], 1), source, slots, int(part["prefix"]))
        rows = rows.view(*source.shape, -1, self.head_dim).transpose(1, 2)  # [B, heads, L, head_dim]
        # rows are padded on the right: causality keeps padding out of every real token
        q, k, v = rows.split([self.heads, self.kv_heads, self.kv_heads], 1)
        y = _attention(q, k, v, future)
        y = _Unpad.apply(y, slots if keep is None else slots[keep])
        x = (x if keep is None else x[keep]) + self.out(y)
        return x + self.down(_Gate.apply(self.gate_up(self.mlp_norm(x))))


class _Replica:
    """What one thread needs: leaves that share the LoRA numbers, and blocks with them, or, not ``tuned``, without."""

    def __init__(self, model: PackedDecoder, joints: Sequence[Sequence[_Joint]], tuned: bool = True) -> None:
        own = {id(p): p.detach().requires_grad_() for row in joints for joint in row for p in joint.ab}
        self.leaves = list(own.values())
        self.blocks = [
            _Block(layer, row, (lambda p: own[id(p)]) if tuned else None)
            for layer, row in zip(model.layers, joints, strict=True)
        ]
        self.frozen = sum(not any(joint.ab for joint in row) for row in joints)  # the lowest layers
        self.cache = model.lower_cache if self.frozen else None
        self.embedding, self.output = model.tok_embeddings.weight.detach(), model._output
        self.norm = _norm(model.norm)
        self.rope_cache = model.layers[0].attn.pos_embeddings.cache  # [max_seq_len, head_dim/2, 2]

    def losses(self, part: dict[str, Tensor]) -> Tensor:
        """Cross entropy of each of the part's answer tokens, [n]."""
        dtype = self.embedding.dtype
        rope = torch.view_as_complex(self.rope_cache[part["positions"]].contiguous()).to(dtype.to_complex())
        rope, n = rope.unsqueeze(1), part["source"].shape[1]  # [T, 1, head_dim/2]
        future = self.embedding.new_full((n, n), float("-inf")).triu(1)
        with torch.no_grad():
            x = self._lower(rope, future, part)
        for block in self.blocks[self.frozen : -1]:
            x = block(x, rope, future, part)
        x = self.blocks[-1](x, rope, future, part, keep=part["answers"])
        return answer_losses(self.norm(x), self.output, part["targets"])

    def _lower(self, rope: Tensor, future: Tensor, part: dict[str, Tensor]) -> Tensor:
        """What the first layer with LoRA reads, [T, d]: from the cache where all rows of the part are in it."""
        rows, prefix = part["rows"].tolist(), int(part["prefix"])
        cache = self.cache if rows else None
        if cache is not None and (kept := cache.get(rows, self.embedding.dtype)):
            return torch.cat([kept[0][:prefix], *(x[prefix:] for x in kept)])
        x = F.embedding(part["tokens"], self.embedding)
        for block in self.blocks[: self.frozen]:
            x = block(x, rope, future, part)
        if cache is not None:
            x = cache.rounded(x)
            rest = x[prefix:].split([n - prefix for n in part["lengths"].tolist()])
            for row, own in zip(rows, rest, strict=True):
                cache.put(row, torch.cat([x[:prefix], own]))
        return x

    def loss_and_gradients(self, part: dict[str, Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """The loss and its gradients for the leaves."""
        with torch.enable_grad():
            loss = self.losses(part).sum()
            return loss.detach(), torch.autograd.grad(loss, self.leaves)


# a loss and its gradients for a replica's leaves
Work = Callable[[_Replica], tuple[Tensor, Sequence[Tensor]]]


class _BatchLoss(Function):
    """Sum of the parts' losses. Forward takes the gradients on the way, in threads; backward hands them out."""

    @staticmethod
    def forward(ctx: Any, model: PackedDecoder, work: Sequence[Work], *lora: Tensor) -> Tensor:
        """Summed loss, shape []; ``lora`` is there so that autograd asks for its gradients."""
        if len(work) == 1:
            done = [work[0](model.replicas(1)[0])]
        else:
            jobs = zip(model.replicas(len(work))[: len(work)], work, strict=True)
            done = [job.result() for job in [model.pool.submit(do, r) for r, do in jobs]]
        total, grads = done[0][0], list(done[0][1])
        for loss, more in done[1:]:
            total = total + loss
            torch._foreach_add_(grads, list(more))
        ctx.grads = grads
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, scaled as the recipe scaled the loss."""
        torch._foreach_mul_(ctx.grads, grads[0])
        return None, None, *ctx.grads


class PackedDecoder(TransformerDecoder):
    """torchtune's decoder with a second way through it for packed batches; see the module's text."""

    lower_cache: LowerCache | None = None
    frozen_dtype: torch.dtype | None = None  # of the frozen weights in products; default: as they are

    def forward(self, tokens: Tensor | None = None, *, parts: dict[str, Any] | None = None, **plain: Any) -> Any:
        """``tokens`` [b, s]: torchtune's forward, logits [b, s, v]. ``parts`` of a packed batch
        (:func:`querywright.finetune.batch.collate_packed`): a list with the mean loss of its answer tokens, which
        :class:`querywright.finetune.loss.AnswerLoss` passes on."""
        if parts is None:
            return super().forward(tokens, **plain)
        rows = list(parts.values())
        total = self.summed([partial(_Replica.loss_and_gradients, part=part) for part in rows])
        return [total / sum(len(part["targets"]) for part in rows)]

    def summed(self, work: Sequence[Work]) -> Tensor:
        """Sum of the losses of several pieces of work, shape [], done in the pool's threads, each with a replica."""
        self.replicas(1)
        total: Tensor = _BatchLoss.apply(self, work, *self._lora)
        return total

    def replicas(self, n: int) -> list[_Replica]:
        """At least ``n`` replicas, made at the first step: the checkpoint is loaded by then."""
        if not hasattr(self, "_replicas"):
            dtype = self.frozen_dtype or self.tok_embeddings.weight.dtype
            self._output = self.tok_embeddings.weight.detach().to(dtype)
            self._joints = [_joints(layer, dtype) for layer in self.layers]
            self._lora = [p for row in self._joints for joint in row for p in joint.ab]
            self._replicas: list[_Replica] = []
            self.reference = _Replica(self, self._joints, tuned=False)  # the model as it was: it has no gradients
            # OpenMP's thread count is a setting of each thread: one core for each of ours
            self.pool = ThreadPoolExecutor(training_threads(), "packed", torch.set_num_threads, (1,))
        while len(self._replicas) < n:
            self._replicas.append(_Replica(self, self._joints))
        return self._replicas


def _joints(layer: Any, dtype: torch.dtype) -> list[_Joint]:
    attn, mlp = layer.attn, layer.mlp
    groups = ([attn.q_proj, attn.k_proj, attn.v_proj], [attn.output_proj], [mlp.w1, mlp.w3], [mlp.w2])
    return [_Joint(*group, dtype=dtype) for group in groups]


def packed_decoder(
    model: nn.Module, last_layers: int | None = None, cache: bool = False, frozen_dtype: torch.dtype | None = None
) -> Any:
    """Give a torchtune decoder whose projections all carry LoRA the packed way through it, in place.

    ``last_layers`` keeps LoRA on so many of the uppermost layers and takes it from the others; ``cache`` keeps what
    those others give for each row (:mod:`querywright.finetune.lower`), which pays from the second epoch on.
    ``frozen_dtype``: products with frozen weights in this type, all else as it is.
    """
    model.__class__ = PackedDecoder
    decoder: Any = model
    if last_layers is not None:
        layers = decoder.layers
        if not 0 < last_layers <= len(layers):
            raise QuerywrightError(
                f"lora_last_layers is {last_layers}: the model has {len(layers)} layers", hint=f"1 to {len(layers)}"
            )
        for layer in layers[: len(layers) - last_layers]:
            for parent, name in _projections(layer):
                lora = getattr(parent, name)
                plain = nn.Linear(lora.in_dim, lora.out_dim, bias=False, device="meta")
                plain.weight = lora.weight
                setattr(parent, name, plain)
    decoder.frozen_dtype = frozen_dtype
    if cache:
        decoder.lower_cache = LowerCache(decoder.tok_embeddings.weight.shape[1])
    return decoder


def _projections(layer: Any) -> list[tuple[Any, str]]:
    attention = [(layer.attn, name) for name in ("q_proj", "k_proj", "v_proj", "output_proj")]
    return [*attention, *((layer.mlp, name) for name in ("w1", "w2", "w3"))]
