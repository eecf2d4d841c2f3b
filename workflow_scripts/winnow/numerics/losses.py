"""Losses of supervised fine-tuning: what a token, a response and a step weigh."""

from typing import Literal

import torch
from torch import Tensor

from winnow.numerics.masks import masked_mean, masked_normalize

Normalization = Literal["per_token", "sequence", "token_global"]


def sft_loss(
    policy_log_probs: Tensor,
    response_mask: Tensor,
    normalization: Normalization,
    *,
    items: float | Tensor | None = None,
    normalize_constant: float = 1.0,
) -> Tensor:
    """Return a batch's part of the loss of an optimiser step, in nats; the parts of a step add up to its loss.

    per_token: mean over responses of the mean over a response's tokens: each response weighs alike.
    sequence: mean over responses of the sum over a response's tokens, divided by `normalize_constant`.
    token_global: mean over all tokens of the step: each token weighs alike.

    Args:
        policy_log_probs: of the labels. Shape: [rows, positions].
        response_mask: true at tokens that are trained; no row without any. Shape: [rows, positions].
        normalization: one of the above.
        items: how many the whole step has, of tokens (token_global) or of rows; None: those of this batch.
        normalize_constant: of `sequence`.
    """
    nats = -policy_log_probs
    if normalization == "token_global":
        return masked_normalize(nats, response_mask, response_mask.sum() if items is None else items)
    rows = (
        masked_mean(nats, response_mask, 1)
        if normalization == "per_token"
        else masked_normalize(nats, response_mask, normalize_constant, 1)
    )
    return rows.sum() / (len(rows) if items is None else items)


def sft_microbatch_train_step(
    policy_log_probs: Tensor,
    response_mask: Tensor,
    gradient_accumulation_steps: int,
    normalize_constant: float = 1.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the `sequence` loss of one microbatch, send its gradient back, and return it.

    loss = mean over rows of [sum over tokens of (-log p) / normalize_constant] / gradient_accumulation_steps

    Source: Stanford CS336, assignment 5.

    Args:
        policy_log_probs: of the labels, with a graph. Shape: [rows, positions].
        response_mask: true at tokens that are trained. Shape: [rows, positions].
        gradient_accumulation_steps: microbatches, of as many rows each, that make one optimiser step.
        normalize_constant: what a row's sum is divided by.

    Returns:
        The loss as it went into the gradient, and its parts: `response_tokens`, and `loss` before accumulation.
    """
    rows = len(policy_log_probs) * gradient_accumulation_steps
    loss = sft_loss(policy_log_probs, response_mask, "sequence", items=rows, normalize_constant=normalize_constant)
    loss.backward()  # type: ignore[no-untyped-call]
    loss = loss.detach()
    return loss, {"loss": loss * gradient_accumulation_steps, "response_tokens": response_mask.bool().sum()}


def split_documents(values: Tensor, starts: Tensor) -> Tensor:
    """Return what lies in one packed row as a row per document, filled up with 0 at the right.

    Args:
        values: one row. Shape: [1, positions].
        starts: where each document begins, and last where the row ends. Shape: [documents + 1].
    """
    lengths: list[int] = starts.diff().tolist()
    return torch.nn.utils.rnn.pad_sequence(list(torch.split(values[0], lengths)), batch_first=True)
