"""Decisions on papers by the votes of their responses, as in the study that target `decision` is to compare with."""

from dataclasses import dataclass

import numpy as np

from winnow.scoring.optimization.counting import youden_threshold
from winnow.scoring.optimization.crossvalidation import Folds
from winnow.scoring.optimization.matrix import Matrix
from winnow.scoring.optimization.search import Space, find_paths


@dataclass(frozen=True)
class PaperVotes:
    """How many papers are decided rightly, each by items and a threshold that were chosen without it.

    Attributes:
        accuracy: share of papers decided as they were.
        majority_class: the same if all were given the commoner decision.
        papers: how many.
    """

    accuracy: float
    majority_class: float
    papers: int


def paper_votes(space: Space, matrix: Matrix, folds: Folds, chosen: int) -> PaperVotes:
    """Decide each paper: 1 if more than half of its responses reach the threshold found on the other folds.

    Args:
        space: answers and settings.
        matrix: with labels that all responses to a paper share.
        folds: which papers are held out together.
        chosen: number of items.
    """
    trained_on = folds.of != np.arange(folds.count)[:, None]
    labels = np.repeat(matrix.labels[None], folds.count, axis=0)
    reached = np.zeros(len(matrix.labels))
    for fold, path in enumerate(find_paths(space, labels, trained_on)[:, :chosen]):
        counts, held = space.yes[:, path].sum(axis=1).astype(np.intp), folds.of == fold
        reached[held] = counts[held] >= youden_threshold(counts[~held], matrix.labels[~held])
    responses = np.bincount(matrix.papers)
    decided = np.bincount(matrix.papers, reached) > responses / 2
    truth = np.bincount(matrix.papers, matrix.labels) > responses / 2
    share = float(truth.mean())
    return PaperVotes(float((decided == truth).mean()), max(share, 1 - share), len(truth))
