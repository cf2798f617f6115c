"""The packed way through the model is the plain one: same loss, same gradients, for any split of the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torchtune.data import padded_collate_sft
from torchtune.models.llama3_2 import lora_llama3_2
from torchtune.modules.peft import get_adapter_params, set_trainable_params

from querywright.finetune.batch import collate_packed, shared_prefix
from querywright.finetune.loss import AnswerLoss, answer_losses
from querywright.finetune.model import ALL_ATTENTION
from querywright.finetune.packed import PackedDecoder, packed_decoder

IGNORE = -100


@pytest.fixture(scope="module")
def model() -> PackedDecoder:
    """A small decoder of SmolLM2's kind (grouped heads, tied words), in float64 so that differences mean something."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 97, "num_layers": 3, "num_heads": 6, "num_kv_heads": 2, "embed_dim": 48}
    more = {"intermediate_dim": 80, "max_seq_len": 64, "rope_base": 10_000, "scale_factor": 1}
    built = lora_llama3_2(list(ALL_ATTENTION), apply_lora_to_mlp=True, lora_rank=4, lora_alpha=8, **sizes, **more)
    for name, parameter in built.named_parameters():
        if "lora_b" in name:
            torch.nn.init.normal_(parameter, std=0.1)
        if name.endswith("scale"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    set_trainable_params(built, get_adapter_params(built))
    return packed_decoder(built.double())


def batch_of(*lengths: tuple[int, int], prefix: int = 5) -> list[dict[str, Any]]:
    """Rows with ``prefix`` tokens in common, then some of a question and some of an answer."""
    torch.manual_seed(sum(map(sum, lengths)))
    head = torch.randint(0, 97, (prefix,)).tolist()
    rows = []
    for asked, answered in lengths:
        tokens = [*head, *torch.randint(0, 97, (asked + answered + 1,)).tolist()]
        labels = [IGNORE] * (prefix + asked) + tokens[prefix + asked : -1] + [IGNORE]
        rows.append({"tokens": tokens, "labels": labels})
    return rows


def step(model: PackedDecoder, batch: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    """What torchtune's recipe does with a batch: labels shifted by one, loss, gradients."""
    labels = batch.pop("labels")
    outputs = model(**batch)
    labels = torch.hstack((labels[..., 1:], torch.full((labels.shape[0], 1), IGNORE)))
    if not isinstance(outputs, list):
        labels, outputs = labels.reshape(-1), outputs.reshape(-1, outputs.size(-1))
    loss = AnswerLoss()(outputs, labels)
    (loss * 3).backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return loss.item(), grads


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize(
    "rows",
    [
        batch_of((4, 3), (7, 9), (1, 1), (12, 2), (3, 6)),
        batch_of((4, 3), (4, 3), prefix=0),
        batch_of((0, 8), (0, 2)),  # the prefix's last token predicts the first answer token: not shared
        batch_of((9, 4)),
    ],
)
def test_same_as_plain(model: PackedDecoder, rows: list[dict[str, Any]], parts: int) -> None:
    plain, expected = step(model, padded_collate_sft(rows, padding_idx=0, ignore_idx=IGNORE))
    packed, found = step(model, collate_packed(rows, 0, IGNORE, parts=parts))
    # unembedding is in float32 in torchtune's forward: that is the precision to expect
    assert packed == pytest.approx(plain, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


def test_only_answer_tokens_count() -> None:
    rows = batch_of((4, 3), (7, 9))
    batch = collate_packed(rows, 0, IGNORE, parts=1)
    assert (batch["labels"] != IGNORE).sum() == 3 + 9
    part = batch["parts"]["0"]
    assert part["prefix"] == 5
    assert len(part["tokens"]) == 5 + (4 + 3) + (
        7 + 9
    )  # no padding, the prefix once, the last token of each row left out
    follows = part["tokens"].tolist()
    for at, target in zip(part["answers"].tolist(), part["targets"].tolist(), strict=True):
        last = at + 1 == len(follows) or part["positions"][at + 1] != part["positions"][at] + 1
        assert last or follows[at + 1] == target


def test_parts_are_even() -> None:
    rows = batch_of(*((n, 5) for n in range(1, 17)))
    sizes = [len(part["slots"]) for part in collate_packed(rows, 0, IGNORE, parts=2)["parts"].values()]
    assert max(sizes) < 1.1 * min(sizes)


def test_shared_prefix_ends_before_an_answer() -> None:
    tokens = [[1, 2, 3, 4], [1, 2, 3, 5]]
    assert shared_prefix(tokens, [[IGNORE] * 4] * 2, IGNORE) == 3
    assert shared_prefix(tokens, [[IGNORE, IGNORE, 3, 4]] * 2, IGNORE) == 1


def test_loss_is_cross_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("querywright.finetune.loss.CHUNK_ROWS", 4)
    torch.manual_seed(1)
    hidden, weight = torch.randn(10, 8, dtype=torch.double, requires_grad=True), torch.randn(31, 8, dtype=torch.double)
    targets = torch.randint(0, 31, (10,))
    expected = F.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    (gradient,) = torch.autograd.grad(expected, hidden)
    found = answer_losses(hidden, weight, targets).sum()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, hidden)[0], gradient)


def small(last_layers: int | None = None, cache: bool = False, dtype: torch.dtype | None = None) -> PackedDecoder:
    """As :func:`model`, with LoRA on the upper layers only."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 97, "num_layers": 3, "num_heads": 6, "num_kv_heads": 2, "embed_dim": 48}
    more = {"intermediate_dim": 80, "max_seq_len": 64, "rope_base": 10_000, "scale_factor": 1}
    built = lora_llama3_2(list(ALL_ATTENTION), apply_lora_to_mlp=True, lora_rank=4, lora_alpha=8, **sizes, **more)
    upper = packed_decoder(built, last_layers, cache, dtype)
    for name, parameter in upper.named_parameters():
        if "lora_b" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    set_trainable_params(upper, get_adapter_params(upper))
    return upper


def numbered(rows: list[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    return [{**row, "row": first + i} for i, row in enumerate(rows)]


@pytest.mark.parametrize("last", [1, 2, 3])
def test_lora_on_the_upper_layers(last: int) -> None:
    """The plain way through the same model, whose lower layers are torch's own linear layers, agrees."""
    upper = small(last)
    rows = batch_of((4, 3), (7, 9), (1, 1))
    plain, expected = step(upper, padded_collate_sft(rows, padding_idx=0, ignore_idx=IGNORE))
    packed, found = step(upper, collate_packed(rows, 0, IGNORE, parts=2))
    assert packed == pytest.approx(plain, rel=1e-5)
    assert found.keys() == expected.keys()
    assert {int(name.split(".")[1]) for name in found} == set(range(3 - last, 3))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)


def test_lower_layers_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cache each row goes through the frozen layers once, and every epoch's numbers are the same."""
    cached, plain = small(1, cache=True), small(1)
    rows = numbered(batch_of((4, 3), (7, 9), (1, 1), (12, 2)))
    first, gradients = step(cached, collate_packed(rows, 0, IGNORE, parts=2))
    assert cached.lower_cache is not None
    assert len(cached.lower_cache) == len(rows)
    without, _ = step(plain, collate_packed(rows, 0, IGNORE, parts=2))
    assert first == pytest.approx(without, rel=1e-3)  # 16 bit
    for replica in cached.replicas(2):
        monkeypatch.setattr(replica, "blocks", [None, None, *replica.blocks[2:]])  # a second pass would fail
    # in another order, with another prefix in common
    again, others = step(cached, collate_packed(rows[::-1], 0, IGNORE, parts=1))
    assert again == pytest.approx(first, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-3, atol=1e-5)
    alone, _ = step(cached, collate_packed(rows[1:2], 0, IGNORE, parts=1))
    monkeypatch.undo()
    fresh, _ = step(plain, collate_packed(rows[1:2], 0, IGNORE, parts=1))
    assert alone == pytest.approx(fresh, rel=1e-3)


def test_rows_without_numbers_are_not_cached() -> None:
    cached = small(1, cache=True)
    step(cached, collate_packed(batch_of((4, 3), (7, 9)), 0, IGNORE, parts=1))
    assert cached.lower_cache is not None
    assert len(cached.lower_cache) == 0


@pytest.mark.parametrize("layers", [0, 4])
def test_too_many_layers_is_a_sentence(layers: int) -> None:
    from querywright.errors import QuerywrightError

    with pytest.raises(QuerywrightError, match="lora_last_layers"):
        small(layers)


def test_frozen_products_in_bf16() -> None:
    """Mixed precision changes the loss by what 8 bits of mantissa can, and gradients stay in fp32."""
    rows = batch_of((4, 3), (7, 9), (1, 1))
    exact, expected = step(small(), collate_packed(rows, 0, IGNORE, parts=1))
    mixed, found = step(small(dtype=torch.bfloat16), collate_packed(rows, 0, IGNORE, parts=1))
    assert mixed != exact
    assert mixed == pytest.approx(exact, rel=1e-2)
    for name, gradient in expected.items():
        assert found[name].dtype == torch.float32
        cosine = F.cosine_similarity(found[name].flatten(), gradient.flatten(), dim=0)
        assert cosine > 0.99 or gradient.norm() < 1e-6, name
