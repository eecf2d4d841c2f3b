"""The greedy path: item after item, the one whose checkmark helps the count of yes most to tell the labels apart.

Many searches over one matrix of answers run side by side (folds, permuted labels, resampled papers), since
numpy is slow on small arrays and quick on large ones. None of them sees another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.scoring.optimization.counting import Labels, Numbers, auc_of_histograms

Indices = NDArray[np.intp]
_CELLS_AT_ONCE = 2_000_000  # of the largest array: 8 MB, which a processor's cache nearly holds


@dataclass(frozen=True)
class Space:
    """What is searched, and how.

    Attributes:
        yes: 1 where the answer is yes, 0 where it is no or missing. Shape: [responses, items], items ordered by id.
        phi: absolute correlation of answers of two items. Shape: [items, items].
        penalty: of redundancy (lambda).
        width: prefixes kept at each step; 1 is the greedy path.
        steps: length of a path.
    """

    yes: NDArray[np.float32]
    phi: Numbers
    penalty: float
    width: int
    steps: int

    @classmethod
    def of(cls, answers: NDArray[np.int8], phi: Numbers, *, penalty: float, width: int, steps: int) -> "Space":
        """Take answers (1 yes, 0 no, -1 missing) and the correlations of items."""
        return cls((answers == 1).astype(np.float32), np.abs(phi), penalty, width, steps)

    def over(self, answers: NDArray[np.int8], phi: Numbers) -> "Space":
        """Return a space of other items with the same settings."""
        return Space.of(answers, phi, penalty=self.penalty, width=self.width, steps=self.steps)


@dataclass(frozen=True)
class Step:
    """Every search after one more item.

    Attributes:
        paths: items of each kept prefix in their order, the best prefix first. Shape: [searches, prefixes, length].
        alive: whether there is such a prefix; there may be fewer than `width`. Shape: [searches, prefixes].
        aucs: of the counts over each prefix. Shape: [searches, prefixes].
        redundancy: mean phi of the last item with those before it. Shape: [searches, prefixes].
        values: AUC less penalty times redundancy. Shape: [searches, prefixes].
    """

    paths: Indices
    alive: Labels
    aucs: Numbers
    redundancy: Numbers
    values: Numbers


def find_paths(space: Space, labels: Labels, weights: NDArray[np.generic], allowed: Labels | None = None) -> Indices:
    """Return the best path of each search, -1 where no item was left. Shape: [searches, steps].

    A step adds the item j with the largest AUC(count of yes over S + j) - penalty * mean over i in S of phi_ij,
    rounded to 10 places; of equal ones the first by id. A missing answer adds nothing to a count.

    Args:
        space: answers and settings.
        labels: what the counts are to tell apart. Shape: [searches, responses].
        weights: how often each response counts, whole numbers; 0 leaves it out. Shape: [searches, responses].
        allowed: items that a search may use, all if None. Shape: [searches, items].
    """
    at_once = max(1, _CELLS_AT_ONCE // (space.width * 2 * space.steps * max(1, labels.shape[1])))
    found = []
    for start in range(0, len(labels), at_once):
        chunk = slice(start, start + at_once)
        *_, last = search_steps(space, labels[chunk], weights[chunk], None if allowed is None else allowed[chunk])
        found.append(last.paths[:, 0])
    return np.concatenate(found)


def search_steps(
    space: Space, labels: Labels, weights: NDArray[np.generic], allowed: Labels | None = None
) -> Iterator[Step]:
    """Yield all searches after each step; arguments as of find_paths."""
    searches, items = len(labels), space.yes.shape[1]
    every = np.concatenate([space.yes, np.ones((len(space.yes), 1), np.float32)], axis=1)
    weight = weights.astype(np.float32)[:, None, None, :]
    rows = np.arange(searches)[:, None]
    paths = np.zeros((searches, 1, 0), np.intp)
    alive = np.ones((searches, 1), bool)
    totals = np.zeros((searches, 1, labels.shape[1]), np.int16)
    # A set of items is known by the XOR of their names, whatever their order.
    names = np.random.default_rng(0).integers(0, 2**63, (items,))
    for length in range(space.steps):
        cells = np.arange(2 * (length + 1), dtype=np.int16)[:, None]
        where = (2 * totals + labels[:, None, :])[:, :, None, :] == cells
        counts = (where * weight).reshape(-1, labels.shape[1]) @ every
        aucs = _aucs(counts.reshape(searches, -1, length + 1, 2, items + 1).astype(np.float64))
        redundancy = space.phi[paths].sum(axis=2) / max(1, length)
        values = np.round(np.nan_to_num(aucs, nan=0.5) - space.penalty * redundancy, 10)
        values[~alive] = -np.inf
        if allowed is not None:
            values[np.broadcast_to(~allowed[:, None], values.shape)] = -np.inf
        np.put_along_axis(values, paths, -np.inf, axis=2)
        sets = np.bitwise_xor.reduce(names[paths], axis=2)[:, :, None] ^ names
        prefix, item = _best(values, sets, space.width)
        best = rows, prefix, item
        alive = np.isfinite(values[best])
        paths = np.concatenate([paths[rows, prefix], np.where(alive, item, -1)[:, :, None]], axis=2)
        totals = totals[rows, prefix] + space.yes.T[item].astype(np.int16) * alive[:, :, None]
        yield Step(paths, alive, aucs[best], redundancy[best], values[best])


def _aucs(counts: Numbers) -> Numbers:
    """Return the AUC with each further item. Shape: [searches, prefixes, items].

    Args:
        counts: weight of responses by their count so far, label, and whether they say yes to each item; in the last
            place whatever they say. Shape: [searches, prefixes, counts, 2, items + 1].
    """
    yes = counts[..., :-1]
    not_yes = counts[..., -1:] - yes
    shape = (*yes.shape[:2], yes.shape[2] + 1, *yes.shape[3:])
    after = np.zeros(shape)
    after[:, :, :-1] += not_yes
    after[:, :, 1:] += yes
    by_count = np.moveaxis(after, 2, -1)
    return auc_of_histograms(by_count[:, :, 1], by_count[:, :, 0])


def _best(values: Numbers, sets: NDArray[np.int64], width: int) -> tuple[Indices, Indices]:
    """Return prefix and item of the best expansions, each set of items once. Shape of both: [searches, kept]."""
    searches, _, items = values.shape
    flat, names = values.reshape(searches, -1).copy(), sets.reshape(searches, -1)
    rows, picked = np.arange(searches), []
    for _ in range(min(width, flat.shape[1])):
        pick = flat.argmax(axis=1)
        picked.append(pick)
        flat[names == names[rows, pick][:, None]] = -np.inf
    kept = np.stack(picked, axis=1)
    return kept // items, kept % items


def trace(space: Space, labels: Labels, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what one search over all responses kept at each step, best prefix first."""
    for step in search_steps(space, labels[None], np.ones((1, len(labels)))):
        for rank in np.flatnonzero(step.alive[0]):
            items = [ids[item] for item in step.paths[0, rank]]
            yield {
                "step": len(items),
                "rank": int(rank) + 1,
                "added": items[-1],
                "items": items,
                "auc": round(float(step.aucs[0, rank]), 6),
                "redundancy": round(float(step.redundancy[0, rank]), 6),
                "value": round(float(step.values[0, rank]), 6),
            }
