"""Any statistic of responses, resampled by prompt: each is a function of how often every prompt was drawn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.statistics import bootstrap_interval, drawn_times

Row = Mapping[str, Any]
Numbers = NDArray[np.float64]
Statistic = Callable[[Numbers], Numbers]
"""From how often each prompt was drawn, shape [draws, prompts], to the statistic in each draw, shape [draws]; NaN where
it does not exist."""

BOOTSTRAP_SEED = 0


def totals_by_prompt(rows: Sequence[Row], prompts: Sequence[str], metric: str) -> tuple[Numbers, Numbers]:
    """Return the sum of a metric over each prompt's rows, and of how many rows it is. Shapes: [prompts]."""
    place = {prompt: number for number, prompt in enumerate(prompts)}
    sums, counts = np.zeros(len(prompts)), np.zeros(len(prompts))
    for row in rows:
        value = row["values"].get(metric)
        if value is not None:
            sums[place[row["prompt_id"]]] += value
            counts[place[row["prompt_id"]]] += 1
    return sums, counts


def divided(numerator: Numbers, denominator: Numbers) -> Numbers:
    """Return the quotient, NaN where there is nothing to divide by."""
    empty = denominator == 0
    return np.asarray(np.where(empty, np.nan, numerator / np.where(empty, 1.0, denominator)))


def mean_of(sums: Numbers, counts: Numbers) -> Statistic:
    """Return the mean over rows as a statistic."""
    return lambda times: divided(times @ sums, times @ counts)


def difference_of(ours: Statistic, theirs: Statistic) -> Statistic:
    """Return the difference of two statistics in the same draws: paired by prompt."""
    return lambda times: ours(times) - theirs(times)


def value_of(statistic: Statistic, prompts: int) -> float | None:
    """Return the statistic of all prompts, each once; None where it does not exist."""
    value = float(statistic(np.ones((1, prompts)))[0])
    return None if np.isnan(value) else value


def resample(statistics: Mapping[str, Statistic], prompts: int) -> dict[str, Numbers]:
    """Return each statistic in 10,000 draws of as many prompts; the same draws for all of them."""
    blocks: dict[str, list[Numbers]] = {name: [] for name in statistics}
    for times in drawn_times(prompts, seed=BOOTSTRAP_SEED) if statistics else ():
        for name, statistic in statistics.items():
            blocks[name].append(statistic(times))
    return {name: np.concatenate(values) for name, values in blocks.items()}


def intervals(statistics: Mapping[str, Statistic], prompts: int) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % interval of each statistic; None for one prompt or a statistic that hardly ever exists."""
    if prompts < 2:
        return dict.fromkeys(statistics)
    return {name: bootstrap_interval(values, prompts) for name, values in resample(statistics, prompts).items()}


def rounded(value: float | None) -> float | None:
    """Return a number as it is written."""
    return None if value is None else round(value, 6) + 0.0


def bounds(interval: tuple[float, float] | None) -> list[float] | None:
    """Return an interval as it is written."""
    return None if interval is None else [round(bound, 6) + 0.0 for bound in interval]
