"""Log-probabilities of tokens, entropy and divergences, in nats and in float32 whatever came in."""

import torch
from torch import Tensor


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability that each position gives to its token. Shape: [..., positions].

    Args:
        logits: scores before softmax. Shape: [..., positions, vocabulary].
        tokens: the token that each position predicts (labels already shifted). Shape: [..., positions].
    """
    scores = logits.float()
    picked = scores.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return picked - scores.logsumexp(-1)


def compute_entropy(logits: Tensor) -> Tensor:
    """Return the entropy of the next-token distribution at each position. Shape: [..., positions].

    H = -sum_v p_v log p_v. Impossible tokens (logit -inf) contribute nothing.
    """
    logprobs = logits.float().log_softmax(-1)
    return torch.special.entr(logprobs.exp()).sum(-1)


def exact_kl(policy_logits: Tensor, reference_logits: Tensor) -> Tensor:
    """Return KL(policy || reference) of each position, summed over the vocabulary. Shape: [..., positions].

    Tokens that the policy cannot produce contribute nothing, whatever the reference says of them.
    """
    policy = policy_logits.float().log_softmax(-1)
    reference = reference_logits.float().log_softmax(-1)
    gap = torch.where(policy.isneginf(), 0.0, policy - reference)
    return (policy.exp() * gap).sum(-1)


def k3_kl(policy_logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Return the non-negative KL estimate of each token that was drawn from the policy. Same shape as the inputs.

    k3 = exp(-d) - 1 + d with d = log policy - log reference; its mean over draws is KL(policy || reference).

    Source: Schulman 2020, Approximating KL divergence.
    """
    difference = policy_logprobs.float() - reference_logprobs.float()
    return torch.expm1(-difference) + difference
