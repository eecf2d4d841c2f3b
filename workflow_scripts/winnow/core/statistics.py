"""Intervals for the numbers that a report shows. Missing values are the caller's to count, not ours."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_DRAWS = 10_000
_CELLS_AT_ONCE = 2_000_000  # clusters drawn at once: 16 MB of indices
_CELLS_KEPT = 3_000_000  # draws for the same number of clusters are asked for again and again

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
    """A statistic with its bootstrap interval.

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


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t with a whole number of degrees of freedom.

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4 (the distribution), inverted by halving.
    """

    def central(t: float) -> float:
        """The probability of being between -t and t."""
        angle = math.atan(t / math.sqrt(freedom))
        term = math.cos(angle) if freedom % 2 else 1.0
        total = 0.0
        for step in range(2 + freedom % 2, freedom + 1, 2):
            total += term
            term *= (step - 1) / step * math.cos(angle) ** 2
        if freedom % 2:
            return 2 / math.pi * (angle + math.sin(angle) * total)
        return math.sin(angle) * total

    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while central(high) < 2 * probability - 1:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if central(middle) < 2 * probability - 1 else (low, middle)
    return (low + high) / 2


@lru_cache
def bootstrap_tail(clusters: int, level: float = 0.95) -> float:
    """Return the share of draws that is cut off at each end of a bootstrap interval.

    Resampling n clusters spreads by sqrt((n - 1) / n) too little, and normal quantiles are too near for few of them.
    The tail is taken as much smaller as makes up for both where the statistic is a mean; it goes to (1 - level) / 2
    as clusters grow. docs/statistics.md has what this covers.

    Source: Hesterberg 2015, section 5.3 ("expanded percentile interval").
    """
    quantile = t_quantile((1 - level) / 2, clusters - 1)
    return NormalDist().cdf(math.sqrt(clusters / (clusters - 1)) * quantile)


def drawn_times(clusters: int, *, seed: int, draws: int = BOOTSTRAP_DRAWS) -> Iterable[Totals]:
    """Return how often each cluster is drawn, in draws of as many as there are. Blocks of shape: [·, clusters].

    The same number of clusters and the same seed give the same draws: statistics of two calls belong together.
    """
    if draws * clusters <= _CELLS_KEPT:
        return _kept_times(clusters, seed, draws)
    return _blocks(clusters, seed, draws)


def _blocks(clusters: int, seed: int, draws: int) -> Iterator[Totals]:
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // clusters)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = generator.integers(0, clusters, (rows, clusters)) + clusters * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        yield times.astype(np.float64)


@lru_cache(maxsize=4)
def _kept_times(clusters: int, seed: int, draws: int) -> tuple[Totals, ...]:
    return tuple(_blocks(clusters, seed, draws))


def bootstrap_interval(values: Totals, clusters: int, level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of a statistic from its values in draws of so many clusters.

    None for one cluster, which says nothing about spread. Draws in which the statistic does not exist (NaN, such as
    the F1 of a class that was not drawn) are left out; None if that is every other draw or more.
    """
    known = values[~np.isnan(values)]
    if clusters < 2 or 2 * len(known) <= len(values):
        return None
    tail = bootstrap_tail(clusters, level)
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


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

    Source: Davison and Hinkley 1997, sections 3.8 and 5.3.1 (percentile interval); `bootstrap_tail`.

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
    drawn = [statistic(times @ totals) for times in drawn_times(len(totals), seed=seed, draws=draws)]
    return Estimate(value, bootstrap_interval(np.concatenate(drawn), len(totals), level), len(totals))
