"""DPO-Positive against its formula and against DPO."""

from __future__ import annotations

import math

import pytest
import torch

torchtune_loss = pytest.importorskip("torchtune.rlhf.loss")

from querywright.finetune.dpop import DPOPLoss  # noqa: E402

REFERENCE = torch.tensor([-10.0, -10.0]), torch.tensor([-12.0, -12.0])


def test_it_is_the_paper_s_formula() -> None:
    """The first wanted answer became likelier (no penalty), the second less likely."""
    chosen, rejected = torch.tensor([-9.0, -11.0]), torch.tensor([-14.0, -15.0])
    losses, won, lost = DPOPLoss(beta=0.2, penalty=5.0)(chosen, rejected, *REFERENCE)
    expected = [math.log1p(math.exp(-0.2 * inner)) for inner in (1.0 + 2.0, -1.0 + 3.0 - 5.0 * 1.0)]
    assert losses.tolist() == pytest.approx(expected)
    assert won.tolist() == pytest.approx([0.2, -0.2])
    assert lost.tolist() == pytest.approx([-0.4, -0.6])


def test_without_a_penalty_it_is_dpo() -> None:
    given = (torch.tensor([-9.0, -11.0]), torch.tensor([-14.0, -15.0]), *REFERENCE)
    for ours, theirs in zip(DPOPLoss(penalty=0.0)(*given), torchtune_loss.DPOLoss()(*given), strict=True):
        assert torch.equal(ours, theirs)


def test_both_answers_falling_together_costs() -> None:
    """DPO's loss goes down where the other answer falls faster; this one's goes up."""
    fallen = torch.tensor([-14.0, -14.0]), torch.tensor([-18.0, -18.0])
    before = torchtune_loss.DPOLoss()(*REFERENCE, *REFERENCE)[0]
    assert (torchtune_loss.DPOLoss()(*fallen, *REFERENCE)[0] < before).all()
    assert (DPOPLoss()(*fallen, *REFERENCE)[0] > before).all()


def test_the_gradient_holds_the_wanted_answer() -> None:
    chosen = torch.tensor([-11.0], requires_grad=True)
    rejected = torch.tensor([-12.0], requires_grad=True)
    DPOPLoss()(chosen, rejected, REFERENCE[0][:1], REFERENCE[1][:1])[0].sum().backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() < 0  # a step makes it likelier
    assert abs(chosen.grad.item()) == pytest.approx(6 * abs(rejected.grad.item()))
