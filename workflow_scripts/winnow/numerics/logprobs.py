"""Log-probabilities of tokens, entropy and divergences, in nats and in float32 whatever came in."""

from typing import Any

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


def get_response_log_probs(
    model: Any, input_ids: Tensor, labels: Tensor, return_token_entropy: bool = False
) -> dict[str, Tensor]:
    """Return the log-probability that a model gives to each label, prompt and padding included.

    Source: Stanford CS336, assignment 5.

    Args:
        model: a causal language model: called with token ids it gives `logits`.
        input_ids: Shape: [rows, positions].
        labels: the token after each input token. Shape: [rows, positions].
        return_token_entropy: whether the entropy of each position is wanted too.

    Returns:
        log_probs: with their graph. Shape: [rows, positions].
        token_entropy: only if asked for, with its graph. Shape: [rows, positions].
    """
    logits = model(input_ids).logits
    found = {"log_probs": token_logprobs(logits, labels)}
    if return_token_entropy:
        found["token_entropy"] = compute_entropy(logits)
    return found
