"""Metrics of all responses of one run and decoding, from rows of measured.jsonl: pure, and quick enough to resample.

A row is a response, also where a prompt has several: so a model that answers once, one that answers k times and a human
reviewer are measured alike. A human row is held against the other reviewers of its paper. Rows without a decision (or
whose scale has no threshold) are not counted for decisions, those of unrated papers not for ratings.

`DECISION_FUNCTIONS` need rows and classes, the positive one first, `RATING_FUNCTIONS` rows alone.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]
Confusion = dict[str, dict[str, int]]
Classes = Sequence[str]

UNPARSED = "unparsed"


def confusion(rows: Iterable[Row], classes: Classes) -> Confusion:
    """Return how often each decision (outer key) met each answer: one of the classes, or unparsed, never right."""
    counts = {decision: dict.fromkeys((*classes, UNPARSED), 0) for decision in classes}
    for row in rows:
        if row["values"]["decision_correct"] is not None:
            counts[row["decision"]][row["predicted"] or UNPARSED] += 1
    return counts


def _cells(rows: Iterable[Row], classes: Classes) -> list[list[int]]:
    """Return the counts of `confusion`, rows being decisions and columns answers. Shape: [2, 3]."""
    return [list(answers.values()) for answers in confusion(rows, classes).values()]


def accuracy(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the share of decisions that are right; None without a decided row."""
    cells = _cells(rows, classes)
    total = sum(map(sum, cells))
    return (cells[0][0] + cells[1][1]) / total if total else None


def macro_f1(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the mean of the F1 of both classes; None unless there are rows of both.

    An F1 is 2·right / (rows of the class + answers of the class); a class that is never answered has 0.

    Reference: scikit-learn's f1_score with the labels of both classes, macro average. Written out here, as the others
    are, because a bootstrap calls them ten thousand times and scikit-learn takes a millisecond for each.
    """
    cells = _cells(rows, classes)
    if not all(map(sum, cells)):
        return None
    scores = [2 * cells[k][k] / (sum(cells[k]) + cells[0][k] + cells[1][k]) for k in range(2)]
    return sum(scores) / 2


def _positive(rows: Sequence[Row], classes: Classes) -> tuple[int, int, int]:
    """Return the rows of the positive class that are answered rightly, all of them, and all positive answers."""
    cells = _cells(rows, classes)
    return cells[0][0], sum(cells[0]), cells[0][0] + cells[1][0]


def f1_positive(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the F1 of the positive class; None where there are neither rows nor answers of it.

    It is 2p / (1 + p) for who always gives that answer, p being the share of the class.

    Reference: scikit-learn's f1_score.
    """
    right, of_class, answers = _positive(rows, classes)
    return 2 * right / (of_class + answers) if of_class + answers else None


def precision_positive(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the share of positive answers that is right; None without one.

    Reference: scikit-learn's precision_score.
    """
    right, _, answers = _positive(rows, classes)
    return right / answers if answers else None


def recall_positive(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the share of the positive class that is found; None without a row of it.

    Reference: scikit-learn's recall_score.
    """
    right, of_class, _ = _positive(rows, classes)
    return right / of_class if of_class else None


def mcc(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return Matthews' correlation of answers and decisions: 0 if all answers are alike, None without both classes.

    Source: Gorodkin 2004 (R_K, for three answers), which is Matthews 1975 where every answer could be read.
    Reference: scikit-learn's matthews_corrcoef.
    """
    cells = _cells(rows, classes)
    if not all(map(sum, cells)):
        return None
    total, right = sum(map(sum, cells)), cells[0][0] + cells[1][1]
    truths, answers = [*map(sum, cells), 0], [cells[0][k] + cells[1][k] for k in range(3)]
    covariance = right * total - sum(t * a for t, a in zip(truths, answers, strict=True))
    spread = (total**2 - sum(t * t for t in truths)) * (total**2 - sum(a * a for a in answers))
    return covariance / math.sqrt(spread) if spread else 0.0


def balanced_accuracy(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the mean over both classes of the share that is decided rightly; None without rows of both.

    Reference: scikit-learn's balanced_accuracy_score.
    """
    cells = _cells(rows, classes)
    if not all(map(sum, cells)):
        return None
    return sum(cells[k][k] / sum(cells[k]) for k in range(2)) / 2


def predicted_positive_rate(rows: Sequence[Row], classes: Classes) -> float | None:
    """Return the share of decided rows whose answer is the positive class; an unread one is not."""
    cells = _cells(rows, classes)
    total = sum(map(sum, cells))
    return (cells[0][0] + cells[1][0]) / total if total else None


def _read(rows: Iterable[Row]) -> list[float]:
    return [row["values"]["rating"] for row in rows if row["values"]["rating"] is not None]


def rating_sd(rows: Sequence[Row]) -> float | None:
    """Return the standard deviation (n - 1) of the ratings read; None for fewer than two."""
    ratings = _read(rows)
    return float(np.std(ratings, ddof=1)) if len(ratings) > 1 else None


def wasserstein_to_human(rows: Sequence[Row], human_rows: Sequence[Row]) -> float | None:
    """Return the Wasserstein-1 distance of the ratings read to those of the papers' human reviews; None without either.

    Computed by SciPy.
    """
    # A second, and most callers of this module are not here for it.
    from scipy.stats import wasserstein_distance  # noqa: PLC0415

    ours, theirs = _read(rows), _read(human_rows)
    return float(wasserstein_distance(ours, theirs)) if ours and theirs else None


def _by_scale(rows: Iterable[Row]) -> list[list[Row]]:
    """Return rows that can be compared with people's mean, apart for each scale: years differ in level and in scale."""
    found: dict[tuple[float, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["human_rating"] is not None:
            found[tuple(row["rating_scale"])].append(row)
    return [found[scale] for scale in sorted(found)]


def spearman(rows: Sequence[Row]) -> float | None:
    """Return Spearman's rank correlation of ratings with people's mean rating, weighted over scales by their rows.

    Only rows with a read rating count. Ratings that are all equal rank nothing: 0. A scale with fewer than three rows,
    or on which people's mean is the same for all, says nothing. None where no scale says anything. Computed by SciPy.
    """
    from scipy.stats import spearmanr  # noqa: PLC0415 - see above

    weighted, total = 0.0, 0
    for of_scale in _by_scale(row for row in rows if row["values"]["rating"] is not None):
        ours = [row["values"]["rating"] for row in of_scale]
        theirs = [row["human_rating"] for row in of_scale]
        if len(ours) < 3 or len(set(theirs)) == 1:
            continue
        value = 0.0 if len(set(ours)) == 1 else float(spearmanr(ours, theirs).statistic)
        weighted, total = weighted + len(ours) * value, total + len(ours)
    return weighted / total if total else None


def pairwise_ranking_accuracy(rows: Sequence[Row]) -> float | None:
    """Return of all pairs of responses to two papers of a scale that people rate differently the share ranked alike.

    Equal ratings are half right; a pair with an unread rating is wrong. None without such a pair.

    Source: concordance of pairs (Kendall 1938), with the usual half for a tie.
    """
    right, pairs = 0.0, 0
    for of_scale in _by_scale(rows):
        theirs = np.array([row["human_rating"] for row in of_scale])
        ours = np.array([math.nan if (r := row["values"]["rating"]) is None else r for row in of_scale], dtype=float)
        papers = np.unique([row["prompt_id"] for row in of_scale], return_inverse=True)[1]
        counted = (papers[:, None] != papers) & (theirs[:, None] > theirs)
        difference = ours[:, None] - ours
        right += float(np.sum(counted & (difference > 0)) + 0.5 * np.sum(counted & (difference == 0)))
        pairs += int(counted.sum())
    return right / pairs if pairs else None


DECISION_FUNCTIONS: dict[str, Callable[[Sequence[Row], Classes], float | None]] = {
    function.__name__: function
    for function in (
        accuracy,
        macro_f1,
        f1_positive,
        precision_positive,
        recall_positive,
        mcc,
        balanced_accuracy,
        predicted_positive_rate,
    )
}
RATING_FUNCTIONS: dict[str, Callable[[Sequence[Row]], float | None]] = {
    function.__name__: function for function in (spearman, pairwise_ranking_accuracy, rating_sd)
}
