"""Differences between two runs on the same prompts, with a test, what it could have found, and at equal length."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from winnow.core.statistics import bootstrap_interval
from winnow.evaluation.catalogue import Kind, Task
from winnow.evaluation.estimates import FEW_PROMPTS
from winnow.evaluation.measured import Row, prompts_of
from winnow.evaluation.resampling import (
    Numbers,
    Statistic,
    bounds,
    difference_of,
    divided,
    intervals,
    mean_of,
    resample,
    rounded,
    totals_by_prompt,
    value_of,
)
from winnow.evaluation.set_statistics import set_statistics
from winnow.evaluation.significance import (
    Tested,
    mcnemar,
    minimum_detectable,
    never_different_interval,
    sign_flip,
    standard_error,
    t_interval,
    wilcoxon_p,
)

LENGTH_CONTROLLED = ("checklist_pass_rate", "checklist_pass_rate_second", "specificity")
WITH_WILCOXON = ("rating", "rating_error", "rating_squared_error", "rating_bias")
_NOTHING: dict[str, Any] = {"test": None, "verdict": None} | dict.fromkeys(
    ("value", "interval", "p", "mde", "length_controlled")
)


def mean_log_words(rows: Sequence[Row], prompts: Sequence[str]) -> Numbers:
    """Return the mean log of each prompt's lengths in words, an empty response counting as one. Shape: [prompts]."""
    place = {prompt: number for number, prompt in enumerate(prompts)}
    sums, counts = np.zeros(len(prompts)), np.zeros(len(prompts))
    for row in rows:
        sums[place[row["prompt_id"]]] += math.log(max(1, row["words"]))
        counts[place[row["prompt_id"]]] += 1
    return divided(sums, counts)


def length_controlled(differences: Numbers, lengths: Numbers) -> dict[str, Any] | None:
    """Return the difference that would be left if both runs wrote equally many words.

    The intercept of the least-squares line of paired differences on paired differences of log words, with an interval
    that resamples prompts. None where lengths do not vary between prompts: then nothing tells length from run. The
    further the lengths lie from equal, the more this is an extrapolation, and the wider its interval.

    Source: the idea of length-controlled AlpacaEval (Dubois et al. 2024, arXiv 2404.04475), with a line for its logit.

    Args:
        differences: ours minus theirs. Shape: [prompts].
        lengths: mean log words, ours minus theirs. Shape: [prompts].
    """
    if len(differences) < 3 or np.std(lengths) < 1e-9:
        return None
    columns = np.stack([np.ones_like(lengths), lengths, differences, lengths**2, lengths * differences], axis=1)

    def intercept(times: Numbers) -> Numbers:
        n, x, y, xx, xy = (times @ columns).T
        spread = xx / n - (x / n) ** 2
        slope = divided(xy / n - x / n * y / n, np.where(spread > 1e-12, spread, 0.0))
        return np.asarray(y / n - slope * x / n)

    value = value_of(intercept, len(lengths))
    return {"value": rounded(value), "interval": bounds(intervals({"": intercept}, len(lengths))[""])}


def _tested(kind: Kind, ours: tuple[Numbers, Numbers], theirs: tuple[Numbers, Numbers], differences: Numbers) -> Tested:
    """Return McNemar's test for shares of one row per prompt, and that of exchanged runs otherwise.

    Args:
        kind: of the metric.
        ours: sums and counts of each prompt that both have.
        theirs: the same of the other run.
        differences: of their means.
    """
    single = all((counts == 1).all() for _, counts in (ours, theirs))
    if kind == "share" and single:
        return mcnemar(ours[0], theirs[0])
    return sign_flip(differences)


def _difference_interval(kind: Kind, differences: Numbers, drawn: Numbers | None) -> tuple[float, float] | None:
    """Return the interval of a mean difference: resampled, or Student's with few prompts."""
    if kind == "share" and not differences.any():
        return never_different_interval(len(differences))
    if len(differences) < FEW_PROMPTS or drawn is None:
        return t_interval(differences, float(differences.mean()))
    return bootstrap_interval(drawn, len(differences))


def row_differences(
    ours: Sequence[Row], theirs: Sequence[Row], task: Task, names: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the mean over prompts of our mean minus theirs, for each metric.

    A prompt that has no value on one side is left out, and counted.

    Args:
        ours: rows of our run.
        theirs: of the other.
        task: whose metrics they are.
        names: of the metrics; None is all that rows have.

    Returns:
        metric → n (our rows that went in), prompts, left_out (prompts), value, interval, test, p, mde, few_prompts,
        length_controlled, for McNemar's test only_ours and only_theirs, for ratings p_wilcoxon.
    """
    prompts = prompts_of([*ours, *theirs])
    names = task.row_metrics if names is None else names
    # Answers that are a single word have no length to hold equal.
    by_length = [name for name in names if name in LENGTH_CONTROLLED]
    lengths = mean_log_words(ours, prompts) - mean_log_words(theirs, prompts) if by_length else np.empty(0)
    sides = {name: (totals_by_prompt(ours, prompts, name), totals_by_prompt(theirs, prompts, name)) for name in names}
    both = {name: (a[1] > 0) & (b[1] > 0) for name, (a, b) in sides.items()}
    apart = {name: np.nan_to_num(divided(*a) - divided(*b)) * both[name] for name, (a, b) in sides.items()}
    enough = [name for name in names if both[name].sum() >= FEW_PROMPTS]
    drawn = resample({name: mean_of(apart[name], both[name].astype(float)) for name in enough}, len(prompts))
    found = {}
    for name, ((our_sums, our_counts), (their_sums, their_counts)) in sides.items():
        told = both[name]
        used = int(told.sum())
        entry: dict[str, Any] = {"n": int(our_counts[told].sum()), "prompts": used, "left_out": len(prompts) - used}
        entry |= _NOTHING | {"few_prompts": used < FEW_PROMPTS}
        if used:
            differences = apart[name][told]
            kind = task.metrics[name].kind
            test = _tested(
                kind, (our_sums[told], our_counts[told]), (their_sums[told], their_counts[told]), differences
            )
            entry |= {
                "value": rounded(float(differences.mean())),
                "interval": bounds(_difference_interval(kind, differences, drawn.get(name))),
                "test": test.name,
                "p": rounded(test.p),
                "mde": rounded(minimum_detectable(standard_error(differences))),
            }
            if test.only_ours is not None:
                entry |= {"only_ours": test.only_ours, "only_theirs": test.only_theirs}
            if name in WITH_WILCOXON:
                entry["p_wilcoxon"] = rounded(wilcoxon_p(differences))
            if name in by_length:
                entry["length_controlled"] = length_controlled(differences, lengths[told])
        found[name] = entry
    return found


def set_differences(
    ours: Sequence[Row], theirs: Sequence[Row], reference: Sequence[Row], task: Task
) -> dict[str, dict[str, Any]]:
    """Return our metrics of whole sets minus theirs, prompts drawn for both at once. They have no test and no verdict.

    Args:
        ours: rows of our run.
        theirs: of the other.
        reference: rows of the task's reference for the same prompts.
        task: whose metrics they are.
    """
    prompts = prompts_of([*ours, *theirs])
    mine, other = (set_statistics(rows, reference, prompts, task) for rows in (ours, theirs))
    statistics: dict[str, Statistic] = {name: difference_of(mine[name], other[name]) for name in mine}
    drawn = resample(statistics, len(prompts)) if len(prompts) > 1 else {}
    found = {}
    for name, statistic in statistics.items():
        value = value_of(statistic, len(prompts))
        known = drawn.get(name, np.empty(0))
        error = float(np.nanstd(known)) if value is not None and (~np.isnan(known)).sum() > 1 else 0.0
        found[name] = {
            "n": len(ours),
            "prompts": len(prompts),
            "left_out": 0,
            **_NOTHING,
            "few_prompts": len(prompts) < FEW_PROMPTS,
            "value": rounded(value),
            "interval": None if value is None else bounds(bootstrap_interval(known, len(prompts))),
            "mde": rounded(minimum_detectable(error or None)),
        }
    return found


def paired_differences(
    ours: Sequence[Row], theirs: Sequence[Row], reference: Sequence[Row], task: Task
) -> Mapping[str, Any]:
    """Return every difference of one run to another; see `row_differences` and `set_differences`."""
    return row_differences(ours, theirs, task) | set_differences(ours, theirs, reference, task)
