"""Sums and means over the positions that a mask selects."""

from torch import Tensor


def masked_normalize(
    tensor: Tensor, mask: Tensor, normalize_constant: float | Tensor = 1.0, dim: int | None = None
) -> Tensor:
    """Return the sum of the selected values, divided by a constant; nothing selected gives 0.

    A value that is not selected is replaced before summing, so that a NaN in padding cannot leak,
    neither into the sum nor into a gradient.

    Args:
        tensor: any shape.
        mask: true where a value counts. Same shape.
        normalize_constant: what the sum is divided by.
        dim: the dimension to sum over; None sums over all.
    """
    kept = tensor.masked_fill(~mask.bool(), 0)
    return (kept.sum() if dim is None else kept.sum(dim)) / normalize_constant


def masked_mean(tensor: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the mean of the selected values; nothing selected gives NaN, never 0.

    Args:
        tensor: any shape.
        mask: true where a value counts. Same shape.
        dim: the dimension to average over; None averages over all.
    """
    count = mask.bool().sum() if dim is None else mask.bool().sum(dim)
    return masked_normalize(tensor, mask, dim=dim) / count
