"""Rows of token ids and images as a model takes them."""

from collections.abc import Sequence

import torch

from winnow.models.inference import LoadedModel
from winnow.models.processors import image_inputs
from winnow.numerics.tokens import pad_id


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: str) -> dict[str, torch.Tensor]:
    """Return model inputs whose rows end together, so that responses stand at the right edge.

    Shapes: [rows, longest] each. A padding position never counts, so any id will do for it.
    """
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}


def model_inputs(loaded: LoadedModel, rows: Sequence[tuple[Sequence[int], Sequence[str]]]) -> dict[str, torch.Tensor]:
    """Return a model's inputs for rows of token ids and image paths, images included.

    With images there are no position ids: the model makes them itself, by where images are and how large.
    """
    inputs = pad_left([ids for ids, _ in rows], pad_id(loaded.tokenizer), loaded.device)
    if paths := [path for _, images in rows for path in images]:
        del inputs["position_ids"]
        inputs |= image_inputs(loaded.processor, paths, inputs["input_ids"])
    return inputs
