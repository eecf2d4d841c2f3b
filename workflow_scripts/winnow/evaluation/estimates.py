"""What one run's responses measure: every metric with its n, what is missing, and an interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.core.statistics import wilson_interval
from winnow.evaluation.catalogue import Kind, Task
from winnow.evaluation.measured import Row, prompts_of
from winnow.evaluation.resampling import (
    Numbers,
    Statistic,
    bounds,
    divided,
    intervals,
    mean_of,
    rounded,
    totals_by_prompt,
    value_of,
)
from winnow.evaluation.set_metrics import DECISION_FUNCTIONS, RATING_FUNCTIONS, wasserstein_to_human
from winnow.evaluation.set_statistics import set_statistics
from winnow.evaluation.significance import t_interval

# With fewer, intervals from resampling are too narrow (docs/statistics.md).
FEW_PROMPTS = 8

_OF_READ_RATINGS = ("spearman", "rating_sd", "wasserstein_to_human")


def _share_interval(sums: Numbers, counts: Numbers) -> tuple[float, float] | None:
    """Return Wilson's interval of a share where each prompt has one row, or where nothing varies.

    Resampling rows that are all alike would give an interval without width; prompts are counted instead of rows then.
    None where neither is so.
    """
    told = counts > 0
    if (counts <= 1).all():
        return wilson_interval(int(sums.sum()), int(counts.sum()))
    if (sums == 0).all() or (sums == counts).all():
        return wilson_interval(int((sums[told] > 0).sum()), int(told.sum()))
    return None


def _interval_of_few(kind: Kind, sums: Numbers, counts: Numbers) -> tuple[float, float] | None:
    """Return Student's interval of a mean over rows of few prompts, which for a share ends at 0 and 1."""
    told = counts > 0
    interval = t_interval(divided(sums[told], counts[told]), float(sums.sum() / max(1, counts.sum())))
    if interval is None or kind != "share":
        return interval
    return max(0.0, interval[0]), min(1.0, interval[1])


def row_values(rows: Sequence[Row], task: Task, names: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the mean of each metric over the rows that have it.

    Args:
        rows: of one run and decoding.
        task: whose metrics they are.
        names: of the metrics; None is all that rows have.

    Returns:
        metric → n (rows with a value), missing (rows without), prompts (of the n), value, interval, which resamples
        prompts, or is Wilson's for shares of one row per prompt, or Student's where there are few prompts.
    """
    prompts = prompts_of(rows)
    wanted = task.row_metrics if names is None else names
    totals = {name: totals_by_prompt(rows, prompts, name) for name in wanted}
    statistics: dict[str, Statistic] = {}
    known: dict[str, tuple[float, float] | None] = {}
    for name, (sums, counts) in totals.items():
        kind = task.metrics[name].kind
        is_share = kind == "share" and counts.any()
        if is_share and (interval := _share_interval(sums, counts)) is not None:
            known[name] = interval
        elif (counts > 0).sum() < FEW_PROMPTS:
            known[name] = _interval_of_few(kind, sums, counts)
        else:
            statistics[name] = mean_of(sums, counts)
    known |= intervals(statistics, len(prompts))
    return {
        name: {
            "n": int(counts.sum()),
            "missing": len(rows) - int(counts.sum()),
            "prompts": int((counts > 0).sum()),
            "value": rounded(value_of(mean_of(sums, counts), len(prompts))) if prompts else None,
            "interval": bounds(known.get(name)),
        }
        for name, (sums, counts) in totals.items()
    }


def _rows_of_set(name: str, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that a metric of a set rests on."""
    if name in DECISION_FUNCTIONS:
        return [row for row in rows if row["values"]["decision_correct"] is not None]
    if name in _OF_READ_RATINGS:
        return [row for row in rows if row["values"]["rating"] is not None]
    return [row for row in rows if row["human_rating"] is not None]


def _set_value(name: str, rows: Sequence[Row], reference: Sequence[Row], task: Task) -> float | None:
    if name in DECISION_FUNCTIONS:
        return DECISION_FUNCTIONS[name](rows, task.classes)
    return wasserstein_to_human(rows, reference) if name == "wasserstein_to_human" else RATING_FUNCTIONS[name](rows)


def set_values(
    rows: Sequence[Row], reference: Sequence[Row], of_texts: Mapping[str, float | None], task: Task
) -> dict[str, dict[str, Any]]:
    """Return the metrics that need all rows of a run at once.

    Args:
        rows: of the run.
        reference: rows of the task's reference for the same prompts; the run's own rows where that is measured.
        of_texts: those that measure_responses computed from the texts: a value without an interval.
        task: whose metrics they are.
    """
    prompts = prompts_of(rows)
    statistics = set_statistics(rows, reference, prompts, task)
    if rows and rows[0]["run"] == task.reference:
        statistics.pop("wasserstein_to_human", None)  # people's distance from themselves
    # Draws that are all alike tell nothing of the spread.
    found_intervals = {
        name: known for name, known in intervals(statistics, len(prompts)).items() if known and known[0] < known[1]
    }
    if rows:
        found_intervals["accuracy"] = row_values(rows, task, ["decision_correct"])["decision_correct"]["interval"]
    found = {}
    for name in task.set_metrics:
        if name in statistics:
            used, value = _rows_of_set(name, rows), _set_value(name, rows, reference, task)
        else:
            used, value = list(rows), of_texts.get(name)
        found[name] = {
            "n": len(used),
            "missing": len(rows) - len(used),
            "prompts": len(prompts_of(used)),
            "value": rounded(value),
            "interval": None if value is None else bounds(found_intervals.get(name)),
        }
    return found


def values(
    rows: Sequence[Row], reference: Sequence[Row], of_texts: Mapping[str, float | None], task: Task
) -> dict[str, Any]:
    """Return every metric of the task for one run; see `row_values` and `set_values`."""
    return row_values(rows, task) | set_values(rows, reference, of_texts, task)


def failures(rows: Sequence[Row], task: Task) -> dict[str, int]:
    """Return how many responses could not be used as they are; each counts as wrong where a metric says so."""

    def failed(row: Row, metric: str | None) -> bool:
        return row["predicted"] is None if metric is None else row["values"].get(metric) == 0

    return {kind: sum(failed(row, metric) for row in rows) for kind, metric in task.failures.items()}
