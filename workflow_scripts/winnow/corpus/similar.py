"""Which of many texts are similar, in time and memory that grow with the number of texts, not of pairs."""

import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from winnow.core.log import Progress
from winnow.corpus.duplicates import (
    BANDS,
    MIN_WORDS,
    SHINGLE_WORDS,
    SIGNATURE,
    Hashes,
    IndexPairs,
    jaccard,
    may_be_alike,
    proposals,
    shingles,
    sketch,
)

_SKETCHES_AT_ONCE = 100_000


class SimilarTexts:
    """Takes texts one by one, then names the pairs that are similar.

    Memory holds an id and a sketch of 336 bytes for each text. Its shingles wait in a file without a name, which
    takes somewhat more room than the texts and is gone with this object.
    """

    def __init__(self, folder: Path, min_words: int = MIN_WORDS) -> None:
        """Start without texts.

        Args:
            folder: where the file of shingles may be.
            min_words: shorter texts are left out; a word that recurs makes a text of more words short too.
        """
        self._min_shingles = min_words - SHINGLE_WORDS + 1
        self._ids: list[str] = []
        # Packed, or the objects would take more memory than the numbers.
        self._keys = array("Q")
        self._signatures = bytearray()
        self._ends = array("Q", [0])  # of each text's shingles in the file, in bytes
        self._file = tempfile.TemporaryFile(prefix=".shingles.", dir=folder)  # noqa: SIM115 (open as long as this is)

    def add(self, identity: str, normal: str) -> None:
        """Take a text; one that is too short to be similar to another without being equal is left out.

        Args:
            identity: its id, greater than those before.
            normal: the text, normalised.
        """
        found = shingles(normal)
        if len(found) < self._min_shingles:
            return
        keys, signature = sketch(found)
        self._ids.append(identity)
        self._keys.frombytes(keys.tobytes())
        self._signatures += signature.tobytes()
        self._ends.append(self._ends[-1] + self._file.write(found.tobytes()))

    def pairs(self, threshold: float, is_open: Callable[[str, str], bool]) -> Iterator[tuple[str, str]]:
        """Yield the id pairs, smaller id first and ascending, whose Jaccard similarity is at least `threshold`.

        Args:
            threshold: of the sets of word triples.
            is_open: whether a pair still matters; the texts of other pairs are not compared.
        """
        self._file.flush()
        worth = self._worth_comparing(threshold)
        progress = Progress("similar pairs checked", len(worth))
        held, shingles_of_one = -1, np.empty(0, dtype=np.uint64)
        for one, other in worth.tolist():
            progress.step()
            pair = self._ids[one], self._ids[other]
            if not is_open(*pair):
                continue
            if one != held:
                held, shingles_of_one = one, self._shingles(one)
            if jaccard(shingles_of_one, self._shingles(other)) >= threshold:
                yield pair

    def _worth_comparing(self, threshold: float) -> IndexPairs:
        """Return the proposed pairs whose sketches do not rule them out, ascending. Shape: [pairs, 2]."""
        keys = np.frombuffer(self._keys, dtype=np.uint64).reshape(-1, BANDS)
        signatures = np.frombuffer(self._signatures, dtype=np.uint8).reshape(-1, SIGNATURE)
        worth = [np.empty(0, dtype=np.int64)]  # of one number for each pair
        for proposed in proposals(keys):
            for start in range(0, len(proposed), _SKETCHES_AT_ONCE):
                ones, others = proposed[start : start + _SKETCHES_AT_ONCE].T
                alike = may_be_alike(signatures[ones], signatures[others], threshold)
                worth.append(ones[alike] * len(keys) + others[alike])
        return np.column_stack(np.divmod(np.unique(np.concatenate(worth)), max(1, len(keys))))

    def _shingles(self, index: int) -> Hashes:
        """Return the shingles of a text."""
        start, end = self._ends[index], self._ends[index + 1]
        self._file.seek(start)
        return np.frombuffer(self._file.read(end - start), dtype=np.uint64)
