"""Is the chosen checklist better than chance, than any items, than length? Permutations, baselines, resampling."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.log import Progress
from winnow.scoring.optimization.counting import Labels, Numbers, auc
from winnow.scoring.optimization.crossvalidation import Curve, Folds
from winnow.scoring.optimization.logistic import fit_l1_logistic
from winnow.scoring.optimization.matrix import Matrix
from winnow.scoring.optimization.screening import Screened, item_aucs, stand_ins
from winnow.scoring.optimization.search import Indices, Space, find_paths

L1_STRENGTH = 0.01  # per response: an item with a smaller gradient of the mean log-loss gets no weight
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Permutations:
    """What the same search finds where labels mean nothing: mean AUC on papers held out.

    Attributes:
        null: by the same items and at the same length as were settled on with the true labels. Shape: [B].
        null_all_steps: with doubles resolved and the length chosen anew by each set of labels. Shape: [B].
    """

    null: Numbers
    null_all_steps: Numbers


def p_value(null: Numbers, observed: float) -> float:
    """Return (1 + how many of the null are at least as large) / (B + 1).

    Source: Phipson and Smyth 2010, equation 2.
    """
    return float((1 + (null >= observed).sum()) / (len(null) + 1))


def permuted(labels: Labels, groups: Indices, generator: np.random.Generator) -> Labels:
    """Return labels with the vectors of whole groups exchanged among groups of equal size. Shape: [responses].

    Responses to one paper are alike, so that single ones must not be shuffled. A group whose size no other has keeps
    its labels.

    Args:
        labels: shape: [responses].
        groups: of each response, from 0. Shape: [responses].
        generator: what draws.
    """
    rows = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    drawn = labels.copy()
    for size in np.unique(sizes[sizes > 0]):
        places = rows[starts[sizes == size][:, None] + np.arange(size)]
        drawn[places] = labels[places[generator.permutation(len(places))]]
    return drawn


@dataclass(frozen=True)
class Settled:
    """What the true labels settled, and how.

    Attributes:
        length: number of items chosen.
        least: the fewest that may be chosen.
        screened: which items are doubles of which.
    """

    length: int
    least: int
    screened: Screened


def permute(space: Space, matrix: Matrix, folds: Folds, settled: Settled, *, count: int, seed: int) -> Permutations:
    """Repeat the cross-validated search on permuted labels.

    Args:
        space: answers and settings.
        matrix: with the labels and groups.
        folds: those of the true labels.
        settled: with the true labels.
        count: permutations.
        seed: of the draws.
    """
    generator, progress = np.random.default_rng([seed, 1]), Progress("permutations", count)
    at_once = max(1, _CELLS_AT_ONCE // (len(matrix.labels) * space.steps))
    null: list[float] = []
    own: list[float] = []
    while len(null) < count:
        take = min(at_once, count - len(null))
        labels = np.stack([permuted(matrix.labels, matrix.groups, generator) for _ in range(take)])
        by_fold = folds.held_out_aucs(space, labels)
        null += [Curve.of(one).mean[settled.length - 1] for one in by_fold]
        curves = map(
            Curve.of, _doubles_resolved_anew(space, matrix, folds, settled.screened, labels=labels, by_fold=by_fold)
        )
        own += [curve.mean[curve.fewest_items(settled.least) - 1] for curve in curves]
        progress.step(take)
    return Permutations(np.array(null), np.array(own))


def _doubles_resolved_anew(
    space: Space, matrix: Matrix, folds: Folds, screened: Screened, *, labels: Labels, by_fold: Numbers
) -> Numbers:
    """Return `by_fold` with the searches done again for which other items would stand for their doubles."""
    passing = np.array(screened.passing)
    aucs = item_aucs(matrix.answers[:, passing], labels)
    allowed = np.stack([stand_ins(one, screened.alike) == np.arange(len(passing)) for one in aucs])
    other = np.flatnonzero((allowed != np.isin(passing, screened.survivors)).any(axis=1))
    if not len(other):
        return by_fold
    wider = space.over(matrix.answers[:, passing], screened.phi[np.ix_(passing, passing)])
    anew = by_fold.copy()
    anew[other] = folds.held_out_aucs(wider, labels[other], allowed[other])
    return anew


def selection_frequency(space: Space, matrix: Matrix, chosen: int, count: int, seed: int) -> Numbers:
    """Return how often each item is among the first `chosen` of the path on resampled groups. Shape: [items]."""
    generator, progress = np.random.default_rng([seed, 2]), Progress("resampled papers", count)
    at_once = max(1, _CELLS_AT_ONCE // (len(matrix.labels) * space.steps))
    taken = np.zeros(space.yes.shape[1])
    groups = len(matrix.group_names)
    for start in range(0, count, at_once):
        take = min(at_once, count - start)
        drawn = np.stack([np.bincount(generator.integers(0, groups, groups), minlength=groups) for _ in range(take)])
        paths = find_paths(space, np.repeat(matrix.labels[None], take, axis=0), drawn[:, matrix.groups])
        np.add.at(taken, paths[:, :chosen], 1)
        progress.step(take)
    return taken / max(1, count)


@dataclass(frozen=True)
class Baselines:
    """Mean AUC over the same folds of what a chosen checklist has to beat.

    Attributes:
        random: of each random set of as many of the survivors. Shape: [sets].
        all_candidates: the count of yes over all candidates, those that were dropped too.
        all_survivors: over all that passed screening.
        length: of the number of tokens alone, its direction learned on the other folds.
        l1_logistic: of a weighted sum of survivors, its weights learned on the other folds.
    """

    random: Numbers
    all_candidates: float
    all_survivors: float
    length: float
    l1_logistic: float

    @property
    def random_mean(self) -> float:
        """Mean over the random sets."""
        return float(self.random.mean())

    @property
    def random_error(self) -> float:
        """Standard error of that mean."""
        return float(self.random.std(ddof=1) / np.sqrt(len(self.random))) if len(self.random) > 1 else 0.0


def baselines(space: Space, matrix: Matrix, folds: Folds, *, chosen: int, sets: int, seed: int) -> Baselines:
    """Measure the baselines; arguments as of permute, and how many random sets."""
    items = space.yes.shape[1]
    generator = np.random.default_rng([seed, 3])
    masks = np.zeros((items, sets), np.float32)
    for column in masks.T:
        column[generator.choice(items, chosen, replace=False)] = 1

    def mean(counts: NDArray[np.generic]) -> Numbers:
        return np.asarray(np.nanmean(folds.aucs(counts.astype(np.intp), matrix.labels[None]), axis=1))

    return Baselines(
        random=mean((space.yes @ masks).T),
        all_candidates=float(mean((matrix.answers == 1).sum(axis=1)[None])[0]),
        all_survivors=float(mean(space.yes.sum(axis=1)[None])[0]),
        length=float(np.nanmean(list(_by_length(matrix, folds)))),
        l1_logistic=float(np.nanmean(list(_by_logistic(space, matrix, folds)))),
    )


def _by_length(matrix: Matrix, folds: Folds) -> Iterator[float]:
    for fold in range(folds.count):
        held = folds.of == fold
        longer = auc(matrix.tokens[~held], matrix.labels[~held]) >= 0.5
        yield auc(matrix.tokens[held] if longer else -matrix.tokens[held], matrix.labels[held])


def _by_logistic(space: Space, matrix: Matrix, folds: Folds) -> Iterator[float]:
    answers = space.yes.astype(np.float64)
    for fold in range(folds.count):
        held = folds.of == fold
        weights = fit_l1_logistic(answers[~held], matrix.labels[~held], L1_STRENGTH)[:-1]
        yield auc((answers[held] * weights).sum(axis=1), matrix.labels[held])
