"""The metrics of set_metrics.py as statistics of how often each prompt was drawn, thousands of draws at once.

set_metrics.py says what the numbers are, row by row; here the same follows from counts of each prompt, which is what
makes ten thousand draws possible. A test holds the two against each other on resampled rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from winnow.evaluation.catalogue import Task
from winnow.evaluation.measured import Row
from winnow.evaluation.resampling import Numbers, Statistic, divided
from winnow.evaluation.set_metrics import UNPARSED, Classes

_CLASSES, _ANSWERS = 2, 3  # positive and negative; each of them, and unparsed


def confusions(rows: Sequence[Row], prompts: Sequence[str], classes: Classes) -> Numbers:
    """Return the cells of each prompt's confusion matrix. Shape: [prompts, 6]."""
    place = {prompt: number for number, prompt in enumerate(prompts)}
    answers = [*classes, UNPARSED]
    cells = np.zeros((len(prompts), _CLASSES * _ANSWERS))
    for row in rows:
        if row["values"]["decision_correct"] is not None:
            answer = answers.index(row["predicted"] or UNPARSED)
            cells[place[row["prompt_id"]], classes.index(row["decision"]) * _ANSWERS + answer] += 1
    return cells


def class_statistics(
    rows: Sequence[Row], prompts: Sequence[str], classes: Classes
) -> dict[str, dict[Literal["precision", "recall", "f1"], Statistic]]:
    """Return precision, recall and F1 of each class; a draw without what is divided by has none."""
    cells = confusions(rows, prompts, classes)

    def counted(times: Numbers, k: int) -> tuple[Numbers, Numbers, Numbers]:
        """Return what is right, all rows and all answers of a class. Shapes: [draws]."""
        table = (times @ cells).reshape(-1, _CLASSES, _ANSWERS)
        return table[:, k, k], table[:, k].sum(axis=1), table[:, :, k].sum(axis=1)

    def precision(k: int, times: Numbers) -> Numbers:
        right, _, answers = counted(times, k)
        return divided(right, answers)

    def recall(k: int, times: Numbers) -> Numbers:
        right, of_class, _ = counted(times, k)
        return divided(right, of_class)

    def f1(k: int, times: Numbers) -> Numbers:
        right, of_class, answers = counted(times, k)
        return divided(2 * right, of_class + answers)

    return {
        name: {"precision": partial(precision, k), "recall": partial(recall, k), "f1": partial(f1, k)}
        for k, name in enumerate(classes)
    }


def decision_statistics(rows: Sequence[Row], prompts: Sequence[str], classes: Classes) -> dict[str, Statistic]:
    """Return all that `DECISION_FUNCTIONS` are, by their names."""
    cells = confusions(rows, prompts, classes)

    def drawn(times: Numbers) -> Numbers:
        return (times @ cells).reshape(-1, _CLASSES, _ANSWERS)

    def both(table: Numbers, values: Numbers) -> Numbers:
        """Leave out draws without rows of one of the classes."""
        return np.asarray(np.where((table.sum(axis=2) > 0).all(axis=1), values, np.nan))

    def accuracy(times: Numbers) -> Numbers:
        table = drawn(times)
        return divided(table[:, 0, 0] + table[:, 1, 1], table.sum(axis=(1, 2)))

    def macro_f1(times: Numbers) -> Numbers:
        table = drawn(times)
        scores = [divided(2 * table[:, k, k], table[:, k].sum(axis=1) + table[:, :, k].sum(axis=1)) for k in range(2)]
        return both(table, (scores[0] + scores[1]) / 2)

    def mcc(times: Numbers) -> Numbers:
        table = drawn(times)
        total, right = table.sum(axis=(1, 2)), table[:, 0, 0] + table[:, 1, 1]
        truths, answers = table.sum(axis=2), table.sum(axis=1)
        covariance = right * total - (truths * answers[:, :2]).sum(axis=1)
        spread = (total**2 - (truths**2).sum(axis=1)) * (total**2 - (answers**2).sum(axis=1))
        return both(table, np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1)), 0.0))

    def balanced_accuracy(times: Numbers) -> Numbers:
        table = drawn(times)
        return (divided(table[:, 0, 0], table[:, 0].sum(axis=1)) + divided(table[:, 1, 1], table[:, 1].sum(axis=1))) / 2

    def predicted_positive_rate(times: Numbers) -> Numbers:
        table = drawn(times)
        return divided(table[:, :, 0].sum(axis=1), table.sum(axis=(1, 2)))

    found = (accuracy, macro_f1, mcc, balanced_accuracy, predicted_positive_rate)
    positive = class_statistics(rows, prompts, classes)[classes[0]]
    return {statistic.__name__: statistic for statistic in found} | {
        "f1_positive": positive["f1"],
        "precision_positive": positive["precision"],
        "recall_positive": positive["recall"],
    }


def _levels(rows: Sequence[Row], prompts: Sequence[str], levels: Sequence[float]) -> Numbers:
    """Return how many rows of each prompt have each rating. Shape: [prompts, levels]."""
    place = {prompt: number for number, prompt in enumerate(prompts)}
    counts = np.zeros((len(prompts), len(levels)))
    for row in rows:
        if (rating := row["values"]["rating"]) is not None:
            counts[place[row["prompt_id"]], levels.index(rating)] += 1
    return counts


def _ratings(rows: Sequence[Row]) -> list[float]:
    return sorted({row["values"]["rating"] for row in rows} - {None})


def rating_sd(rows: Sequence[Row], prompts: Sequence[str]) -> Statistic:
    """Return the standard deviation of the ratings read."""
    levels = _ratings(rows)
    counts, ratings = _levels(rows, prompts, levels), np.array(levels)

    def statistic(times: Numbers) -> Numbers:
        weights = times @ counts
        n = weights.sum(axis=1)
        mean = divided(weights @ ratings, n)
        squares = (weights * (ratings - mean[:, None]) ** 2).sum(axis=1)
        return np.sqrt(divided(squares, np.maximum(n - 1, 0)))

    return statistic


def wasserstein_to_human(rows: Sequence[Row], human: Sequence[Row], prompts: Sequence[str]) -> Statistic:
    """Return the area between the cumulative distributions of the ratings read and of people's."""
    levels = sorted({*_ratings(rows), *_ratings(human)})
    ours, theirs, steps = _levels(rows, prompts, levels), _levels(human, prompts, levels), np.diff(levels)

    def cumulative(times: Numbers, counts: Numbers) -> Numbers:
        weights = np.cumsum(times @ counts, axis=1)
        return divided(weights, np.broadcast_to(weights[:, -1:], weights.shape))

    def statistic(times: Numbers) -> Numbers:
        if not levels:
            return np.full(len(times), np.nan)
        apart = np.abs(cumulative(times, ours) - cumulative(times, theirs))
        return np.asarray(np.where(np.isnan(apart[:, -1]), np.nan, apart[:, :-1] @ steps))

    return statistic


def _of_scales(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows that people rated too, apart for each scale."""
    scales = sorted({tuple(row["rating_scale"]) for row in rows if row["human_rating"] is not None})
    known = [row for row in rows if row["human_rating"] is not None]
    return [[row for row in known if tuple(row["rating_scale"]) == scale] for scale in scales]


def pairwise_ranking_accuracy(rows: Sequence[Row], prompts: Sequence[str]) -> Statistic:
    """Return the share of pairs of papers ranked as people rank them: a quadratic form in how often each was drawn."""
    place = {prompt: number for number, prompt in enumerate(prompts)}
    right, pairs = np.zeros((len(prompts), len(prompts))), np.zeros((len(prompts), len(prompts)))
    for of_scale in _of_scales(rows):
        papers = np.array([place[row["prompt_id"]] for row in of_scale])
        theirs = np.array([row["human_rating"] for row in of_scale])
        ours = np.array([np.nan if (r := row["values"]["rating"]) is None else r for row in of_scale], dtype=float)
        counted = (papers[:, None] != papers) & (theirs[:, None] > theirs)
        apart = ours[:, None] - ours
        cells = (np.repeat(papers, len(papers)), np.tile(papers, len(papers)))
        np.add.at(pairs, cells, counted.ravel().astype(float))
        np.add.at(right, cells, (counted * ((apart > 0) + 0.5 * (apart == 0))).ravel())
    return lambda times: divided((times @ right * times).sum(axis=1), (times @ pairs * times).sum(axis=1))


def _midranks(weights: Numbers) -> Numbers:
    """Return the rank of each level where so many rows have it, ties in the middle. Shape: [draws, levels]."""
    return np.cumsum(weights, axis=1) - weights / 2 + 0.5


def _centred(ranks: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Return ranks less their mean, and the sum of their squares. Shapes: [draws, levels], [draws]."""
    centred = ranks - divided((ranks * weights).sum(axis=1), weights.sum(axis=1))[:, None]
    return centred, (centred**2 * weights).sum(axis=1)


def spearman(rows: Sequence[Row], prompts: Sequence[str]) -> Statistic:
    """Return the rank correlation with people's mean rating, over scales weighted by their rows."""
    read = [row for row in rows if row["values"]["rating"] is not None]
    parts: list[tuple[Any, ...]] = []
    for of_scale in _of_scales(read):
        ours = _ratings(of_scale)
        theirs = sorted({row["human_rating"] for row in of_scale})
        # Shape: [prompts, our levels, their levels].
        cells = np.zeros((len(prompts), len(ours), len(theirs)))
        place = {prompt: number for number, prompt in enumerate(prompts)}
        for row in of_scale:
            rating, human = ours.index(row["values"]["rating"]), theirs.index(row["human_rating"])
            cells[place[row["prompt_id"]], rating, human] += 1
        parts.append((cells.reshape(len(prompts), -1), cells.shape))

    def statistic(times: Numbers) -> Numbers:
        weighted, total = np.zeros(len(times)), np.zeros(len(times))
        for flat, shape in parts:
            table = (times @ flat).reshape(-1, *shape[1:])
            our_weights, their_weights = table.sum(axis=2), table.sum(axis=1)
            x, xx = _centred(_midranks(our_weights), our_weights)
            y, yy = _centred(_midranks(their_weights), their_weights)
            n = our_weights.sum(axis=1)
            says = (n >= 3) & ((their_weights > 0).sum(axis=1) > 1)
            # Equal ratings rank nothing: 0.
            varies = says & ((our_weights > 0).sum(axis=1) > 1)
            covariance = np.einsum("du,duv,dv->d", np.nan_to_num(x), table, np.nan_to_num(y), optimize=True)
            value = np.where(varies, covariance / np.sqrt(np.where(varies, xx * yy, 1.0)), 0.0)
            weighted, total = weighted + np.where(says, n * value, 0.0), total + np.where(says, n, 0.0)
        return divided(weighted, total)

    return statistic


def set_statistics(
    rows: Sequence[Row], reference: Sequence[Row], prompts: Sequence[str], task: Task
) -> dict[str, Statistic]:
    """Return every metric of a set of rows that can be resampled, of those that the task has.

    Args:
        rows: of one run and decoding.
        reference: rows of the task's reference for the same prompts.
        prompts: those of the rows, in order.
        task: with its classes.
    """
    found = decision_statistics(rows, prompts, task.classes)
    of_ratings = {"rating_sd": rating_sd, "spearman": spearman, "pairwise_ranking_accuracy": pairwise_ranking_accuracy}
    # Only rows of rated responses have what these read.
    found |= {name: make(rows, prompts) for name, make in of_ratings.items() if name in task.metrics}
    if "wasserstein_to_human" in task.metrics:
        found["wasserstein_to_human"] = wasserstein_to_human(rows, reference, prompts)
    return {name: statistic for name, statistic in found.items() if name in task.metrics}
