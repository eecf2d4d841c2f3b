"""Intervals for the numbers that a report shows. Missing values are the caller's to count, not ours."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_DRAWS = 10_000
_CELLS_AT_ONCE = 2_000_000  # clusters drawn at once: 16 MB of indices

Totals = NDArray[np.float64]


def wilson_interval(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float] | None:
    """Return the Wilson score interval of a proportion (95 % by default), or None without trials.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.
    """
    if trials == 0:
        return None
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Estimate:
    """A statistic with its percentile bootstrap interval.

    Attributes:
        value: the statistic of all clusters.
        interval: 95 % by default; None where there is one cluster only, which says nothing about spread.
        clusters: how many were resampled.
    """

    value: float
    interval: tuple[float, float] | None
    clusters: int


def ratio(totals: Totals) -> Totals:
    """Return the first total divided by the second. Shape: [draws, 2] → [draws]."""
    return np.asarray(totals[:, 0] / totals[:, 1])


def ratio_difference(totals: Totals) -> Totals:
    """Return the difference of two ratios of totals: a/b - c/d. Shape: [draws, 4] → [draws]."""
    return np.asarray(totals[:, 0] / totals[:, 1] - totals[:, 2] / totals[:, 3])


def cluster_totals(rows: Iterable[tuple[str, Sequence[float]]]) -> Totals:
    """Add up rows by cluster, clusters in the order of their names. Shape: [clusters, columns].

    The sums are exact before rounding, so the order of the rows does not matter.
    """
    columns: dict[str, list[Sequence[float]]] = defaultdict(list)
    for cluster, values in rows:
        columns[cluster].append(values)
    sums = [[math.fsum(column) for column in zip(*columns[name], strict=True)] for name in sorted(columns)]
    return np.asarray(sums, dtype=np.float64)


def cluster_bootstrap(
    rows: Iterable[tuple[str, Sequence[float]]],
    statistic: Callable[[Totals], Totals],
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
    level: float = 0.95,
) -> Estimate | None:
    """Return a statistic of column totals with an interval from resampling whole clusters.

    Rows of one cluster (responses to one prompt) are alike, so they are drawn together. Paired
    comparisons give one row per item with the columns of both sides, which are then drawn together.

    Source: Davison and Hinkley 1997, sections 3.8 and 5.3.1 (percentile interval).

    Args:
        rows: cluster and columns of each row.
        statistic: totals [draws, columns] → values [draws].
        seed: of the draws.
        draws: how many resamples.
        level: of the interval.

    Returns:
        The estimate, or None without rows.
    """
    totals = cluster_totals(rows)
    if not len(totals):
        return None
    value = float(statistic(totals.sum(axis=0, keepdims=True))[0])
    if len(totals) == 1:
        return Estimate(value, None, 1)
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // len(totals))
    values = []
    for start in range(0, draws, block):
        drawn = generator.integers(0, len(totals), (min(block, draws - start), len(totals)))
        sums = np.stack([column[drawn].sum(axis=1) for column in totals.T], axis=1)
        values.append(statistic(sums))
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return Estimate(value, (float(low), float(high)), len(totals))
