"""Numbers of preference learning: rewards against a reference, the DPO loss, likelihood displacement."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class PairLogps:
    """Summed log-probabilities of both responses of each pair, in nats. Shape of each: [pairs]."""

    policy_chosen: Tensor
    policy_rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor

    @property
    def delta_chosen(self) -> Tensor:
        """How much likelier the policy finds the chosen response than the reference does."""
        return self.policy_chosen - self.reference_chosen

    @property
    def delta_rejected(self) -> Tensor:
        """How much likelier the policy finds the rejected response than the reference does."""
        return self.policy_rejected - self.reference_rejected

    @property
    def margin(self) -> Tensor:
        """The argument of the DPO loss before beta: how far the policy moved towards the chosen response."""
        return self.delta_chosen - self.delta_rejected

    @property
    def displaced(self) -> Tensor:
        """True where the chosen response became less likely although the margin grew.

        Source: Razin et al. 2024 (arXiv 2410.08847).
        """
        return (self.delta_chosen < 0) & (self.margin > 0)


def dpo_loss(pairs: PairLogps, beta: float) -> Tensor:
    """Return the DPO loss of each pair, in nats. Shape: [pairs].

    It is log 2 where policy and reference agree.

    Source: Rafailov et al. 2023, equation 7.

    Args:
        pairs: log-probabilities under policy and reference.
        beta: how strongly the policy is held to the reference, above 0.
    """
    return -logsigmoid(beta * pairs.margin)
