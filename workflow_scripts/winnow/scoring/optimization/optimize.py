"""The whole of it: screen, search, choose how many, test. A function of answers, labels and settings alone."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from winnow.core.config.signals import ChecklistOptimization
from winnow.core.errors import WinnowError
from winnow.core.log import log
from winnow.scoring.optimization.counting import Numbers, youden_threshold
from winnow.scoring.optimization.crossvalidation import Curve, Folds
from winnow.scoring.optimization.matrix import Matrix
from winnow.scoring.optimization.screening import Screened, screen
from winnow.scoring.optimization.search import Space, find_paths
from winnow.scoring.optimization.significance import (
    Baselines,
    Permutations,
    Settled,
    baselines,
    p_value,
    permute,
    selection_frequency,
)
from winnow.scoring.optimization.voting import PaperVotes, paper_votes

Status = Literal["validated", "not_better_than_chance"]
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Outcome:
    """A chosen checklist and all that speaks for or against it. Items are columns of the matrix.

    Attributes:
        chosen: the items, in the order in which they were chosen.
        screened: what happened to every candidate.
        space: what was searched: the survivors.
        threshold: the count of yes from which to say 1, chosen on the same responses, so it describes and predicts
            nothing.
        votes: how well papers are told apart by the votes of their responses; None but for target decision.
        by_fold: AUC on each held-out fold by number of items. Shape: [folds, steps].
        curve: its means.
        permutations: the null.
        baselines: what is to be beaten.
        frequency: of each survivor in checklists chosen on resampled papers.
    """

    chosen: tuple[int, ...]
    screened: Screened
    space: Space
    threshold: int
    votes: PaperVotes | None
    by_fold: Numbers
    curve: Curve
    permutations: Permutations
    baselines: Baselines
    frequency: Numbers

    @property
    def auc(self) -> float:
        """Mean over held-out folds at the chosen number of items."""
        return float(self.curve.mean[len(self.chosen) - 1])

    @property
    def p(self) -> float:
        """Of the permutation test at the chosen number of items."""
        return p_value(self.permutations.null, self.auc)

    @property
    def status(self) -> Status:
        """Whether it is better than shuffled labels, than random items, and than length."""
        floor = max(self.baselines.random_mean + self.baselines.random_error, self.baselines.length)
        return "validated" if self.p <= SIGNIFICANCE and self.auc > floor else "not_better_than_chance"


def optimize(matrix: Matrix, settings: ChecklistOptimization, *, permutations: int | None = None) -> Outcome:
    """Choose items, and say what the choice is worth.

    Args:
        matrix: answers and labels.
        settings: of the study.
        permutations: another number of them than the settings', which allow none below 199.

    Raises:
        WinnowError: if the labels or papers are too few, or too few items pass screening.
    """
    folds = Folds.deal(matrix.groups, matrix.group_names, settings.folds, settings.seed)
    _check_labels(matrix, folds)
    screened = screen(matrix, settings)
    survivors = list(screened.survivors)
    log(f"{len(survivors)} of {len(matrix.items)} candidates pass screening; {len(matrix.ids):,} responses")
    space = Space.of(
        matrix.answers[:, survivors],
        screened.phi[np.ix_(survivors, survivors)],
        penalty=settings.redundancy_penalty,
        width=settings.beam_width,
        steps=min(settings.max_items, len(survivors)),
    )
    by_fold = folds.held_out_aucs(space, matrix.labels[None])[0]
    curve = Curve.of(by_fold)
    size = curve.fewest_items(settings.min_items)
    path = find_paths(space, matrix.labels[None], np.ones((1, len(matrix.ids))))[0, :size]
    seed = settings.seed
    draws = permutations or settings.permutations
    counts = space.yes[:, path].sum(axis=1).astype(np.intp)
    return Outcome(
        chosen=tuple(survivors[item] for item in path),
        screened=screened,
        space=space,
        threshold=youden_threshold(counts, matrix.labels),
        votes=paper_votes(space, matrix, folds, size) if settings.target == "decision" else None,
        by_fold=by_fold,
        curve=curve,
        baselines=baselines(space, matrix, folds, chosen=size, sets=settings.random_subsets, seed=seed),
        frequency=selection_frequency(space, matrix, size, settings.bootstraps, seed),
        permutations=permute(space, matrix, folds, Settled(size, settings.min_items, screened), count=draws, seed=seed),
    )


def _check_labels(matrix: Matrix, folds: Folds) -> None:
    """Check that at least two folds have both labels; one that has not says nothing, and is left out of means.

    Raises:
        WinnowError: saying what there is.
    """
    held = [matrix.labels[folds.of == fold] for fold in range(folds.count)]
    both = sum(bool(labels.any() and not labels.all()) for labels in held)
    if both < 2:
        problem = (
            f"{len(matrix.ids)} responses to {len(np.unique(matrix.papers))} papers, {int(matrix.labels.sum())} "
            f"labelled 1: {both} of {folds.count} folds have both labels, and 2 are needed"
        )
        fix = "give more data: a larger splits.optimize of the corpora, or more of them"
        raise WinnowError("choosing a checklist", problem, fix)
