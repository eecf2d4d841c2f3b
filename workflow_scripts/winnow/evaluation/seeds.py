"""Runs that differ in their random seed only: means over seeds, whose intervals know of seeds and of prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from winnow.core.statistics import drawn_times, t_quantile
from winnow.evaluation.catalogue import Task
from winnow.evaluation.measured import Row, prompts_of
from winnow.evaluation.resampling import BOOTSTRAP_SEED, Numbers, bounds, divided, rounded, totals_by_prompt


def crossed_interval(table: Numbers, level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of the mean over seeds and prompts, both of which are samples of many.

    Seeds answer the same prompts, so the variance of the mean is (MS_seeds + MS_prompts - MS_rest) / (seeds · prompts),
    and Student's t has Satterthwaite's degrees of freedom. The three to five seeds that one has are too few for
    resampling them: docs/statistics.md has what both cover. None unless there are two of each.

    Source: Satterthwaite 1946; Searle, Casella and McCulloch 1992, section 4.3 (two-way crossed, random).

    Args:
        table: a value of each seed on each prompt. Shape: [seeds, prompts].
        level: of the interval.
    """
    seeds, prompts = table.shape
    if min(table.shape) < 2:
        return None
    mean = float(table.mean())
    by_seed, by_prompt = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    rest = table - mean - by_seed[:, None] - by_prompt
    freedom = np.array([seeds - 1, prompts - 1, (seeds - 1) * (prompts - 1)])
    squares = np.array([prompts * (by_seed**2).sum(), seeds * (by_prompt**2).sum(), (rest**2).sum()])
    parts = squares / freedom / table.size
    # It cannot be less than what either of the two says alone.
    variance = float(max(parts[0] + parts[1] - parts[2], parts[0], parts[1]))
    if variance < 1e-24:
        return mean, mean
    whole = max(1, int(variance**2 / float((parts**2 / freedom).sum())))
    half = t_quantile((1 + level) / 2, whole) * float(np.sqrt(variance))
    return mean - half, mean + half


def two_level_draws(tables: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Return the mean of each table in 10,000 draws of seeds and, apart from them, of prompts.

    Source: Davison and Hinkley 1997, section 3.8; Owen 2007 (the "pigeonhole bootstrap" of crossed factors).

    Args:
        tables: shape [seeds, prompts], NaN in the columns of prompts that are left out.
    """
    if not tables:
        return {}
    seeds, prompts = next(iter(tables.values())).shape
    of_seeds = np.concatenate(list(drawn_times(seeds, seed=BOOTSTRAP_SEED + 1)))
    of_prompts = np.concatenate(list(drawn_times(prompts, seed=BOOTSTRAP_SEED)))
    found = {}
    for name, table in tables.items():
        told = ~np.isnan(table).any(axis=0)
        sums = (of_prompts @ np.where(told, table, 0.0).T * of_seeds).sum(axis=1)
        found[name] = divided(sums, seeds * (of_prompts @ told.astype(float)))
    return found


def _by_prompt(rows: Sequence[Row], prompts: Sequence[str], metric: str) -> Numbers:
    return divided(*totals_by_prompt(rows, prompts, metric))


def over_seeds(
    runs: Sequence[Sequence[Row]], task: Task, base: Sequence[Row] | None = None
) -> dict[str, dict[str, Any]]:
    """Return each metric's mean over seeds, or its mean difference to a base model.

    Args:
        runs: the rows of each seed.
        task: whose metrics they are.
        base: rows of the model that is subtracted, prompt by prompt.

    Returns:
        metric → seeds, prompts (with a value for every seed), left_out, mean, sd (over the means of seeds), interval,
        bootstrap_interval (two-level, percentile).
    """
    prompts = prompts_of(row for rows in runs for row in rows)
    tables = {}
    for name in task.row_metrics:
        table = np.stack([_by_prompt(rows, prompts, name) for rows in runs])
        tables[name] = table if base is None else table - _by_prompt(base, prompts, name)
    drawn = two_level_draws(tables)
    found = {}
    for name, table in tables.items():
        whole = table[:, ~np.isnan(table).any(axis=0)]
        used = whole.shape[1]
        known = drawn[name][~np.isnan(drawn[name])]
        found[name] = {
            "seeds": len(runs),
            "prompts": used,
            "left_out": len(prompts) - used,
            "mean": rounded(float(whole.mean())) if used else None,
            "sd": rounded(float(whole.mean(axis=1).std(ddof=1))) if used else None,
            "interval": bounds(crossed_interval(whole)),
            "bootstrap_interval": [rounded(float(x)) for x in np.quantile(known, [0.025, 0.975])] if used > 1 else None,
        }
    return found
