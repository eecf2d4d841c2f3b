"""The area under the ROC curve: the chance that a response labelled 1 has the higher count, ties being half."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Labels = NDArray[np.bool_]


def auc_of_histograms(positives: Numbers, negatives: Numbers) -> Numbers:
    """Return the AUC from how often each value occurs, NaN where one label does not occur.

    Exact until the division: all before it are whole numbers, which a double holds up to 2^53.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982.

    Args:
        positives: rows labelled 1 by value, values ascending along the last axis.
        negatives: rows labelled 0, likewise.
    """
    below = np.cumsum(negatives, axis=-1) - negatives
    twice = (positives * (2 * below + negatives)).sum(axis=-1)
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return np.asarray(np.divide(twice, 2 * pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0))


def youden_threshold(counts: NDArray[np.integer], labels: Labels) -> int:
    """Return the count from which to say 1: there the share of 1 caught less the share of 0 caught is largest.

    Of equal ones the smallest.

    Source: Youden 1950.
    """
    histograms = np.bincount(2 * counts + labels, minlength=2 * (int(counts.max(initial=0)) + 1)).reshape(-1, 2)
    caught = histograms[::-1].cumsum(axis=0)[::-1] / np.maximum(1, histograms.sum(axis=0))
    return int(np.round(caught[:, 1] - caught[:, 0], 10).argmax())


def auc(scores: NDArray[np.generic], labels: Labels) -> float:
    """Return the AUC of any scores, which are rounded to 10 places so that equal ones tie; NaN with one label only."""
    _, values = np.unique(np.round(scores.astype(np.float64), 10), return_inverse=True)
    histograms = np.bincount(2 * values + labels, minlength=2 * (values.max(initial=0) + 1)).astype(np.float64)
    return float(auc_of_histograms(histograms[1::2], histograms[::2]))
