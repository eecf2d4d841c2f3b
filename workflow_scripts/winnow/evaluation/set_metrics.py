"""Metrics of all responses of one run and decoding, from rows of measured.jsonl: pure, and quick enough to resample.

A row is a response, also where a paper has several: so a model that answers once, one that answers k times and a human
reviewer are measured alike. A human row is held against the other reviewers of its paper. Rows of papers without a
decision (or whose scale has no threshold) are not counted for decisions, those of unrated papers not for ratings.

`SET_FUNCTIONS` names those that need nothing but rows.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]
Confusion = dict[str, dict[str, int]]

DECISIONS = ("accept", "reject")
ANSWERS = ("accept", "reject", "unparsed")


def confusion(rows: Iterable[Row]) -> Confusion:
    """Return how often each venue decision (outer key) met each answer: accept, reject, or unparsed, never right."""
    counts = {decision: dict.fromkeys(ANSWERS, 0) for decision in DECISIONS}
    for row in rows:
        if row["values"]["decision_correct"] is not None:
            counts[row["decision"]][row["predicted"] or "unparsed"] += 1
    return counts


def _cells(rows: Iterable[Row]) -> list[list[int]]:
    """Return the counts of `confusion`, rows being decisions and columns answers."""
    counts = confusion(rows)
    return [[counts[decision][answer] for answer in ANSWERS] for decision in DECISIONS]


def accuracy(rows: Sequence[Row]) -> float | None:
    """Return the share of decisions that are right; None without a decided paper."""
    cells = _cells(rows)
    total = sum(map(sum, cells))
    return (cells[0][0] + cells[1][1]) / total if total else None


def macro_f1(rows: Sequence[Row]) -> float | None:
    """Return the mean of the F1 of accept and of reject; None unless there are papers of both.

    An F1 is 2·right / (papers of the class + answers of the class); a class that is never answered has 0.

    Reference: scikit-learn's f1_score with labels accept and reject, macro average. Written out here, as the next two
    are, because a bootstrap calls them ten thousand times and scikit-learn takes a millisecond for each.
    """
    cells = _cells(rows)
    if not all(map(sum, cells)):
        return None
    scores = [2 * cells[k][k] / (sum(cells[k]) + cells[0][k] + cells[1][k]) for k in range(2)]
    return sum(scores) / 2


def mcc(rows: Sequence[Row]) -> float | None:
    """Return Matthews' correlation of answers and decisions: 0 if all answers are alike, None without both classes.

    Source: Gorodkin 2004 (R_K, for three answers), which is Matthews 1975 where every answer could be read.
    Reference: scikit-learn's matthews_corrcoef.
    """
    cells = _cells(rows)
    if not all(map(sum, cells)):
        return None
    total, right = sum(map(sum, cells)), cells[0][0] + cells[1][1]
    papers, answers = [*map(sum, cells), 0], [cells[0][k] + cells[1][k] for k in range(3)]
    covariance = right * total - sum(p * a for p, a in zip(papers, answers, strict=True))
    spread = (total**2 - sum(p * p for p in papers)) * (total**2 - sum(a * a for a in answers))
    return covariance / math.sqrt(spread) if spread else 0.0


def balanced_accuracy(rows: Sequence[Row]) -> float | None:
    """Return the mean of the shares of accepted and of rejected papers decided rightly; None without both classes.

    Reference: scikit-learn's balanced_accuracy_score.
    """
    cells = _cells(rows)
    if not all(map(sum, cells)):
        return None
    return sum(cells[k][k] / sum(cells[k]) for k in range(2)) / 2


def predicted_positive_rate(rows: Sequence[Row]) -> float | None:
    """Return the share of responses to decided papers that accept; an unread one does not."""
    cells = _cells(rows)
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


SET_FUNCTIONS: dict[str, Callable[[Sequence[Row]], float | None]] = {
    function.__name__: function
    for function in (
        spearman,
        pairwise_ranking_accuracy,
        rating_sd,
        accuracy,
        macro_f1,
        mcc,
        balanced_accuracy,
        predicted_positive_rate,
    )
}
