"""Prompts and outputs as tensors of token ids, with a mask of what is trained."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def pad_id(tokenizer: Any) -> int:
    """Return an id to fill up with: the padding token's, or where there is none the end token's."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def tokenize_prompt_and_output(
    prompt_strs: Sequence[str], output_strs: Sequence[str], tokenizer: Any
) -> dict[str, Tensor]:
    """Return next-token inputs and labels of prompts followed by their outputs.

    Each text is tokenised apart, without special tokens and without an end token, and the two are
    joined; rows are filled up at their right end to the longest, L tokens.

    Source: Stanford CS336, assignment 5.

    Args:
        prompt_strs: texts that come first.
        output_strs: a text for each prompt.
        tokenizer: of the model.

    Returns:
        input_ids: all tokens but the last. Shape: [rows, L - 1], int64.
        labels: all tokens but the first. Shape: [rows, L - 1], int64.
        response_mask: true where the label is a token of the output. Shape: [rows, L - 1], bool.

    Raises:
        ValueError: if there are not as many outputs as prompts.
    """

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    pairs = [(ids(prompt), ids(output)) for prompt, output in zip(prompt_strs, output_strs, strict=True)]
    longest = max(len(prompt) + len(output) for prompt, output in pairs)
    full = torch.full((len(pairs), longest), pad_id(tokenizer), dtype=torch.int64)
    mask = torch.zeros_like(full, dtype=torch.bool)
    for row, (prompt, output) in enumerate(pairs):
        end = len(prompt) + len(output)
        full[row, :end] = torch.tensor(prompt + output, dtype=torch.int64)
        mask[row, len(prompt) : end] = True
    return {"input_ids": full[:, :-1], "labels": full[:, 1:], "response_mask": mask[:, 1:]}
