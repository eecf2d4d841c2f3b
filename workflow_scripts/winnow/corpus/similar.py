"""Which rows of a table have similar texts, in time and memory that grow with the number of rows, not of pairs."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds

from winnow.core.log import Progress
from winnow.corpus.duplicates import (
    BANDS,
    MIN_SHINGLES,
    SIGNATURE,
    jaccard,
    may_be_alike,
    proposals,
    shingles,
    sketch,
)

_PAIRS_AT_ONCE = 4_000  # proposals whose shingles are in memory together
_SKETCHES_AT_ONCE = 100_000

Row = dict[str, Any]


class SimilarTexts:
    """Collects a sketch of each text as a table streams by, then names the pairs that are alike.

    Memory holds an id and a sketch of 336 bytes for each text; where two must be compared, they are read again.
    """

    def __init__(self, table: Path, key: str, columns: Sequence[str]) -> None:
        """Prepare for a table.

        Args:
            table: where the texts are.
            key: the column that names a row.
            columns: the columns whose texts are compared, together.
        """
        self._table = table
        self._key = key
        self._columns = list(columns)
        self._ids: list[str] = []
        # Packed, or the objects would take more memory than the numbers.
        self._keys = array("Q")
        self._signatures = bytearray()

    def text(self, row: Row) -> str:
        """Return the text of a row that is compared."""
        return "\n\n".join(row[column] for column in self._columns if row[column])

    def add(self, row: Row) -> None:
        """Sketch a row; one that is too short to be similar to another without being equal is left out."""
        found = shingles(self.text(row))
        if len(found) >= MIN_SHINGLES:
            self._ids.append(row[self._key])
            keys, signature = sketch(found)
            self._keys.frombytes(keys.tobytes())
            self._signatures += signature.tobytes()

    def pairs(self, threshold: float, is_open: Callable[[str, str], bool]) -> Iterator[tuple[str, str]]:
        """Yield the id pairs, smaller id first, whose Jaccard similarity is at least `threshold`.

        Rows must have been added in the order of their ids.

        Args:
            threshold: of the sets of word triples.
            is_open: whether a pair still matters; texts of other pairs are not read.
        """
        keys = np.frombuffer(self._keys, dtype=np.uint64).reshape(-1, BANDS)
        proposed = list(self._worth_reading(sorted(set(proposals(keys))), threshold))
        progress = Progress("similar pairs checked", len(proposed))
        for start in range(0, len(proposed), _PAIRS_AT_ONCE):
            batch = [(self._ids[one], self._ids[other]) for one, other in proposed[start : start + _PAIRS_AT_ONCE]]
            batch = [pair for pair in batch if is_open(*pair)]
            found = {row[self._key]: shingles(self.text(row)) for row in self._rows({key for p in batch for key in p})}
            yield from (pair for pair in batch if jaccard(found[pair[0]], found[pair[1]]) >= threshold)
            progress.step(_PAIRS_AT_ONCE)

    def _worth_reading(self, proposed: list[tuple[int, int]], threshold: float) -> Iterator[tuple[int, int]]:
        """Yield the proposed pairs whose sketches do not rule them out."""
        signatures = np.frombuffer(self._signatures, dtype=np.uint8).reshape(-1, SIGNATURE)
        for start in range(0, len(proposed), _SKETCHES_AT_ONCE):
            batch = proposed[start : start + _SKETCHES_AT_ONCE]
            ones, others = np.array(batch).T
            alike = may_be_alike(signatures[ones], signatures[others], threshold)
            yield from (pair for pair, worth in zip(batch, alike, strict=True) if worth)

    def _rows(self, wanted: set[str]) -> Iterator[Row]:
        """Yield the rows with these ids; groups of rows without any of them are skipped."""
        if not wanted:
            return
        chosen = ds.field(self._key).isin(sorted(wanted))
        # One thread and no reading ahead: memory matters more here than speed.
        table = ds.dataset(self._table, format="parquet")
        columns = [self._key, *self._columns]
        for batch in table.to_batches(columns, filter=chosen, use_threads=False, batch_readahead=0):
            yield from batch.to_pylist()
