"""What one run's responses measure: every metric with its n, what is missing, and an interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.core.statistics import wilson_interval
from winnow.evaluation.catalogue import METRICS, ROW_METRICS, SET_METRICS
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
from winnow.evaluation.set_metrics import SET_FUNCTIONS, wasserstein_to_human
from winnow.evaluation.set_statistics import set_statistics
from winnow.evaluation.significance import t_interval

# With fewer, intervals from resampling are too narrow (docs/statistics.md).
FEW_PROMPTS = 8

_OF_DECISIONS = ("accuracy", "macro_f1", "mcc", "balanced_accuracy", "predicted_positive_rate")
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


def _interval_of_few(name: str, sums: Numbers, counts: Numbers) -> tuple[float, float] | None:
    """Return Student's interval of a mean over rows of few prompts, which for a share ends at 0 and 1."""
    told = counts > 0
    interval = t_interval(divided(sums[told], counts[told]), float(sums.sum() / max(1, counts.sum())))
    if interval is None or METRICS[name].kind != "share":
        return interval
    return max(0.0, interval[0]), min(1.0, interval[1])


def row_values(rows: Sequence[Row], names: Sequence[str] = ROW_METRICS) -> dict[str, dict[str, Any]]:
    """Return the mean of each metric over the rows that have it.

    Returns:
        metric → n (rows with a value), missing (rows without), prompts (of the n), value, interval, which resamples
        prompts, or is Wilson's for shares of one row per prompt, or Student's where there are few prompts.
    """
    prompts = prompts_of(rows)
    totals = {name: totals_by_prompt(rows, prompts, name) for name in names}
    statistics: dict[str, Statistic] = {}
    known: dict[str, tuple[float, float] | None] = {}
    for name, (sums, counts) in totals.items():
        is_share = METRICS[name].kind == "share" and counts.any()
        if is_share and (interval := _share_interval(sums, counts)) is not None:
            known[name] = interval
        elif (counts > 0).sum() < FEW_PROMPTS:
            known[name] = _interval_of_few(name, sums, counts)
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
    if name in _OF_DECISIONS:
        return [row for row in rows if row["values"]["decision_correct"] is not None]
    if name in _OF_READ_RATINGS:
        return [row for row in rows if row["values"]["rating"] is not None]
    return [row for row in rows if row["human_rating"] is not None]


def set_values(
    rows: Sequence[Row], human: Sequence[Row], of_texts: Mapping[str, float | None]
) -> dict[str, dict[str, Any]]:
    """Return the metrics that need all rows of a run at once.

    Args:
        rows: of the run.
        human: the human reviews of the same prompts; the run's own rows where people are measured.
        of_texts: those that measure_responses computed from the texts: a value without an interval.
    """
    prompts = prompts_of(rows)
    statistics = set_statistics(rows, human, prompts)
    if rows and rows[0]["run"] == "human":
        statistics.pop("wasserstein_to_human", None)  # people's distance from themselves
    # Draws that are all alike tell nothing of the spread.
    found_intervals = {
        name: known for name, known in intervals(statistics, len(prompts)).items() if known and known[0] < known[1]
    }
    if rows:
        found_intervals["accuracy"] = row_values(rows, ["decision_correct"])["decision_correct"]["interval"]
    found = {}
    for name in SET_METRICS:
        if name in statistics:
            used = _rows_of_set(name, rows)
            value = wasserstein_to_human(rows, human) if name == "wasserstein_to_human" else SET_FUNCTIONS[name](rows)
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


def values(rows: Sequence[Row], human: Sequence[Row], of_texts: Mapping[str, float | None]) -> dict[str, Any]:
    """Return every metric of the catalogue for one run; see `row_values` and `set_values`."""
    return row_values(rows) | set_values(rows, human, of_texts)


def failures(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many responses could not be used as they are; each counts as wrong where a metric says so."""

    def lacking(metric: str) -> int:
        return sum(row["values"].get(metric) == 0 for row in rows)

    return {"unparsed": lacking("rating_parsed"), "cut_off": lacking("ended"), "invalid": lacking("valid_format")}
