"""Sums and means over the positions that a mask selects."""

from torch import Tensor


def masked_sum(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the sum of the selected values; nothing selected gives 0.

    A value that is not selected is replaced before summing, so that a NaN in padding cannot leak.

    Args:
        values: any shape.
        mask: true where a value counts. Same shape.
        dim: the dimension to sum over; None sums over all.
    """
    kept = values.masked_fill(~mask.bool(), 0)
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the mean of the selected values; nothing selected gives NaN, never 0.

    Args:
        values: any shape.
        mask: true where a value counts. Same shape.
        dim: the dimension to average over; None averages over all.
    """
    count = mask.bool().sum() if dim is None else mask.bool().sum(dim)
    return masked_sum(values, mask, dim) / count
