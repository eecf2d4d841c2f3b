"""Numbers of preference learning: rewards against a reference, the DPO loss, likelihood displacement."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from winnow.numerics.logprobs import get_response_log_probs

# Stanford Alpaca's prompt for an instruction without input.
ALPACA = """\
Below is an instruction that describes a task. Write a response that appropriately completes the request.

### Instruction:
{instruction}

### Response:
{response}"""


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


def compute_per_instance_dpo_loss(  # noqa: PLR0917 - the contract's own signature
    lm: Any, lm_ref: Any, tokenizer: Any, beta: float, prompt: str, response_chosen: str, response_rejected: str
) -> Tensor:
    """Return the DPO loss of one pair of texts in Alpaca's format, in nats, as a scalar on the device of `lm`.

    The whole text is scored, prompt included: both responses follow the same prompt, whose
    log-probability cancels.

    Source: Stanford CS336, assignment 5 (supplement).

    Args:
        lm: the model that is trained.
        lm_ref: the reference; no gradient goes into it.
        tokenizer: of both.
        beta: how strongly the policy is held to the reference, above 0.
        prompt: an instruction.
        response_chosen: the better response, whose end token is added here.
        response_rejected: the poorer one.

    Raises:
        ValueError: if beta is not above 0.
    """
    if not beta > 0:
        raise ValueError(f"beta is {beta}, it must be above 0")

    def logp(model: Any, response: str) -> Tensor:
        ids = [*tokenizer(ALPACA.format(instruction=prompt, response=response))["input_ids"], tokenizer.eos_token_id]
        tokens = torch.tensor([ids], device=model.device)
        return get_response_log_probs(model, tokens[:, :-1], tokens[:, 1:])["log_probs"].sum(1)

    with torch.no_grad():
        reference = [logp(lm_ref, response).to(lm.device) for response in (response_chosen, response_rejected)]
    return dpo_loss(PairLogps(logp(lm, response_chosen), logp(lm, response_rejected), *reference), beta).squeeze(0)
