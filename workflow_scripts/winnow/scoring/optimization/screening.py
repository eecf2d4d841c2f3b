"""Which candidates the search may use: those that tell something apart, are stable, and are not another's double."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.config.signals import ChecklistOptimization, Screening
from winnow.core.errors import WinnowError
from winnow.scoring.agreement import cohen_kappa
from winnow.scoring.optimization.counting import Labels, Numbers, auc_of_histograms
from winnow.scoring.optimization.matrix import Matrix
from winnow.scoring.optimization.search import Indices
from winnow.scoring.optimization.similarity import answer_phi, text_similarity
from winnow.scoring.report import pearson


@dataclass(frozen=True)
class Measured:
    """What is known of one item before the search; None where it cannot be said.

    Attributes:
        null_rate: share of responses without an answer.
        prevalence: share of yes among the answers.
        kappa: of two judgements of the same texts; None too where nothing was judged twice.
        auc: of the item alone, for the label.
        corr_rating: with the rating.
        corr_len: with the logarithm of the length.
    """

    null_rate: float
    prevalence: float | None
    kappa: float | None
    auc: float | None
    corr_rating: float | None
    corr_len: float | None


@dataclass(frozen=True)
class Dropped:
    """A candidate that the search does not see.

    Attributes:
        item: which column.
        reason: in words, with the number and the limit it breaks.
        cluster: of the item it is a double of; None where it did not come so far.
    """

    item: int
    reason: str
    cluster: int | None


@dataclass(frozen=True)
class Screened:
    """The outcome: every candidate is a survivor or dropped.

    Attributes:
        measured: of every candidate.
        phi: of every two candidates. Shape: [items, items].
        passing: columns that are not dropped for themselves, ascending.
        alike: which of these are doubles of each other. Shape: [passing, passing].
        survivors: those of them that no other stands for, ascending.
        clusters: of each survivor, numbered from 1 in the order of ids.
        dropped: ordered by column.
    """

    measured: tuple[Measured, ...]
    phi: Numbers
    passing: tuple[int, ...]
    alike: NDArray[np.bool_]
    survivors: tuple[int, ...]
    clusters: tuple[int, ...]
    dropped: tuple[Dropped, ...]


def screen(matrix: Matrix, settings: ChecklistOptimization) -> Screened:
    """Measure the candidates, and drop what cannot or should not be chosen.

    Raises:
        WinnowError: if fewer than `min_items` are left, naming every item that was dropped and why.
    """
    measured = tuple(_measure(matrix, item) for item in range(len(matrix.items)))
    limits = settings.screening
    use_rating = settings.target != "decision"
    reasons = [_reason(one, limits, use_rating=use_rating) for one in measured]
    passing = [item for item, reason in enumerate(reasons) if reason is None]
    phi, likeness = answer_phi(matrix.answers), text_similarity([item.text for item in matrix.items])
    alike = ((likeness >= limits.max_text_similarity) | (phi >= limits.max_phi))[np.ix_(passing, passing)]
    np.fill_diagonal(alike, val=False)
    aucs = item_aucs(matrix.answers[:, passing], matrix.labels[None])[0]
    stands = {item: passing[first] for item, first in zip(passing, stand_ins(aucs, alike), strict=True)}
    survivors = tuple(item for item in passing if stands[item] == item)
    cluster = {item: number for number, item in enumerate(survivors, 1)}
    dropped = [Dropped(item, reason, None) for item, reason in enumerate(reasons) if reason is not None]
    for item, first in stands.items():
        if first != item:
            why = _why_alike(item, first, likeness, phi, limits)
            dropped.append(Dropped(item, f"double of {matrix.items[first].id}: {why}", cluster[first]))
    dropped.sort(key=lambda one: one.item)
    if len(survivors) < settings.min_items:
        _too_few(matrix, len(survivors), dropped, settings.min_items)
    return Screened(
        measured=measured,
        phi=phi,
        passing=tuple(passing),
        alike=alike,
        survivors=survivors,
        clusters=tuple(cluster[item] for item in survivors),
        dropped=tuple(dropped),
    )


def _too_few(matrix: Matrix, left: int, dropped: Sequence[Dropped], needed: int) -> None:
    lost = "; ".join(f"{matrix.items[one.item].id}: {one.reason}" for one in dropped)
    raise WinnowError(
        "screening of the candidates",
        f"{left} of {len(matrix.items)} items are left, and {needed} are needed. Dropped: {lost or 'none'}",
        "give more candidates, or a better judge, or widen signal.optimize.screening",
    )


def _measure(matrix: Matrix, item: int) -> Measured:
    column = matrix.answers[:, item]
    known = column >= 0
    yes = (column[known] == 1).astype(np.float64)
    rated = known & ~np.isnan(matrix.ratings)
    alone = float(item_aucs(column[:, None], matrix.labels[None])[0, 0])
    return Measured(
        null_rate=float(1 - known.mean()),
        prevalence=float(yes.mean()) if known.any() else None,
        kappa=None if matrix.repeats is None else cohen_kappa(matrix.repeats[item]),
        auc=None if np.isnan(alone) else alone,
        corr_rating=pearson((column[rated] == 1).astype(np.float64), matrix.ratings[rated]),
        corr_len=pearson(yes, np.log(np.maximum(1, matrix.tokens[known]))),
    )


def _reason(one: Measured, limits: Screening, *, use_rating: bool) -> str | None:
    """Say why an item is dropped, all reasons in one line; None where it is not."""
    found = []
    if one.null_rate > limits.max_null_rate:
        found.append(f"null rate {one.null_rate:.3f} is above {limits.max_null_rate}")
    if one.prevalence is None:
        found.append("it was never answered")
    elif not limits.min_prevalence <= one.prevalence <= limits.max_prevalence:
        found.append(f"prevalence {one.prevalence:.3f} is outside {limits.min_prevalence} to {limits.max_prevalence}")
    if one.kappa is not None and limits.min_retest_kappa is not None and one.kappa < limits.min_retest_kappa:
        found.append(f"retest kappa {one.kappa:.3f} is below {limits.min_retest_kappa}")
    correlations = [("length", one.corr_len, limits.max_length_correlation)]
    if use_rating:
        correlations.append(("rating", one.corr_rating, limits.max_rating_correlation))
    for name, value, limit in correlations:
        if value is not None and limit is not None and abs(value) > limit:
            found.append(f"correlation with {name} {value:.3f} is beyond {limit}")
    return "; ".join(found) or None


def stand_ins(aucs: Numbers, alike: NDArray[np.bool_]) -> Indices:
    """Return for each item the one that stands for it: itself if it is kept. Shape: [items].

    Items come in the order of how far their own AUC is from 0.5, ties by place; the first of any like ones is kept.

    Args:
        aucs: of each item alone; NaN counts as 0.5. Shape: [items].
        alike: which items are doubles of each other. Shape: [items, items].
    """
    strength = np.round(np.abs(np.nan_to_num(aucs, nan=0.5) - 0.5), 10)
    stands = np.arange(len(aucs))
    kept: list[int] = []
    for item in np.argsort(-strength, kind="stable"):
        firsts = [first for first in kept if alike[item, first]]
        if firsts:
            stands[item] = firsts[0]
        else:
            kept.append(int(item))
    return stands


def item_aucs(answers: NDArray[np.int8], labels: Labels) -> Numbers:
    """Return the AUC of each item alone, for each set of labels, of the responses with an answer. Shape: [sets, items].

    Args:
        answers: 1 yes, 0 no, -1 missing. Shape: [responses, items].
        labels: shape: [sets, responses].
    """
    by_answer = [(answers == answer).astype(np.float64) for answer in (0, 1)]
    positives, negatives = (
        np.stack([side.astype(np.float64) @ one for one in by_answer], axis=2) for side in (labels, ~labels)
    )
    return auc_of_histograms(positives, negatives)


def _why_alike(item: int, first: int, likeness: Numbers, phi: Numbers, limits: Screening) -> str:
    found = []
    if likeness[item, first] >= limits.max_text_similarity:
        found.append(f"text similarity {likeness[item, first]:.3f} >= {limits.max_text_similarity}")
    if phi[item, first] >= limits.max_phi:
        found.append(f"phi {phi[item, first]:.3f} >= {limits.max_phi}")
    return ", ".join(found)
