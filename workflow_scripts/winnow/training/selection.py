"""Which measurement of a run is its best, and when there has been no better one for too long.

All of it follows from the lines of metrics.jsonl, which every checkpoint holds up to its step: a run
that was killed and resumed decides as one that never was, and no state has to be saved for that.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.config.runs import OwnKeys, Watched
from winnow.core.errors import WinnowError
from winnow.numerics.labels import METRICS

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """How a run stands by its measurements.

    Attributes:
        step: of the best one so far; None before the first that counts.
        value: of its metric.
        waited: measurements since then, or since the start, none of which was better.
    """

    step: int | None
    value: float | None
    waited: int


def _counts(row: Row, watched: Watched) -> bool:
    """Say whether a measurement has the metric, as a number, and is within the guard."""
    value = row.get(watched.metric)
    if value is None or not math.isfinite(value):
        return False
    guard = watched.guard
    if guard is None:
        return True
    guarded = row.get(guard.metric)
    return (
        guarded is not None
        and (guard.min is None or guarded >= guard.min)
        and (guard.max is None or guarded <= guard.max)
    )


def standing(rows: Sequence[Row], watched: Watched, min_delta: float = 0.0) -> Standing:
    """Return how a run stands. Of equal measurements the earlier one is better.

    Args:
        rows: lines of metrics.jsonl. Those of training, and the measurement before the first step, do not count.
        watched: metric, direction and guard.
        min_delta: an improvement is larger than this.
    """
    sign = 1 if watched.mode == "max" else -1
    found = Standing(None, None, 0)
    for row in rows:
        if row["kind"] != "eval" or row["step"] == 0:
            continue
        better = _counts(row, watched) and (
            found.value is None or sign * (row[watched.metric] - found.value) > min_delta
        )
        found = (
            Standing(row["step"], row[watched.metric], 0)
            if better
            else Standing(found.step, found.value, found.waited + 1)
        )
    return found


def has_stopped(rows: Sequence[Row], own: OwnKeys) -> bool:
    """Say whether a run with these lines has ended early."""
    rule = own.early_stopping
    return rule is not None and standing(rows, rule, rule.min_delta).waited >= rule.patience


def best_step(rows: Sequence[Row], own: OwnKeys) -> int | None:
    """Return the step whose weights would be the finished model if the run ended now; None where it is the last."""
    return None if own.selected_by is None else standing(rows, own.selected_by).step


def _watched(own: OwnKeys) -> Iterator[tuple[str, str]]:
    """Yield (recipe key, metric) for all that a recipe watches."""
    for key, watched in (("early_stopping", own.early_stopping), ("best_by", own.selected_by)):
        if watched is not None:
            yield key, watched.metric
            if watched.guard is not None:
                yield key, watched.guard.metric


def unscored_labels(own: OwnKeys, datasets: Sequence[str]) -> list[str]:
    """Return what a recipe watches of labels that this run will not score, known before it starts.

    Args:
        own: the recipe's own keys.
        datasets: whose validation rows are scored.
    """
    known = [f"{metric}/{dataset}" for dataset in datasets for metric in METRICS]
    there_is = f"use one of: {', '.join(known)}" if known else "this run scores no labelled rows"
    return [
        f"recipe key {key}: {metric!r} is not measured in this run; {there_is}"
        for key, metric in _watched(own)
        if metric.partition("/")[0] in METRICS and metric not in known
    ]


def check_measured(row: Row, own: OwnKeys) -> None:
    """Check on the first measurement, before any step, that what the recipe watches is measured.

    Raises:
        WinnowError: naming the key and what there is to choose from.
    """
    for key, metric in _watched(own):
        if metric not in row:
            known = ", ".join(sorted(row.keys() - {"step", "epoch", "kind"}))
            raise WinnowError(f"recipe key {key}", f"{metric!r} is not measured in this run", f"use one of: {known}")


def check_selected(rows: Sequence[Row], own: OwnKeys, metrics: Path) -> None:
    """Check at the end that a recipe which asks for the best step has watched a number.

    Raises:
        WinnowError: if the metric was never a number.
    """
    watched = own.selected_by
    if watched is not None and standing(rows, watched.model_copy(update={"guard": None})).step is None:
        raise WinnowError(
            "recipe key select",
            f"is best, and no measurement of {watched.metric} is a number (see {metrics})",
            "watch another metric, or set select to last",
        )


def outside_guard(rows: Sequence[Row], own: OwnKeys) -> list[dict[str, Any]]:
    """Return an alarm, in the form of those of health.py, where no step was within the guard of what selects it.

    The finished model is the last step's then. An error instead would leave a training that has ended without a model,
    and a sweep without the arm that shows what goes wrong.
    """
    watched = own.selected_by
    if watched is None or watched.guard is None or best_step(rows, own) is not None:
        return []
    guard, last = watched.guard, [row for row in rows if row["kind"] == "eval"][-1]
    value = float(last[guard.metric])
    bound = guard.min if guard.min is not None and value < guard.min else guard.max
    text = (
        f"select is best, and {guard.metric} was never within the guard: the finished model is the last step's;"
        " lower learning_rate, raise beta, measure more often, or widen the guard"
    )
    return [{"name": "outside_guard", "step": last["step"], "value": value, "threshold": bound, "message": text}]
