"""How alike two items are: by the letters of their questions, and by the answers to them.

The similarity of questions is TF-IDF over runs of characters, which needs no model and no network. It finds
questions that are worded alike; that two differently worded ones mean the same shows in their answers, if at all.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from winnow.scoring.optimization.counting import Numbers

_LENGTHS = (3, 4, 5)


def text_similarity(texts: Sequence[str]) -> Numbers:
    """Return the cosine of TF-IDF vectors over runs of 3 to 5 characters. Shape: [texts, texts].

    Lower case, single spaces; tf is how often a run occurs, idf = 1 + ln((1 + texts) / (1 + texts with it)).

    Source: Salton and Buckley 1988; the smoothed idf is scikit-learn's.
    """
    counts = [_runs(text) for text in texts]
    names = {run: place for place, run in enumerate(sorted({run for count in counts for run in count}))}
    table = np.zeros((len(texts), len(names)))
    for row, count in zip(table, counts, strict=True):
        row[[names[run] for run in count]] = list(count.values())
    weighted = table * (1 + np.log((1 + len(texts)) / (1 + (table > 0).sum(axis=0))))
    lengths = np.sqrt((weighted**2).sum(axis=1))
    unit = weighted / np.where(lengths > 0, lengths, 1)[:, None]
    return np.asarray(np.round(unit @ unit.T, 10))


def _runs(text: str) -> Counter[str]:
    line = " ".join(text.lower().split())
    return Counter(line[at : at + size] for size in _LENGTHS for at in range(len(line) - size + 1))


def answer_phi(answers: NDArray[np.int8]) -> Numbers:
    """Return the correlation of yes and no of each two items, 0 where one does not vary. Shape: [items, items].

    Of the responses for which both were answered.

    Args:
        answers: 1 yes, 0 no, -1 missing. Shape: [responses, items].
    """
    yes, known = (answers == 1).astype(np.float64), (answers >= 0).astype(np.float64)
    n, both, first = known.T @ known, yes.T @ yes, yes.T @ known
    second = first.T
    spread = np.sqrt((first * (n - first)) * (second * (n - second)))
    phi = np.divide(n * both - first * second, spread, out=np.zeros(n.shape), where=spread > 0)
    return np.asarray(np.round(phi, 10))
