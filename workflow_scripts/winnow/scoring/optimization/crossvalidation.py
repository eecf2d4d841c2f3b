"""How well a count does on papers that its items were not chosen on, and how many items it should have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.ids import unit_interval
from winnow.scoring.optimization.counting import Labels, Numbers, auc_of_histograms
from winnow.scoring.optimization.search import Indices, Space, find_paths


@dataclass(frozen=True)
class Folds:
    """Which part each response is in.

    Attributes:
        of: the fold of each response, from 0. Shape: [responses].
        count: how many there are.
    """

    of: Indices
    count: int

    @classmethod
    def deal(cls, groups: Indices, names: Sequence[str], count: int, seed: int) -> "Folds":
        """Deal groups to folds, largest first, each to the fold with the fewest responses so far.

        Groups of one size come in the order of a hash of seed and name, so that no order of rows matters.

        Args:
            groups: the group of each response, which is never divided. Shape: [responses].
            names: of the groups.
            count: how many folds.
            seed: of the order.
        """
        sizes = np.bincount(groups, minlength=len(names))
        loads, fold = [0] * count, np.zeros(len(names), np.intp)
        for group in sorted(range(len(names)), key=lambda g: (-sizes[g], unit_interval(names[g], f"fold {seed}"), g)):
            fold[group] = loads.index(min(loads))
            loads[fold[group]] += int(sizes[group])
        return cls(fold[groups], count)

    def aucs(self, counts: NDArray[np.integer], labels: Labels) -> Numbers:
        """Return the AUC within each fold, NaN where it has one label only. Shape: [sets, folds].

        Args:
            counts: several sets of whole numbers from 0. Shape: [sets, responses].
            labels: one set for all, or as many. Shape: [sets or 1, responses].
        """
        sets, values = len(counts), int(counts.max(initial=0)) + 1
        cells = ((np.arange(sets)[:, None] * self.count + self.of) * 2 + labels) * values + counts
        histograms = np.bincount(cells.ravel(), minlength=sets * self.count * 2 * values).astype(np.float64)
        by_label = histograms.reshape(sets, self.count, 2, values)
        return auc_of_histograms(by_label[:, :, 1], by_label[:, :, 0])

    def held_out_aucs(self, space: Space, labels: Labels, allowed: Labels | None = None) -> Numbers:
        """Return the AUC within each fold of each prefix of the path found on the other folds.

        Args:
            space: answers and settings.
            labels: several sets. Shape: [sets, responses].
            allowed: items that may be used with each set of labels, all if None. Shape: [sets, items].

        Returns:
            NaN where a fold has one label only. Shape: [sets, folds, steps].
        """
        trained_on = np.tile(self.of != np.arange(self.count)[:, None], (len(labels), 1))
        usable = None if allowed is None else np.repeat(allowed, self.count, axis=0)
        paths = find_paths(space, np.repeat(labels, self.count, axis=0), trained_on, usable)
        own = paths.reshape(len(labels), self.count, -1)[:, self.of]  # the path found without the response
        counts, curves = np.zeros(labels.shape, np.intp), []
        for length in range(space.steps):
            taken = own[:, :, length]
            counts += space.yes[np.arange(labels.shape[1]), taken].astype(np.intp) * (taken >= 0)
            curves.append(self.aucs(counts, labels))
        return np.stack(curves, axis=2)


@dataclass(frozen=True)
class Curve:
    """AUC on papers held out, by number of items: mean over folds and its standard error. Shape: [steps]."""

    mean: Numbers
    error: Numbers

    @classmethod
    def of(cls, by_fold: Numbers) -> "Curve":
        """Sum up folds; one with a single label says nothing and is left out. Shape: [folds, steps].

        Where all are such, the mean is 0.5: nothing was told apart. That can befall shuffled labels alone.
        """
        known = by_fold[~np.isnan(by_fold[:, 0])]
        if not len(known):
            return cls(np.full(by_fold.shape[1], 0.5), np.zeros(by_fold.shape[1]))
        spread = known.std(axis=0, ddof=1) if len(known) > 1 else np.zeros(by_fold.shape[1])
        return cls(np.round(known.mean(axis=0), 10), spread / np.sqrt(len(known)))

    def fewest_items(self, least: int) -> int:
        """Return the smallest number of items, from `least`, whose mean is within one standard error of the best.

        Source: Breiman et al. 1984, section 3.4.3 (the one-standard-error rule).
        """
        best = least - 1 + int(self.mean[least - 1 :].argmax())
        return least + int(np.argmax(self.mean[least - 1 :] >= self.mean[best] - self.error[best]))
