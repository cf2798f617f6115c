"""DPO that does not let go of the wanted answer.

DPO asks only that the wanted answer gains on the other one. Where the two share most of their tokens, as two calls do,
both can be made unlikely together, and the model falls to pieces while the loss goes down.
"""

from __future__ import annotations

from torch import Tensor
from torchtune.rlhf.loss import DPOLoss


class DPOPLoss(DPOLoss):  # type: ignore[misc]
    """DPO-Positive: whatever the wanted answer is less likely than before counts against it, ``penalty`` times.

    ``-log sigmoid(beta * (gain(chosen) - gain(rejected) - penalty * max(0, -gain(chosen))))``, where an answer's gain
    is its log probability under the model minus that under the reference. A component for ``loss`` of any DPO config.

    Source: Pal et al. 2024, Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive
    (arXiv:2402.13228).

    Args:
        beta: as of DPO.
        penalty: the paper's lambda; 0 is DPO.
        label_smoothing: as of DPO.
    """

    def __init__(self, beta: float = 0.1, penalty: float = 5.0, label_smoothing: float = 0.0) -> None:
        super().__init__(beta=beta, label_smoothing=label_smoothing)
        self.penalty = penalty

    def forward(
        self,
        policy_chosen_logps: Tensor,
        policy_rejected_logps: Tensor,
        reference_chosen_logps: Tensor,
        reference_rejected_logps: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, and the rewards of wanted and other answers (not penalised), each of shape [rows]; the arguments are
        summed log probabilities in nats of the same shape."""
        lost = (reference_chosen_logps - policy_chosen_logps).clamp(min=0)
        losses, _, rejected = super().forward(
            policy_chosen_logps - self.penalty * lost,
            policy_rejected_logps,
            reference_chosen_logps,
            reference_rejected_logps,
        )
        chosen = self.beta * (policy_chosen_logps - reference_chosen_logps).detach()
        return losses, chosen, rejected
