"""What a checklist is chosen from: one row of answers per labelled response, in one order whatever the input's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.scoring.agreement import Table
from winnow.scoring.checklist import Item
from winnow.scoring.judge import Answer
from winnow.scoring.optimization.counting import Labels, Numbers

_CODE: dict[Answer, int] = {"yes": 1, "no": 0, None: -1}


@dataclass(frozen=True)
class Labelled:
    """A judged response whose label is known.

    Attributes:
        id: unique among all corpora.
        paper: its prompt, likewise.
        group: near-duplicate papers share one; it is what folds and permutations keep together.
        label: what the count of yes is to tell apart.
        answers: item id → yes, no or None.
        tokens: length in words and punctuation marks.
        rating: from 0, the lowest of its scale, to 1, the highest; None where there is none.
    """

    id: str
    paper: str
    group: str
    label: bool
    answers: Mapping[str, Answer]
    tokens: int
    rating: float | None


@dataclass(frozen=True)
class Matrix:
    """Rows ordered by id, columns by item id.

    A missing answer is neither yes nor no: it adds nothing to a count, and shares, correlations and AUCs of an item are
    of the responses for which it was answered (of two items: both).

    Attributes:
        ids: of the responses.
        items: the candidates.
        answers: 1 yes, 0 no, -1 missing. Shape: [responses, items].
        labels: shape: [responses].
        groups: which of `group_names`. Shape: [responses].
        group_names: ordered.
        papers: which paper each response is to, numbered from 0 by id. Shape: [responses].
        tokens: length of each response. Shape: [responses].
        ratings: NaN where there is none. Shape: [responses].
        repeats: for each item the answers of the two judgements of a text; None if nothing was judged twice.
    """

    ids: tuple[str, ...]
    items: tuple[Item, ...]
    answers: NDArray[np.int8]
    labels: Labels
    groups: NDArray[np.intp]
    group_names: tuple[str, ...]
    papers: NDArray[np.intp]
    tokens: NDArray[np.int64]
    ratings: Numbers
    repeats: tuple[Table, ...] | None

    @classmethod
    def of(
        cls,
        rows: Iterable[Labelled],
        items: Sequence[Item],
        repeats: Sequence[tuple[Mapping[str, Answer], Mapping[str, Answer]]] | None = None,
    ) -> "Matrix":
        """Put rows and items in order.

        Args:
            rows: in any order, ids unique.
            items: in any order.
            repeats: pairs of judgements of one text, for the stability of items.
        """
        ordered = sorted(rows, key=lambda row: row.id)
        columns = tuple(sorted(items, key=lambda item: item.id))
        codes = [[_CODE[row.answers[item.id]] for item in columns] for row in ordered]
        return cls(
            ids=tuple(row.id for row in ordered),
            items=columns,
            answers=np.array(codes, np.int8).reshape(len(ordered), len(columns)),
            labels=np.array([row.label for row in ordered], bool),
            groups=_numbered([row.group for row in ordered]),
            group_names=tuple(sorted({row.group for row in ordered})),
            papers=_numbered([row.paper for row in ordered]),
            tokens=np.array([row.tokens for row in ordered], np.int64),
            ratings=np.array([np.nan if row.rating is None else row.rating for row in ordered], np.float64),
            repeats=None if repeats is None else tuple(_table(item.id, repeats) for item in columns),
        )


def _numbered(names: Sequence[str]) -> NDArray[np.intp]:
    """Return for each name its place among all, in order."""
    place = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([place[name] for name in names], np.intp)


def _table(item: str, repeats: Sequence[tuple[Mapping[str, Answer], Mapping[str, Answer]]]) -> Table:
    pairs = ((first[item], second[item]) for first, second in repeats)
    return Table.of((a == "yes", b == "yes") for a, b in pairs if a is not None and b is not None)
