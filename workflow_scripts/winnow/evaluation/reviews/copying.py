"""How much of a review was copied: the share of its runs of eight words that stand in another text."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from winnow.evaluation.reviews.words import words

RUN = 8  # words; shorter runs are found in texts that know nothing of each other
_MERGE_AT = 4_000_000  # runs that wait to be merged: 32 MB

Runs = NDArray[np.uint64]


def runs_of_words(text: str) -> Runs:
    """Return a 64-bit hash of each run of eight words, in their order. Shape: [max(0, words - 7)].

    Hashes keep memory small. With 10⁷ known runs, another one is taken for one of them with probability 5·10⁻¹³.
    """
    found = words(text)
    runs = (" ".join(found[start : start + RUN]) for start in range(len(found) - RUN + 1))
    hashes = (hashlib.blake2b(run.encode("utf-8", "surrogatepass"), digest_size=8).digest() for run in runs)
    return np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64)


def known_runs(texts: Iterable[str]) -> Runs:
    """Return the different runs of many texts, ascending.

    Memory is 8 bytes for each, and three times that and 100 MB while they are merged. A review of 400 words has nearly
    400: a million training reviews would take 3.2 GB, ten thousand take 32 MB.
    """
    known, waiting, held = np.empty(0, np.uint64), [], 0
    for text in texts:
        waiting.append(runs_of_words(text))
        held += len(waiting[-1])
        if held >= _MERGE_AT:
            known, waiting, held = np.unique(np.concatenate([known, *waiting])), [], 0
    return np.unique(np.concatenate([known, *waiting]))


def copied_share(runs: Runs, known: Runs) -> float | None:
    """Return the share of a review's runs that are known; None where it has fewer than eight words.

    Args:
        runs: of `runs_of_words`.
        known: of `known_runs`.
    """
    if not len(runs):
        return None
    if not len(known):
        return 0.0
    places = np.minimum(np.searchsorted(known, runs), len(known) - 1)
    return float(np.mean(known[places] == runs))
