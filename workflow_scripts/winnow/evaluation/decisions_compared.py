"""Decisions: confusion matrices with what could not be read, and what choosing without reading would reach."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.evaluation.catalogue import Task
from winnow.evaluation.estimates import row_values
from winnow.evaluation.measured import Row, prompts_of
from winnow.evaluation.resampling import Statistic, bounds, intervals, rounded, value_of
from winnow.evaluation.set_metrics import confusion
from winnow.evaluation.set_statistics import class_statistics, decision_statistics


def _estimated(statistics: Mapping[Any, Statistic], prompts: int) -> dict[Any, dict[str, Any]]:
    """Return each statistic with its interval by prompt; none where all draws give the same."""
    found = intervals(statistics, prompts)
    numbers: dict[Any, dict[str, Any]] = {}
    for name, statistic in statistics.items():
        value = value_of(statistic, prompts)
        known = bounds(found[name]) if value is not None else None
        numbers[name] = {"value": rounded(value), "interval": known if known and known[0] < known[1] else None}
    return numbers


def decided(rows: Sequence[Row], task: Task) -> dict[str, Any]:
    """Return the confusion matrix of some rows and what follows from it, each with an interval by prompt.

    Accuracy is the mean of decision_correct, and has its interval.

    Returns:
        n, confusion, the task's metrics of decisions, and per_class: class → precision, recall, f1. A task without
        `f1_positive` has that number as f1_<positive class> here.
    """
    prompts = prompts_of(rows)
    by_class = class_statistics(rows, prompts, task.classes)
    of_all = {
        name: statistic
        for name, statistic in decision_statistics(rows, prompts, task.classes).items()
        if name in task.metrics
    }
    of_classes = {(name, kind): statistic for name, of_one in by_class.items() for kind, statistic in of_one.items()}
    found = _estimated(of_all | of_classes, len(prompts))
    numbers = {name: found[name] for name in of_all}
    numbers["accuracy"]["interval"] = row_values(rows, task, ["decision_correct"])["decision_correct"]["interval"]
    per_class = {name: {kind: found[name, kind] for kind in of_one} for name, of_one in by_class.items()}
    if "f1_positive" not in numbers:
        numbers[f"f1_{task.classes[0]}"] = per_class[task.classes[0]]["f1"]
    count = sum(row["values"]["decision_correct"] is not None for row in rows)
    return {"n": count, "confusion": confusion(rows, task.classes), **numbers, "per_class": per_class}


def _always(truths: Mapping[str, str], answer: str) -> list[Row]:
    """Return rows of one response to each prompt that all give the same answer."""
    return [
        {
            "run": answer,
            "id": prompt,
            "prompt_id": prompt,
            "decision": decision,
            "predicted": answer,
            "values": {"decision_correct": float(decision == answer)},
        }
        for prompt, decision in truths.items()
    ]


def baselines(rows: Sequence[Row], reference: Sequence[Row], task: Task) -> dict[str, Any]:
    """Return what is reached by the commoner class, by always the positive one, and by the task's reference.

    The F1 of who always gives the positive answer is 2p / (1 + p), p being the share of that class. Of reviews the
    reference is single human reviewers: each is held against the venue's decision, in which it had a part, an advantage
    that no model has.

    Args:
        rows: of any run: they name the prompts.
        reference: rows of the reference for the same prompts.
        task: with its classes.
    """
    truths = {row["prompt_id"]: row["decision"] for row in rows if row["values"]["decision_correct"] is not None}
    counts = Counter(truths.values())
    positive, negative = task.classes
    commoner = positive if counts[positive] > counts[negative] else negative
    return {
        "majority": {"answer": commoner, **decided(_always(truths, commoner), task)},
        "always_positive": decided(_always(truths, positive), task),
        task.reference_baseline: decided(reference, task),
    }


def decisions(
    runs: Mapping[str, Sequence[Row]], reference: Sequence[Row], thresholds: Mapping[str, Any], task: Task
) -> dict[str, Any] | None:
    """Return all that is to be said of decisions in one modality and decoding; None where no prompt has a decision.

    Args:
        runs: rows of each run.
        reference: rows of the task's reference for the same prompts.
        thresholds: as measure_responses fitted them; empty where answers are not ratings, and null in the result.
        task: with its classes.
    """
    rows = next(iter(runs.values()), [])
    prompts = prompts_of(row for row in rows if row["values"]["decision_correct"] is not None)
    if not prompts:
        return None
    return {
        "threshold": thresholds or None,
        "n": len(prompts),
        "baselines": baselines(rows, reference, task),
        "rows": {run: decided(of_run, task) for run, of_run in runs.items()},
    }
